import { CryptoError } from './errors.ts';

/** Bits computed beyond the ones returned; they absorb every rounding below. */
const GUARD_BITS = 96n;

/**
 * floor-ish of 2^bits * exp(-numerator / denominator), off by less than one unit. Public inputs only: not constant time.
 *
 * exp(-x) = exp(-x / 2^s)^(2^s) with x / 2^s < 1/8 and Taylor's series there. Each of the at most `bits` terms and `s`
 * squarings truncates by at most 2 units of 2^-(bits+96) and squaring doubles what came before, so the total is below
 * 2^s * (bits + s + 2) * 2 units: under 2^-40 of a returned unit for every x that does not underflow.
 *
 * @param numerator - at least 0.
 * @param denominator - above 0.
 * @param bits - scale of the result, at most 1024.
 * @throws CryptoError BAD_VALUE outside these ranges.
 */
export function expNegative(numerator: bigint, denominator: bigint, bits: number): bigint {
  if (numerator < 0n || denominator <= 0n || bits < 1 || bits > 1024) {
    throw new CryptoError('BAD_VALUE', 'exponent out of range');
  }
  const scale = BigInt(bits) + GUARD_BITS;
  // exp(-x) < 2^-bits as soon as x >= bits, since e > 2.
  if (numerator >= BigInt(bits) * denominator) return 0n;
  let halvings = 0n;
  while (8n * numerator >= denominator << halvings) halvings += 1n;
  const x = (numerator << scale) / (denominator << halvings);
  let term = 1n << scale;
  let sum = term;
  for (let i = 1n; term !== 0n; i += 1n) {
    term = (term * x) / (i << scale);
    sum += i % 2n === 1n ? -term : term;
  }
  for (let i = 0n; i < halvings; i += 1n) sum = (sum * sum) >> scale;
  return sum >> GUARD_BITS;
}

/** 2^bits * ln 2 within one unit: 2 artanh(1/3) = 2 * sum of 1 / ((2i+1) 3^(2i+1)). */
export function ln2(bits: number): bigint {
  const scale = BigInt(bits) + GUARD_BITS;
  let power = (2n << scale) / 3n;
  let sum = 0n;
  for (let i = 1n; power !== 0n; i += 2n) {
    sum += power / i;
    power /= 9n;
  }
  return sum >> GUARD_BITS;
}

/** The double nearest to numerator / 2^scaleBits for a numerator of any size (one rounding, ties to even). */
export function nearestDouble(numerator: bigint, scaleBits: number): number {
  return Number(numerator) * 2 ** -scaleBits;
}

/** floor(sqrt(value)) for value >= 0, by Newton's iteration from above. */
export function integerSqrt(value: bigint): bigint {
  if (value < 0n) throw new CryptoError('BAD_VALUE', 'square root of a negative number');
  if (value < 2n) return value;
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
