import { reduceOnce } from './modular';
import { AT_INVERSE, AT_PRIME } from './tables';

/**
 * t += e + sum over slots s of value[s] * weight[s] * 2^-32  mod q, for `count` coefficients: the message and the error
 * enter the ciphertext. With weight[s] = Delta * 2^(w*s) * 2^32 mod q, centred, that is Delta*m + e.
 *
 * @param t - canonical residues, in place. @param values - signed words, `stride` bytes from slot to slot.
 * @param weights - one signed word per slot, |weight| < q/2. @param slots - v.
 * @param errors - signed 16-bit words, |e| < q. @param count - a multiple of 16.
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
  for (const end = t + 4 * <usize>count; t < end; t += 64, values += 64, errors += 32) {
    let a0 = i64x2.splat(0);
    let b0 = i64x2.splat(0);
    let a1 = i64x2.splat(0);
    let b1 = i64x2.splat(0);
    let a2 = i64x2.splat(0);
    let b2 = i64x2.splat(0);
    let a3 = i64x2.splat(0);
    let b3 = i64x2.splat(0);
    for (let w = weights, p = values; w < lastWeight; w += 4, p += stride) {
      const weight = v128.load32_splat(w);
      const x0 = v128.load(p);
      a0 = i64x2.add(a0, i64x2.extmul_low_i32x4_s(x0, weight));
      b0 = i64x2.add(b0, i64x2.extmul_high_i32x4_s(x0, weight));
      const x1 = v128.load(p, 16);
      a1 = i64x2.add(a1, i64x2.extmul_low_i32x4_s(x1, weight));
      b1 = i64x2.add(b1, i64x2.extmul_high_i32x4_s(x1, weight));
      const x2 = v128.load(p, 32);
      a2 = i64x2.add(a2, i64x2.extmul_low_i32x4_s(x2, weight));
      b2 = i64x2.add(b2, i64x2.extmul_high_i32x4_s(x2, weight));
      const x3 = v128.load(p, 48);
      a3 = i64x2.add(a3, i64x2.extmul_low_i32x4_s(x3, weight));
      b3 = i64x2.add(b3, i64x2.extmul_high_i32x4_s(x3, weight));
    }
    const e = v128.load(errors);
    const f = v128.load(errors, 16);
    v128.store(t, combine(v128.load(t), reduceSigned(a0, b0, q, inverse), i32x4.extend_low_i16x8_s(e), q));
    v128.store(t, combine(v128.load(t, 16), reduceSigned(a1, b1, q, inverse), i32x4.extend_high_i16x8_s(e), q), 16);
    v128.store(t, combine(v128.load(t, 32), reduceSigned(a2, b2, q, inverse), i32x4.extend_low_i16x8_s(f), q), 32);
    v128.store(t, combine(v128.load(t, 48), reduceSigned(a3, b3, q, inverse), i32x4.extend_high_i16x8_s(f), q), 48);
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
