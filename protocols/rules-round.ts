import { DOMAIN } from '../crypto/domain.ts';
import { fromBase64, fromHex, toHex } from '../crypto/encoding.ts';
import { isMaskKey } from '../crypto/masks.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { bucketNodes, checkBucket, isOfBucket } from './buckets.ts';
import { isStuck } from './disputes.ts';
import { type Rejection, reject } from './errors.ts';
import { GrowingMap } from './growing-map.ts';
import type { Body } from './leaves.ts';
import { reserve } from './ledger.ts';
import { checkMinimums } from './minimums.ts';
import { checkMasking, isShared } from './one-shot.ts';
import type { Patch } from './patch.ts';
import { checkQuorumSize } from './quorum-size.ts';
import { type RoundRecord, roundIdOf } from './record.ts';
import { parametersFit } from './record-parameters.ts';
import { followsDecision, mayRetry, retrySet } from './retry.ts';
import {
  type Attempt,
  type Confirm,
  findParty,
  isOver,
  isWithdrawn,
  newestModel,
  type Round,
  type Transcript,
  type Upload,
  windowKey,
} from './transcript.ts';
import type { Signed } from './verified.ts';

/** The quorum of the record: members of the log's quorum in its order, each with the key it logged for this announcement. */
function checkKeyHolders(t: Transcript, record: RoundRecord): Rejection | null {
  const announce = t.announces.get(record.announce)!;
  if (record.parameters.threshold !== t.quorum.threshold) return reject('QUORUM_MISMATCH', "t is the quorum's");
  const size = checkQuorumSize(record.members.length, record.parameters.threshold);
  if (size !== null) return reject('QUORUM_MISMATCH', size);
  const order = t.quorum.members;
  const places = record.members.map((member) => order.indexOf(member.name));
  if (places.some((place, i) => place < 0 || (i > 0 && place <= places[i - 1]!))) {
    return reject('QUORUM_MISMATCH', 'members are listed in the order of the quorum, each once');
  }
  if (record.recipients.map((recipient) => recipient.name).join() !== announce.recipients.join()) {
    return reject('QUORUM_MISMATCH', 'the recipients are not those announced');
  }
  for (const holder of [...record.members, ...record.recipients]) {
    if (findParty(t, holder.name)?.revoked !== false)
      return reject('REVOKED', 'a listed member or recipient is revoked');
    if (announce.roundKeys.get(holder.name)?.hash !== holder.roundKey) {
      return reject('ROUND_KEY_MISSING', 'a listed member or recipient has no such round key');
    }
  }
  return null;
}

/** Opens a round if it may ever be decided: keys, parameters, minimums, model, window and budget. */
export function openRule(p: Primitives, t: Transcript, { leaf, hash }: Signed<'open'>): Patch | Rejection {
  const { record } = leaf.body;
  if (findParty(t, leaf.actor)?.role !== 'coordinator')
    return reject('WRONG_ROLE', 'only the coordinator opens rounds');
  const id = roundIdOf(p, record);
  if (t.rounds.has(id)) return reject('ROUND_EXISTS', 'a second open of the same record is void');
  const announce = t.announces.get(record.announce);
  if (announce === undefined) return reject('UNKNOWN_ANNOUNCE', 'the round was not announced');
  if (announce.openedAs !== null) return reject('ROUND_KEY_REUSED', 'the announced keys already serve a round');
  if (isWithdrawn(t, announce)) return reject('ROUND_ENDED', 'the announcement has ended, and its keys are wiped');
  if (announce.task !== record.task || announce.number !== record.number) {
    return reject('UNKNOWN_ANNOUNCE', 'task or number differ from the announcement');
  }
  const problem =
    checkKeyHolders(t, record) ?? checkMasking(record) ?? checkMinimums(t.genesis!, record) ?? parametersFit(record);
  if (problem !== null) return problem;
  const model = newestModel(t);
  if (model === null || model.modelHash !== record.modelHash || model.number !== record.modelNumber) {
    return reject('UNKNOWN_MODEL', 'the round must start from the newest logged model');
  }
  if (!mayRetry(t, record, record.retryOf))
    return reject('WINDOW_DECIDED', 'a retry names a round of its own window that failed');
  if (t.decidedWindows.has(windowKey(t, record)))
    return reject('WINDOW_DECIDED', 'this task, model and window were decided');
  const division = checkBucket(t, record);
  if (division !== null) return division;
  const ledger = reserve(t.ledger, id, record.charge.rhoNano);
  if ('rejected' in ledger) return ledger;
  const round: Round = {
    phase: 'uploading',
    id,
    openHash: hash,
    openIndex: t.size,
    openTime: leaf.time,
    record,
    assigned: bucketNodes(p, t, record),
    uploads: new Map(),
    attempts: [],
  };
  return { round, ledger, announce: { ...announce, openedAs: id } };
}

