import { bytesEqual } from '../../crypto/encoding.ts';
import type { Opening } from '../../protocols/recipient.ts';
import type { QuorumChange } from '../../protocols/rules-membership.ts';
import type { Attempt, Decision, Round, Transcript } from '../../protocols/transcript.ts';
import { windowKey } from '../../protocols/transcript.ts';

/** What an approval is of, as one text. */
export function approvalOf(member: string, { number, members, threshold }: QuorumChange): string {
  return `${member}: ${number} ${threshold} of ${members.join()}`;
}

/** What must hold in every run. */
export const INVARIANTS = {
  S1: 'an opened sum is the sum of what the nodes of its set sent, coordinate by coordinate: no other value appears',
  S2: 'no node is in a sum twice: no coordinate of an honest node is ever 2',
  S3: 'a round is opened over one set, and everybody who opens it gets the same values',
  S4: 'honest members answer one decision per task, model and window',
  S5: 'an honest node confirms one set per round and attempt, holding its own upload, and none after a decision it saw',
  S6: 'no two honest parties act on logs of which neither is the beginning of the other',
  S7: 'what was acknowledged is in the log, at the index that was told',
  S8: "the log's leaves stand in the order of the rules, judged by another implementation of them",
  S9: 'charges of decided rounds stay within the budget, and are charged when they are decided',
  S10: 'secrets of a round are gone when everybody has seen its end',
  S11: 'every round that was opened ends, once the faults have ended',
  S12: 'honest parties alone bring every decided round to its result',
  S13: 'an honest log is never refused by an honest reader',
  S14: 'no step throws anything but a refusal',
  S15: 'a named liar is one',
  S16: 'a one-time key encrypts one payload and a round key serves one round, even of a machine that came back from a backup',
  S17: 'no seed of a mask or a share, no one-time key and no round key of an honest party is in a message, a leaf, an event or on a disk, but in the folder of its round',
  S18: 'what two sums over one model and window tell together is a sum over min_cohort nodes of min_organisations, or nothing',
} as const;

export type InvariantId = keyof typeof INVARIANTS;

/** An invariant that does not hold. It ends the run. */
export class Violation extends Error {
  readonly id: InvariantId;

  constructor(id: InvariantId, what: string) {
    super(`${id} ${INVARIANTS[id]}: ${what}`);
    this.name = 'Violation';
    this.id = id;
  }
}

/** Who may do anything, and who came back from a backup: invariants speak of the others. */
export interface Trust {
  readonly corrupt: ReadonlySet<string>;
  /** Parties restored from an older state: honest, but they may say twice what they said once. */
  readonly restored: Set<string>;
}

/**
 * What really happened, as nobody in the run knows it. Parties tell it what they do; it compares with what may be, and
 * has no influence on the run.
 */
export class Truth {
  readonly trust: Trust;
  /** Plain values by payload hash, of whoever made the payload. */
  readonly plain = new Map<string, Int32Array>();
  /** Opened values by round. */
  readonly opened = new Map<string, { readonly values: Int32Array; readonly liars: readonly string[] }>();
  readonly acknowledged = new Map<number, string>();
  /** Whether the order of hashes decided something: the halves of a failed set, or which of two replicas is believed. */
  isByHashes = false;
  /** Members that answered otherwise than their boxes say, by decide leaf. */
  readonly lied = new Map<string, Set<string>>();
  /** Approvals of the quorum's changes that were given. */
  readonly approvals = new Set<string>();
  readonly #leaves: Uint8Array[] = [];
  readonly #answered = new Map<string, string>();
  readonly #confirmed = new Map<string, string>();
  readonly #uses = new Map<string, string>();

  constructor(trust: Trust) {
    this.trust = trust;
  }

  isHonest(name: string): boolean {
    return !this.trust.corrupt.has(name);
  }

  /** A party that is honest and remembers everything it did. */
  isFaithful(name: string): boolean {
    return this.isHonest(name) && !this.trust.restored.has(name);
  }

