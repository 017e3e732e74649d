import { otherHashesOf, payloadHashesOf } from '../../protocols/aggregator.ts';
import { isOver, type Round, type Transcript } from '../../protocols/transcript.ts';
import type { Store } from '../store/port.ts';
import { forgetSums, madeSums } from './payload-sums.ts';
import { forgetSharings, keptSharings } from './upload-sharing.ts';

/** How much of an ended round is gone. */
type Cleared = 'payloads' | 'all';

/**
 * Removes what aggregators keep of rounds that have ended, so that the disk does not grow with every round. Payloads, whole
 * or half arrived, go at once: nobody asks for them again. Sums, corrections, boxes and answers of the last ended round
 * stay until another one ends, for a second recipient that is still reading.
 *
 * Replicas may do it at once, and again after a restart: what is gone is gone.
 */
export class EndedRounds {
  readonly #store: Store;
  readonly #cleared = new Map<string, Cleared>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** @returns whether any round was cleared. */
  async clear(t: Transcript): Promise<boolean> {
    const ended = [...t.rounds.values()].filter((round) => isOver(t, round));
    const goal = (round: Round): Cleared => (round === ended.at(-1) ? 'payloads' : 'all');
    // Before the blobs are listed. One that was still being added up when its round was cleared comes late.
    const made = await madeSums(this.#store);
    const shared = await keptSharings(this.#store);
    const isDue = (round: Round): boolean =>
      this.#cleared.get(round.id) !== goal(round) ||
      (goal(round) === 'all' && (made.has(round.id) || shared.has(round.id)));
    const due = ended.filter(isDue);
    if (due.length === 0) return false;
    const { blobs, uploads, sums } = this.#store;
    const kept = new Set((await blobs.list()).map(({ hash }) => hash));
    const begun = await uploads.list();
    for (const round of due) {
      // The upload goes before its blob: one that is being finished then finds nothing to finish.
      const own = begun.filter(({ id }) => id.startsWith(`${round.id}/`));
      for (const { id } of own) await uploads.abandon(id);
      const spent = [...own.map(({ hash }) => hash), ...payloadHashesOf(round)];
      // Also sums and boxes that no leaf names: their close or upload was refused, or never came.
      if (goal(round) === 'all')
        spent.push(...otherHashesOf(round), ...(made.get(round.id) ?? []), ...(shared.get(round.id) ?? []));
      await sums.remove(round.id);
      await blobs.removeAll(spent.filter((hash) => kept.has(hash)));
      if (goal(round) === 'all') {
        await forgetSums(this.#store, round);
        await forgetSharings(this.#store, round.id);
      }
      this.#cleared.set(round.id, goal(round));
    }
    return true;
  }
}
