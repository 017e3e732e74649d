import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { Bootstrap, differences, type Interval, intervalOf } from './bootstrap.ts';

/** Two models on the same rows and resamples. */
export interface PairedGain {
  readonly before: number;
  readonly after: number;
  /** In AUC. */
  readonly gain: Interval;
  /** The gain over all rows, then over each resample. */
  readonly resampled: readonly number[];
}

/** AUC of a model on a region's held-out rows, then on each resample of them. */
export type Resampled = readonly number[];

/**
 * How models do on one region's held-out rows, always the same resamples.
 *
 * @returns null where these rows cannot tell: all of one class, or none.
 */
export function judgeOf(tf: Tf, heldOut: DesignMatrix): ((model: Model) => Resampled) | null {
  if (!heldOut.y.includes(0) || !heldOut.y.includes(1)) return null;
  const bootstrap = new Bootstrap(heldOut.y, 'personal');
  return (model) => bootstrap.auc(scoreRows(tf, model, heldOut));
}

export function pairedGain(before: Resampled, after: Resampled): PairedGain {
  const resampled = differences(after, before);
  return { before: before[0]!, after: after[0]!, gain: intervalOf(resampled), resampled };
}

/** The mean of several regions' gains; their rows are resampled independently of each other. */
export function meanGain(gains: readonly PairedGain[]): Interval {
  const [first] = gains;
  const sums = first!.resampled.map((_, i) => gains.reduce((sum, { resampled }) => sum + resampled[i]!, 0));
  return intervalOf(sums.map((sum) => sum / gains.length));
}
