// From residues to slots, exactly: Garner's mixed radix digits (Knuth, TAOCP 2, 4.3.2), then the same number in the radix
// that the slots are laid out in. Every coefficient takes the same steps; what is wrong with it is only collected.
import { multiplyFixed, reduceOnce } from './modular';

/** Bytes of one step's constants: prime, offset, inverse and its quotient. */
const STEP: usize = 16;

/**
 * Replaces residues x_p of x by the digits y_p of x = y_0 + y_1 q_0 + y_2 q_0 q_1 + ..., 0 <= y_p < q_p.
 *
 * @param planes - `primes` planes of canonical residues, `stride` bytes apart, in place.
 * @param steps - for p = 1.., i < p, in that order: q_p; a multiple of q_p that is at least q_i - 1 and less than q_i + q_p;
 *   1/q_i mod q_p; its quotient for multiplyFixed.
 * @param count - coefficients, a multiple of 4.
 */
export function toMixedRadix(planes: usize, stride: usize, primes: u32, count: u32, steps: usize): void {
  for (const end = planes + 4 * <usize>count; planes < end; planes += 16) {
    let step = steps;
    let at = planes + stride;
    for (let p: u32 = 1; p < primes; p++, at += stride) {
      let x = v128.load(at);
      const q = v128.load32_splat(step);
      for (let digit = planes; digit < at; digit += stride, step += STEP) {
        const difference = i32x4.sub(i32x4.add(x, v128.load32_splat(step, 4)), v128.load(digit));
        x = multiplyFixed(difference, v128.load32_splat(step, 8), v128.load32_splat(step, 12), q);
      }
      v128.store(at, reduceOnce(x, q));
    }
  }
}

/** One limb of sum over p of y_p * weight[p], plus what the limb below carried: two lanes at a time. */
// @ts-ignore: decorator
@inline
function limbOf(carry: v128, planes: usize, stride: usize, primes: u32, weights: usize, high: bool): v128 {
  let sum = carry;
  for (let p: u32 = 0; p < primes; p++) {
    const y = v128.load(planes + <usize>p * stride);
    const weight = v128.load32_splat(weights + 4 * <usize>p);
    sum = i64x2.add(sum, high ? i64x2.extmul_high_i32x4_u(y, weight) : i64x2.extmul_low_i32x4_u(y, weight));
  }
  return sum;
}

/**
 * Reads the slots of x' = x + Delta/2 + Delta * sum over s of 2^(w-1) * 2^(w*s), given by mixed radix digits. For an x
 * that opens, every field of x' is unsigned: log2 Delta bits of remainder + Delta/2, then each slot + 2^(w-1), then zeros.
 *
 * @param planes, stride, primes, count - as left by toMixedRadix.
 * @param limbs - descriptions of the fields from the least significant one, each 16 + 4*primes bytes: its bits (at most
 *   28), its kind (0 remainder, 1 slot, 2 upper part of the slot before, 3 must be zero), what to subtract from it (0 and
 *   1) or how far to shift it (2), the bound 2B (0); then one limb of each q_0..q_(p-1).
 * @param limbCount - of them. @param out - slot s of coefficient c becomes signed word s*count + c.
 * @returns 1 if some remainder is out of bound or something is where zeros must be, else 0.
 */
export function readSlots(
  planes: usize,
  stride: usize,
  primes: u32,
  count: u32,
  limbs: usize,
  limbCount: u32,
  out: usize,
): i32 {
  const outStride: usize = 4 * <usize>count;
  const limbBytes: usize = 16 + 4 * <usize>primes;
  const lastLimb = limbs + <usize>limbCount * limbBytes;
  let wrong = i32x4.splat(0);
  for (const end = planes + outStride; planes < end; planes += 16, out += 16) {
    let low = i64x2.splat(0);
    let high = i64x2.splat(0);
    let slot = out - outStride;
    for (let limb = limbs; limb < lastLimb; limb += limbBytes) {
      const bits = load<u32>(limb);
      const kind = load<u32>(limb, 4);
      const mask = i32x4.splat((<i32>1 << bits) - 1);
      low = limbOf(low, planes, stride, primes, limb + 16, false);
      high = limbOf(high, planes, stride, primes, limb + 16, true);
      const x = v128.and(v128.shuffle<i32>(low, high, 0, 2, 4, 6), mask);
      low = i64x2.shr_u(low, bits);
      high = i64x2.shr_u(high, bits);
      if (kind === 1) {
        slot += outStride;
        v128.store(slot, i32x4.sub(x, v128.load32_splat(limb, 8)));
      } else if (kind === 2) {
        v128.store(slot, i32x4.add(v128.load(slot), i32x4.shl(x, load<i32>(limb, 8))));
      } else if (kind === 0) {
        const shifted = i32x4.sub(x, v128.load32_splat(limb, 8));
        wrong = v128.or(wrong, i32x4.gt_u(shifted, v128.load32_splat(limb, 12)));
      } else {
        wrong = v128.or(wrong, x);
      }
    }
  }
  return i32(v128.any_true(wrong));
}
