/** Samples of one-time keys and errors: see crypto/key-sampler.ts, whose samples these equal. */

/**
 * Samples from first words: bit 0 is the sign, the rest is compared with every threshold, all lanes alike.
 *
 * @param out - signed 16-bit samples. @param count - a multiple of 8. @param words - one per sample.
 * @param tops - thresholds, 31 bits each. @param thresholds - how many, below 2^15.
 * @returns 1 if any word's top equals a threshold (such samples need more bits), else 0. Nothing says which.
 */
export function sampleTops(out: usize, words: usize, count: u32, tops: usize, thresholds: u32): i32 {
  const one = i32x4.splat(1);
  const last = tops + 4 * <usize>thresholds;
  let ties = i32x4.splat(0);
  for (const end = words + 4 * <usize>count; words < end; words += 32, out += 16) {
    const a = v128.load(words);
    const b = v128.load(words, 16);
    const topA = i32x4.shr_u(a, 1);
    const topB = i32x4.shr_u(b, 1);
    // Comparisons give -1 for true, so these count down.
    let countA = i32x4.splat(0);
    let countB = i32x4.splat(0);
    for (let t = tops; t < last; t += 4) {
      const top = v128.load32_splat(t);
      countA = i32x4.add(countA, i32x4.gt_s(topA, top));
      countB = i32x4.add(countB, i32x4.gt_s(topB, top));
      ties = v128.or(ties, v128.or(i32x4.eq(topA, top), i32x4.eq(topB, top)));
    }
    // Minus the magnitude where the sign bit is 0: -(x ^ s) + s with s = bit - 1 gives (-1)^bit * magnitude from -magnitude.
    const signA = i32x4.sub(v128.and(a, one), one);
    const signB = i32x4.sub(v128.and(b, one), one);
    const valueA = i32x4.sub(v128.xor(countA, signA), signA);
    const valueB = i32x4.sub(v128.xor(countB, signB), signB);
    v128.store(out, i16x8.narrow_i32x4_s(valueA, valueB));
  }
  return i32(v128.any_true(ties));
}
