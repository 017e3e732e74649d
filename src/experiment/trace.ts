import { auc } from '../learning/auc.ts';
import { poolRows, type Region } from '../learning/datasets.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { calibrationError } from './measures.ts';

/** How good the model was after each round, on held-out rows. */
export interface Trace {
  /** All regions' rows together. */
  readonly aucPerRound: readonly number[];
  readonly calibrationErrorPerRound: readonly number[];
  /** On a region's own rows; regions whose held-out rows are all of one class are left out. */
  readonly regionAucs: readonly { readonly region: string; readonly aucPerRound: readonly number[] }[];
}

/** Looks at a job's models, round by round. Needs all regions' rows in one place: for experiments only. */
export class Tracer {
  readonly #tf: Tf;
  readonly #regions: readonly Region[];
  readonly #pooled: ReturnType<typeof poolRows>;
  readonly #aucs: number[] = [];
  readonly #errors: number[] = [];
  readonly #byRegion = new Map<string, number[]>();

  constructor(tf: Tf, regions: readonly Region[]) {
    this.#tf = tf;
    this.#regions = regions;
    this.#pooled = poolRows(regions.map(({ heldOut }) => heldOut));
  }

  add(model: Model): void {
    const scores = scoreRows(this.#tf, model, this.#pooled);
    this.#aucs.push(auc(scores, this.#pooled.y));
    this.#errors.push(calibrationError(scores, this.#pooled.y));
    let start = 0;
    for (const { name, heldOut } of this.#regions) {
      const own = scores.subarray(start, start + heldOut.rows);
      start += heldOut.rows;
      if (!heldOut.y.includes(0) || !heldOut.y.includes(1)) continue;
      const aucs = this.#byRegion.get(name) ?? [];
      aucs.push(auc(own, heldOut.y));
      this.#byRegion.set(name, aucs);
    }
  }

  get trace(): Trace {
    return {
      aucPerRound: this.#aucs,
      calibrationErrorPerRound: this.#errors,
      regionAucs: [...this.#byRegion].map(([region, aucPerRound]) => ({ region, aucPerRound })),
    };
  }
}
