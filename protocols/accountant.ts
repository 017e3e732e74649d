import { expNegative } from '../crypto/fixed-point.ts';
import type { Variance } from '../crypto/gaussian-table.ts';
import { ceilDivide, type Rho } from './sampled-charge.ts';

/**
 * Privacy accounting in zero-concentrated differential privacy (zCDP; Bun, Steinke 2016, ia.cr/2016/816): rho adds up over
 * rounds, and an account in rho is an account in integers, rhoNano = ceil(rho * 10^9), rounded up at every charge.
 *
 * Names: `sensitivity2` is the squared L2 sensitivity in quantised units, an integer (crypto/quantise.ts); `parts` the
 * number of honest nodes whose noise is counted on (min_honest), each adding a discrete Gaussian of `variance`.
 */

/** What one opened sum costs. */
export interface Release {
  readonly sensitivity2: bigint;
  /** Of one node's part of the noise, in quantised units. */
  readonly variance: Variance;
  readonly parts: number;
  readonly coordinates: number;
}

export class AccountingError extends RangeError {
  readonly code: 'BAD_BUDGET' | 'BAD_RELEASE';

  constructor(code: 'BAD_BUDGET' | 'BAD_RELEASE', message: string) {
    super(message);
    this.name = 'AccountingError';
    this.code = code;
  }
}

/** Real terms are rounded up to a multiple of 1 / FRACTION. */
const FRACTION = 2n ** 60n;

/**
 * zCDP of one release.
 *
 * One discrete Gaussian: rho = sensitivity^2 / (2 sigma^2) (Canonne, Kamath, Steinke, arXiv 2004.00010, Theorem 4 and
 * its form for vectors). A sum of them is not quite one; see `sumExcess`.
 *
 * @throws AccountingError BAD_RELEASE for numbers that make no release, or a part with sigma below 1/2.
 */
export function rhoOf(release: Release): Rho {
  const { sensitivity2, variance, parts, coordinates } = release;
  const { sigma2Numerator: numerator, sigma2Denominator: denominator } = variance;
  if (sensitivity2 < 0n || numerator <= 0n || denominator <= 0n || 4n * numerator < denominator) {
    throw new AccountingError('BAD_RELEASE', 'sensitivity or variance out of range');
  }
  if (!Number.isSafeInteger(parts) || parts < 1 || !Number.isSafeInteger(coordinates) || coordinates < 1) {
    throw new AccountingError('BAD_RELEASE', 'a release has at least one part and one coordinate');
  }
  const excess = sumExcess(variance, parts, coordinates);
  // One fraction, for its user to round once: sensitivity^2 / (2 parts sigma^2) + excess.
  const below = 2n * BigInt(parts) * numerator;
  return { numerator: sensitivity2 * denominator * FRACTION + excess * below, denominator: below * FRACTION };
}

/** Charge of one release in units of 1e-9 of rho, rounded up. @throws AccountingError as `rhoOf`. */
export function chargeRhoNano(release: Release): bigint {
  const { numerator, denominator } = rhoOf(release);
  return ceilDivide(1_000_000_000n * numerator, denominator);
}

/** Terms of `sumExcess` are computed to 2^-128 and rounded up. */
const TERM_BITS = 128;
/** 2 pi^2 from below, which bounds the terms from above. */
const TWO_PI_SQUARED = { numerator: 197_392_088n, denominator: 10_000_000n };
/** A term of e^-745 or less is left out: all of them together are below 1e-300. */
const NEGLIGIBLE = 745n;
/** Terms only fall: from here on the rest is bounded by the last one. */
const TERMS = 1000;

/**
 * tau * d of Kairouz, Liu, Steinke (arXiv 2102.06387, Theorem 1 and Proposition 14), in units of 2^-60, rounded up: the sum of n
 * discrete Gaussians has Renyi divergence at most alpha * sensitivity^2 / (2 n sigma^2) + tau * d, so this on top of rho covers the
 * difference. tau = 10 * sum over k < n of exp(-2 pi^2 sigma^2 k / (k + 1)): under 1e-40 from sigma = 3 on. Needs sigma >= 1/2.
 * Integers alone: it decides over records, and everybody must come to the same.
 */
export function sumExcess(
  { sigma2Numerator, sigma2Denominator }: Variance,
  parts: number,
  coordinates: number,
): bigint {
  const { numerator, denominator } = TWO_PI_SQUARED;
  let sum = 0n;
  for (let k = 1; k < parts; k += 1) {
    const above = numerator * sigma2Numerator * BigInt(k);
    const below = denominator * sigma2Denominator * BigInt(k + 1);
    if (above >= NEGLIGIBLE * below) break; // and so are the ones after it
    const term = expNegative(above, below, TERM_BITS) + 1n;
    sum += term;
    if (k < TERMS) continue;
    sum += BigInt(parts - 1 - k) * term;
    break;
  }
  return ceilDivide(10n * sum * BigInt(coordinates) * FRACTION, 1n << BigInt(TERM_BITS));
}

