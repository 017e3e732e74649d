/**
 * The randomised Hadamard transform, block by block: x goes to H D x / sqrt(B) in each block of B values, D the diagonal matrix of
 * public random signs, H the Hadamard matrix (Suresh, Yu, Kumar, McMahan, ICML 2017, arXiv 1611.00429, section 3; in the
 * distributed discrete Gaussian mechanism: Kairouz, Liu, Steinke, arXiv 2102.06387, section 4). Orthogonal, so it keeps L2
 * norms; afterwards no value is much larger than the others.
 *
 * B is a power of four, so that sqrt(B) is one of two: **there is no rounding** where the values are multiples of one power of
 * two and the sums of a block fit a double, as those of gradients do (`exactUpTo`).
 */
const LARGEST_LOG4 = 6;
/** Padding may lengthen an update by this part. */
const PADDING = 1 / 8;
/** Gradients are multiples of 2^-30 (learning/gradients.ts) and a double holds 2^53 of them. */
const EXACT = 2 ** (53 - 30);

/** Values per block: the largest power of four up to 4,096 that pads by at most an eighth. */
export function blockOf(length: number): number {
  for (let log = LARGEST_LOG4; log > 0; log--) {
    const block = 4 ** log;
    if (paddedLength(length, block) - length <= length * PADDING) return block;
  }
  return 1;
}

/** A multiple of the block. */
export function paddedLength(length: number, block: number): number {
  return Math.ceil(length / block) * block;
}

/** The largest L2 norm of a vector of multiples of 2^-30 that is rotated without rounding: |sums| <= |x|_1 <= sqrt(B) |x|. Of multiples of 2^-30 / p: a p-th. */
export function exactUpTo(block: number): number {
  return EXACT / Math.sqrt(block);
}

/**
 * @param values - not changed.
 * @param signs - as many as the result has values, 1 or -1.
 * @returns a new vector, padded to whole blocks.
 */
export function rotate(values: Float64Array, signs: Int8Array, block: number): Float64Array {
  const out = new Float64Array(signs.length);
  for (let i = 0; i < values.length; i++) out[i] = values[i]! * signs[i]!;
  transformBlocks(out, block);
  return out;
}

/** The transposed transform, which is the inverse. @returns a new vector without the padding. */
export function unrotate(rotated: Float64Array, signs: Int8Array, block: number, length: number): Float64Array {
  const out = Float64Array.from(rotated);
  transformBlocks(out, block);
  for (let i = 0; i < length; i++) out[i]! *= signs[i]!;
  return out.slice(0, length);
}

/** H / sqrt(B) in place, in B log2 B additions a block. */
function transformBlocks(values: Float64Array, block: number): void {
  for (let half = 1; half < block; half *= 2) {
    for (let start = 0; start < values.length; start += 2 * half) {
      for (let i = start; i < start + half; i++) {
        const [a, b] = [values[i]!, values[i + half]!];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
  const scale = 1 / Math.sqrt(block);
  for (let i = 0; i < values.length; i++) values[i]! *= scale;
}
