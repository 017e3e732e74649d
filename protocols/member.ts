import { fromBase64, fromHex, toHex } from '../crypto/encoding.ts';
import type { Primitives, Rng } from '../crypto/primitives.ts';
import { type SecretBytes, wipe } from '../crypto/secret.ts';
import { sealAnswer, shareSumHash } from '../crypto/share-box.ts';
import { heldBy, shareSum, subsets } from '../crypto/sharing.ts';
import { shouldCheckBoxes } from './disputes.ts';
import type { Body } from './leaves.ts';
import { checkHolders } from './rules-round.ts';
import {
  type Announce,
  type Attempt,
  type Decision,
  isOver,
  isWithdrawn,
  type Round,
  type Transcript,
} from './transcript.ts';

/**
 * What the log asks of a quorum member next. A member refuses by having no such duty: the transcript holds a decision
 * only if it is the first of its round and window, over a confirmed set that reaches the minimums, and charged.
 */
export type MemberDuty =
  | { readonly duty: 'round-key'; readonly announce: Announce }
  | { readonly duty: 'check-boxes'; readonly round: Round; readonly attempt: Attempt }
  | { readonly duty: 'answer'; readonly round: Round; readonly decision: Decision }
  | { readonly duty: 'forget'; readonly announce: Announce };

/**
 * @param keeps - whether the member still holds its key of an announced round.
 * @param hasSent - whether its answer has gone out; by default, whether the log has it.
 */
export function memberDuties(
  t: Transcript,
  name: string,
  keeps: (announce: string) => boolean,
  hasSent = (decision: Decision): boolean => decision.answers.has(name),
): MemberDuty[] {
  const duties: MemberDuty[] = [];
  for (const announce of t.announces.values()) {
    if (announce.openedAs === null) {
      if (isWithdrawn(t, announce)) {
        if (keeps(announce.hash)) duties.push({ duty: 'forget', announce });
      } else if (t.quorum.members.includes(name) && !announce.roundKeys.has(name))
        duties.push({ duty: 'round-key', announce });
      continue;
    }
    if (!keeps(announce.hash)) continue;
    const round = t.rounds.get(announce.openedAs)!;
    const listed = round.record.members.some((member) => member.name === name);
    if (isOver(t, round) || !listed) {
      duties.push({ duty: 'forget', announce });
    } else if (round.phase === 'confirming') {
      const { attempt } = round;
      if (shouldCheckBoxes(attempt, name)) duties.push({ duty: 'check-boxes', round, attempt });
    } else if (
      round.phase === 'decided' &&
      checkHolders(t, round.record) === null &&
      round.decision.attempt.ready.has(name) &&
      !hasSent(round.decision)
    ) {
      duties.push({ duty: 'answer', round, decision: round.decision });
    }
  }
  return duties;
}

/** Index of a member in the record: its place in every set. */
export function memberIndex(round: Round, name: string): number {
  return round.record.members.findIndex((member) => member.name === name);
}

/** A member's answer. Keep exactly these bytes and send them at every retry; K_T and the seeds are gone. */
export interface Answer {
  readonly body: Body<'answer'>;
  readonly sealed: readonly { readonly recipient: string; readonly sealed: Uint8Array }[];
}

/**
 * Adds up the member's share of K over U and seals it to the recipients: K_T = sum over U of PRG(s_iT), for every set T
 * that holds the member. No ciphertext is an input and no noise is added: every holder computes the same K_T.
 *
 * @param seedsOf - for each node of U, the member's seeds in the order of its sets. Not wiped here.
 */
export function makeAnswer(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  round: Round,
  decision: Decision,
  name: string,
  seedsOf: ReadonlyMap<string, readonly SecretBytes[]>,
): Answer {
  const { members, threshold, maskModulusBits, ringDegree } = round.record.parameters;
  const sets = subsets(members, threshold);
  const member = memberIndex(round, name);
  const decideHash = fromHex(decision.hash, 32);
  const cohort = decision.attempt.cohort.map((upload) => seedsOf.get(upload.node)!);
  const sums = new Map<number, Uint16Array>();
  for (const [place, set] of heldBy(sets, member).entries()) {
    const ofSet = cohort.map((seeds) => seeds[place]!);
    sums.set(set, shareSum(p, ofSet, maskModulusBits, ringDegree));
  }
  const { roundKeys } = t.announces.get(round.record.announce)!;
  const sealed = round.record.recipients.map(({ name: recipient }, index) => {
    const context = { decideHash, bucket: 0, member, recipient: index };
    const publicKey = fromBase64(roundKeys.get(recipient)!.kemKey, 1216);
    return { recipient, sealed: sealAnswer(p, rng, context, publicKey, sums, maskModulusBits) };
  });
  const shares = [...sums].map(([set, sum]) => toHex(shareSumHash(p, decideHash, 0, sets[set]!, sum, maskModulusBits)));
  for (const sum of sums.values()) wipe(sum);
  const hashes = sealed.map((box) => ({ recipient: box.recipient, hash: toHex(p.sha256(box.sealed)) }));
  return { body: { decide: decision.hash, shares, sealed: hashes }, sealed };
}