/** The round if it exists and has not ended, by result, abort or length. */
export function runningRound(t: Transcript, id: string | undefined): Round | Rejection {
  const round = t.rounds.get(id ?? '');
  if (round === undefined) return reject('UNKNOWN_ROUND', 'no such round');
  if (isOver(t, round)) return reject('ROUND_ENDED', 'the round has ended, by result, abort or max_leaves');
  return round;
}

/** What holds for every upload: one per node and round, before the first close, of the round's size, with a payload of its own. */
export function uploadedTo(t: Transcript, leaf: Signed<'upload' | 'one-shot'>['leaf']): Round | Rejection {
  const { body } = leaf;
  const round = runningRound(t, body.round);
  if ('rejected' in round) return round;
  if (findParty(t, leaf.actor)?.role !== 'node') return reject('WRONG_ROLE', 'only nodes upload');
  if (!isOfBucket(round, leaf.actor)) return reject('NOT_IN_BUCKET', 'the node is of another bucket');
  if (round.uploads.has(leaf.actor)) return reject('DUPLICATE_UPLOAD', 'the node already has an upload in this round');
  if (round.phase !== 'uploading') return reject('LATE_UPLOAD', 'the round is closed');
  if (round.uploads.size >= round.record.parameters.nodesMax) return reject('BAD_COHORT', 'the round is full');
  if (body.payloadBytes !== round.record.parameters.payloadBytes)
    return reject('PAYLOAD_SIZE', 'payload of another size');
  if (t.nonces.has(body.nonce) || t.nonces.has(body.payloadHash) || body.nonce === body.payloadHash) {
    return reject('NONCE_REUSED', 'the nonce or the payload was logged before');
  }
  return round;
}

/** An upload of a round with masks. */
export function uploadRule(t: Transcript, { leaf, hash }: Signed<'upload'>): Patch | Rejection {
  const { body } = leaf;
  const round = uploadedTo(t, leaf);
  if ('rejected' in round) return round;
  if (round.record.masking === 'none')
    return reject('MASKING_MISMATCH', 'a round without masks takes uploads that share their key themselves');
  if (t.keys.has(body.key)) return reject('DUPLICATE_KEY', 'the mask key was used before');
  if (!isMaskKey(fromBase64(body.key, 32)))
    return reject('BAD_KEY', 'a mask key of small order or of another spelling');
  const upload: Upload = { index: t.size, hash, node: leaf.actor, body };
  return {
    round: { ...round, uploads: GrowingMap.extend(round.uploads, leaf.actor, upload) },
    nonces: [body.nonce, body.payloadHash],
    keys: [body.key],
  };
}

/**
 * Who must be in the next attempt: everybody uploaded (first; in a retry a part of the failed set), or everybody of the last
 * attempt that confirmed and that at least t members can be ready with; the retry of a decided round has one attempt. What
 * recipients complain about has no say in it. Nobody chooses the set.
 */
export function nextCohort(t: Transcript, round: Round): Upload[] {
  const present = [...round.uploads.values()]
    .filter((upload) => findParty(t, upload.node)?.revoked === false)
    .sort((a, b) => a.index - b.index);
  const last = round.attempts.at(-1);
  if (last === undefined) return round.record.retryOf === null ? present : [...retrySet(t, round.record, present)];
  // A retry's set without one node would tell that node's update apart, were the failed sum known to somebody.
  if (followsDecision(t, round.record.retryOf)) return [];
  return present.filter((upload) => {
    if (!last.cohort.some((earlier) => earlier.node === upload.node)) return false;
    const confirm = last.confirms.get(upload.node);
    return confirm !== undefined && isServable(t, round.record, last, confirm);
  });
}

/** Whether at least t members can be ready with a node's boxes, now or later. */
export function isServable(t: Transcript, record: RoundRecord, attempt: Attempt, { hash }: Confirm): boolean {
  const able = record.members.filter(({ name }) => isActive(t, name) && !isStuck(attempt, hash, name));
  return able.length >= record.parameters.threshold;
}