/**
 * The smallest delta for which rho-zCDP gives (epsilon, delta): the minimum over alpha > 1 of
 * exp((alpha-1)(alpha rho - epsilon)) / (alpha-1) * (1 - 1/alpha)^alpha (Canonne, Kamath, Steinke, Corollary 13).
 */
export function deltaOfRho(rho: number, epsilon: number): number {
  if (rho <= 0) return 0;
  // The logarithm's derivative is (2 alpha - 1) rho - epsilon + ln(1 - 1/alpha), which rises in alpha.
  let low = 1;
  let high = (epsilon + 1) / (2 * rho) + 2;
  for (let i = 0; i < 200; i += 1) {
    const alpha = (low + high) / 2;
    if (alpha === low || alpha === high) break;
    if ((2 * alpha - 1) * rho - epsilon + Math.log1p(-1 / alpha) < 0) low = alpha;
    else high = alpha;
  }
  // Every alpha is a valid bound; close to 1 the expression loses digits, so none below 1.01 is used.
  const alpha = Math.max(high, 1.01);
  const log = (alpha - 1) * (alpha * rho - epsilon) + alpha * Math.log1p(-1 / alpha) - Math.log(alpha - 1);
  return Math.min(Math.exp(log), 1);
}

/** The classic bound delta = exp(-(epsilon - rho)^2 / 4 rho) (Bun, Steinke 2016, Proposition 1.3), for comparison. */
export function deltaOfRhoClassic(rho: number, epsilon: number): number {
  if (rho <= 0) return 0;
  return epsilon <= rho ? 1 : Math.exp(-((epsilon - rho) ** 2) / (4 * rho));
}

/** The smallest epsilon for which rho-zCDP gives (epsilon, delta), from above. */
export function epsilonOfRho(rho: number, delta: number): number {
  if (delta >= 1 || rho <= 0) return 0;
  requireDelta(delta);
  const classic = rho + 2 * Math.sqrt(rho * Math.log(1 / delta));
  return bisect(0, classic, (epsilon) => deltaOfRho(rho, epsilon) > delta).above;
}

/** The largest rho for which rho-zCDP gives (epsilon, delta), from below. */
export function rhoOfEpsilon(epsilon: number, delta: number): number {
  if (delta >= 1 || !(epsilon >= 0)) throw new AccountingError('BAD_BUDGET', 'epsilon or delta out of range');
  requireDelta(delta);
  return bisect(0, epsilon + 1, (rho) => deltaOfRho(rho, epsilon) <= delta).below;
}

/**
 * What (order, D)-Renyi privacy costs in epsilon beyond D: ln(1 - 1/order) - (ln delta + ln order) / (order - 1) (Canonne,
 * Kamath, Steinke, Proposition 12). Negative for large deltas.
 */
export function conversionCost(order: number, delta: number): number {
  return Math.log1p(-1 / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
}

/**
 * Budget of a whole job in the ledger's units, rounded down: zCDP, or, where the log counts at one Renyi order, the
 * divergence of that order over the order.
 *
 * @throws AccountingError BAD_BUDGET where the order leaves nothing of this epsilon.
 */
export function budgetRhoNano(epsilon: number, delta: number, order?: number): bigint {
  if (order === undefined) return BigInt(Math.floor(rhoOfEpsilon(epsilon, delta) * 1e9));
  requireDelta(delta);
  const rho = (epsilon - conversionCost(order, delta)) / order;
  if (!(rho > 0)) throw new AccountingError('BAD_BUDGET', `at Renyi order ${order} nothing is left of this epsilon`);
  return BigInt(Math.floor(rho * 1e9));
}

/** What has been spent, said as epsilon: at least the true one. */
export function epsilonOfRhoNano(rhoNano: bigint, delta: number, order?: number): number {
  const rho = (Number(rhoNano) / 1e9) * (1 + 1e-15);
  if (order === undefined || rho === 0) return epsilonOfRho(rho, delta);
  requireDelta(delta);
  return Math.max(0, order * rho + conversionCost(order, delta));
}

/** The same at a log's own delta and order. */
export function epsilonInLog(
  budget: { readonly deltaExponent: number; readonly renyiOrder?: number | undefined },
  rhoNano: number,
): number {
  return epsilonOfRhoNano(BigInt(rhoNano), 10 ** -budget.deltaExponent, budget.renyiOrder);
}

function requireDelta(delta: number): void {
  if (!(delta > 0)) throw new AccountingError('BAD_BUDGET', 'delta has to lie between 0 and 1');
}

/** Narrows [low, high], where `holds` is true below some point and false above it, to neighbouring doubles. */
export function bisect(low: number, high: number, holds: (x: number) => boolean): { below: number; above: number } {
  let [below, above] = [low, high];
  for (;;) {
    const middle = below + (above - below) / 2;
    if (middle <= below || middle >= above) return { below, above };
    if (holds(middle)) below = middle;
    else above = middle;
  }
}
