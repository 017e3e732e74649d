import { LearningError } from './errors.ts';

/**
 * Area under the ROC curve, exactly: the share of (positive, negative) pairs that the scores order rightly, ties
 * counting half (Mann-Whitney). O(n log n).
 *
 * @throws LearningError ONE_CLASS when a label is absent, NOT_FINITE for a score that is NaN.
 */
export function auc(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const rows = scores.length;
  const order = Uint32Array.from({ length: rows }, (_, row) => row).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  // Twice the number of rightly ordered pairs: an integer below 2^53 for every table that fits in memory.
  let twice = 0;
  let negativesBelow = 0;
  for (let i = 0; i < rows; ) {
    const score = scores[order[i]!]!;
    if (Number.isNaN(score)) throw new LearningError('NOT_FINITE', 'a score is NaN');
    let tiedPositives = 0;
    let tiedNegatives = 0;
    for (; i < rows && scores[order[i]!]! === score; i++) {
      if (labels[order[i]!] === 1) tiedPositives++;
      else tiedNegatives++;
    }
    twice += tiedPositives * (2 * negativesBelow + tiedNegatives);
    positives += tiedPositives;
    negativesBelow += tiedNegatives;
  }
  if (positives === 0 || negativesBelow === 0) throw new LearningError('ONE_CLASS', 'AUC needs rows of both labels');
  return twice / (2 * positives * negativesBelow);
}
