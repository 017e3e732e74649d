import { type Bootstrap, type Interval, intervalOf, type Scores } from './bootstrap.ts';

/** How good a model is on held-out rows. */
export interface Measures {
  readonly auc: Interval;
  /** Share of rows on the right side of probability 0.5. */
  readonly accuracy: Interval;
  /** Mean squared error of the probability (Brier, 1950). */
  readonly brier: Interval;
  /** Expected calibration error over ten groups of equal size (Naeini, Cooper, Hauskrecht, AAAI 2015). */
  readonly calibrationError: number;
  /** The same ten groups, from the least probable up. */
  readonly groups: readonly CalibrationGroup[];
}

/** Rows that the model calls about equally probable. */
export interface CalibrationGroup {
  readonly rows: number;
  /** Mean probability that the model says. */
  readonly predicted: number;
  /** Part of the rows that are positive. */
  readonly observed: number;
}

const GROUPS = 10;

const probability = (logOdds: number): number => 1 / (1 + Math.exp(-logOdds));

/** @param scores - log-odds per row. */
export function measure(bootstrap: Bootstrap, scores: Scores, labels: Uint8Array): Measures {
  const right = Float64Array.from(labels, (label, row) => (scores[row]! > 0 === (label === 1) ? 1 : 0));
  const squared = Float64Array.from(labels, (label, row) => (probability(scores[row]!) - label) ** 2);
  return {
    auc: intervalOf(bootstrap.auc(scores)),
    accuracy: intervalOf(bootstrap.mean(right)),
    brier: intervalOf(bootstrap.mean(squared)),
    calibrationError: calibrationError(scores, labels),
    groups: calibrationGroups(scores, labels),
  };
}

/** Rows in ten groups of equally many, by score. */
export function calibrationGroups(scores: Scores, labels: Uint8Array): CalibrationGroup[] {
  const order = Uint32Array.from(labels, (_, row) => row).sort((a, b) => scores[a]! - scores[b]!);
  return Array.from({ length: GROUPS }, (_, group) => {
    const from = Math.floor((group * order.length) / GROUPS);
    const rows = order.subarray(from, Math.floor(((group + 1) * order.length) / GROUPS));
    let [predicted, positive] = [0, 0];
    for (const row of rows) {
      predicted += probability(scores[row]!);
      positive += labels[row]!;
    }
    return { rows: rows.length, predicted: predicted / rows.length, observed: positive / rows.length };
  }).filter(({ rows }) => rows > 0);
}

/** Mean over those groups of |mean probability - share of positives|. */
export function calibrationError(scores: Scores, labels: Uint8Array): number {
  const gaps = calibrationGroups(scores, labels).map(
    ({ rows, predicted, observed }) => rows * Math.abs(predicted - observed),
  );
  return gaps.reduce((sum, gap) => sum + gap, 0) / labels.length;
}
