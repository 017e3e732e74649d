import { poolRows, type Region } from '../learning/datasets.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { Bootstrap, differences, type Interval, intervalOf } from './bootstrap.ts';
import { type Measures, measure } from './measures.ts';
import type { Run } from './runs.ts';

/** Models that a federated one is compared with, of the same kind, all trained without privacy. */
export interface Rivals {
  readonly central: Model;
  readonly regionOnly: readonly { readonly region: string; readonly model: Model }[];
}

/** One region's view: is the common model better on its own held-out rows than its own one? */
export interface RegionGain {
  readonly region: string;
  readonly trainRows: number;
  readonly heldOutRows: number;
  readonly own: number;
  readonly federated: number;
  readonly gain: Interval;
}

export type Verdict = 'gain' | 'no gain shown' | 'worse';

/** A federated model on all regions' held-out rows, against its rivals on the same rows and resamples. */
export interface Comparison {
  readonly run: Omit<Run, 'model'>;
  readonly measures: Measures;
  /** Above the mean of the region-only models. */
  readonly overMean: Interval;
  /** Above the best of them. */
  readonly overBest: Interval;
  /** Below the centralised one; negative: above it. */
  readonly belowCentral: Interval;
  readonly verdict: Verdict;
  /** Empty regions and regions with one class among their held-out rows are left out. */
  readonly regions: readonly RegionGain[];
}

export interface Baseline {
  readonly central: Measures;
  readonly regionOnly: readonly { readonly region: string; readonly auc: number }[];
}

/**
 * Law: 'gain' only where the whole 95 % interval of the difference to the mean region-only model is above 0, 'worse' only where
 * it is below.
 */
export function verdictOf({ low, high }: Interval): Verdict {
  if (low > 0) return 'gain';
  return high < 0 ? 'worse' : 'no gain shown';
}

/** Compares models on the same held-out rows. Needs all regions' rows in one place: for experiments only. */
export class Comparer {
  readonly #tf: Tf;
  readonly #regions: readonly Region[];
  readonly #rivals: Rivals;
  readonly #pooled: ReturnType<typeof poolRows>;
  readonly #bootstrap: Bootstrap;

  constructor(tf: Tf, regions: readonly Region[], rivals: Rivals, seed: string) {
    this.#tf = tf;
    this.#regions = regions;
    this.#rivals = rivals;
    this.#pooled = poolRows(regions.map(({ heldOut }) => heldOut));
    this.#bootstrap = new Bootstrap(this.#pooled.y, seed);
  }

  #aucs(model: Model): readonly number[] {
    return this.#bootstrap.auc(scoreRows(this.#tf, model, this.#pooled));
  }

  baseline(): Baseline {
    const scores = scoreRows(this.#tf, this.#rivals.central, this.#pooled);
    return {
      central: measure(this.#bootstrap, scores, this.#pooled.y),
      regionOnly: this.#rivals.regionOnly.map(({ region, model }) => ({ region, auc: this.#aucs(model)[0]! })),
    };
  }

  compare({ model, ...run }: Run): Comparison {
    const scores = scoreRows(this.#tf, model, this.#pooled);
    const federated = this.#bootstrap.auc(scores);
    const alone = this.#rivals.regionOnly.map((rival) => this.#aucs(rival.model));
    const best = alone.reduce((a, b) => (b[0]! > a[0]! ? b : a));
    const mean = federated.map((_, i) => alone.reduce((sum, aucs) => sum + aucs[i]!, 0) / alone.length);
    const overMean = intervalOf(differences(federated, mean));
    return {
      run,
      measures: measure(this.#bootstrap, scores, this.#pooled.y),
      overMean,
      overBest: intervalOf(differences(federated, best)),
      belowCentral: intervalOf(differences(this.#aucs(this.#rivals.central), federated)),
      verdict: verdictOf(overMean),
      regions: this.#regions.flatMap((region, i) => this.#gainOf(region, model, this.#rivals.regionOnly[i]!.model)),
    };
  }

  #gainOf({ name, train, heldOut }: Region, model: Model, own: Model): RegionGain[] {
    if (!heldOut.y.includes(0) || !heldOut.y.includes(1)) return [];
    const bootstrap = new Bootstrap(heldOut.y, name);
    const federated = bootstrap.auc(scoreRows(this.#tf, model, heldOut));
    const alone = bootstrap.auc(scoreRows(this.#tf, own, heldOut));
    return [
      {
        region: name,
        trainRows: train.rows,
        heldOutRows: heldOut.rows,
        own: alone[0]!,
        federated: federated[0]!,
        gain: intervalOf(differences(federated, alone)),
      },
    ];
  }
}
