import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampledGaussianRenyi } from '../../protocols/renyi.ts';
import { MOST_ORDER, type Rho, type Sampling, sampledChargeNano } from '../../protocols/sampled-charge.ts';

/** The same in doubles, by the accountant that planning uses: noise z has rho = 1 / (2 z^2). */
function inDoubles({ numerator, denominator }: Rho, { rateMicro, order }: Sampling): number {
  const noise = Math.sqrt(Number(denominator) / (2 * Number(numerator)));
  return (1e9 * sampledGaussianRenyi(rateMicro / 1e6, noise, order)) / order;
}

const cases = fc.record({
  numerator: fc.bigInt(1n, 3_999_998n),
  rateMicro: fc.integer({ min: 1, max: 999_999 }),
  order: fc.integer({ min: 2, max: MOST_ORDER }),
});

describe('the charge of a round over drawn records', () => {
  it('is what the accountant says, rounded up, and never more than without drawing', () => {
    fc.assert(
      fc.property(cases, ({ numerator, rateMicro, order }) => {
        const rho = { numerator, denominator: 1_000_000n };
        const charge = Number(sampledChargeNano(rho, { rateMicro, order }));
        const doubles = inDoubles(rho, { rateMicro, order });
        // Doubles lose digits in the logarithm of a moment close to 1.
        expect(charge).toBeGreaterThanOrEqual(doubles * (1 - 1e-9) - 1e-3);
        expect(charge).toBeLessThanOrEqual(Math.ceil(doubles * (1 + 1e-9) + 1e-3));
        expect(charge).toBeLessThanOrEqual(Number(numerator) * 1000);
      }),
    );
  });

  it('rises with the rate, with rho and with the order, and ends at rho', () => {
    fc.assert(
      fc.property(cases, ({ numerator, rateMicro, order }) => {
        const at = (n: bigint, rate: number, alpha: number): bigint =>
          sampledChargeNano({ numerator: n, denominator: 1_000_000n }, { rateMicro: rate, order: alpha });
        const charge = at(numerator, rateMicro, order);
        expect(at(numerator, rateMicro + 1, order)).toBeGreaterThanOrEqual(charge);
        expect(at(numerator + 1n, rateMicro, order)).toBeGreaterThanOrEqual(charge);
        // Over the order it is not the divergence itself that must rise; times the order it is.
        if (order < MOST_ORDER) {
          const above = at(numerator, rateMicro, order + 1) * BigInt(order + 1);
          expect(above + BigInt(order)).toBeGreaterThanOrEqual(charge * BigInt(order));
        }
        expect(at(numerator, 1_000_000, order)).toBe(numerator * 1000n);
      }),
    );
  });

  it('takes large rho and small rates: the whole price, and at least one unit', () => {
    expect(sampledChargeNano({ numerator: 5n, denominator: 1n }, { rateMicro: 1, order: 2 })).toBe(5_000_000_000n);
    expect(sampledChargeNano({ numerator: 1n, denominator: 10n ** 9n }, { rateMicro: 1, order: 2 })).toBe(1n);
    expect(sampledChargeNano({ numerator: 0n, denominator: 1n }, { rateMicro: 1, order: 2 })).toBe(0n);
  });
});