export function isActive(t: Transcript, name: string): boolean {
  return findParty(t, name)?.revoked === false;
}

/** Members that said they are ready and can still sign an answer. */
export function readyMembers(t: Transcript, attempt: Attempt): string[] {
  return [...attempt.ready].filter((name) => isActive(t, name));
}

/** Why nobody may open the round any more: a recipient was revoked, or fewer than t members are left. */
export function checkHolders(t: Transcript, record: RoundRecord): Rejection | null {
  if (record.recipients.some(({ name }) => !isActive(t, name))) {
    return reject('REVOKED', 'a recipient of the round was revoked');
  }
  const left = record.members.filter(({ name }) => isActive(t, name)).length;
  return left >= record.parameters.threshold ? null : reject('REVOKED', 'fewer than t members of the round are left');
}

/** What a close leaf says of U besides its indices. */
export function cohortHashOf(p: Primitives, cohort: readonly Upload[]): string {
  return toHex(hashWithLabel(p, DOMAIN.cohortHash, ...cohort.map((upload) => fromHex(upload.hash, 32))));
}

/** Why a set of uploads may not be closed over; null when it may. */
export function checkCohortSize(t: Transcript, record: RoundRecord, cohort: readonly Upload[]): Rejection | null {
  if (cohort.length < record.parameters.minCohort) return reject('COHORT_TOO_SMALL', 'fewer nodes than min_cohort');
  const organisations = new Set(cohort.map((upload) => findParty(t, upload.node)?.organisation));
  if (organisations.size < record.minOrganisations) return reject('TOO_FEW_ORGS', 'fewer organisations than min_orgs');
  return null;
}

/** What stands for confirmations where the uploads shared their keys: all of them, at once. */
function sharedIn(cohort: readonly Upload[], close: string): ReadonlyMap<string, Confirm> {
  const confirmOf = ({ index, hash, node, shared }: Upload & { readonly shared: Body<'one-shot'> }): Confirm => {
    const { correctionHash, boxes, seeds, model } = shared;
    return { index, hash, node, body: { close, modelHash: model.hash, correctionHash, boxes, seeds, checksum: [] } };
  };
  return new Map(cohort.filter(isShared).map((upload) => [upload.node, confirmOf(upload)]));
}

/** Closes an attempt over exactly the set that the leaves before it determine. */
export function closeRule(p: Primitives, t: Transcript, { leaf, hash }: Signed<'close'>): Patch | Rejection {
  const { body } = leaf;
  const round = runningRound(t, body.round);
  if ('rejected' in round) return round;
  if (findParty(t, leaf.actor)?.role !== 'coordinator') return reject('WRONG_ROLE', 'only the coordinator closes');
  if (round.phase !== 'uploading' && round.phase !== 'confirming')
    return reject('ALREADY_DECIDED', 'the round is decided');
  if (body.attempt !== round.attempts.length + 1) return reject('STALE_ATTEMPT', 'attempts follow one another');
  if (body.attempt > round.record.maxAttempts) return reject('TOO_MANY_ATTEMPTS', 'max_attempts is reached');
  const cohort = nextCohort(t, round);
  if (body.uploads.length !== cohort.length || cohort.some((upload, i) => upload.index !== body.uploads[i])) {
    return reject('BAD_COHORT', 'U is not the set that the leaves before the close determine');
  }
  if (body.cohortHash !== cohortHashOf(p, cohort)) {
    return reject('BAD_COHORT', 'the uploads of U are others in this log than the close says');
  }
  const last = round.attempts.at(-1);
  if (last !== undefined && cohort.length >= last.cohort.length)
    return reject('BAD_COHORT', 'a new attempt is smaller');
  const problem = checkCohortSize(t, round.record, cohort) ?? checkHolders(t, round.record);
  if (problem !== null) return problem;
  const attempt: Attempt = {
    number: body.attempt,
    close: hash,
    closeIndex: t.size,
    sumHash: body.sumHash,
    cohort,
    confirms: sharedIn(cohort, hash),
    complaints: new Map(),
    ready: new Set(),
    readyRecipients: new Set(),
  };
  return {
    round: { ...round, phase: 'confirming', attempt, attempts: [...round.attempts, attempt] },
    close: { hash, round: round.id },
  };
}
