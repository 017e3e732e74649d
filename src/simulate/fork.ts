import type { CorruptCoordinator } from './corrupt-coordinator.ts';
import type { Founding } from './founding.ts';
import type { Draw } from './random.ts';

export const BRANCH = 'coordinator-b';

/**
 * A forked log: from some moment on a part of the federation speaks to a second coordinator, which has the same keys and
 * the beginning of the same log. Each side has an aggregator of its own.
 */
export class Fork {
  readonly #side = new Set<string>();
  readonly #ownReplica: string;
  readonly #otherReplica: string;

  constructor(draw: Draw, founding: Founding) {
    const all = [...founding.nodes, ...founding.members, ...founding.recipients];
    for (const name of draw.some(all, draw.between(1, all.length - 1))) this.#side.add(name);
    [this.#otherReplica = '', this.#ownReplica = ''] = founding.aggregators;
    this.#side.add(this.#ownReplica).add(BRANCH);
  }

  /** Who is reached under a name, by whoever calls. Witnesses and members answer both sides. */
  route(from: string, to: string): string {
    const isBranch = this.#side.has(from);
    if (to === 'coordinator') return isBranch ? BRANCH : to;
    if (to === this.#ownReplica || to === this.#otherReplica) return isBranch ? this.#ownReplica : this.#otherReplica;
    return to;
  }
}

/** Gives a second coordinator the first leaves of the log, and starts it. */
export function branch(draw: Draw, from: CorruptCoordinator, to: CorruptCoordinator, firstLeaves: number): void {
  const leaves = from.durable;
  const kept = draw.between(Math.max(firstLeaves, leaves.length - 6), leaves.length);
  to.take(leaves.slice(0, kept), from.disk);
  to.start();
  to.say(`branches after ${kept} of ${leaves.length} leaves`);
}
