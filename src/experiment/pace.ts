import { seededRandom } from '../learning/random.ts';

/** One update that is in a sum: whose, and the number of the model that it was trained from. */
export interface Share {
  readonly node: number;
  readonly base: number;
}

/** One opened sum. */
export interface Turn {
  /** When its model is there, in units of a usual node's training. */
  readonly at: number;
  readonly shares: readonly Share[];
}

/** How long each node trains: about 1 for most, `slowness` times that for the last ones. */
export function paceOf(nodes: number, slow: number, slowness: number, seed: number): number[] {
  const random = seededRandom(`pace/${seed}`);
  return Array.from(
    { length: nodes },
    (_, node) => (0.8 + 0.4 * random.uniform()) * (node >= nodes - slow ? slowness : 1),
  );
}

/** Rounds that wait for everybody: each takes as long as the slowest node. */
export function waitingTurns(pace: readonly number[], until: number): Turn[] {
  const each = Math.max(...pace);
  return Array.from({ length: Math.floor(until / each) }, (_, round) => ({
    at: (round + 1) * each,
    shares: pace.map((_, node) => ({ node, base: round })),
  }));
}

/**
 * Rounds that are closed with `buffer` updates: whoever is in one starts anew from the model that it makes, the others go on. An
 * update further behind than `maxStaleness` is dropped, and its node starts anew.
 *
 * Laws: a training is in one turn at most; a share's base is the number of turns that had ended when its training began.
 */
export function bufferedTurns(
  pace: readonly number[],
  { buffer, maxStaleness }: { readonly buffer: number; readonly maxStaleness: number },
  until: number,
): Turn[] {
  const running = pace.map((takes, node) => ({ node, base: 0, done: takes }));
  const turns: Turn[] = [];
  for (;;) {
    const model = turns.length;
    const usable = running.filter(({ base }) => model - base <= maxStaleness).sort((a, b) => a.done - b.done);
    const at = usable[buffer - 1]?.done ?? Number.POSITIVE_INFINITY;
    if (at > until) return turns;
    const shares = usable.filter(({ done }) => done <= at);
    turns.push({ at, shares: shares.map(({ node, base }) => ({ node, base })) });
    for (const own of running) {
      const isDropped = own.done <= at && model - own.base > maxStaleness;
      if (!isDropped && !shares.includes(own)) continue;
      own.base = model + 1;
      own.done = at + pace[own.node]!;
    }
  }
}
