import { CryptoError } from './errors.ts';
import { expNegative, ln2, nearestDouble } from './fixed-point.ts';

/** Variance of a discrete Gaussian, as an exact fraction. */
export interface Variance {
  readonly sigma2Numerator: bigint;
  readonly sigma2Denominator: bigint;
}

/** Everything public that the kernel needs to draw from D_{Z,sigma}; the names are those of crypto/docs/noise.md. */
export interface GaussianTable {
  /** log2 k: the base distribution has width sigma / k, in [1, 2) unless sigma itself is below 1. */
  readonly shift: number;
  /** T_i = 2^128 P(x <= i) of the half-Gaussian base, i = 0, 1, ...; rounded within one unit. */
  readonly thresholds: readonly bigint[];
  /** 2^128 exp(-2^i / 2 sigma^2), rounded down. */
  readonly factors: readonly bigint[];
  /** log2(e) / (2 sigma^2), the nearest double. */
  readonly log2Rate: number;
  /** No sample is larger in magnitude: k (x_max + 1) - 1. */
  readonly largestMagnitude: number;
}

const TABLE_BITS = 128;
/** The base distribution is cut where less than 2^-TAIL_BITS of it is left. */
const TAIL_BITS = 112;
const MAX_SHIFT = 22;
const MAX_ENTRIES = 32;

/**
 * Derives the sampler's tables with 256-bit arithmetic. Public inputs; takes a few milliseconds.
 *
 * @throws CryptoError BAD_VALUE for a variance that is not positive, OUT_OF_RANGE for sigma of 2^23 or more.
 */
export function deriveGaussianTable(variance: Variance): GaussianTable {
  const { sigma2Numerator: numerator, sigma2Denominator: denominator } = variance;
  if (numerator <= 0n || denominator <= 0n) throw new CryptoError('BAD_VALUE', 'the variance has to be positive');
  let shift = 0;
  while (numerator >= denominator << BigInt(2 * shift + 2)) shift += 1;
  if (shift > MAX_SHIFT) throw new CryptoError('OUT_OF_RANGE', 'the noise is wider than the sampler carries');

  const thresholds = baseThresholds(numerator, denominator << BigInt(2 * shift));
  const factorCount = shift === 0 ? 0 : 2 * shift + bitLength(2 * thresholds.length + 1);
  const factors = Array.from({ length: factorCount }, (_, i) =>
    expNegative(denominator << BigInt(i), 2n * numerator, TABLE_BITS),
  );
  // Enough bits that a rate of any size is rounded once only.
  const scaleBits = 256 + 2 * shift;
  const rate = (denominator << BigInt(scaleBits + 256)) / (2n * numerator * ln2(256));
  return {
    shift,
    thresholds,
    factors,
    log2Rate: shift === 0 ? 0 : nearestDouble(rate, scaleBits),
    largestMagnitude: 2 ** shift * (thresholds.length + 1) - 1,
  };
}

/** Cumulative table of the half-Gaussian with weights exp(-i^2 / 2 s^2) on i >= 0, s^2 = numerator / denominator. */
function baseThresholds(numerator: bigint, denominator: bigint): bigint[] {
  const weights: bigint[] = [];
  let total = 0n;
  for (let i = 0n; ; i += 1n) {
    const weight = expNegative(i * i * denominator, 2n * numerator, 256);
    if (weight === 0n) break;
    weights.push(weight);
    total += weight;
  }
  const thresholds: bigint[] = [];
  let below = 0n;
  for (const weight of weights) {
    below += weight;
    if ((total - below) << BigInt(TAIL_BITS) < total) break;
    thresholds.push((below << BigInt(TABLE_BITS)) / total);
  }
  if (thresholds.length > MAX_ENTRIES) throw new CryptoError('OUT_OF_RANGE', 'the table does not fit');
  return thresholds;
}

function bitLength(value: number): number {
  return value.toString(2).length;
}
