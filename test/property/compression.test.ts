import fc from 'fast-check';
import { chiSquaredDistributionTable } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import type { Task } from '../../protocols/task.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import {
  type Compression,
  compressorOf,
  peakOf,
  sentLength,
  type UpdateShape,
} from '../../src/training/compression.ts';
import { makeTask } from '../../src/training/make-task.ts';
import { drawKept, drawSigns } from '../../src/training/public-draw.ts';
import { blockOf, exactUpTo, paddedLength, rotate, unrotate } from '../../src/training/rotation.ts';

/**
 * Of SHA-256('veilsum'), by Python's hashlib and cryptography 48: key = AES-256-CTR(seed, zero counter)[:32], words = its keystream,
 * little-endian; a shuffle's first 6 steps over range(20), word % left, words from 2^32 // left * left on dropped; signs by bit.
 */
const PYTHON = {
  kept: [2, 15, 16, 17, 18, 19],
  signs: [
    1, -1, 1, -1, 1, -1, 1, -1, -1, 1, -1, -1, -1, 1, 1, -1, -1, -1, 1, 1, -1, -1, -1, -1, 1, 1, -1, 1, 1, 1, 1, -1, 1,
    1, 1, -1, -1, 1, 1, -1,
  ],
};

const seedOf = (text: string): Uint8Array => nodePrimitives.sha256(new TextEncoder().encode(text));
const normOf = (values: Float64Array): number => Math.hypot(...values);
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const vectorOf = (length: number, scale = 1) =>
  fc
    .array(fc.double({ min: -scale, max: scale, noNaN: true }), { minLength: length, maxLength: length })
    .map((values) => Float64Array.from(values));
const shaped = fc
  .integer({ min: 1, max: 700 })
  .chain((length) => fc.record({ a: vectorOf(length), b: vectorOf(length) }));

describe('the rotation', () => {
  it('is undone by its transpose, keeps norms and inner products', () => {
    fc.assert(
      fc.property(shaped, fc.string(), ({ a, b }, seed) => {
        const block = blockOf(a.length);
        const signs = drawSigns(seedOf(seed), paddedLength(a.length, block));
        const [turnedA, turnedB] = [rotate(a, signs, block), rotate(b, signs, block)];
        const back = unrotate(turnedA, signs, block, a.length);
        for (const [i, value] of back.entries()) expect(Math.abs(value - a[i]!)).toBeLessThan(1e-12);
        expect(Math.abs(normOf(turnedA) - normOf(a))).toBeLessThan(1e-12 * (1 + normOf(a)));
        expect(Math.abs(dot(turnedA, turnedB) - dot(a, b))).toBeLessThan(1e-11 * a.length);
      }),
      { numRuns: 60 },
    );
  });

  it('does not round sums of gradients, and would beyond its bound', () => {
    const block = 256;
    const signs = drawSigns(seedOf('exact'), block);
    // All of the norm that is allowed, in the sum that is largest: every value as long as the others, in multiples of 2^-30.
    const largest = exactUpTo(block) / Math.sqrt(block) - 2 ** -30;
    const exact = Float64Array.from(signs, (sign, i) => sign * (largest - (i % 7) * 2 ** -30));
    expect([...unrotate(rotate(exact, signs, block), signs, block, block)]).toEqual([...exact]);
    const tooLong = exact.map((value, i) => value * 8 + (i % 5) * 2 ** -30);
    expect([...unrotate(rotate(tooLong, signs, block), signs, block, block)]).not.toEqual([...tooLong]);
  });

  it('pads by an eighth at most, to blocks whose root is a power of two', () => {
    for (let length = 8; length < 30_000; length = Math.ceil(length * 1.07)) {
      const block = blockOf(length);
      expect(Math.log2(Math.sqrt(block)) % 1).toBe(0);
      expect(paddedLength(length, block)).toBeLessThanOrEqual(1.125 * length);
    }
    expect([961, 59, 7500, 100_000].map(blockOf)).toEqual([1024, 64, 4096, 4096]);
  });

  it('leaves no value of a clipped update above the peak, whatever the update', () => {
    const shape = { length: 1000, trained: 1000 };
    const compression = { values: 1000, rotation: true } as const;
    const peak = peakOf(shape, compression, 1)!;
    expect(peak).toBe(6 / 32);
    const block = blockOf(1000);
    for (let trial = 0; trial < 40; trial++) {
      const single = new Float64Array(1000);
      single[trial] = 1;
      const even = new Float64Array(1000).fill(1 / Math.sqrt(1000));
      const signs = drawSigns(seedOf(`peak ${trial}`), 1024);
      for (const update of [single, even])
        expect(Math.max(...rotate(update, signs, block).map(Math.abs))).toBeLessThanOrEqual(peak);
    }
    // Without signs an even update comes to lie in one value of each block.
    expect(Math.max(...rotate(new Float64Array(1024).fill(1 / 32), new Int8Array(1024).fill(1), 1024))).toBe(1);
  });
});

