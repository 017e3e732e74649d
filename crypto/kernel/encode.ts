import { reduceOnce } from './modular';
import { AT_INVERSE, AT_PRIME } from './tables';

/**
 * t += e + sum over slots s of value[s] * weight[s] * 2^-32  mod q, for `count` coefficients: the message and the error
 * enter the ciphertext. With weight[s] = Delta * 2^(w*s) * 2^32 mod q, centred, that is Delta*m + e.
 *
 * @param t - canonical residues, in place. @param values - signed words, `stride` bytes from slot to slot.
 * @param weights - one signed word per slot, |weight| < q/2. @param slots - v.
 * @param errors - signed 16-bit words, |e| < q. @param count - a multiple of 8.
 *
 * Range: sum |value * weight| < 2^31 * q, so that one signed Montgomery reduction at the end suffices. It holds for v
 * values below 2^(valueBits-1): v * 2^(valueBits-1) <= 2^32 (engine.ts bounds both).
 */
export function addMessage(
  t: usize,
  values: usize,
  stride: usize,
  weights: usize,
  slots: u32,
  errors: usize,
  count: u32,
  tables: usize,
): void {
  const q = v128.load32_splat(tables, AT_PRIME);
  const inverse = v128.load32_splat(tables, AT_INVERSE);
  const lastWeight = weights + 4 * <usize>slots;
  for (const end = t + 4 * <usize>count; t < end; t += 32, values += 32, errors += 16) {
    let a = i64x2.splat(0);
    let b = i64x2.splat(0);
    let c = i64x2.splat(0);
    let d = i64x2.splat(0);
    for (let w = weights, p = values; w < lastWeight; w += 4, p += stride) {
      const weight = v128.load32_splat(w);
      const x = v128.load(p);
      const y = v128.load(p, 16);
      a = i64x2.add(a, i64x2.extmul_low_i32x4_s(x, weight));
      b = i64x2.add(b, i64x2.extmul_high_i32x4_s(x, weight));
      c = i64x2.add(c, i64x2.extmul_low_i32x4_s(y, weight));
      d = i64x2.add(d, i64x2.extmul_high_i32x4_s(y, weight));
    }
    const e = v128.load(errors);
    v128.store(t, combine(v128.load(t), reduceSigned(a, b, q, inverse), i32x4.extend_low_i16x8_s(e), q));
    v128.store(t, combine(v128.load(t, 16), reduceSigned(c, d, q, inverse), i32x4.extend_high_i16x8_s(e), q), 16);
  }
}

/** Montgomery's reduction of four signed 64-bit numbers |x| < 2^31 * q: x * 2^-32 mod q in (-q, q). */
// @ts-ignore: decorator
@inline
function reduceSigned(low: v128, high: v128, q: v128, inverse: v128): v128 {
  const m = i32x4.mul(v128.shuffle<i32>(low, high, 0, 2, 4, 6), inverse);
  const a = i64x2.sub(low, i64x2.extmul_low_i32x4_s(m, q));
  const b = i64x2.sub(high, i64x2.extmul_high_i32x4_s(m, q));
  return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
}

/** t + m + e mod q, canonical, of t in [0, q) and m, e in (-q, q). */
// @ts-ignore: decorator
@inline
function combine(t: v128, m: v128, e: v128, q: v128): v128 {
  return reduceOnce(i32x4.add(reduceOnce(i32x4.add(t, lift(m, q)), q), lift(e, q)), q);
}

/** (-q, q) to [0, q): a negative word is a large unsigned one, so the minimum picks. */
// @ts-ignore: decorator
@inline
function lift(x: v128, q: v128): v128 {
  return i32x4.min_u(x, i32x4.add(x, q));
}
