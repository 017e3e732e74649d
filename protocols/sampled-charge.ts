import { expNegative, ln2 } from '../crypto/fixed-point.ts';

/**
 * What a round costs whose nodes draw every record independently with a public rate, and tell nobody which (README,
 * "Rounds over drawn records"). Integers throughout, every step rounded up: all parties, on whatever machine, compute the
 * same, and never less than the true value.
 */
export interface Sampling {
  /** Probability of each record, in units of 1e-6. */
  readonly rateMicro: number;
  /** The one Renyi order that the log's ledger adds up at, fixed in genesis. */
  readonly order: number;
}

/** A non-negative fraction: zCDP of the same round over all records. */
export interface Rho {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export const LEAST_ORDER = 2;
/** Bounds the work that one record makes for its readers: a few milliseconds. */
export const MOST_ORDER = 64;
export const WHOLE_RATE_MICRO = 1_000_000;

const BITS = 256;
const ONE = 1n << BigInt(BITS);
/** Beyond this rho the rate is not taken into account: nobody opens such rounds. */
const MOST_RHO = 4n;

/**
 * Renyi divergence of `order` of one round, divided by the order, in units of 1e-9, rounded up.
 *
 * D = ln(sum over k of C(order, k) (1-q)^(order-k) q^k exp(k (k-1) rho)) / (order - 1): Mironov, Talwar, Zhang, arXiv
 * 1908.10530, section 3.3, whose terms need of the noise only that its own divergence of order k is at most k rho: so for
 * every rho-zCDP noise on a lattice that is symmetric, the sum of discrete Gaussians among them.
 *
 * Law: at most `rho` in the same units, which is what the round costs without drawing; no draw, rate 1, costs that.
 */
export function sampledChargeNano(rho: Rho, { rateMicro, order }: Sampling): bigint {
  const { numerator, denominator } = rho;
  const whole = ceilDivide(1_000_000_000n * numerator, denominator);
  if (numerator >= MOST_RHO * denominator || rateMicro >= WHOLE_RATE_MICRO) return whole;
  const log = lnUp(momentUp(rho, BigInt(rateMicro), order), BITS);
  const charge = ceilDivide(1_000_000_000n * log, BigInt(order) * BigInt(order - 1) * ONE);
  return charge < whole ? charge : whole;
}

/** The sum inside the logarithm, times ONE, from above; at least ONE. */
function momentUp({ numerator, denominator }: Rho, rate: bigint, order: number): bigint {
  // e^(2 rho) from above: expNegative is off by less than one unit.
  const base = ceilDivide(ONE * ONE, expNegative(2n * numerator, denominator, BITS) - 1n);
  const whole = BigInt(WHOLE_RATE_MICRO);
  const n = BigInt(order);
  let sum = 0n;
  // C(n, k) rate^k, and e^(k (k-1) rho), whose ratio to the next is base^k.
  let binomial = 1n;
  let weight = ONE;
  let step = ONE;
  for (let k = 0n; k <= n; k += 1n) {
    sum += binomial * (whole - rate) ** (n - k) * weight;
    binomial = (binomial * rate * (n - k)) / (k + 1n);
    weight = timesUp(weight, step);
    step = timesUp(step, base);
  }
  return ceilDivide(sum, whole ** n);
}

/**
 * ln(value / one) * one from above, one = 2^bits, for value >= one: 2 artanh((m - 1) / (m + 1)) of its mantissa, and halvings
 * times ln 2. Above by less than 8 bits + 2 halvings + 64 units.
 */
export function lnUp(value: bigint, bits: number): bigint {
  const one = 1n << BigInt(bits);
  const halvings = BigInt(value.toString(2).length - 1 - bits);
  const mantissa = ceilDivide(value, 1n << halvings);
  const ratio = ((mantissa - one) * one) / (mantissa + one);
  const square = (ratio * ratio) / one;
  let power = ratio;
  let sum = 0n;
  let terms = 2n;
  for (let i = 1n; power !== 0n; i += 2n) {
    sum += power / i;
    power = (power * square) / one;
    terms += 1n;
  }
  // Each term is cut by at most three units, the ratio's own cut included; what is left out is below one.
  return 2n * (sum + 4n * terms) + halvings * (ln2(bits) + 1n);
}

function timesUp(a: bigint, b: bigint): bigint {
  return ceilDivide(a * b, ONE);
}

export function ceilDivide(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}