describe('what is kept', () => {
  it('is the same for everybody, another for another seed, in rising order', () => {
    expect(drawKept(seedOf('a'), 1000, 100)).toEqual(drawKept(seedOf('a'), 1000, 100));
    expect(drawKept(seedOf('a'), 1000, 100)).not.toEqual(drawKept(seedOf('b'), 1000, 100));
    const kept = drawKept(seedOf('c'), 20_000, 19_999);
    expect(new Set(kept).size).toBe(19_999);
    expect([...kept]).toEqual([...kept].sort((x, y) => x - y));
  });

  it('is uniform: places and pairs of places, by chi-square', () => {
    const [count, kept, draws] = [12, 4, 2000];
    const places = new Float64Array(count);
    const pairs = new Map<string, number>();
    for (let draw = 0; draw < draws; draw++) {
      const drawn = [...drawKept(seedOf(`uniform ${draw}`), count, kept)];
      for (const [i, a] of drawn.entries()) {
        places[a]! += 1;
        for (const b of drawn.slice(i + 1)) pairs.set(`${a} ${b}`, (pairs.get(`${a} ${b}`) ?? 0) + 1);
      }
    }
    const chi2 = (observed: readonly number[], expected: number): number =>
      observed.reduce((sum, value) => sum + (value - expected) ** 2 / expected, 0);
    // Hypergeometric, so less spread than independent draws: a factor of (count - kept) / (count - 1) for places.
    const stretched = chi2([...places], (draws * kept) / count) / ((count - kept) / (count - 1));
    expect(stretched).toBeLessThan(chiSquaredDistributionTable[11]![0.005]!);
    expect(pairs.size).toBe(66);
    // 66 pairs, 6 of each draw: at most as spread as multinomial; 65 degrees of freedom, mean 65, deviation 11.4.
    expect(chi2([...pairs.values()], (draws * 6) / 66)).toBeLessThan(65 + 4 * 11.4);
    // Control: a draw that never takes the last place is seen.
    const shorter = new Float64Array(count);
    for (let draw = 0; draw < draws; draw++)
      for (const a of drawKept(seedOf(`biased ${draw}`), count - 1, kept)) shorter[a]! += 1;
    expect(chi2([...shorter], (draws * kept) / count)).toBeGreaterThan(chiSquaredDistributionTable[11]![0.005]!);
  });

  it('is what an implementation of its own draws', () => {
    expect([...drawKept(seedOf('veilsum'), 20, 6)]).toEqual(PYTHON.kept);
    expect([...drawSigns(seedOf('veilsum'), 40)]).toEqual(PYTHON.signs);
  });
});

