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
 * @param count - coefficients, a multiple of 8.
 */
export function toMixedRadix(planes: usize, stride: usize, primes: u32, count: u32, steps: usize): void {
  // Two vectors at a time: each product waits for the one before.
  for (const end = planes + 4 * <usize>count; planes < end; planes += 32) {
    let step = steps;
    let at = planes + stride;
    for (let p: u32 = 1; p < primes; p++, at += stride) {
      let x = v128.load(at);
      let y = v128.load(at, 16);
      const q = v128.load32_splat(step);
      for (let digit = planes; digit < at; digit += stride, step += STEP) {
        const offset = v128.load32_splat(step, 4);
        const inverse = v128.load32_splat(step, 8);
        const quotient = v128.load32_splat(step, 12);
        x = multiplyFixed(i32x4.sub(i32x4.add(x, offset), v128.load(digit)), inverse, quotient, q);
        y = multiplyFixed(i32x4.sub(i32x4.add(y, offset), v128.load(digit, 16)), inverse, quotient, q);
      }
      v128.store(at, reduceOnce(x, q));
      v128.store(at, reduceOnce(y, q), 16);
    }
  }
}

/**
 * Reads the slots of x' = x + Delta/2 + Delta * sum over s of 2^(w-1) * 2^(w*s), given by mixed radix digits. For an x
 * that opens, every field of x' is unsigned: log2 Delta bits of remainder + Delta/2, then each slot + 2^(w-1), then zeros.
 *
 * @param planes, stride, primes, count - as left by toMixedRadix.
 * @param limbs - descriptions of the fields from the least significant one, each 20 + 4*primes bytes: its bits (at most
 *   28), its kind (0 remainder, 1 slot, 2 upper part of the slot before, 3 must be zero), what to subtract from it (0 and
 *   1) or how far to shift it (2), the bound 2B (0), the first p that reaches it; then one limb of each q_0..q_(p-1).
 * @param limbCount - of them. @param out - signed words, `outStride` bytes from slot to slot.
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
  outStride: usize,
): i32 {
  const limbBytes: usize = 20 + 4 * <usize>primes;
  const lastLimb = limbs + <usize>limbCount * limbBytes;
  let wrong = i32x4.splat(0);
  for (const end = planes + 4 * <usize>count; planes < end; planes += 16, out += 16) {
    let low = i64x2.splat(0);
    let high = i64x2.splat(0);
    let slot = out - outStride;
    for (let limb = limbs; limb < lastLimb; limb += limbBytes) {
      const bits = load<u32>(limb);
      const kind = load<u32>(limb, 4);
      const mask = i32x4.splat((<i32>1 << bits) - 1);
      const first = <usize>load<u32>(limb, 16);
      let digit = planes + first * stride;
      for (let weight = limb + 20 + 4 * first; weight < limb + limbBytes; weight += 4, digit += stride) {
        const y = v128.load(digit);
        const w = v128.load32_splat(weight);
        low = i64x2.add(low, i64x2.extmul_low_i32x4_u(y, w));
        high = i64x2.add(high, i64x2.extmul_high_i32x4_u(y, w));
      }
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
