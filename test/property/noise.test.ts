import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { turboshake128 } from '@noble/hashes/sha3-addons.js';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../crypto/encoding.ts';
import { deriveGaussianTable, type Variance } from '../../crypto/gaussian-table.ts';
import { createNoiseSampler, type GaussianKernel, instantiateGaussianKernel } from '../../crypto/noise.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { loadNoiseModule } from '../../src/platform/noise-module.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { discreteGaussian } from '../reference/cks20.ts';
import {
  type CandidateWords,
  chiSquareDeviate,
  exactProbabilities,
  judgeCandidate,
  normalMass,
} from '../reference/gaussian.ts';

const module = loadNoiseModule();
const seedOf = (i: number) => nodePrimitives.sha256(Uint8Array.of(i));
const variance = (numerator: bigint, denominator = 1n): Variance => ({
  sigma2Numerator: numerator,
  sigma2Denominator: denominator,
});
const VARIANCES: readonly (readonly [string, Variance])[] = [
  ['0.5', variance(1n, 4n)],
  ['1', variance(1n)],
  ['1171/500', variance(1171n ** 2n, 500n ** 2n)],
  ['6.4', variance(1024n, 25n)],
  ['sqrt(1000/7)', variance(1000n, 7n)],
  ['50', variance(2500n)],
  ['2000', variance(4_000_000n)],
  ['2^22', variance(1n << 44n)],
  ['just below 2^23', variance((1n << 46n) - 1n)],
];

function fillRandom(kernel: GaussianKernel, seed: number): void {
  const random = new Uint8Array(kernel.memory.buffer, kernel.randomAddress(), kernel.randomBytes());
  random.set(nodePrimitives.aes256Ctr(seedOf(seed), random.length));
}

/** Reads and writes one candidate's random words where the kernel looks for them. */
function candidate(kernel: GaussianKernel, index: number, slot = 0) {
  const view = new DataView(kernel.memory.buffer, kernel.randomAddress());
  const batch = kernel.batchSize();
  return {
    read: (): CandidateWords => ({
      table: view.getBigUint64(8 * index, true),
      accept: view.getBigUint64(8 * batch + 8 * index, true),
      low: BigInt(view.getUint32(16 * batch + 4 * index, true)),
      tableExtension: view.getBigUint64(20 * batch + 16 * slot, true),
      acceptExtension: view.getBigUint64(20 * batch + 16 * slot + 8, true),
    }),
    setTable: (word: bigint) => view.setBigUint64(8 * index, word, true),
    setAccept: (word: bigint) => view.setBigUint64(8 * batch + 8 * index, word, true),
    setExtension: (table: bigint, accept: bigint) => {
      view.setBigUint64(20 * batch + 16 * slot, table, true);
      view.setBigUint64(20 * batch + 16 * slot + 8, accept, true);
    },
  };
}

function verdicts(kernel: GaussianKernel, count: number) {
  const values = new Int32Array(kernel.memory.buffer, kernel.valueAddress(), count);
  const kept = new Int32Array(kernel.memory.buffer, kernel.keptAddress(), count);
  return Array.from(values, (value, i) => ({ value, kept: kept[i] === -1 }));
}

