import { toHex } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Head } from './audit.ts';
import { factsOf, type Remark, type RoundFacts } from './audit-rounds.ts';
import { type Finding, finding } from './findings.ts';
import { dropDetail, emptyTranscript } from './patch.ts';
import type { Reading } from './repeats.ts';
import { takeLeaf } from './rules.ts';
import type { Round, Transcript } from './transcript.ts';
import type { SignedLeaf, Verified } from './verified.ts';

/** The tree's root at a size that was read already; null where it cannot be told, which is a finding elsewhere. */
export type RootAt = (size: number) => Uint8Array | null;

/** Clocks decide nothing. Differences above this are worth a line, in ms. */
const SKEW_MS = 60_000;

/** Check 22: the largest step back between a leaf's clock and the latest one before it. */
class Clocks {
  #latest = 0;
  #worst: { readonly ms: number; readonly index: number; readonly actor: string } | null = null;

  see({ leaf }: Verified<SignedLeaf>, index: number): void {
    const behind = this.#latest - leaf.time;
    if (behind > (this.#worst?.ms ?? SKEW_MS)) this.#worst = { ms: behind, index, actor: leaf.actor };
    this.#latest = Math.max(this.#latest, leaf.time);
  }

  remarks(head: Head): Remark[] {
    const remarks: Remark[] = [];
    if (this.#worst !== null) {
      const { ms, index, actor } = this.#worst;
      const text = `the clock of ${actor} is ${Math.round(ms / 1000)} s behind one that signed before it (the largest step back)`;
      remarks.push({ code: 'CLOCK_SKEW', index, text });
    }
    const cosigned = Math.max(0, ...head.cosigners.map(({ timestamp }) => timestamp)) * 1000;
    if (cosigned > 0 && this.#latest - cosigned > SKEW_MS) {
      const text = `a leaf is dated ${Math.round((this.#latest - cosigned) / 1000)} s after every cosignature over it`;
      remarks.push({ code: 'CLOCK_SKEW', index: null, text });
    }
    return remarks;
  }
}

/** Roots kept for being asked again. */
const SEEN_ROOTS = 256;

/** Reads the leaves one by one. Stops at the first that may not stand where it stands. */
export class LeafReader {
  readonly findings: Finding[] = [];
  readonly remarks: Remark[] = [];
  readonly clocks = new Clocks();
  transcript: Transcript;
  leaves = 0;
  readonly #p: Primitives;
  readonly #pin: string | null;
  /** Of ended rounds whose detail was dropped. */
  readonly #facts = new Map<string, RoundFacts>();
  /** The tree's root at sizes that nodes said they had seen: nodes of one round mostly saw the same. */
  readonly #seen = new Map<number, string>();

  constructor(p: Primitives, pin: string | null, reading: Reading) {
    this.#p = p;
    this.#pin = pin;
    this.transcript = emptyTranscript((name) => reading.newSet(name));
  }

  readonly facts = (round: Round): RoundFacts => this.#facts.get(round.id) ?? factsOf(round);

  /**
   * @param hash - the leaf's RFC 6962 hash.
   * @returns a round that it ended, which is to be dropped.
   */
  take(bytes: Uint8Array, index: number, rootAt: RootAt, hash: Uint8Array): Round | undefined {
    // What follows a bad leaf would be judged against a state that the log itself contradicts.
    if (this.leaves < index) return undefined;
    const taken = takeLeaf(this.#p, this.transcript, bytes, hash);
    if (taken.outcome === 'refused') {
      this.findings.push(finding(taken.rejection.rejected, index, taken.rejection.why));
      return undefined;
    }
    this.leaves++;
    if (taken.outcome === 'void') {
      const { rejected, why } = taken.rejection;
      this.remarks.push({ code: 'VOID_LEAF', index, text: `counts for nothing: ${why} (${rejected})` });
    }
    this.transcript = taken.next;
    this.clocks.see(taken.signed, index);
    if (index === 0 && this.#pin !== null && this.transcript.logId !== this.#pin) {
      this.findings.push(finding('GENESIS_PIN', 0, 'this is not the log whose genesis was pinned'));
    }
    const { leaf } = taken.signed;
    if (leaf.kind === 'upload' || leaf.kind === 'one-shot') this.#checkSeen(leaf.body.seen, index, rootAt);
    if (taken.outcome === 'void') return undefined;
    const { rounds, roundOfDecide } = this.transcript;
    // An abort may also withdraw an announcement. Of a second release nothing is left to say: the first one ended it.
    const id = leaf.kind === 'abort' ? leaf.body.round : leaf.kind === 'release' && roundOfDecide.get(leaf.body.decide);
    return id && !this.#facts.has(id) ? rounds.get(id) : undefined;
  }

  /** Nothing but its facts is needed of a round that has ended: memory does not grow with what is in the rounds of a log. */
  drop(round: Round): void {
    this.#facts.set(round.id, factsOf(round));
    dropDetail(this.transcript, round.id);
  }

  /** Rounds that have no end so far. */
  running(): Round[] {
    return [...this.transcript.rounds.values()].filter(({ id }) => !this.#facts.has(id));
  }

  /** Check 6: a node signs the head it last saw. Another root there is a fork that a node was shown. */
  #checkSeen(seen: { size: number; root: string }, index: number, rootAt: RootAt): void {
    const root = seen.size > index ? undefined : this.#rootAt(seen.size, rootAt);
    if (root !== null && root !== seen.root) {
      this.findings.push(finding('SPLIT_VIEW', index, 'the node that signed this upload had seen another head'));
    }
  }

  #rootAt(size: number, rootAt: RootAt): string | null {
    const known = this.#seen.get(size);
    if (known !== undefined) return known;
    const root = rootAt(size);
    if (root === null) return null;
    if (this.#seen.size >= SEEN_ROOTS) this.#seen.clear();
    this.#seen.set(size, toHex(root));
    return toHex(root);
  }
}
