import { setCount } from '../crypto/params.ts';
import { candidates } from '../crypto/share-claims.ts';
import { subsets } from '../crypto/sharing.ts';
import { holderOf, isReady } from './disputes.ts';
import { type Rejection, reject } from './errors.ts';
import { GrowingMap } from './growing-map.ts';
import type { Patch } from './patch.ts';
import { checkHolders, runningRound } from './rules-round.ts';
import { shareClaims } from './share-agreement.ts';
import {
  type Attempt,
  type Complaint,
  type Confirm,
  findParty,
  isOver,
  type Round,
  type Transcript,
} from './transcript.ts';
import type { Signed } from './verified.ts';

type Confirming = Extract<Round, { phase: 'confirming' }>;

/** The round whose current attempt has this close leaf, and nothing decided yet. */
function confirmingRound(t: Transcript, close: string): Confirming | Rejection {
  const id = t.roundOfClose.get(close);
  if (id === undefined) return reject('UNKNOWN_CLOSE', 'no such close');
  const round = runningRound(t, id);
  if ('rejected' in round) return round;
  if (round.phase !== 'confirming') return reject('ALREADY_DECIDED', 'the round is decided');
  if (round.attempt.close !== close) return reject('STALE_ATTEMPT', 'a later attempt has begun');
  return round;
}

function withAttempt(round: Confirming, attempt: Attempt): Confirming {
  return { ...round, attempt, attempts: [...round.attempts.slice(0, -1), attempt] };
}

/** Whether a sharing has what every holder of the record needs, and no seed of another one. */
export function checkSharing(
  t: Transcript,
  record: Round['record'],
  body: Pick<Confirm['body'], 'boxes' | 'seeds'>,
): Rejection | null {
  const holders = [...record.members, ...record.recipients].map((holder) => holder.name);
  if (body.boxes.length !== holders.length || holders.some((name, i) => body.boxes[i]?.holder !== name)) {
    return reject('BOXES_MISMATCH', "one box for each member and recipient, in the record's order");
  }
  if (body.seeds.length !== setCount(record.members.length, record.parameters.threshold) + 1) {
    return reject('BOXES_MISMATCH', 'one seed commitment for each set and one for the recipients');
  }
  if (new Set(body.seeds).size !== body.seeds.length || body.seeds.some((seed) => t.nonces.has(seed))) {
    return reject('SEED_REUSED', 'a seed commitment occurs twice');
  }
  return null;
}

/** A node of U stands by the set, the model and its shares. The first confirmation of (node, attempt) counts. */
export function confirmRule(t: Transcript, { leaf, hash }: Signed<'confirm'>): Patch | Rejection {
  const { body } = leaf;
  const round = confirmingRound(t, body.close);
  if ('rejected' in round) return round;
  const { attempt, record } = round;
  if (record.masking === 'none')
    return reject('MASKING_MISMATCH', 'nothing is confirmed in a round without masks: its uploads shared their keys');
  const holdersLeft = checkHolders(t, record);
  if (holdersLeft !== null) return holdersLeft;
  if (!attempt.cohort.some((upload) => upload.node === leaf.actor)) return reject('NOT_IN_COHORT', 'not a node of U');
  if (attempt.confirms.has(leaf.actor)) return reject('DUPLICATE_CONFIRM', 'the node confirmed this attempt');
  if (body.modelHash !== record.modelHash) return reject('MODEL_MISMATCH', 'the node was given another model');
  const sharing = checkSharing(t, record, body);
  if (sharing !== null) return sharing;
  const { primes } = record.parameters;
  if (body.checksum.length !== 6 * primes.length || body.checksum.some((r, i) => r >= primes[i % primes.length]!)) {
    return reject('MALFORMED', 'six checksum residues for each prime');
  }
  const confirm: Confirm = { index: t.size, hash, node: leaf.actor, body };
  const confirms = GrowingMap.extend(attempt.confirms, leaf.actor, confirm);
  return { round: withAttempt(round, { ...attempt, confirms }), nonces: body.seeds };
}

function findConfirm(t: Transcript, hash: string): { round: Confirming; confirm: Confirm } | Rejection {
  for (const round of t.rounds.values()) {
    if (round.phase !== 'confirming' || isOver(t, round)) continue;
    for (const confirm of round.attempt.confirms.values()) if (confirm.hash === hash) return { round, confirm };
  }
  return reject('UNKNOWN_CONFIRM', 'no such confirmation in a running attempt');
}

function isListed(round: Round, name: string): boolean {
  return round.record.members.some((member) => member.name === name);
}

/** A member or recipient has opened and checked its boxes of all of U. */
export function readyRule(t: Transcript, { leaf }: Signed<'ready'>): Patch | Rejection {
  const round = confirmingRound(t, leaf.body.close);
  if ('rejected' in round) return round;
  const { attempt } = round;
  const holder = holderOf(round.record, leaf.actor);
  if (holder === null) return reject('WRONG_ROLE', 'not a member or recipient of this round');
  if (attempt.confirms.size < attempt.cohort.length) return reject('NOT_CONFIRMED', 'not all of U have confirmed');
  if (isReady(attempt, leaf.actor)) return reject('DUPLICATE_READY', 'the holder is already ready');
  const kind = holder.role === 'member' ? 'ready' : 'readyRecipients';
  return { round: withAttempt(round, { ...attempt, [kind]: new Set(attempt[kind]).add(leaf.actor) }) };
}

function setComplaint(round: Confirming, confirm: string, holder: string, complaint: Complaint): Confirming {
  const { attempt } = round;
  const ofConfirm = new Map(attempt.complaints.get(confirm) ?? []).set(holder, complaint);
  return withAttempt(round, { ...attempt, complaints: new Map(attempt.complaints).set(confirm, ofConfirm) });
}

