import { expNegative } from '../../crypto/fixed-point.ts';
import type { GaussianTable, Variance } from '../../crypto/gaussian-table.ts';

/** The random words of one candidate, and the extension it gets should it need a second look. */
export interface CandidateWords {
  readonly table: bigint;
  readonly accept: bigint;
  readonly low: bigint;
  readonly tableExtension: bigint;
  readonly acceptExtension: bigint;
}

const BITS = 192;

/** What the kernel has to answer for one candidate, computed in bigints from the definition. */
export function judgeCandidate(variance: Variance, table: GaussianTable, words: CandidateWords) {
  const position = ((words.table ^ (1n << 63n)) << 64n) | words.tableExtension;
  const x = BigInt(table.thresholds.filter((threshold) => position >= threshold).length);
  const u = words.low & ((1n << BigInt(table.shift)) - 1n);
  const magnitude = (x << BigInt(table.shift)) + u;
  const base = x << BigInt(table.shift);
  const exponent = (magnitude * magnitude - base * base) * variance.sigma2Denominator;
  const probability = expNegative(exponent, 2n * variance.sigma2Numerator, BITS);
  const uniform = ((words.accept << 64n) | words.acceptExtension) << BigInt(BITS - 128);
  const minus = words.low >> 31n === 1n;
  return {
    value: Number(minus ? -magnitude : magnitude),
    kept: uniform < probability && !(minus && magnitude === 0n),
  };
}

/** Exact probability of every x with P(x) above 2^-190, each rounded to a double once: [P(0), P(1), ...]. */
export function exactProbabilities(variance: Variance): number[] {
  const weights: bigint[] = [];
  let total = 0n;
  for (let x = 0n; ; x += 1n) {
    const weight = expNegative(x * x * variance.sigma2Denominator, 2n * variance.sigma2Numerator, BITS);
    if (weight === 0n) break;
    weights.push(weight);
    total += x === 0n ? weight : 2n * weight;
  }
  return weights.map((weight) => Number((weight << 1000n) / total) / 2 ** 1000);
}

/** Mass of the standard normal between a and b by Simpson's rule; for widths where sums and integrals agree to 10^-12. */
export function normalMass(a: number, b: number): number {
  const steps = 200;
  const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(a) + density(b);
  for (let i = 1; i < steps; i += 1) sum += density(a + ((b - a) * i) / steps) * (i % 2 === 1 ? 4 : 2);
  return (sum * (b - a)) / steps / 3;
}

/**
 * Pearson's statistic as a standard normal deviate (Wilson, Hilferty 1931).
 * @returns near 0 for a right sampler; beyond 5 has probability under 10^-6.
 */
export function chiSquareDeviate(observed: readonly number[], expected: readonly number[]): number {
  let statistic = 0;
  for (const [i, count] of observed.entries()) statistic += (count - expected[i]!) ** 2 / expected[i]!;
  const spread = 2 / (9 * (observed.length - 1));
  return (Math.cbrt(statistic / (observed.length - 1)) - (1 - spread)) / Math.sqrt(spread);
}
