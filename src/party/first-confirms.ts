import { findAttempt, type Transcript } from '../../protocols/transcript.ts';

/**
 * Which confirmation of a node was let in first for an attempt. Until the log shows one, every other would count as well, and a
 * node could have any number of boxes kept that no leaf names: while the log takes nothing, without end. A node of ours keeps its
 * leaf before it sends it, and sends the same one again.
 */
export class FirstConfirms {
  /** Leaf hashes by close leaf and node; attempts that are over are dropped. */
  readonly #first = new Map<string, Map<string, string>>();

  /** @returns whether it is the first one of its place, or that one again. */
  admit(t: Transcript, close: string, node: string, leaf: string): boolean {
    let ofClose = this.#first.get(close);
    if (ofClose === undefined) {
      for (const other of this.#first.keys())
        if (findAttempt(t, other)?.round.phase !== 'confirming') this.#first.delete(other);
      ofClose = new Map();
      this.#first.set(close, ofClose);
    }
    const first = ofClose.get(node) ?? leaf;
    ofClose.set(node, first);
    return first === leaf;
  }
}
