import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AGGREGATES, type Aggregate } from '../../src/learning/aggregates.ts';
import { aggregate, trimOf } from '../../src/learning/robust.ts';

const value = fc.double({ min: -100, max: 100, noNaN: true });
const vectors = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4 }))
  .chain(([count, length]) =>
    fc.array(fc.array(value, { minLength: length, maxLength: length }), { minLength: count, maxLength: count }),
  )
  .map((rows) => rows.map((row) => Float64Array.from(row)));

function expectClose(a: Float64Array, b: Float64Array, within: number): void {
  for (const [i, x] of a.entries()) expect(Math.abs(x - b[i]!)).toBeLessThanOrEqual(within);
}

/** How many of B vectors a rule stands, by the paper that it is from. */
const standsOf: Readonly<Record<Aggregate, (count: number) => number>> = {
  mean: () => 0,
  'three-sigma': () => 0,
  median: (count) => Math.ceil(count / 2) - 1,
  'trimmed-mean': trimOf,
  'geometric-median': (count) => Math.ceil(count / 2) - 1,
};

describe.each(AGGREGATES)('%s', (rule) => {
  it('does not look at the order, moves with the vectors, and stays between them', () => {
    fc.assert(
      fc.property(vectors, value, (all, by) => {
        const result = aggregate(rule, all);
        expectClose(aggregate(rule, [...all].reverse()), result, 1e-3);
        // Rounding may put a value on the other side of three sigma, so that rule is moved by nothing here.
        const shift = rule === 'three-sigma' ? 0 : by;
        const moved = aggregate(
          rule,
          all.map((vector) => vector.map((x) => x + shift)),
        );
        expectClose(
          moved,
          result.map((x) => x + shift),
          1e-3,
        );
        for (const [i, x] of result.entries()) {
          const column = all.map((vector) => vector[i]!);
          expect(x).toBeGreaterThanOrEqual(Math.min(...column) - 1e-9);
          expect(x).toBeLessThanOrEqual(Math.max(...column) + 1e-9);
        }
      }),
    );
  });

  it('gives back what all vectors are', () => {
    const same = Array.from({ length: 9 }, () => Float64Array.of(0.1, -7, 0));
    expectClose(aggregate(rule, same), same[0]!, 1e-12);
  });

  it('stands as many poisoned vectors as its paper says, whatever they hold', () => {
    fc.assert(
      fc.property(vectors, fc.double({ min: -1e9, max: 1e9, noNaN: true }), (all, poison) => {
        const bad = standsOf[rule](all.length);
        const sound = all.slice(bad);
        const poisoned = [...all.slice(0, bad).map((vector) => vector.map(() => poison)), ...sound];
        const result = aggregate(rule, poisoned);
        for (const [i, x] of result.entries()) {
          const column = sound.map((vector) => vector[i]!);
          const [low, high] = [Math.min(...column), Math.max(...column)];
          // Minsker 2015, Lemma 2.1: the geometric median is within 2(1-a)/(1-2a) times the sound vectors' radius.
          const share = bad / all.length;
          const radius = Math.hypot(...sound[0]!.map(() => 200));
          const slack = rule === 'geometric-median' ? ((2 * (1 - share)) / (1 - 2 * share)) * radius : 1e-9;
          expect(x).toBeGreaterThanOrEqual(low - slack - 1e-6);
          expect(x).toBeLessThanOrEqual(high + slack + 1e-6);
        }
      }),
    );
  });

  it('refuses what is no number, by name', () => {
    expect(() => aggregate(rule, [Float64Array.of(Number.NaN)])).toThrow(
      expect.objectContaining({ code: 'NOT_FINITE' }),
    );
    expect(() => aggregate(rule, [])).toThrow(expect.objectContaining({ code: 'BAD_SETTING' }));
  });
});

describe('the rules by hand', () => {
  const one = (...values: number[]): Float64Array[] => values.map((x) => Float64Array.of(x));

  it('median, trimmed and weighted mean', () => {
    expect(aggregate('median', one(5, 1, 900, 2))[0]).toBe(3.5);
    expect(aggregate('trimmed-mean', one(5, 1, 900, 2))[0]).toBe(3.5);
    expect(aggregate('trimmed-mean', one(1, 2, 3, 4, 5, 6, 7, 900))[0]).toBe(4.5);
    expect(aggregate('mean', one(1, 4), [1, 2])[0]).toBe(3);
  });

  it('the geometric median is where the pulls cancel: the Fermat point of a triangle', () => {
    // Equilateral: its centre.
    const corners = [0, 1, 2].map((k) =>
      Float64Array.of(Math.cos((2 * Math.PI * k) / 3), Math.sin((2 * Math.PI * k) / 3)),
    );
    expectClose(aggregate('geometric-median', corners), Float64Array.of(0, 0), 1e-6);
    // An angle above 120 degrees: that corner itself.
    const flat = [Float64Array.of(-10, 0), Float64Array.of(0, 0.1), Float64Array.of(10, 0)];
    expectClose(aggregate('geometric-median', flat), flat[1]!, 1e-4);
  });

  it('three sigma: a single outlier is dropped from 8 values on, and below them never', () => {
    for (let count = 2; count < 8; count++) {
      const values = one(...Array.from({ length: count - 1 }, () => 0), 1e6);
      expect(aggregate('three-sigma', values)[0]).toBeCloseTo(1e6 / count);
    }
    expect(aggregate('three-sigma', one(0, 0, 0, 0, 0, 0, 0, 1e6))[0]).toBe(0);
  });
});
