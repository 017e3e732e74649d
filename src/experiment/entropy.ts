/** Values per cell of the histogram, at least: the estimate's error is about cells / (2 values) bits. */
const VALUES_PER_CELL = 50;

/**
 * Bits per value that integers need once they are entropy-coded: the low bits as they are, the rest by its empirical entropy
 * with the correction of Miller and Madow (1955). H(X) <= H(X >> j) + j, so this is from above but for the estimate's error;
 * j is as small as the number of values allows (with fewer, an entropy would be that of the sample, not of its source).
 */
export function entropyBits(values: Iterable<Int32Array>): number {
  let counts = new Map<number, number>();
  let total = 0;
  for (const part of values) {
    total += part.length;
    for (const value of part) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  let lowBits = 0;
  // Down to two: -1 and 0 stay apart for ever.
  for (; counts.size > 2 && counts.size * VALUES_PER_CELL > total; lowBits++) {
    const halved = new Map<number, number>();
    for (const [value, count] of counts) halved.set(value >> 1, (halved.get(value >> 1) ?? 0) + count);
    counts = halved;
  }
  if (total === 0) return 0;
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / total) * Math.log2(count / total);
  return lowBits + entropy + (counts.size - 1) / (2 * total * Math.LN2);
}
