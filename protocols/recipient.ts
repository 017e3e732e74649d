import { DOMAIN } from '../crypto/domain.ts';
import { fromHex, toHex } from '../crypto/encoding.ts';
import { CryptoError } from '../crypto/errors.ts';
import { createOpener, type PayloadContext } from '../crypto/payload.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { unpackResidues } from '../crypto/residues.ts';
import { type SecretBytes, wipe } from '../crypto/secret.ts';
import { openAnswer, type ShareSums, shareSumHash } from '../crypto/share-box.ts';
import { type Candidate, candidates, liars, type ShareClaims } from '../crypto/share-claims.ts';
import { heldBy, type MemberSet, recoverKey, shareSum, subsets } from '../crypto/sharing.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { finishedGroup } from './buckets.ts';
import { type CheckedSum, readSum } from './checked-sum.ts';
import { shouldCheckBoxes } from './disputes.ts';
import { isRejection, ProtocolError, type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { memberIndex } from './member.ts';
import {
  type Announce,
  type Attempt,
  type Decision,
  isOver,
  isWithdrawn,
  type Round,
  type Transcript,
} from './transcript.ts';

type Released = Extract<Round, { phase: 'released' }>;

/** What the log asks of a recipient next. */
export type RecipientDuty =
  | { readonly duty: 'round-key'; readonly announce: Announce }
  | { readonly duty: 'first-model' }
  | { readonly duty: 'check-boxes'; readonly round: Round; readonly attempt: Attempt }
  | { readonly duty: 'open'; readonly round: Round; readonly decision: Decision }
  /** `sums`: one round, or the released ones of a group of buckets; `decision` is the first one's. */
  | { readonly duty: 'next-model'; readonly sums: readonly Released[]; readonly decision: Decision }
  | { readonly duty: 'forget'; readonly announce: Announce };

export function recipientDuties(t: Transcript, name: string, keeps: (announce: string) => boolean): RecipientDuty[] {
  const duties: RecipientDuty[] = [];
  if (t.models.length === 0) duties.push({ duty: 'first-model' });
  for (const announce of t.announces.values()) {
    if (!announce.recipients.includes(name)) continue;
    if (announce.openedAs === null) {
      if (isWithdrawn(t, announce)) {
        if (keeps(announce.hash)) duties.push({ duty: 'forget', announce });
      } else if (!announce.roundKeys.has(name)) duties.push({ duty: 'round-key', announce });
      continue;
    }
    const round = t.rounds.get(announce.openedAs)!;
    if (round.phase === 'confirming' && !isOver(t, round)) {
      const { attempt } = round;
      if (keeps(announce.hash) && shouldCheckBoxes(attempt, name)) duties.push({ duty: 'check-boxes', round, attempt });
    } else if (
      round.phase === 'decided' &&
      !isOver(t, round) &&
      round.decision.answers.size >= round.record.parameters.threshold
    ) {
      if (keeps(announce.hash)) duties.push({ duty: 'open', round, decision: round.decision });
    } else if (round.phase === 'released') {
      // One model per released round, made by its first releaser; a round of counts only has no next model.
      const { decision } = round;
      const used = t.models.some((model) => model.decide === decision.hash);
      const newest = t.models.at(-1);
      const sums = round.record.bucket === undefined ? [round] : (finishedGroup(t, round.record) ?? []);
      const isMine = sums[0] === round && round.releasedBy[0] === name;
      const hasAll = sums.every(({ releasedBy }) => releasedBy.includes(name));
      if (!used && isMine && hasAll && newest?.number === round.record.modelNumber) {
        duties.push({ duty: 'next-model', sums, decision });
      }
    }
    if (isOver(t, round) && keeps(announce.hash)) duties.push({ duty: 'forget', announce });
  }
  return duties;
}

/** Blobs that an opening needs, by what the log says of them. Each was checked against its hash when it was fetched. */
export interface OpeningInput {
  readonly context: PayloadContext;
  readonly round: Round;
  readonly decision: Decision;
  readonly recipient: string;
  /** The recipient's X-Wing seed of the round. Not wiped here. */
  readonly roundKey: SecretBytes;
  /** Sum of z_i over U, packed. */
  readonly correctionSum: Uint8Array;
  /** s_iR of each node of U, out of the recipient's own boxes (`checkBox`). Not wiped here. */
  readonly seeds: ReadonlyMap<string, readonly SecretBytes[]>;
  /** Sealed answers by member. */
  readonly answers: ReadonlyMap<string, Uint8Array>;
  /** The summed payload of the decision's attempt (`CheckedSum.of`), or why it is none. */
  readonly sum: CheckedSum | Rejection;
}

export interface Opening {
  /** The summed values, exact: d integers. */
  readonly values: Int32Array;
  readonly resultHash: string;
  /** Members whose answer differs from the one that opened. */
  readonly liars: readonly string[];
}

export function resultHashOf(p: Primitives, values: Int32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return toHex(hashWithLabel(p, DOMAIN.resultHash, bytes));
}

interface Answers {
  readonly claims: ShareClaims;
  readonly sums: ReadonlyMap<number, ShareSums>;
}

/** Opens the answers. What a member logged is its claim; a share that is not what it logged is left out. */
function openAnswers(p: Primitives, input: OpeningInput, sets: readonly MemberSet[], recipient: number): Answers {
  const { round, decision, roundKey } = input;
  const { maskModulusBits, ringDegree } = round.record.parameters;
  const decideHash = fromHex(decision.hash, 32);
  const claims = new Map<number, Map<number, string>>();
  const sums = new Map<number, ShareSums>();
  for (const [name, sealed] of input.answers) {
    const logged = decision.answers.get(name);
    if (logged === undefined) continue;
    const member = memberIndex(round, name);
    const context = { decideHash, bucket: 0, member, recipient };
    const opened = openAnswer(p, roundKey, context, sealed, maskModulusBits, ringDegree);
    if (!('sums' in opened)) continue;
    const held = heldBy(sets, member);
    const genuine = held.every((set, place) => {
      const sum = opened.sums.get(set);
      return (
        sum !== undefined &&
        toHex(shareSumHash(p, decideHash, 0, sets[set]!, sum, maskModulusBits)) === logged.body.shares[place]
      );
    });
    if (!genuine) {
      for (const sum of opened.sums.values()) wipe(sum);
      continue;
    }
    claims.set(member, new Map(held.map((set, place) => [set, logged.body.shares[place]!])));
    sums.set(member, opened.sums);
  }
  return { claims, sums };
}

/** K_T of every set as a candidate has it. */
function sharesOf(answers: Answers, candidate: Candidate): Uint16Array[] {
  return candidate.hashes.map((hash, set) => {
    const member = candidate.members.find((m) => answers.claims.get(m)?.get(set) === hash)!;
    return answers.sums.get(member)!.get(set)!;
  });
}

/** All values under a key; null where it does not open every block. The short last block is tried first. */
function openValues(context: PayloadContext, { block }: CheckedSum, key: Int32Array): Int32Array | null {
  const { blocks, dimension } = context.parameters;
  const values = new Int32Array(dimension);
  using opener = createOpener(context, key);
  try {
    const last = opener.block(blocks - 1, block(blocks - 1));
    values.set(last, dimension - last.length);
    for (let j = 0, at = 0; j < blocks - 1; j++) {
      const part = opener.block(j, block(j));
      values.set(part, at);
      at += part.length;
    }
    return values;
  } catch (error) {
    wipe(values); // the blocks before the one that does not fit
    if (error instanceof CryptoError && error.code === 'KEY_DOES_NOT_FIT') return null;
    throw error;
  }
}

/** How a sum that cannot be opened ends its round in the log. */
export function abortReasonOf({ rejected }: Rejection): Body<'abort'>['reason'] {
  const named = ['BOX_UNREADABLE', 'KEY_DOES_NOT_FIT', 'CHECKSUM_MISMATCH', 'SUM_MALFORMED', 'BLOB_LOST'] as const;
  return named.find((code) => code === rejected) ?? 'TOO_FEW_ANSWERS';
}

/**
 * Opens the sum: threshold decryption at the recipient. Tries every way to believe t members; the one that opens every
 * block is right, and the members that logged other hashes are named.
 *
 * @returns exact integers; or TOO_FEW_ANSWERS, CHECKSUM_MISMATCH, SUM_MALFORMED, KEY_DOES_NOT_FIT, none
 * of which says anything that depends on the data. Whatever bytes the others sent, one of these and never an exception.
 */
export function openSum(p: Primitives, input: OpeningInput): Opening | Rejection {
  const { round } = input;
  const { members, threshold, maskModulusBits, ringDegree } = round.record.parameters;
  const recipient = round.record.recipients.findIndex(({ name }) => name === input.recipient);
  const { sum } = input;
  if (isRejection(sum)) return sum;
  if (sum.close !== input.decision.attempt.close)
    throw new ProtocolError('UNKNOWN_CLOSE', 'the sum is of another attempt than the decision');
  const corrections = readSum(() => unpackResidues(input.correctionSum, maskModulusBits, ringDegree));
  if ('rejected' in corrections) return corrections;
  const seeds = input.decision.attempt.cohort.flatMap(({ node }) => input.seeds.get(node)!);
  const own = shareSum(p, seeds, maskModulusBits, ringDegree);
  const sets = subsets(members, threshold);
  const answers = openAnswers(p, input, sets, recipient);
  const wipeAll = (): void => {
    wipe(own);
    for (const sums of answers.sums.values()) for (const sum of sums.values()) wipe(sum);
  };
  try {
    if (answers.sums.size < threshold) return reject('TOO_FEW_ANSWERS', 'fewer than t answers can be used');
    for (const candidate of candidates(sets, threshold, answers.claims)) {
      const key = recoverKey(corrections, sharesOf(answers, candidate), own, maskModulusBits);
      try {
        const values = openValues(input.context, sum, key);
        if (values === null) continue;
        const wrong = liars(sets, answers.claims, candidate).map((index) => round.record.members[index]!.name);
        return { values, resultHash: resultHashOf(p, values), liars: [...wrong, ...silentLiars(input, answers)] };
      } finally {
        wipe(key);
      }
    }
    return reject('KEY_DOES_NOT_FIT', 'no set of t answers opens the sum');
  } finally {
    wipeAll();
  }
}

/** Members that logged an answer whose sealed bytes do not hold what they logged. */
function silentLiars(input: OpeningInput, answers: Answers): string[] {
  return [...input.answers.keys()].filter((name) => !answers.sums.has(memberIndex(input.round, name)));
}
