import { toHex } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Head } from './audit.ts';
import { factsOf, type Remark, type RoundFacts } from './audit-rounds.ts';
import { type Finding, finding } from './findings.ts';
import { dropDetail, emptyTranscript } from './patch.ts';
import { takeLeaf } from './rules.ts';
import type { Round } from './transcript.ts';
import type { SignedLeaf, Verified } from './verified.ts';

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
  transcript = emptyTranscript();
  leaves = 0;
  readonly #p: Primitives;
  readonly #pin: string | null;
  readonly #keepRounds: boolean;
  /** Of ended rounds whose detail was dropped. */
  readonly #facts = new Map<string, RoundFacts>();
  /** The tree's root at sizes that nodes said they had seen: nodes of one round mostly saw the same. */
  readonly #seen = new Map<number, string>();

  constructor(p: Primitives, pin: string | null, keepRounds: boolean) {
    this.#p = p;
    this.#pin = pin;
    this.#keepRounds = keepRounds;
  }

  readonly facts = (round: Round): RoundFacts => this.#facts.get(round.id) ?? factsOf(round);

  /** @param hash - the leaf's RFC 6962 hash. */
  take(bytes: Uint8Array, index: number, rootAt: (size: number) => Uint8Array, hash: Uint8Array): void {
    // What follows a bad leaf would be judged against a state that the log itself contradicts.
    if (this.leaves < index) return;
    const taken = takeLeaf(this.#p, this.transcript, bytes, hash);
    if (taken.outcome === 'refused') {
      this.findings.push(finding(taken.rejection.rejected, index, taken.rejection.why));
      return;
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
    if (leaf.kind === 'upload') this.#checkSeen(leaf.body.seen, index, rootAt);
    if (this.#keepRounds || taken.outcome === 'void') return;
    if (leaf.kind === 'abort') this.#end(leaf.body.round);
    else if (leaf.kind === 'release') this.#end(this.transcript.roundOfDecide.get(leaf.body.decide)!);
  }

  /** Nothing but its facts is needed of a round that has ended: memory does not grow with the rounds of a log. */
  #end(id: string): void {
    const round = this.transcript.rounds.get(id);
    if (round === undefined) return; // an abort that withdraws an announcement
    if (!this.#facts.has(id)) this.#facts.set(id, factsOf(round));
    dropDetail(this.transcript, id);
  }

  /** Check 6: a node signs the head it last saw. Another root there is a fork that a node was shown. */
  #checkSeen(seen: { size: number; root: string }, index: number, rootAt: (size: number) => Uint8Array): void {
    if (seen.size > index || this.#rootAt(seen.size, rootAt) !== seen.root) {
      this.findings.push(finding('SPLIT_VIEW', index, 'the node that signed this upload had seen another head'));
    }
  }

  #rootAt(size: number, rootAt: (size: number) => Uint8Array): string {
    const known = this.#seen.get(size) ?? toHex(rootAt(size));
    if (this.#seen.size >= SEEN_ROOTS) this.#seen.clear();
    this.#seen.set(size, known);
    return known;
  }
}
