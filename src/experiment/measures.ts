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
  };
}

/** Mean over groups of equally many rows, by score, of |mean probability - share of positives|. */
export function calibrationError(scores: Scores, labels: Uint8Array): number {
  const order = Uint32Array.from(labels, (_, row) => row).sort((a, b) => scores[a]! - scores[b]!);
  let error = 0;
  for (let group = 0; group < GROUPS; group++) {
    const rows = order.subarray(
      Math.floor((group * order.length) / GROUPS),
      Math.floor(((group + 1) * order.length) / GROUPS),
    );
    let gap = 0;
    for (const row of rows) gap += probability(scores[row]!) - labels[row]!;
    error += Math.abs(gap);
  }
  return error / labels.length;
}