describe('kernel against the definition in bigints', () => {
  it.each(VARIANCES)('every candidate of a batch, sigma %s', (_, v) => {
    const table = deriveGaussianTable(v);
    const kernel = instantiateGaussianKernel(module, table);
    const count = 1024;
    fillRandom(kernel, 1);
    kernel.resolve(count, kernel.decide(count));
    const expected = Array.from({ length: count }, (__, i) => judgeCandidate(v, table, candidate(kernel, i).read()));
    expect(verdicts(kernel, count)).toEqual(expected);
  });

  it.each(VARIANCES)('ties with the table and with the exponential, sigma %s', (_, v) => {
    const table = deriveGaussianTable(v);
    const kernel = instantiateGaussianKernel(module, table);
    const count = 64;
    for (let round = 0; round < 24; round += 1) {
      fillRandom(kernel, 2 + round);
      const entry = round % table.thresholds.length;
      const threshold = table.thresholds[entry]!;
      const tableTies = [5, 30];
      const offset = [-1n, 0n, 1n][round % 3]!;
      tableTies.forEach((index, slot) => {
        candidate(kernel, index).setTable((threshold >> 64n) ^ (1n << 63n));
        candidate(kernel, index, slot).setExtension((threshold & 0xffffffffffffffffn) + offset, BigInt(round) << 40n);
      });
      // Move an acceptance word right onto the exponential of the candidate it belongs to.
      const close = 47;
      const words = candidate(kernel, close).read();
      let [below, above] = [0n, 1n << 64n];
      while (above - below > 1n) {
        const middle = (below + above) / 2n;
        const kept = judgeCandidate(v, table, { ...words, low: words.low & 0x7fffffffn, accept: middle }).kept;
        if (kept) below = middle;
        else above = middle;
      }
      candidate(kernel, close).setAccept(round % 2 === 0 ? below : (below + 1n) & 0xffffffffffffffffn);
      const flagged = kernel.decide(count);
      // A sum of weights so small that the threshold is 1 leaves no room; elsewhere all three are flagged.
      expect(flagged).toBeGreaterThanOrEqual(2);
      expect(flagged).toBeLessThanOrEqual(3);
      kernel.resolve(count, flagged);
      const got = verdicts(kernel, count);
      [...tableTies, close].forEach((index, slot) => {
        expect(got[index], `round ${round}, slot ${slot}`).toEqual(
          judgeCandidate(v, table, candidate(kernel, index, slot).read()),
        );
      });
    }
  });

  it('says so when there are more second looks than randomness for them', () => {
    const table = deriveGaussianTable(variance(2500n));
    const kernel = instantiateGaussianKernel(module, table);
    for (const [ties, result] of [
      [kernel.slots(), 'some'],
      [kernel.slots() + 1, 'refused'],
    ] as const) {
      fillRandom(kernel, 9);
      for (let i = 0; i < ties; i += 1) candidate(kernel, 7 * i).setTable((table.thresholds[0]! >> 64n) ^ (1n << 63n));
      expect(kernel.sample(64) < 0 ? 'refused' : 'some').toBe(result);
    }
  });

  it('leaves nothing behind', () => {
    const kernel = instantiateGaussianKernel(module, deriveGaussianTable(variance(2500n)));
    fillRandom(kernel, 1);
    kernel.sample(kernel.batchSize());
    const remains = () => new Uint8Array(kernel.memory.buffer, kernel.randomAddress()).some((byte) => byte !== 0);
    expect(remains()).toBe(true);
    kernel.wipe();
    expect(remains()).toBe(false);
  });
});

const sigmaOf = (v: Variance) => Math.sqrt(Number(v.sigma2Numerator) / Number(v.sigma2Denominator));

/** Bins of about sigma/12 (single integers when narrow) up to 4 sigma; the outermost ones take the tails. */
function binsOf(sigma: number) {
  const width = Math.max(1, Math.floor(sigma / 12));
  const half = Math.ceil((4 * sigma) / width);
  const bin = (x: number) => Math.max(-half, Math.min(half, Math.floor(x / width))) + half;
  return { width, half, bin, empty: () => new Array<number>(2 * half + 1).fill(0) };
}

function count(samples: Int32Array, sigma: number): number[] {
  const { bin, empty } = binsOf(sigma);
  const observed = empty();
  for (const x of samples) observed[bin(x)]! += 1;
  return observed;
}

function expectedCounts(v: Variance, samples: number, sigma = sigmaOf(v)): number[] {
  const { bin, empty } = binsOf(sigma);
  const expected = empty();
  exactProbabilities(v).forEach((p, x) => {
    expected[bin(x)]! += p * samples;
    if (x > 0) expected[bin(-x)]! += p * samples;
  });
  return expected;
}

function draw(v: Variance, length: number, seed: number): Int32Array {
  const out = new Int32Array(length);
  createNoiseSampler(module, nodePrimitives, v).sample(seedOf(seed), out);
  return out;
}

