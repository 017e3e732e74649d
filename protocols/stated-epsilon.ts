import type { Body } from './leaves.ts';
import { ceilDivide, lnUp } from './sampled-charge.ts';

/** Logarithms are computed to 2^-128, orders to 2^-32. */
const BITS = 128;
const ORDER_BITS = 32n;
const UNIT = 1n << ORDER_BITS;
/** More than `lnUp` is ever above the logarithm, in units of 2^-128. */
const LN_SLACK = 1n << 20n;

type Budget = Body<'genesis'>['budget'];

const ln = (whole: bigint): bigint => lnUp(whole << BigInt(BITS), BITS);
const LN_2 = ln(2n);
const LN_10 = ln(10n);

/** 10^-12 of epsilon: the stated one and a millionth of it, for whoever computed rho in doubles. */
const mostEpsilon = ({ epsilonMicro }: Budget): bigint => BigInt(epsilonMicro) * 1_000_001n;

/**
 * Whether a budget's rho is worth at most the epsilon that genesis states at its delta, a millionth aside: everybody judges a genesis,
 * so in integers alone, every step rounded against it.
 *
 * rho-zCDP is (epsilon, delta)-privacy if for some order a > 1 (Canonne, Kamath, Steinke, arXiv 2004.00010, Corollary 13)
 *
 *   (a - 1)(a rho - epsilon) + (a - 1) ln(a - 1) - a ln a <= ln delta,
 *
 * and a divergence of a rho at one order if it holds there (Proposition 12). The left side is convex in a.
 */
export function isWithinEpsilon(budget: Budget): boolean {
  if (budget.rhoNano === 0) return true;
  return holdsAt(budget, budget.renyiOrder === undefined ? bestOrder(budget) : BigInt(budget.renyiOrder) * UNIT);
}

/** The condition above times 2^32. @param order - a, times 2^32. */
function holdsAt(budget: Budget, order: bigint): boolean {
  const beyond = order - UNIT;
  const divergence = order * BigInt(budget.rhoNano) * 1000n - mostEpsilon(budget) * UNIT;
  const privacy = ceilDivide((beyond * divergence) << BigInt(BITS), UNIT * 10n ** 12n);
  const scale = UNIT * (ORDER_BITS * LN_2 + BigInt(budget.deltaExponent) * LN_10);
  return privacy + beyond * ln(beyond) + scale <= order * (ln(order) - LN_SLACK);
}

/** Where the left side is least, to 2^-32, by the sign of its derivative (2 a - 1) rho - epsilon + ln(1 - 1/a). */
function bestOrder(budget: Budget): bigint {
  const rhoNano = BigInt(budget.rhoNano);
  const most = mostEpsilon(budget);
  let low = UNIT + 1n;
  let high = ((most + 10n ** 12n) / (2000n * rhoNano) + 3n) * UNIT;
  while (high - low > 1n) {
    const order = (low + high) / 2n;
    const linear = ((2n * order - UNIT) * rhoNano * 1000n - most * UNIT) << BigInt(BITS);
    const slope = linear / (UNIT * 10n ** 12n) + ln(order - UNIT) - ln(order);
    if (slope < 0n) low = order;
    else high = order;
  }
  return high;
}
