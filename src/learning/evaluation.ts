import { LearningError } from './errors.ts';

/** Public bins of the score (log-odds): `count` of equal width between `low` and `high`; the outer ones are open. */
export interface ScoreBins {
  readonly count: number;
  readonly low: number;
  readonly high: number;
}

/** Numbers a score histogram takes in a round's vector: one per bin and label. */
export function histogramSize(bins: ScoreBins): number {
  if (!(Number.isInteger(bins.count) && bins.count >= 2 && bins.count <= 1024 && bins.low < bins.high)) {
    throw new LearningError('BAD_SETTING', 'score bins: 2 to 1024 of them, low below high');
  }
  return 2 * bins.count;
}

/**
 * Counts rows by score bin and label. Cell b holds the negatives of bin b, cell count + b the positives.
 *
 * Law: a row adds 1 to exactly one cell, so histograms of disjoint rows add up to the histogram of their union, and one
 * row moves the vector by norm 1.
 *
 * @param drawn - 1 for a row that counts, 0 for one that does not; absent: all do.
 */
export function scoreHistogram(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  bins: ScoreBins,
  drawn?: Uint8Array,
): Float64Array {
  const cells = new Float64Array(histogramSize(bins));
  for (let row = 0; row < scores.length; row++) {
    const place = Math.floor(((scores[row]! - bins.low) / (bins.high - bins.low)) * bins.count);
    if (Number.isNaN(place)) throw new LearningError('NOT_FINITE', 'a score is NaN');
    const bin = Math.min(bins.count - 1, Math.max(0, place));
    cells[(labels[row] === 1 ? bins.count : 0) + bin]! += drawn?.[row] ?? 1;
  }
  return cells;
}

/** What a (noised) score histogram tells about a model. */
export interface Evaluation {
  /** Pairs within one bin count half; the error of that is at most half the share of such pairs. */
  readonly auc: number;
  /** One standard deviation of `auc` that the cells' noise causes, to first order. Not the sampling error. */
  readonly aucNoise: number;
  /** Share of rows on the right side of log-odds 0, to the nearest bin edge. */
  readonly accuracy: number;
  readonly positives: number;
  readonly negatives: number;
  /** Per bin: the middle's probability, the share of positives, rows; bins without enough rows are left out. */
  readonly calibration: readonly { readonly predicted: number; readonly observed: number; readonly rows: number }[];
  /** Expected calibration error: mean over rows of |predicted - observed|, by bins. */
  readonly calibrationError: number;
}

/**
 * Reads AUC, accuracy and calibration from a summed histogram; cells may be noised, so also negative or fractional.
 *
 * Noise: every cell carries independent noise of standard deviation `cellNoise` (in rows); 0 for exact counts.
 *
 * @throws LearningError ONE_CLASS when a label's total does not exceed its own noise: there is nothing to measure.
 */
export function evaluateHistogram(cells: ArrayLike<number>, bins: ScoreBins, cellNoise = 0): Evaluation {
  if (cells.length !== histogramSize(bins))
    throw new LearningError('BAD_MODEL', 'the histogram does not have these bins');
  const { count } = bins;
  let negatives = 0;
  let positives = 0;
  for (let bin = 0; bin < count; bin++) {
    negatives += cells[bin]!;
    positives += cells[count + bin]!;
  }
  const totalNoise = cellNoise * Math.sqrt(count);
  if (!(Math.min(negatives, positives) > totalNoise)) {
    throw new LearningError('ONE_CLASS', 'the opened counts do not hold enough rows of both labels to measure AUC');
  }
  let pairs = 0;
  let right = 0;
  let below = 0;
  for (let bin = 0; bin < count; bin++) {
    pairs += cells[count + bin]! * (below + cells[bin]! / 2);
    below += cells[bin]!;
    right += (bin + 0.5) / count < -bins.low / (bins.high - bins.low) ? cells[bin]! : cells[count + bin]!;
  }
  const raw = pairs / (positives * negatives);
  const curve = calibrationCurve(cells, bins, Math.max(8, 4 * cellNoise));
  const curveRows = curve.reduce((sum, point) => sum + point.rows, 0);
  return {
    auc: clampShare(raw),
    aucNoise: aucNoise(cells, count, raw, negatives, positives, cellNoise),
    accuracy: clampShare(right / (negatives + positives)),
    positives,
    negatives,
    calibration: curve,
    calibrationError:
      curve.reduce((sum, point) => sum + point.rows * Math.abs(point.predicted - point.observed), 0) /
      Math.max(1, curveRows),
  };
}

/** First-order propagation: the derivative of AUC by each cell, times the cells' noise, in quadrature. */
function aucNoise(
  cells: ArrayLike<number>,
  count: number,
  area: number,
  negatives: number,
  positives: number,
  cellNoise: number,
): number {
  let squares = 0;
  let negativesBelow = 0;
  let positivesAbove = positives;
  for (let bin = 0; bin < count; bin++) {
    const negative = cells[bin]!;
    const positive = cells[count + bin]!;
    positivesAbove -= positive;
    squares += ((negativesBelow + negative / 2) / negatives - area) ** 2 / positives ** 2;
    squares += ((positivesAbove + positive / 2) / positives - area) ** 2 / negatives ** 2;
    negativesBelow += negative;
  }
  return cellNoise * Math.sqrt(squares);
}

function calibrationCurve(cells: ArrayLike<number>, bins: ScoreBins, rowsMin: number): Evaluation['calibration'] {
  const width = (bins.high - bins.low) / bins.count;
  return Array.from({ length: bins.count }, (_, bin) => {
    const rows = cells[bin]! + cells[bins.count + bin]!;
    const predicted = 1 / (1 + Math.exp(-(bins.low + (bin + 0.5) * width)));
    return { predicted, observed: clampShare(cells[bins.count + bin]! / rows), rows };
  }).filter((point) => point.rows >= rowsMin);
}

function clampShare(value: number): number {
  return Math.min(1, Math.max(0, value));
}
