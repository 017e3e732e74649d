import { fateOf } from '../../protocols/one-shot.ts';
import type { Round, Transcript } from '../../protocols/transcript.ts';

/** What training came to, before it belongs to a round. Secret; in memory alone. */
export interface Trained extends Disposable {
  /**
   * The update as a round sums it: clipped, then scaled, rounded, with this node's part of the noise drawn anew.
   *
   * @param weight - in (0, 1], so that what one unit can move is no more than it was.
   */
  integers(round: Round, weight: number): Int32Array;
}

/** An update on its way, and the model that it was trained from. */
export interface FinishedUpdate {
  readonly trained: Trained;
  readonly model: { readonly number: number; readonly hash: string };
  /** The round that it was sent into last. */
  readonly sentTo: string | null;
}

/**
 * The updates of rounds without masks that no decision holds yet, by task. One that was finished after its round was closed, or
 * arrived there too late, goes into the next one; a restarted node trains anew.
 *
 * Law: an update that is given for a round was sent into no other one that holds it or can come to hold it.
 */
export class FinishedUpdates implements Disposable {
  readonly #ofTask = new Map<string, FinishedUpdate>();

  /**
   * The update that may go into a round. One that cannot go into this or any later round is wiped.
   *
   * @returns null where there is none: the node trains.
   */
  takeFor(t: Transcript, { id, record }: Round, node: string): FinishedUpdate | null {
    const own = this.#ofTask.get(record.taskHash);
    if (own === undefined) return null;
    const isStale = record.modelNumber - own.model.number > (record.oneShot?.maxStaleness ?? 0);
    const isElsewhere = own.sentTo !== null && own.sentTo !== id && fateOf(t, own.sentTo, node) !== 'free';
    // Made from a model that is newer than this round's, it is of no use to it.
    if (!isStale && !isElsewhere) return own.model.number <= record.modelNumber ? own : null;
    this.#drop(record.taskHash);
    return null;
  }

  keep(taskHash: string, update: FinishedUpdate): FinishedUpdate {
    if (this.#ofTask.get(taskHash)?.trained !== update.trained) this.#drop(taskHash);
    this.#ofTask.set(taskHash, update);
    return update;
  }

  #drop(taskHash: string): void {
    this.#ofTask.get(taskHash)?.trained[Symbol.dispose]();
    this.#ofTask.delete(taskHash);
  }

  [Symbol.dispose](): void {
    for (const taskHash of [...this.#ofTask.keys()]) this.#drop(taskHash);
  }
}
