import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { packResidues, unpackBlock } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { type PayloadContext, publicStream } from '../../crypto/payload.ts';
import { bothEngines, contextOf, gaussian, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { open, plainSum, sumBlocks, sumKeys, type Upload, upload } from '../reference/uploads.ts';

/** Coefficients of the one block of these rounds. */
const L = 512;
let parameters: RoundParameters;
let contexts: [PayloadContext, PayloadContext];
let uploads: [Upload, Upload, Upload];

beforeAll(async () => {
  parameters = parametersOf({ dimension: 900 });
  expect(parameters.lastBlockCoefficients).toBe(L);
  const [seal, kernel] = await bothEngines(ringShape(parameters));
  contexts = [contextOf(parameters, seal), contextOf(parameters, kernel)];
  uploads = [upload(contexts[1], 'one'), upload(contexts[1], 'two'), upload(contexts[1], 'three')];
});

afterEach(() => {
  vi.doUnmock('../../crypto/packing.ts');
  vi.resetModules();
});

const code = (name: string): unknown => expect.objectContaining({ code: name });

describe('a key that does not fit', () => {
  const offByOne = (at: number): Int32Array => {
    const key = sumKeys(uploads);
    return key.with(at, key[at]! + (at % 2 ? 1 : -1));
  };

  it('is refused when one coefficient is off by one, and no value is given out', () => {
    const sum = sumBlocks(contexts[1], uploads);
    for (const context of contexts)
      for (const at of [0, 2047, 4095]) {
        expect(() => open(context, offByOne(at), sum)).toThrowError(code('KEY_DOES_NOT_FIT'));
        const values = new Int32Array(900).fill(9);
        using opener = context.engine.opener(offByOne(at));
        expect(opener.open(sum[0]!, L, publicStream(context, 0), values)).toBe(false);
        expect(values.some((x) => x !== 0)).toBe(false);
      }
  });

  it('control: without the check a wrong result comes out', async () => {
    vi.doMock('../../crypto/packing.ts', async (importOriginal) => {
      const original = await importOriginal<typeof import('../../crypto/packing.ts')>();
      const splitBlock: typeof original.splitBlock = (shape, residues, coefficients, values) => {
        const slotsPerCoefficient = shape.slotsPerCoefficient + 1;
        const wide = new Int32Array(slotsPerCoefficient * coefficients);
        const loose = { ...shape, slotsPerCoefficient, errorBound: 2 ** shape.logDelta };
        original.splitBlock(loose, residues, coefficients, wide);
        values.set(wide.subarray(0, values.length));
        return true;
      };
      return { ...original, splitBlock };
    });
    vi.resetModules();
    const { createSealEngine } = await import('../../crypto/engine-seal.ts');
    const weak = contextOf(parameters, await createSealEngine(ringShape(parameters)));
    const sum = sumBlocks(contexts[1], uploads);
    expect(open(weak, sumKeys(uploads), sum)).toEqual(plainSum(uploads));
    const wrong = open(weak, offByOne(0), sum);
    expect(wrong.filter((x, i) => x === plainSum(uploads)[i]).length).toBeLessThan(10);
  });

  it('is refused for a sum that lacks a node of the key or holds one twice', () => {
    for (const others of [uploads.slice(1), [...uploads, uploads[0]]])
      expect(() => open(contexts[1], sumKeys(uploads), sumBlocks(contexts[1], others))).toThrow('does not open');
  });

  it('is refused for another round: a_j comes from the record', () => {
    const other = contextOf(parameters, contexts[1].engine, 'another record');
    expect(() => open(other, sumKeys(uploads), sumBlocks(contexts[1], uploads))).toThrow('does not open');
  });

  it('is refused when a slot that carries no value holds one', () => {
    const shorter = parametersOf({ dimension: 800 });
    expect(shorter.lastBlockCoefficients).toBe(L);
    for (const { engine } of contexts)
      expect(() => open(contextOf(shorter, engine), sumKeys(uploads), sumBlocks(contexts[1], uploads))).toThrow(
        'does not open',
      );
  });
});

describe('a machine restored from a snapshot', () => {
  const other = (): Int32Array => valuesOf('other', 900, 16);
  const difference = (): Int32Array => uploads[0].values.map((x, i) => other()[i]! - x);

  /** What anybody can do with two payloads under one key: subtract, and open under the zero key. */
  async function openDifference(minuend: Uint8Array, subtrahend: Uint8Array): Promise<Int32Array> {
    const shape = ringShape(parameters);
    const [left, right] = [unpackBlock(shape, minuend, L), unpackBlock(shape, subtrahend, L)];
    const parts = left.map((residues, i) => {
      const q = parameters.primes[i]!;
      return packResidues(
        residues.map((x, c) => (x + q - right[i]![c]!) % q),
        parameters.primeBits[i]!,
      );
    });
    const context = contextOf(parameters, await kernelOf(parameters));
    return open(context, new Int32Array(parameters.ringDegree), [Uint8Array.from(parts.flatMap((part) => [...part]))]);
  }

  it('does not encrypt a second update under the same key, although its seed is the same', async () => {
    const again = upload(contexts[1], 'one', other());
    expect(again.key).not.toEqual(uploads[0].key);
    await expect(openDifference(again.blocks[0]!, uploads[0].blocks[0]!)).rejects.toThrow('does not open');
  });

  it('control: under one key and error stream the difference of two updates is plain to see', async () => {
    const { engine } = contexts[1];
    using sealer = engine.sealer(uploads[0].key);
    const a = publicStream(contexts[1], 0);
    const wires = [uploads[0].values, other()].map((values) => sealer.seal(values, L, a, gaussian('e')));
    expect(await openDifference(wires[1]!, wires[0]!)).toEqual(difference());
  });
});
