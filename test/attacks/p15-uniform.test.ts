import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/encoding.ts';
import { pairwiseMask } from '../../crypto/masks.ts';
import { unpackBlock } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, type PayloadContext } from '../../crypto/payload.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { correction, deriveSeeds, shareSum, subsets } from '../../crypto/sharing.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { contextOf, hashOf, kernelOf, keystream, parametersOf } from '../reference/engines.ts';

/**
 * Pearson's chi-square of everything that must look uniform, over 64 equal cells of its range. Secrets come from fixed
 * seeds, so that each of these passes always or never: none of it is chance at run time.
 */

const CELLS = 64;
/** Mean 63, deviation 11.2: six deviations. */
const LIMIT = CELLS - 1 + 6 * Math.sqrt(2 * (CELLS - 1));
const NODES = Array.from({ length: 8 }, (_, i) => `node-${i}`);
let parameters: RoundParameters;
let context: PayloadContext;

beforeAll(async () => {
  parameters = parametersOf({ dimension: 900, nodesMax: 16 });
  context = contextOf(parameters, await kernelOf(parameters));
});

/** @param cellOf - which of the 64 cells a value falls into. */
function chiSquare(values: Iterable<number>, cellOf: (value: number) => number): number {
  const seen = new Float64Array(CELLS);
  let count = 0;
  for (const value of values) {
    seen[cellOf(value)]!++;
    count++;
  }
  return seen.reduce((sum, x) => sum + (x - count / CELLS) ** 2 / (count / CELLS), 0);
}

/** Cells by the top and by the bottom bits. */
function bothEnds(values: readonly number[], range: number): [number, number] {
  return [chiSquare(values, (x) => Math.floor((x * CELLS) / range)), chiSquare(values, (x) => x % CELLS)];
}

/** The AES keystream with one 16-bit word in 32 zero. The weakened primitive. */
const biased: Primitives = {
  ...p,
  aes256Ctr: (key, length) => {
    const stream = p.aes256Ctr(key, length).slice();
    for (let i = 0; i < stream.length; i += 64) stream.fill(0, i, i + 2);
    return stream;
  },
};

/** One value drawn uniformly from its range per coefficient, of all nodes: statistics by what they are of. */
function statistics(primitives: Primitives): Record<string, number> {
  const { maskModulusBits: bits, ringDegree, members, threshold } = parameters;
  const M = 2 ** bits;
  const sets = subsets(members, threshold);
  const secret = (name: string): SecretBytes => new SecretBytes(name, hashOf(name));
  const cohort = NODES.map((name) => ({ identity: utf8(name), publicKey: p.x25519PublicKey(hashOf(`mask ${name}`)) }));
  const maskContext = { closeHash: hashOf('close'), bucket: 0, modelHash: hashOf('model') };
  const made = NODES.map((name) => {
    const mask = pairwiseMask(primitives, secret(`mask ${name}`), utf8(name), maskContext, cohort, bits, ringDegree);
    const share = { closeHash: hashOf('close'), bucket: 0, node: utf8(name) };
    const seeds = deriveSeeds(p, secret(`fresh ${name}`), hashOf(`update ${name}`), share, sets);
    using seed = secret(`upload ${name}`);
    // A constant update: nothing but key and error moves its payload.
    using encryptor = createEncryptor({ ...context, primitives }, new Int32Array(900).fill(7), seed);
    const wire = encryptor.block(0);
    return { mask, seeds, wire, z: correction(primitives, encryptor.key, mask, seeds, bits) };
  });
  const shareOf = (t: number) =>
    shareSum(
      primitives,
      made.map(({ seeds }) => seeds.ofSets[t]!),
      bits,
      ringDegree,
    );
  const residues = parameters.primes.map((_, i) =>
    made.flatMap(({ wire }) => [...unpackBlock(ringShape(parameters), wire, parameters.lastBlockCoefficients)[i]!]),
  );
  const named: [string, [number, number]][] = [
    [
      'masks',
      bothEnds(
        made.flatMap(({ mask }) => [...mask]),
        M,
      ),
    ],
    [
      'corrections',
      bothEnds(
        made.flatMap(({ z }) => [...z]),
        M,
      ),
    ],
    [
      'member shares',
      bothEnds(
        sets.flatMap((_, t) => [...shareOf(t)]),
        M,
      ),
    ],
    ...residues.map((values, i): [string, [number, number]] => [
      `payload mod prime ${i}`,
      bothEnds(values, parameters.primes[i]!),
    ]),
  ];
  return Object.fromEntries(
    named.flatMap(([what, [top, low]]) => [
      [`${what}, top`, top],
      [`${what}, low`, low],
    ]),
  );
}

describe('P15: masks, corrections, shares and payloads are uniform', () => {
  it('by chi-square over the top and the bottom residues', () => {
    const found = statistics(p);
    console.log('test/attacks/p15-uniform: chi-square, 63 degrees of freedom', roundAll(found));
    for (const [what, statistic] of Object.entries(found)) expect([what, statistic < LIMIT]).toEqual([what, true]);
  });

  it('control: a keystream with one word in 32 zero is caught in masks, corrections and shares', () => {
    const found = statistics(biased);
    console.log('test/attacks/p15-uniform: under a biased keystream', roundAll(found));
    for (const what of ['masks, top', 'masks, low', 'corrections, top', 'member shares, top', 'member shares, low'])
      expect([what, found[what]! > LIMIT]).toEqual([what, true]);
  });

  it('control: a payload without its one-time key is far from uniform', () => {
    const { engine } = context;
    using sealer = engine.sealer(new Int16Array(parameters.ringDegree));
    const error = (name: string) => ({
      first: (n: number) => keystream(`${name} first`, n),
      rest: (n: number) => keystream(`${name} rest`, n),
    });
    const noPublicElement = (_: number, length: number) => new Uint8Array(length);
    const wires = NODES.map((name) =>
      sealer.seal(new Int32Array(900).fill(7), parameters.lastBlockCoefficients, noPublicElement, error(name)),
    );
    const values = wires.flatMap((wire) => [
      ...unpackBlock(ringShape(parameters), wire, parameters.lastBlockCoefficients)[0]!,
    ]);
    expect(bothEnds(values, parameters.primes[0]!)[0]).toBeGreaterThan(10_000);
  });

  it('and fresh: the same pair in two rounds has masks that share nothing', () => {
    const { maskModulusBits: bits, ringDegree } = parameters;
    const [own, peer] = NODES as [string, string];
    const secret = new SecretBytes('mask', hashOf(`mask ${own}`));
    const cohort = [own, peer].map((name) => ({
      identity: utf8(name),
      publicKey: p.x25519PublicKey(hashOf(`mask ${name}`)),
    }));
    const maskOf = (close: string) =>
      pairwiseMask(
        p,
        secret,
        utf8(own),
        { closeHash: hashOf(close), bucket: 0, modelHash: hashOf('model') },
        cohort,
        bits,
        ringDegree,
      );
    const [first, second] = [maskOf('round 1'), maskOf('round 2')];
    const differences = [...first].map((x, i) => (x - second[i]! + 2 ** bits) % 2 ** bits);
    for (const statistic of bothEnds(differences, 2 ** bits)) expect(statistic).toBeLessThan(LIMIT);
    // Control: the same close leaf, the same mask.
    expect(maskOf('round 1')).toEqual(first);
  });
});

function roundAll(found: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(found).map(([what, x]) => [what, Math.round(x)]));
}
