/**
 * Exact sampler of Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (arXiv 2004.00010,
 * Algorithms 1-3), over fractions of bigints. Slow and not constant time: a reference for tests only. The order of the
 * draws is that of the published vectors, so that a run on their stream gives their samples.
 */

interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export type ByteSource = (length: number) => Uint8Array;

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

function fraction(numerator: bigint, denominator: bigint): Fraction {
  const divisor = greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** Uniform in [0, bound): words of 32 bits little-endian, the last one shifted down to fit, repeated until below. */
function uniformBelow(source: ByteSource, bound: bigint): bigint {
  const bits = bound.toString(2).length;
  const words = Math.ceil(bits / 32);
  for (;;) {
    const bytes = source(4 * words);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let value = 0n;
    for (let i = 0; i < words; i += 1) {
      const word = view.getUint32(4 * i, true);
      const kept = i === words - 1 && bits % 32 !== 0 ? word >>> (32 - (bits % 32)) : word;
      value |= BigInt(kept) << BigInt(32 * i);
    }
    if (value < bound) return value;
  }
}

function bernoulli(source: ByteSource, p: Fraction): boolean {
  return uniformBelow(source, p.denominator) + 1n <= p.numerator;
}

/** Bernoulli(exp(-gamma)) for gamma in [0, 1]. */
function bernoulliExpSmall(source: ByteSource, gamma: Fraction): boolean {
  let k = 1n;
  while (bernoulli(source, fraction(gamma.numerator, gamma.denominator * k))) k += 1n;
  return k % 2n === 1n;
}

function bernoulliExp(source: ByteSource, gamma: Fraction): boolean {
  const whole = gamma.numerator / gamma.denominator;
  for (let i = 0n; i < whole; i += 1n) {
    if (!bernoulliExpSmall(source, { numerator: 1n, denominator: 1n })) return false;
  }
  return bernoulliExpSmall(source, fraction(gamma.numerator - whole * gamma.denominator, gamma.denominator));
}

/** Discrete Laplace of integer scale t: P(y) proportional to exp(-|y| / t). */
function discreteLaplace(source: ByteSource, t: bigint): bigint {
  for (;;) {
    const negative = bernoulli(source, { numerator: 1n, denominator: 2n });
    let u = uniformBelow(source, t);
    while (!bernoulliExpSmall(source, fraction(u, t))) u = uniformBelow(source, t);
    let v = 0n;
    while (bernoulliExpSmall(source, { numerator: 1n, denominator: 1n })) v += 1n;
    const magnitude = u + t * v;
    if (negative && magnitude === 0n) continue;
    return negative ? -magnitude : magnitude;
  }
}

/** One sample of the discrete Gaussian whose standard deviation is the given fraction. */
export function discreteGaussian(source: ByteSource, sigmaNumerator: bigint, sigmaDenominator: bigint): bigint {
  const t = sigmaNumerator / sigmaDenominator + 1n;
  const variance = fraction(sigmaNumerator ** 2n, sigmaDenominator ** 2n);
  for (;;) {
    const y = discreteLaplace(source, t);
    // Accept with exp(-(|y| - sigma^2/t)^2 / 2 sigma^2).
    const distance = (y < 0n ? -y : y) * t * variance.denominator - variance.numerator;
    const gamma = fraction(distance ** 2n, 2n * variance.numerator * variance.denominator * t * t);
    if (bernoulliExp(source, gamma)) return y;
  }
}