describe('a compressor', () => {
  const base = makeTask({
    ...{ dataset: 'synthetic', unit: 'node', nodes: 4, window: 'w', recipients: ['r'], model: 'mlp' },
  }).task;
  const taskWith = (compression: Omit<Compression, 'values'>, shape: UpdateShape): Task => ({
    ...base,
    compression: { values: shape.length, ...compression },
  });
  const model = (n: number): Uint8Array => seedOf(`model ${n}`);
  const fields = fc.record(
    { keepMicro: fc.integer({ min: 1000, max: 999_999 }), rotation: fc.constant(true as const) },
    { requiredKeys: [] },
  );

  it('is linear, adjoint to its expansion, and lengthens nothing; what is not trained comes back as it was', () => {
    fc.assert(
      fc.property(shaped, fields, fc.nat(5), ({ a, b }, compression, rest) => {
        const shape = { length: a.length, trained: Math.max(1, a.length - rest) };
        const task = taskWith(compression, shape);
        const compressor = compressorOf(task, shape, model(0))!;
        const [shortA, shortB] = [compressor.compress(a), compressor.compress(b)];
        expect(shortA.length).toBe(sentLength(shape, task.compression!));
        expect(normOf(shortA)).toBeLessThanOrEqual(normOf(a) * (1 + 1e-12));
        const both = compressor.compress(a.map((value, i) => value + b[i]!));
        for (const [i, value] of both.entries()) expect(value).toBeCloseTo(shortA[i]! + shortB[i]!, 10);
        const back = compressor.expand(shortA);
        expect([...back.subarray(shape.trained)]).toEqual([...a.subarray(shape.trained)]);
        const [headB, headBack] = [b.slice(0, shape.trained), back.slice(0, shape.trained)];
        const sentTrained = shortA.length - (shape.length - shape.trained);
        const inner = dot(shortA.slice(0, sentTrained), shortB.slice(0, sentTrained));
        expect(dot(headBack, headB)).toBeCloseTo(compressor.gain * inner, 8);
        if (compression.keepMicro === undefined)
          for (const [i, value] of back.entries()) expect(Math.abs(value - a[i]!)).toBeLessThan(1e-12);
      }),
      { numRuns: 60 },
    );
  });

  it.each([{ keepMicro: 300_000 }, { keepMicro: 300_000, rotation: true as const }])(
    'is right in the mean over models: %o',
    (compression) => {
      const shape = { length: 60, trained: 60 };
      const task = taskWith(compression, shape);
      const update = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i) * (i < 5 ? 10 : 1));
      const models = 1000;
      const mean = new Float64Array(60);
      for (let n = 0; n < models; n++) {
        const compressor = compressorOf(task, shape, model(n))!;
        for (const [i, value] of compressor.expand(compressor.compress(update)).entries()) mean[i]! += value / models;
      }
      // One draw has variance |update|^2 (1/keep - 1) over all 60 values together, so the mean's distance is about its root / models.
      const expected = (normOf(update) * Math.sqrt(1 / 0.3 - 1)) / Math.sqrt(models);
      expect(normOf(mean.map((value, i) => value - update[i]!))).toBeLessThan(1.5 * expected);
    },
  );

  it('sums exactly: the expansion of a sum is the sum of the expansions', () => {
    const shape = { length: 100, trained: 90 };
    const compressor = compressorOf(taskWith({ keepMicro: 500_000, rotation: true }, shape), shape, model(7))!;
    const integers = [1, 2, 3].map((n) => Float64Array.from({ length: 100 }, (_, i) => ((i * n * 7919) % 1000) - 500));
    const parts = integers.map((values) => compressor.compress(values));
    const sum = parts[0]!.map((value, i) => value + parts[1]![i]! + parts[2]![i]!);
    const expanded = parts.map((part) => compressor.expand(part));
    // 64 of 128 places, blocks of 64: every operation is exact.
    const scaled = compressor.expand(sum);
    for (const [i, value] of scaled.entries())
      expect(value).toBeCloseTo(expanded[0]![i]! + expanded[1]![i]! + expanded[2]![i]!, 9);
  });
});
