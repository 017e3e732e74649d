import type { Holder } from '../crypto/share-box.ts';
import type { RoundRecord } from './record.ts';
import { type Attempt, type Confirm, isRunning, type Transcript } from './transcript.ts';

/**
 * A holder is whoever is sealed a box by every node of U: the members, and the recipients with one seed that all of them
 * share. All of them open and check their boxes before the decision, and say so in the log.
 */
export function holderOf(record: RoundRecord, name: string): Holder | null {
  const index = record.members.findIndex((member) => member.name === name);
  if (index >= 0) return { role: 'member', index };
  const place = record.recipients.findIndex((recipient) => recipient.name === name);
  return place >= 0 ? { role: 'recipient', index: place } : null;
}

/** Whether a holder said that it opened and checked every box of U. */
export function isReady(attempt: Attempt, name: string): boolean {
  return attempt.ready.has(name) || attempt.readyRecipients.has(name);
}

/** Whether a holder cannot be ready with a node: its complaint was not answered, or not even a second box helped. */
export function isStuck(attempt: Attempt, confirm: string, holder: string): boolean {
  if (isReady(attempt, holder)) return false;
  const complaint = attempt.complaints.get(confirm)?.get(holder);
  return complaint !== undefined && (complaint.resealed === null || complaint.final);
}

/** A box that its holder says it cannot use. One of the two is at fault, and the log does not tell which. */
export interface Dispute {
  readonly node: string;
  readonly holder: string;
  /** Also the second box was no better; else the node has not sealed it again. */
  readonly final: boolean;
}

/** What members and recipients complain about and no second box has mended, in the order of the confirmations. */
export function disputesOf(attempt: Attempt): Dispute[] {
  const confirms = [...attempt.confirms.values()];
  return confirms.flatMap(({ node, hash }) =>
    [...(attempt.complaints.get(hash) ?? [])]
      .filter(([holder]) => isStuck(attempt, hash, holder))
      .map(([holder, { final }]) => ({ node, holder, final })),
  );
}

/** Disputes with recipients: the round cannot be decided with them, and no recipient's word may leave a node out. */
export function recipientDisputes(record: RoundRecord, attempt: Attempt): Dispute[] {
  return disputesOf(attempt).filter(({ holder }) => record.recipients.some(({ name }) => name === holder));
}

/** Whether recipients have nothing more to say about second boxes: all that they complained about is settled or final. */
export function areComplaintsSettled(record: RoundRecord, attempt: Attempt): boolean {
  const waiting = waitedFor(record, attempt);
  return [...attempt.complaints.values()].every((by) => waiting.every((name) => by.get(name)?.final !== false));
}

/** Recipients that have not said that they are ready. */
export function waitedFor(record: RoundRecord, attempt: Attempt): string[] {
  return record.recipients.map(({ name }) => name).filter((name) => !attempt.readyRecipients.has(name));
}

/** Whether a holder should look into its boxes now: all of U confirmed, and no box of it waits for its node. */
export function shouldCheckBoxes(attempt: Attempt, name: string): boolean {
  if (attempt.confirms.size < attempt.cohort.length || isReady(attempt, name)) return false;
  return [...attempt.confirms.values()].every(({ hash }) => !isStuck(attempt, hash, name));
}

/** What a holder's look into its boxes depends on: it changes when a box was sealed again for it. */
export function boxesKey(attempt: Attempt, name: string): string {
  const own = [...attempt.complaints.values()].map((by) => by.get(name));
  return `check-boxes ${attempt.close} ${own.map((c) => (c === undefined ? '' : `${c.resealed} ${c.final}`)).join()}`;
}

/** Hash of the box that counts for a holder: the one in the confirm leaf, or the one sealed again. */
export function boxHashFor(attempt: Attempt, confirm: Confirm, name: string): string {
  const resealed = attempt.complaints.get(confirm.hash)?.get(name)?.resealed;
  return resealed ?? confirm.body.boxes.find((box) => box.holder === name)!.hash;
}

/** A node and a holder that could not agree over a box, and in how many rounds. */
export interface Quarrel {
  readonly node: string;
  readonly holder: string;
  readonly rounds: number;
}

/** Who was in dispute with whom in the ended rounds of a task, the most frequent first. */
export function quarrelsOf(t: Transcript, task: string): Quarrel[] {
  const found = new Map<string, Quarrel>();
  for (const round of t.rounds.values()) {
    if (round.record.task !== task || isRunning(round)) continue;
    const pairs = new Map(
      round.attempts.flatMap(disputesOf).map((dispute) => [`${dispute.node} ${dispute.holder}`, dispute]),
    );
    for (const [pair, { node, holder }] of pairs) {
      found.set(pair, { node, holder, rounds: (found.get(pair)?.rounds ?? 0) + 1 });
    }
  }
  return [...found.values()].sort((a, b) => b.rounds - a.rounds);
}