/** A member or recipient cannot use a node's box. After a second box, a second complaint is final. */
export function complaintRule(t: Transcript, { leaf }: Signed<'complaint'>): Patch | Rejection {
  const found = findConfirm(t, leaf.body.confirm);
  if ('rejected' in found) return found;
  const { round, confirm } = found;
  if (holderOf(round.record, leaf.actor) === null)
    return reject('WRONG_ROLE', 'not a member or recipient of this round');
  if (isReady(round.attempt, leaf.actor)) return reject('DUPLICATE_READY', 'the holder already said that it is ready');
  const before = round.attempt.complaints.get(confirm.hash)?.get(leaf.actor);
  if (before !== undefined && (before.resealed === null || before.final)) {
    return reject('DUPLICATE_COMPLAINT', 'the complaint stands already');
  }
  const complaint: Complaint = { resealed: before?.resealed ?? null, final: before !== undefined };
  return { round: setComplaint(round, confirm.hash, leaf.actor, complaint) };
}

/** The node answers a complaint with a second box for that holder: once. */
export function resealRule(t: Transcript, { leaf }: Signed<'reseal'>): Patch | Rejection {
  const found = findConfirm(t, leaf.body.confirm);
  if ('rejected' in found) return found;
  const { round, confirm } = found;
  if (confirm.node !== leaf.actor) return reject('WRONG_ROLE', 'only the node itself seals again');
  const complaint = round.attempt.complaints.get(confirm.hash)?.get(leaf.body.holder);
  if (complaint === undefined) return reject('UNKNOWN_CONFIRM', 'that holder has not complained');
  if (complaint.resealed !== null) return reject('DUPLICATE_RESEAL', 'a box is sealed again once only');
  return { round: setComplaint(round, confirm.hash, leaf.body.holder, { resealed: leaf.body.hash, final: false }) };
}

type Decided = Extract<Round, { phase: 'decided' }>;

function decidedRound(t: Transcript, decide: string): Round | Rejection {
  const round = t.rounds.get(t.roundOfDecide.get(decide) ?? '');
  return round ?? reject('UNKNOWN_DECISION', 'no such decision');
}

const ended = (): Rejection => reject('ROUND_ENDED', 'the round has ended, by result, abort or max_leaves');

/** A member's answer: hashes of every K_T it holds, and what it sealed to each recipient. */
export function answerRule(t: Transcript, { leaf }: Signed<'answer'>): Patch | Rejection {
  const { body } = leaf;
  const round = decidedRound(t, body.decide);
  if ('rejected' in round) return round;
  if (round.phase !== 'decided' || isOver(t, round)) return ended();
  const { record, decision } = round;
  if (record.recipients.some(({ name }) => findParty(t, name)?.revoked !== false)) {
    return reject('REVOKED', 'nothing is sealed to a recipient that was revoked');
  }
  if (!isListed(round, leaf.actor)) return reject('WRONG_ROLE', 'not a member of this round');
  if (!decision.attempt.ready.has(leaf.actor)) return reject('NOT_READY', 'the member never said that it was ready');
  if (decision.answers.has(leaf.actor)) return reject('DUPLICATE_ANSWER', 'the member has answered');
  if (body.shares.length !== setCount(record.members.length - 1, record.parameters.threshold)) {
    return reject('SHARES_MISMATCH', 'one hash for each set that holds the member');
  }
  const names = record.recipients.map((recipient) => recipient.name);
  if (body.sealed.length !== names.length || names.some((name, i) => body.sealed[i]?.recipient !== name)) {
    return reject('SHARES_MISMATCH', 'one sealed answer for each recipient');
  }
  const answers = new Map(decision.answers).set(leaf.actor, { index: t.size, body });
  const next: Decided = { ...round, decision: { ...decision, answers } };
  return { round: next };
}

/** A recipient opened the sum. Every recipient that speaks must have the same result. */
export function releaseRule(t: Transcript, { leaf }: Signed<'release'>): Patch | Rejection {
  const { body } = leaf;
  const round = decidedRound(t, body.decide);
  if ('rejected' in round) return round;
  if (!round.record.recipients.some((recipient) => recipient.name === leaf.actor)) {
    return reject('WRONG_ROLE', 'not a recipient of this round');
  }
  if (new Set(body.liars).size !== body.liars.length || body.liars.some((name) => !isListed(round, name))) {
    return reject('SHARES_MISMATCH', 'liars are members of the round, each named once');
  }
  if (round.phase === 'released') {
    if (round.releasedBy.includes(leaf.actor)) return reject('DUPLICATE_RELEASE', 'already released');
    if (round.resultHash !== body.resultHash)
      return reject('RESULT_MISMATCH', 'two recipients opened different results');
    const liars = [...new Set([...round.liars, ...body.liars])];
    return { round: { ...round, releasedBy: [...round.releasedBy, leaf.actor], liars } };
  }
  if (round.phase !== 'decided' || isOver(t, round)) return ended();
  const shares = checkShares(round, body.liars);
  if (shares !== null) return shares;
  const { resultHash, liars } = body;
  return { round: { ...round, phase: 'released', resultHash, releasedBy: [leaf.actor], liars } };
}

/** A result comes from t answers that agree with each other, of members that the recipient does not call liars. */
function checkShares({ record, decision }: Decided, liars: readonly string[]): Rejection | null {
  const { members, threshold } = record.parameters;
  const claims = shareClaims(record, decision, liars);
  if (claims.size < threshold) return reject('TOO_FEW_ANSWERS', 'no result can come from fewer than t answers');
  const { done } = candidates(subsets(members, threshold), threshold, claims).next();
  return done === true ? reject('SHARE_CONFLICT', 'no t answers agree on every share') : null;
}
