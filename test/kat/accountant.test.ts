import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chargeRhoNano,
  deltaOfRho,
  epsilonOfRho,
  type Release,
  rhoOfEpsilon,
  sumExcess,
} from '../../protocols/accountant.ts';
import { exactProbabilities } from '../reference/gaussian.ts';

type Row = Readonly<Record<string, number>>;
const file = join(process.env['VEILSUM_VECTORS'] ?? '', 'dp/cks_zcdp_reference.json');
const present = process.env['VEILSUM_VECTORS'] !== undefined && existsSync(file);
const reference = present ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Row[]>) : {};
if (!present) console.warn('skipped: 5 tables of published conversions (VEILSUM_VECTORS is not set)');

/** Every row's relative difference is below 10^-digits (absolute where the reference is 0). */
function agree(table: string, ours: (row: Row) => number, theirs: string, digits: number, rows: number): void {
  const all = reference[table]!;
  expect(all.length).toBe(rows);
  for (const row of all) {
    const expected = row[theirs]!;
    expect(Math.abs(ours(row) - expected), JSON.stringify(row)).toBeLessThanOrEqual(10 ** -digits * (expected || 1));
  }
}

describe.skipIf(!present)("conversions of IBM's cdp2adp", () => {
  it('rho to epsilon', () => agree('cdp_eps', (r) => epsilonOfRho(r['rho']!, r['delta']!), 'eps', 14, 60));
  it('epsilon to rho', () => agree('cdp_rho', (r) => rhoOfEpsilon(r['eps']!, r['delta']!), 'rho', 14, 40));
  it('rho to delta', () => agree('cdp_delta', (r) => deltaOfRho(r['rho']!, r['eps']!), 'delta', 12, 20));
  it("the test's own exact probabilities", () => {
    for (const { sigma2, norm, var: spread } of reference['dg_variance']!.map((row, i) => ({
      ...row,
      ...reference['dg_normalizing_constant']![i]!,
    })) as { sigma2: number; norm: number; var: number }[]) {
      const variance = { sigma2Numerator: BigInt(Math.round(sigma2 * 1000)), sigma2Denominator: 1000n };
      const probabilities = exactProbabilities(variance);
      expect(1 / probabilities[0]! / norm).toBeCloseTo(1, 13);
      const measured = probabilities.reduce((sum, p, x) => sum + 2 * p * x * x, 0);
      expect(measured / spread).toBeCloseTo(1, 12);
    }
  });
});

describe('published single values', () => {
  it('rho(1, 1e-5) and rho(8, 1e-5)', () => {
    expect(rhoOfEpsilon(1, 1e-5)).toBeCloseTo(0.0305566, 7);
    expect(rhoOfEpsilon(8, 1e-5)).toBeCloseTo(1.2297145, 7);
  });
});

describe('laws', () => {
  const release = (change: Partial<Release> = {}): Release => ({
    sensitivity2: 1_000_000n,
    variance: { sigma2Numerator: 40_000_000n, sigma2Denominator: 1n },
    parts: 4,
    coordinates: 1000,
    ...change,
  });

  it('a charge is the fraction rounded up, never down', () => {
    // 10^6 / (2 * 4 * 4 * 10^7) = 0.003125 exactly.
    expect(chargeRhoNano(release())).toBe(3_125_000n);
    expect(chargeRhoNano(release({ sensitivity2: 1_000_001n }))).toBe(3_125_004n);
    fc.assert(
      fc.property(
        fc.bigInt(1n, 10n ** 12n),
        fc.bigInt(100n, 10n ** 12n),
        fc.bigInt(1n, 50n),
        fc.integer({ min: 1, max: 999 }),
        (s, n, d, parts) => {
          const rho = chargeRhoNano(
            release({ sensitivity2: s, variance: { sigma2Numerator: n, sigma2Denominator: d }, parts }),
          );
          const left = rho * 2n * BigInt(parts) * n;
          const right = s * d * 1_000_000_000n;
          expect(left >= right).toBe(true);
        },
      ),
    );
  });

  it('a sum of narrow parts costs more, and parts below 1/2 are refused', () => {
    const narrow = { sigma2Numerator: 1n, sigma2Denominator: 1n };
    const one = chargeRhoNano(release({ sensitivity2: 4n, variance: narrow, parts: 1, coordinates: 1 }));
    const two = chargeRhoNano(release({ sensitivity2: 8n, variance: narrow, parts: 2, coordinates: 1 }));
    expect(one).toBe(2_000_000_000n);
    // tau = 10 e^(-pi^2) = 5.17e-4.
    expect(Number(two - one) / 1e9).toBeCloseTo(10 * Math.exp(-(Math.PI ** 2)), 8);
    expect(sumExcess(9, 1000) * 1e8).toBeLessThan(1e-26);
    expect(sumExcess(1, 2000)).toBeGreaterThanOrEqual(sumExcess(1, 1999));
    expect(() => chargeRhoNano(release({ variance: { sigma2Numerator: 1n, sigma2Denominator: 5n } }))).toThrow(
      RangeError,
    );
    expect(() => chargeRhoNano(release({ parts: 0 }))).toThrow(RangeError);
  });
});
