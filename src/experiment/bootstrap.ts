import { LearningError } from '../learning/errors.ts';
import { seededRandom } from '../learning/random.ts';

/** What a model says of held-out rows: log-odds, one per row. */
export type Scores = ArrayLike<number>;

/** A measured value with its 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1000;
const TAIL = 0.025;

/**
 * Draws rows with replacement, always the same draws for a seed: what is measured of several models on them is paired.
 * Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3).
 */
export class Bootstrap {
  readonly #labels: Uint8Array;
  /** How often each row is in a resample. */
  readonly #draws: readonly Uint16Array[];

  /** @throws LearningError ONE_CLASS: nothing can be told apart. */
  constructor(labels: Uint8Array, seed: string, resamples = RESAMPLES) {
    if (!labels.includes(0) || !labels.includes(1))
      throw new LearningError('ONE_CLASS', 'the held-out rows are all of one class');
    this.#labels = labels;
    const random = seededRandom(`bootstrap/${seed}`);
    this.#draws = Array.from({ length: resamples }, () => {
      const times = new Uint16Array(labels.length);
      for (let i = 0; i < labels.length; i++) times[random.integer(labels.length)]! += 1;
      return times;
    });
  }

  /** AUC (ties count half) over all rows, then over each resample. */
  auc(scores: Scores): readonly number[] {
    const order = Uint32Array.from(this.#labels, (_, row) => row).sort((a, b) => scores[a]! - scores[b]!);
    const once = new Uint16Array(this.#labels.length).fill(1);
    return [once, ...this.#draws].map((times) => this.#weightedAuc(order, scores, times));
  }

  /** The mean of something over all rows, then over each resample. */
  mean(perRow: ArrayLike<number>): readonly number[] {
    const n = perRow.length;
    let all = 0;
    for (let row = 0; row < n; row++) all += perRow[row]!;
    const drawn = this.#draws.map((times) => {
      let sum = 0;
      for (let row = 0; row < n; row++) sum += times[row]! * perRow[row]!;
      return sum / n;
    });
    return [all / n, ...drawn];
  }

  /** A resample without both classes tells nothing: NaN, left out of intervals. */
  #weightedAuc(order: Uint32Array, scores: Scores, times: Uint16Array): number {
    let positives = 0;
    let negatives = 0;
    let twice = 0;
    for (let i = 0; i < order.length; ) {
      const score = scores[order[i]!]!;
      let tiedPositives = 0;
      let tiedNegatives = 0;
      for (; i < order.length && scores[order[i]!]! === score; i++) {
        const row = order[i]!;
        if (this.#labels[row] === 1) tiedPositives += times[row]!;
        else tiedNegatives += times[row]!;
      }
      twice += tiedPositives * (2 * negatives + tiedNegatives);
      positives += tiedPositives;
      negatives += tiedNegatives;
    }
    return twice / (2 * positives * negatives);
  }
}

/** The first entry is the measured value, the others are over resamples. */
export function intervalOf([value, ...resampled]: readonly number[]): Interval {
  const sorted = resampled.filter((x) => !Number.isNaN(x)).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { value: value!, low: at(TAIL), high: at(1 - TAIL) };
}

/** Paired: entry by entry. */
export function differences(a: readonly number[], b: readonly number[]): readonly number[] {
  return a.map((value, i) => value - b[i]!);
}
