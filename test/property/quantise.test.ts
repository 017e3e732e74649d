import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addNoise, dequantise, deriveQuantiser, type QuantiserRequest, quantise } from '../../crypto/quantise.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const variance = { sigma2Numerator: 1024n, sigma2Denominator: 25n };
const node = (dimension: number, clip: number, scale: number): QuantiserRequest => ({
  unit: 'node',
  dimension,
  clip,
  scale,
  variance,
  recordsMax: 1,
});
const seedOf = (i: number) => nodePrimitives.sha256(Uint8Array.of(i, i >> 8));
const squaredNorm = (v: Int32Array) => v.reduce((sum, x) => sum + BigInt(x) ** 2n, 0n);
const coded = (code: string) => expect.objectContaining({ code });

describe('unit node', () => {
  it('no input exceeds the stated sensitivity or the stated largest value', () => {
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(
        fc.array(finite, { minLength: 1, maxLength: 40 }),
        fc.constantFrom(0.01, 1, 8),
        fc.constantFrom(1, 16, 1000.5, 2 ** 20),
        fc.nat(60000),
        (values, clip, scale, seed) => {
          const quantiser = deriveQuantiser(node(values.length, clip, scale));
          const out = quantise(quantiser, nodePrimitives, seedOf(seed), Float64Array.from(values));
          expect(squaredNorm(out) <= quantiser.sensitivity2).toBe(true);
          expect(out.every((x) => Math.abs(x) <= quantiser.largest)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('tries again where plain rounding would exceed the bound', () => {
    // All coordinates half a step: half of all plain roundings have more than d/2 ones, the bound allows d/2 + sqrt(d)/2 + ...
    const dimension = 64;
    const quantiser = deriveQuantiser(node(dimension, 4, 1));
    const values = new Float64Array(dimension).fill(0.5);
    const plain = deriveQuantiser({ ...node(dimension, 4, 1), unit: 'record', recordsMax: 1 });
    let exceeded = 0;
    for (let i = 0; i < 300; i += 1) {
      expect(squaredNorm(quantise(quantiser, nodePrimitives, seedOf(i), values)) <= quantiser.sensitivity2).toBe(true);
      if (squaredNorm(quantise(plain, nodePrimitives, seedOf(i), values)) > quantiser.sensitivity2) exceeded += 1;
    }
    expect(quantiser.sensitivity2).toBe(40n);
    expect(exceeded).toBeGreaterThan(0);
  });

  it('rounds without bias and clips to the norm', () => {
    const quantiser = deriveQuantiser(node(3, 1, 1000));
    const runs = 4000;
    const sums = [0, 0, 0];
    for (let i = 0; i < runs; i += 1) {
      quantise(quantiser, nodePrimitives, seedOf(i), Float64Array.of(0.1234, -0.0007, 0.0003)).forEach((x, j) => {
        sums[j]! += x / runs;
      });
    }
    // Standard error of a mean of roundings is at most 1 / (2 sqrt(runs)).
    const tolerance = 5 / (2 * Math.sqrt(runs));
    for (const [j, mean] of [123.4, -0.7, 0.3].entries()) expect(Math.abs(sums[j]! - mean)).toBeLessThan(tolerance);
    const clipped = quantise(quantiser, nodePrimitives, seedOf(1), Float64Array.of(3e200, -4e200, 0));
    expect(Math.abs(clipped[0]! - 600)).toBeLessThanOrEqual(1);
    expect(Math.abs(clipped[1]! + 800)).toBeLessThanOrEqual(1);
    const tiny = quantise(quantiser, nodePrimitives, seedOf(1), Float64Array.of(1e-300, 0, 0));
    expect(tiny.every((x) => Math.abs(x) <= 1)).toBe(true);
  });

  it('the bound is the smaller one of the two in the paper', () => {
    // Worst case (c + sqrt d)^2 for few coordinates, c^2 + d/4 + c + sqrt(d)/2 for many (beta = e^-1/2).
    expect(deriveQuantiser(node(1, 1, 1000)).sensitivity2).toBe(1001000n);
    expect(deriveQuantiser(node(10_000, 1, 1000)).sensitivity2).toBe(1_003_550n);
  });
});

describe('unit record', () => {
  const request = (dimension: number): QuantiserRequest => ({
    unit: 'record',
    dimension,
    clip: 2,
    scale: 64,
    variance,
    recordsMax: 50,
  });

  it('adding one record moves the integers by no more than the sensitivity, under the same dither', () => {
    const dimension = 30;
    const quantiser = deriveQuantiser(request(dimension));
    const random = (seed: number) =>
      Float64Array.from({ length: dimension }, (_, i) => nodePrimitives.sha256(Uint8Array.of(seed, i))[0]! / 256 - 0.5);
    let largest = 0n;
    for (let i = 0; i < 200; i += 1) {
      const base = random(i).map((x) => 20 * x);
      const record = random(255 - i);
      const norm = Math.hypot(...record);
      const with_ = base.map((x, j) => x + (2 * record[j]!) / norm);
      const a = quantise(quantiser, nodePrimitives, seedOf(i), base);
      const b = quantise(quantiser, nodePrimitives, seedOf(i), with_);
      const moved = squaredNorm(a.map((x, j) => x - b[j]!));
      if (moved > largest) largest = moved;
    }
    expect(largest <= quantiser.sensitivity2).toBe(true);
    // Without the room for rounding the bound would be (clip * scale)^2, and it is exceeded.
    expect(largest > 128n ** 2n).toBe(true);
    expect(quantiser.failure).toBe(2 ** -64);
  });

  it('refuses a sum of more records than agreed', () => {
    const quantiser = deriveQuantiser(request(2));
    const within = quantise(quantiser, nodePrimitives, seedOf(1), Float64Array.of(100, -100));
    expect([...within]).toEqual([6400, -6400]);
    expect(() => quantise(quantiser, nodePrimitives, seedOf(1), Float64Array.of(100.1, 0))).toThrow(
      coded('OUT_OF_RANGE'),
    );
  });
});

describe('bad input and range', () => {
  const quantiser = deriveQuantiser(node(4, 1, 100));

  it('names NaN, infinities and a wrong length', () => {
    const bad =
      (...values: number[]) =>
      () =>
        quantise(quantiser, nodePrimitives, seedOf(1), Float64Array.from(values));
    expect(bad(0, Number.NaN, 0, 0)).toThrow(coded('BAD_VALUE'));
    expect(bad(0, Number.POSITIVE_INFINITY, 0, 0)).toThrow(coded('BAD_VALUE'));
    expect(bad(0, Number.NEGATIVE_INFINITY, Number.NaN, 0)).toThrow(coded('BAD_VALUE'));
    expect(bad(0, 0, 0)).toThrow(coded('BAD_LENGTH'));
    expect(bad(0, 0, 0, 0, 0)).toThrow(coded('BAD_LENGTH'));
    expect(bad(0, 0, 0, 0)).not.toThrow();
    expect(() => quantise(quantiser, nodePrimitives, new Uint8Array(16), new Float64Array(4))).toThrow(
      coded('BAD_LENGTH'),
    );
  });

  it('names requests that make no quantiser', () => {
    const derive = (change: Partial<QuantiserRequest>) => () => deriveQuantiser({ ...node(4, 1, 100), ...change });
    expect(derive({ clip: 0 })).toThrow(coded('BAD_VALUE'));
    expect(derive({ clip: Number.NaN })).toThrow(coded('BAD_VALUE'));
    expect(derive({ scale: -1 })).toThrow(coded('BAD_VALUE'));
    expect(derive({ dimension: 1.5 })).toThrow(coded('BAD_VALUE'));
    expect(derive({ recordsMax: 2 })).toThrow(coded('BAD_VALUE'));
    expect(derive({ scale: 2 ** 29 })).toThrow(coded('OUT_OF_RANGE'));
    expect(derive({ variance: { sigma2Numerator: 1n << 60n, sigma2Denominator: 1n } })).toThrow(coded('OUT_OF_RANGE'));
    expect(derive({ variance: { sigma2Numerator: 0n, sigma2Denominator: 1n } })).toThrow(coded('BAD_VALUE'));
  });

  it('bits hold the largest value with 12 sigma of noise, and one bit less does not', () => {
    // 12 * 6.4 = 76.8.
    expect(quantiser.noiseTail).toBe(77);
    expect(
      deriveQuantiser({ ...node(4, 1, 100), variance: { sigma2Numerator: 4n, sigma2Denominator: 1n } }).noiseTail,
    ).toBe(24);
    const reach = quantiser.largest + quantiser.noiseTail;
    expect(reach).toBeLessThan(2 ** (quantiser.bits - 1));
    expect(reach).toBeGreaterThanOrEqual(2 ** (quantiser.bits - 2));
  });

  it('noise that leaves the range is refused and nothing of the vector stays', () => {
    const limit = 2 ** (quantiser.bits - 1);
    const values = Int32Array.of(1, 2, 3, -100);
    addNoise(quantiser, values, Int32Array.of(0, 0, 0, 101 - limit));
    expect([...values]).toEqual([1, 2, 3, 1 - limit]);
    expect(() => addNoise(quantiser, values, Int32Array.of(0, 0, 0, -1))).toThrow(coded('OUT_OF_RANGE'));
    expect([...values]).toEqual([0, 0, 0, 0]);
    expect(() => addNoise(quantiser, values, new Int32Array(3))).toThrow(coded('BAD_LENGTH'));
  });

  it('dequantise undoes the scale', () => {
    expect([...dequantise(quantiser, [100, -250])]).toEqual([1, -2.5]);
  });
});