describe('sampler', () => {
  it.each(VARIANCES.slice(0, 7))('chi-square against exact probabilities, sigma %s', (_, v) => {
    const samples = 1_000_000;
    const observed = count(draw(v, samples, 3), sigmaOf(v));
    expect(Math.abs(chiSquareDeviate(observed, expectedCounts(v, samples)))).toBeLessThan(5);
    // The same counts against a width that is 1 % off must fail, or the test shows nothing.
    const off = variance(v.sigma2Numerator * 102n, v.sigma2Denominator * 100n);
    const wrong = expectedCounts(off, samples, sigmaOf(v));
    expect(chiSquareDeviate(observed, wrong)).toBeGreaterThan(5);
  });

  it.each(VARIANCES.slice(7))('chi-square against the normal integral, sigma %s', (_, v) => {
    const samples = 1_000_000;
    const sigma = sigmaOf(v);
    const { width, half } = binsOf(sigma);
    const expected = Array.from({ length: 2 * half + 1 }, (__, i) => {
      const from = i === 0 ? -20 : ((i - half) * width - 0.5) / sigma;
      const to = i === 2 * half ? 20 : ((i - half + 1) * width - 0.5) / sigma;
      return normalMass(from, to) * samples;
    });
    const samplesDrawn = draw(v, samples, 4);
    expect(Math.abs(chiSquareDeviate(count(samplesDrawn, sigma), expected))).toBeLessThan(5);
    // The low bits are uniform: nothing is left of the step between the base points.
    const residues = new Array<number>(64).fill(0);
    for (const x of samplesDrawn) residues[x & 63]! += 1;
    expect(Math.abs(chiSquareDeviate(residues, new Array<number>(64).fill(samples / 64)))).toBeLessThan(5);
  });

  it('neighbouring samples are independent', () => {
    const out = draw(variance(2500n), 1_000_000, 5);
    for (const lag of [1, 2, 4, 4096]) {
      let sum = 0;
      for (let i = lag; i < out.length; i += 1) sum += out[i]! * out[i - lag]!;
      expect(Math.abs(sum / 2500 / Math.sqrt(out.length - lag))).toBeLessThan(5);
    }
  });

  it('depends on the seed alone, never exceeds its bound, and both primitives give the same', () => {
    const v = variance(1024n, 25n);
    const node = createNoiseSampler(module, nodePrimitives, v);
    const noble = createNoiseSampler(module, noblePrimitives, v);
    const [a, b, c] = [new Int32Array(5000), new Int32Array(5000), new Int32Array(5000)];
    node.sample(seedOf(1), a);
    noble.sample(seedOf(1), b);
    node.sample(seedOf(2), c);
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
    expect(a.every((x) => Math.abs(x) <= node.largestMagnitude)).toBe(true);
    expect(node.largestMagnitude).toBeGreaterThan(12 * 6.4);
    expect(node.largestMagnitude).toBeLessThan(16 * 6.4);
  });

  it('fills every length, across the end of the key chain', () => {
    const sampler = createNoiseSampler(module, nodePrimitives, variance(4n));
    for (const length of [0, 1, 3, 4095, 4096, 4097]) {
      const out = new Int32Array(length).fill(1 << 30);
      sampler.sample(seedOf(6), out);
      expect(out.every((x) => Math.abs(x) <= sampler.largestMagnitude)).toBe(true);
    }
    const long = new Int32Array(1_200_000);
    sampler.sample(seedOf(6), long);
    expect(long.subarray(0, 1000)).not.toEqual(long.subarray(1_100_000, 1_101_000));
    expect(long.subarray(1_199_000).some((x) => x !== 0)).toBe(true);
  });

  it('names what is wrong', () => {
    const make = (numerator: bigint, denominator: bigint) => () =>
      createNoiseSampler(module, nodePrimitives, variance(numerator, denominator));
    expect(make(0n, 1n)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    expect(make(1n, 0n)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    expect(make(1n << 46n, 1n)).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE' }));
    expect(() => make(4n, 1n)().sample(new Uint8Array(31), new Int32Array(1))).toThrow(
      expect.objectContaining({ code: 'BAD_LENGTH' }),
    );
  });
});

interface PublishedSamples {
  readonly seed: string;
  readonly std_num: number;
  readonly std_denom: number;
  readonly samples: readonly (number | bigint)[];
}

const vectors = join(process.env['VEILSUM_VECTORS'] ?? '', 'dp/discrete_gauss_sampler_libprio.json');
const present = process.env['VEILSUM_VECTORS'] !== undefined && existsSync(vectors);
if (!present) console.warn('skipped: 6 published sample streams (VEILSUM_VECTORS is not set)');

describe('reference sampler (Canonne, Kamath, Steinke)', () => {
  it.skipIf(!present)("gives libprio's samples on its stream", () => {
    // Integers beyond 2^53 are kept by quoting them before parsing.
    const text = readFileSync(vectors, 'utf8').replace(/(?<=[[\s:])(-?\d{16,})(?=[,\]}])/g, '"$1"');
    const { vectors: streams } = JSON.parse(text) as { vectors: PublishedSamples[] };
    expect(streams.length).toBe(6);
    for (const { seed, std_num, std_denom, samples } of streams) {
      // VDAF's XofTurboShake128 with empty tag and binder.
      const stream = turboshake128
        .create({ D: 1 })
        .update(Uint8Array.of(0, 0, 32))
        .update(fromHex(seed));
      const source = (length: number) => stream.xof(length);
      const got = samples.map(() => discreteGaussian(source, BigInt(std_num), BigInt(std_denom)));
      expect(got).toEqual(samples.map(BigInt));
    }
  });

  it('and the exact probabilities agree', () => {
    const stream = turboshake128.create({}).update(seedOf(7));
    const samples = Int32Array.from({ length: 30_000 }, () => Number(discreteGaussian((n) => stream.xof(n), 32n, 5n)));
    const expected = expectedCounts(variance(1024n, 25n), samples.length);
    expect(Math.abs(chiSquareDeviate(count(samples, 6.4), expected))).toBeLessThan(5);
  });
});
