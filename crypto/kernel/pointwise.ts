// Whole-vector operations modulo one prime. Lengths are multiples of 4 words; vectors may be the same one where said.
import { multiplyFixed, multiplyMontgomery, quotientOf, reduceOnce } from './modular';
import { AT_INVERSE, AT_PRIME } from './tables';

/**
 * out = x * y * 2^-32, lazy, of lazy operands; `out` may be `x`. With y = k * 2^32 the word factors cancel.
 */
export function multiplyVectors(out: usize, x: usize, y: usize, tables: usize, words: u32): void {
  const q = v128.load32_splat(tables, AT_PRIME);
  const inverse = v128.load32_splat(tables, AT_INVERSE);
  for (const end = x + 4 * <usize>words; x < end; x += 16, y += 16, out += 16) {
    v128.store(out, multiplyMontgomery(v128.load(x), v128.load(y), q, inverse));
  }
}

/** out = x + y mod q, canonical, of canonical operands; `out` may be either. */
export function addVectors(out: usize, x: usize, y: usize, tables: usize, words: u32): void {
  const q = v128.load32_splat(tables, AT_PRIME);
  for (const end = x + 4 * <usize>words; x < end; x += 16, y += 16, out += 16) {
    v128.store(out, reduceOnce(i32x4.add(v128.load(x), v128.load(y)), q));
  }
}

/** out = x - y mod q, canonical, of x in [0, 2q) and y in [0, 2q) with x - y in (-q, q); `out` may be either. */
export function subtractVectors(out: usize, x: usize, y: usize, tables: usize, words: u32): void {
  const q = v128.load32_splat(tables, AT_PRIME);
  for (const end = x + 4 * <usize>words; x < end; x += 16, y += 16, out += 16) {
    const difference = i32x4.sub(v128.load(x), v128.load(y));
    v128.store(out, i32x4.min_u(difference, i32x4.add(difference, q)));
  }
}

/** out = x + y + constant mod q, canonical, of canonical operands and a canonical constant. */
export function addVectorsAndConstant(out: usize, x: usize, y: usize, constant: u32, tables: usize, words: u32): void {
  const q = v128.load32_splat(tables, AT_PRIME);
  const shift = i32x4.splat(constant);
  for (const end = x + 4 * <usize>words; x < end; x += 16, y += 16, out += 16) {
    const sum = reduceOnce(i32x4.add(v128.load(x), v128.load(y)), q);
    v128.store(out, reduceOnce(i32x4.add(sum, shift), q));
  }
}

/**
 * out = key * factor mod q, lazy, of signed words |key| < 2^24.
 *
 * @param factor - canonical; 2^32 mod q for Montgomery form, its negative to negate as well. Public.
 */
export function scaleSigned(out: usize, key: usize, factor: u32, tables: usize, words: u32): void {
  const prime = load<u32>(tables, AT_PRIME);
  const q = i32x4.splat(prime);
  const w = i32x4.splat(factor);
  const quotient = i32x4.splat(quotientOf(factor, prime));
  // A multiple of q that makes every word positive; the fixed product takes any word below 2^32.
  const offset = i32x4.splat(<i32>(((1 << 24) / prime + 1) * prime));
  for (const end = key + 4 * <usize>words; key < end; key += 16, out += 16) {
    v128.store(out, multiplyFixed(i32x4.add(v128.load(key), offset), w, quotient, q));
  }
}

/** sum over i of x[i] * y[i] mod q, canonical, of canonical operands; at most 2^16 words, a multiple of 4. Public data. */
export function innerProduct(x: usize, y: usize, tables: usize, words: u32): u32 {
  const mask = i64x2.splat(0xffffffff);
  let low = i64x2.splat(0);
  let high = i64x2.splat(0);
  const end = x + 4 * <usize>words;
  while (x < end) {
    // Sixteen products of two numbers below 2^30 fit 64 bits: eight vectors give sixteen to each lane.
    let sum = i64x2.splat(0);
    const stop = min(x + 128, end);
    for (; x < stop; x += 16, y += 16) {
      const a = v128.load(x);
      const b = v128.load(y);
      sum = i64x2.add(sum, i64x2.extmul_low_i32x4_u(a, b));
      sum = i64x2.add(sum, i64x2.extmul_high_i32x4_u(a, b));
    }
    low = i64x2.add(low, v128.and(sum, mask));
    high = i64x2.add(high, i64x2.shr_u(sum, 32));
  }
  const q = <u64>load<u32>(tables, AT_PRIME);
  const lower = <u64>i64x2.extract_lane(low, 0) + <u64>i64x2.extract_lane(low, 1);
  const upper = <u64>i64x2.extract_lane(high, 0) + <u64>i64x2.extract_lane(high, 1);
  return <u32>((((upper % q) << 32) + (lower % q)) % q);
}

/** x * y + z mod q of canonical public numbers. */
export function multiplyAddPublic(x: u32, y: u32, z: u32, q: u32): u32 {
  return <u32>((<u64>x * <u64>y + <u64>z) % <u64>q);
}

/** The largest |x| of any number of signed words, as an unsigned word (so that -2^31 is 2^31). Every word is looked at. */
export function largestMagnitude(x: usize, words: u32): u32 {
  let most = i32x4.splat(0);
  const end = x + 4 * <usize>words;
  for (; x + 16 <= end; x += 16) most = i32x4.max_u(most, i32x4.abs(v128.load(x)));
  for (; x < end; x += 4) most = i32x4.max_u(most, i32x4.abs(v128.load32_splat(x)));
  return largestLane(most);
}

// @ts-ignore: decorator
@inline
export function largestLane(x: v128): u32 {
  const pairs = i32x4.max_u(x, v128.shuffle<i32>(x, x, 2, 3, 0, 1));
  return max(<u32>i32x4.extract_lane(pairs, 0), <u32>i32x4.extract_lane(pairs, 1));
}
