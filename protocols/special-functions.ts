/**
 * Functions that Math lacks, in double precision: relative errors below 1e-13 (held against tables in the tests).
 */

/** ln erfc(x), also where erfc itself underflows. */
export function logErfc(x: number): number {
  if (x < 1) return Math.log1p(-erfSeries(x));
  return -x * x + Math.log(erfcFraction(x));
}

export function erfc(x: number): number {
  return x < 1 ? 1 - erfSeries(x) : Math.exp(-x * x) * erfcFraction(x);
}

/** Standard normal distribution function. */
export function normalCdf(x: number): number {
  return erfc(-x / Math.SQRT2) / 2;
}

/** ln of the standard normal distribution function, also far in the lower tail. */
export function logNormalCdf(x: number): number {
  return logErfc(-x / Math.SQRT2) - Math.LN2;
}

/** erf by the series 2/sqrt(pi) e^-x^2 sum of 2^n x^(2n+1) / (2n+1)!!, all of one sign. */
function erfSeries(x: number): number {
  if (x < -6) return -1;
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** e^(x^2) erfc(x) for x >= 1: 1/sqrt(pi) over the continued fraction x + (1/2)/(x + 1/(x + (3/2)/(x + ...))), from below. */
function erfcFraction(x: number): number {
  let tail = x;
  for (let k = Math.ceil(20 + 400 / (x * x)); k >= 1; k -= 1) tail = x + k / 2 / tail;
  return 1 / (Math.sqrt(Math.PI) * tail);
}

/** ln of n choose k for integers 0 <= k <= n. */
export function logChoose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= Math.min(k, n - k); i += 1) sum += Math.log((n - i + 1) / i);
  return sum;
}

/** ln of the sum of signs[i] * exp(logs[i]); minus infinity when the sum is not positive. */
export function logSumExp(logs: readonly number[], signs?: readonly number[]): number {
  const largest = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (const [i, log] of logs.entries()) sum += (signs?.[i] ?? 1) * Math.exp(log - largest);
  return sum > 0 ? largest + Math.log(sum) : Number.NEGATIVE_INFINITY;
}
