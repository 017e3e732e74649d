import { beforeAll, describe, expect, it } from 'vitest';
import { addChecksums, createChecksum } from '../../crypto/checksum.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, type PayloadContext } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { selfCheck } from '../../crypto/self-check.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import {
  bothEngines,
  contextOf,
  EVERY_DEGREE,
  hashOf,
  kernelOf,
  parametersOf,
  valuesOf,
} from '../reference/engines.ts';
import { open, plainSum, sumBlocks, sumKeys, upload } from '../reference/uploads.ts';

describe.each(EVERY_DEGREE)('N = $degree', ({ dimension, degree }) => {
  let parameters: RoundParameters;
  let contexts: [PayloadContext, PayloadContext];

  beforeAll(async () => {
    parameters = parametersOf({ dimension });
    expect(parameters.ringDegree).toBe(degree);
    const [seal, kernel] = await bothEngines(ringShape(parameters));
    contexts = [contextOf(parameters, seal), contextOf(parameters, kernel)];
  });

  it('gives equal words on both engines, and exact sums with the engines mixed', () => {
    const [seal, kernel] = contexts;
    const uploads = ['one', 'two', 'three'].map((name, i) => upload(i === 1 ? seal : kernel, name));
    expect(upload(kernel, 'two').blocks).toEqual(uploads[1]!.blocks);
    expect(upload(kernel, 'two').key).toEqual(uploads[1]!.key);
    const sums = contexts.map((context) => sumBlocks(context, uploads));
    expect(sums[1]).toEqual(sums[0]);
    expect(sumBlocks(kernel, uploads.toReversed())).toEqual(sums[0]);
    for (const context of contexts) expect(open(context, sumKeys(uploads), sums[0]!)).toEqual(plainSum(uploads));
  });

  it('passes the start-up check', () => {
    selfCheck(nodePrimitives, contexts[0].engine, contexts[1].engine);
  });

  it('sums checksums to the checksum of the sum, on either engine, and notices one changed residue', () => {
    const uploads = ['one', 'two'].map((name) => upload(contexts[1], name));
    const checksum = (context: PayloadContext, blocks: readonly Uint8Array[]): Uint32Array => {
      using running = createChecksum(context, hashOf('close'));
      for (const [j, wire] of blocks.entries()) running.add(j, wire);
      return running.value();
    };
    const sum = sumBlocks(contexts[1], uploads);
    const expected = addChecksums(
      parameters,
      uploads.map(({ blocks }, i) => checksum(contexts[i]!, blocks)),
    );
    expect(checksum(contexts[1], sum)).toEqual(expected);
    // Adding an encryption of zero that nobody sent: every residue moves, each row of each prime notices.
    const forged = sumBlocks(contexts[1], [...uploads, upload(contexts[1], 'forged')]);
    expect(checksum(contexts[1], forged).filter((residue, i) => residue === expected[i]).length).toBe(0);
  });
});

describe('one-time keys', () => {
  it('differ with the seed, the record and a single value, and repeat otherwise', async () => {
    const parameters = parametersOf({ dimension: 900 });
    const engine = await kernelOf(parameters);
    const base = upload(contextOf(parameters, engine), 'one');
    const again = upload(contextOf(parameters, engine), 'one');
    expect(again.blocks).toEqual(base.blocks);
    const changed = [
      upload(contextOf(parameters, engine), 'two', base.values),
      upload(contextOf(parameters, engine, 'another record'), 'one'),
      upload(contextOf(parameters, engine), 'one', base.values.with(899, base.values[899]! ^ 1)),
    ];
    for (const { key } of changed) expect(key.filter((x, c) => x === base.key[c]).length).toBeLessThan(600);
  });

  it('are wiped with the encryptor', async () => {
    const parameters = parametersOf({ dimension: 900 });
    const context = contextOf(parameters, await kernelOf(parameters));
    const encryptor = createEncryptor(context, valuesOf('x', 900, 16), new SecretBytes('seed', hashOf('seed')));
    const { key, updateHash } = encryptor;
    expect(key.some((x) => x !== 0)).toBe(true);
    encryptor[Symbol.dispose]();
    expect(key.some((x) => x !== 0)).toBe(false);
    expect(updateHash.wiped).toBe(true);
  });
});