  /** An honest party took leaves in. */
  took(name: string, firstIndex: number, leaves: readonly Uint8Array[]): void {
    if (!this.isHonest(name)) return;
    for (const [i, leaf] of leaves.entries()) {
      const other = this.#leaves[firstIndex + i];
      if (other === undefined) this.#leaves[firstIndex + i] = leaf;
      else if (other !== leaf && !bytesEqual(other, leaf)) {
        throw new Violation('S6', `${name} has another leaf ${firstIndex + i}`);
      }
    }
  }

  acknowledge(index: number, leafHash: string): void {
    const before = this.acknowledged.get(index);
    if (before !== undefined && before !== leafHash) throw new Violation('S7', `two leaves were told index ${index}`);
    this.acknowledged.set(index, leafHash);
  }

  confirmed(name: string, round: Round, attempt: Pick<Attempt, 'close' | 'number' | 'confirms'>, leaf: string): void {
    if (round.phase !== 'confirming' && this.isFaithful(name)) {
      throw new Violation('S5', `${name} confirms a round that is ${round.phase}`);
    }
    const { close, number, confirms } = attempt;
    if (confirms.has(name) && this.isHonest(name))
      throw new Violation('S5', `${name} confirms what the log shows confirmed`);
    this.#once('S5', `${name} ${round.id} ${number}`, close, this.isHonest(name), this.#confirmed);
    this.#once('S5', `${name} ${close}`, leaf, this.isFaithful(name), this.#confirmed);
  }

  /** A member signs for a change of the quorum. */
  approved(member: string, change: QuorumChange): void {
    this.approvals.add(approvalOf(member, change));
  }

  answered(name: string, t: Transcript, round: Round, decision: Decision): void {
    // Also of members that came back from a backup: they catch up with the log, which has one decision.
    this.#once('S4', windowKey(t, round.record), decision.hash, this.isHonest(name), this.#answered);
  }

  /** An honest party uses a key for something. @param key - its hash */
  usedKey(name: string, key: string, forWhat: string): void {
    if (!this.isHonest(name)) return;
    const before = this.#uses.get(key);
    if (before !== undefined && before !== forWhat) throw new Violation('S16', `${name} uses a key again`);
    this.#uses.set(key, forWhat);
  }

  #once(id: InvariantId, slot: string, what: string, isAsked: boolean, said: Map<string, string>): void {
    if (!isAsked) return;
    const before = said.get(slot);
    if (before !== undefined && before !== what) throw new Violation(id, `two different ones: ${slot}`);
    said.set(slot, what);
  }

  /** An honest recipient opened a sum. */
  openedSum(name: string, round: Round, decision: Decision, opening: Opening): void {
    const expected = new Int32Array(opening.values.length);
    for (const upload of decision.attempt.cohort) {
      const plain = this.plain.get(upload.body.payloadHash);
      if (plain === undefined) throw new Violation('S1', `nobody made the payload of ${upload.node}`);
      for (const [i, x] of plain.entries()) expected[i]! += x;
    }
    const wrong = opening.values.findIndex((x, i) => x !== expected[i]);
    if (wrong >= 0) {
      const doubled = opening.values[wrong] === 2 * expected[wrong]!;
      throw new Violation(
        doubled ? 'S2' : 'S1',
        `${name} has ${opening.values[wrong]} at ${wrong} and not ${expected[wrong]}`,
      );
    }
    const before = this.opened.get(round.id);
    if (before?.values.some((x, i) => x !== opening.values[i]) === true) {
      throw new Violation('S3', `${name} opened round ${round.record.number} to other values`);
    }
    const guiltless = opening.liars.find((liar) => this.isHonest(liar));
    if (guiltless !== undefined) throw new Violation('S15', `${name} names ${guiltless}`);
    this.opened.set(round.id, { values: opening.values.slice(), liars: [...opening.liars] });
  }
}
