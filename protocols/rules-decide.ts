import { recipientDisputes, waitedFor } from './disputes.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { charge, release } from './ledger.ts';
import type { Patch } from './patch.ts';
import { checkCohortSize, checkHolders, isActive, readyMembers, runningRound } from './rules-round.ts';
import {
  type Announce,
  findParty,
  isRunning,
  isWithdrawn,
  type Round,
  type Transcript,
  windowKey,
} from './transcript.ts';
import type { Signed } from './verified.ts';

/** Decides: at most once per round and per (task, model, window), only over a confirmed set that t members and all recipients can serve. */
export function decideRule(t: Transcript, { leaf, hash }: Signed<'decide'>): Patch | Rejection {
  const { body } = leaf;
  const round = runningRound(t, body.round);
  if ('rejected' in round) return round;
  if (findParty(t, leaf.actor)?.role !== 'coordinator') return reject('WRONG_ROLE', 'only the coordinator decides');
  if (round.phase === 'decided') return reject('ALREADY_DECIDED', 'the first decision binds');
  if (round.phase !== 'confirming') return reject('NOT_CONFIRMED', 'the round is not closed');
  const { attempt, record } = round;
  if (body.close !== attempt.close || body.attempt !== attempt.number)
    return reject('STALE_ATTEMPT', 'not the last attempt');
  const confirms = attempt.cohort.map((upload) => attempt.confirms.get(upload.node)?.index);
  if (body.confirms.length !== confirms.length || confirms.some((index, i) => index !== body.confirms[i])) {
    return reject('NOT_CONFIRMED', 'every node of U must have confirmed');
  }
  if (readyMembers(t, attempt).length < record.parameters.threshold) {
    return reject('NOT_READY', 'fewer than t members are ready');
  }
  // With less than all of them, one could be left with a box that it cannot use, and nobody would have heard of it.
  if (waitedFor(record, attempt).length > 0) return reject('NOT_READY', 'a recipient is not ready');
  if (body.sumHash !== attempt.sumHash) return reject('SUM_MISMATCH', 'not the sum that was closed over');
  if (body.rhoNano !== record.charge.rhoNano) return reject('CHARGE_MISMATCH', 'not the charge of the record');
  const window = windowKey(t, record);
  if (t.decidedWindows.has(window)) return reject('WINDOW_DECIDED', 'this task, model and window were decided');
  const problem = checkCohortSize(t, record, attempt.cohort) ?? checkHolders(t, record);
  if (problem !== null) return problem;
  if (attempt.cohort.some((upload) => !isActive(t, upload.node))) return reject('REVOKED', 'a node of U was revoked');
  const ledger = charge(t.ledger, round.id);
  if ('rejected' in ledger) return ledger;
  const decision = { hash, index: t.size, attempt, body, answers: new Map() };
  return { round: { ...round, phase: 'decided', decision }, decide: { hash, round: round.id, window }, ledger };
}

/** Ends an announcement that was not opened: its round keys are wiped, and it never will be. */
function withdraw(t: Transcript, actor: string, announce: Announce): Patch | Rejection {
  if (announce.openedAs !== null) return reject('UNKNOWN_ROUND', 'an opened round is named by its record');
  if (isWithdrawn(t, announce)) return reject('ROUND_ENDED', 'the announcement has already ended');
  if (findParty(t, actor)?.role !== 'coordinator') return reject('WRONG_ROLE', 'only the coordinator withdraws');
  return { announce: { ...announce, isAborted: true } };
}

/** What only a recipient can know: why a sum that was decided over did not open. */
const OPENING_FAILED: ReadonlySet<string> = new Set<Body<'abort'>['reason']>([
  'BOX_UNREADABLE',
  'KEY_DOES_NOT_FIT',
  'CHECKSUM_MISMATCH',
  'SUM_MALFORMED',
]);

/**
 * Ends before the decision that name somebody by what stands in the log: a coordinator cannot say them of a round where
 * nobody is to blame, nor begin retries over parts with them.
 */
function checkBlame(round: Round, reason: Body<'abort'>['reason']): Rejection | null {
  if (reason !== 'BOX_DISPUTED' && reason !== 'RECIPIENT_NOT_READY') return null;
  const { record } = round;
  const attempt = round.phase === 'confirming' ? round.attempt : null;
  if (attempt === null || attempt.confirms.size < attempt.cohort.length)
    return reject('NOT_CONFIRMED', 'nobody has anything to be ready with');
  const blamed = reason === 'BOX_DISPUTED' ? recipientDisputes(record, attempt) : waitedFor(record, attempt);
  return blamed.length > 0 ? null : reject('WRONG_ROLE', 'only a recipient stands in the way of its own round');
}

/**
 * Who may end a round for which reason. After a decision the reason says whether the window may be tried again (retry.ts):
 * the coordinator, which orders the leaves, cannot say in a recipient's place that nothing was opened.
 */
function checkAborter(t: Transcript, round: Round, actor: string, reason: Body<'abort'>['reason']): Rejection | null {
  const isCoordinator = findParty(t, actor)?.role === 'coordinator';
  const isRecipient = round.record.recipients.some((recipient) => recipient.name === actor);
  if (!isCoordinator && !(isRecipient && round.phase === 'decided'))
    return reject('WRONG_ROLE', 'the coordinator aborts; a recipient only what it could not open');
  if (!isCoordinator) return null;
  if (OPENING_FAILED.has(reason)) return reject('WRONG_ROLE', 'only a recipient says that a sum does not open');
  const blame = checkBlame(round, reason);
  if (blame !== null) return blame;
  if (round.phase !== 'decided') return null;
  if (reason === 'BLOB_LOST') return reject('WRONG_ROLE', 'only a recipient says that a decided sum is lost');
  const enough = round.decision.answers.size >= round.record.parameters.threshold;
  return reason === 'TOO_FEW_ANSWERS' && enough
    ? reject('WRONG_ROLE', 'with t answers in the log it is for a recipient to say that they do not open')
    : null;
}

/** Ends a round without a result. What was charged stays charged. */
export function abortRule(t: Transcript, { leaf }: Signed<'abort'>): Patch | Rejection {
  const announce = t.announces.get(leaf.body.round);
  if (announce !== undefined) return withdraw(t, leaf.actor, announce);
  const round = t.rounds.get(leaf.body.round);
  if (round === undefined) return reject('UNKNOWN_ROUND', 'no such round');
  if (!isRunning(round)) return reject('ROUND_ENDED', 'the round has already ended');
  const problem = checkAborter(t, round, leaf.actor, leaf.body.reason);
  if (problem !== null) return problem;
  const decision = round.phase === 'decided' ? round.decision : null;
  const { id, openHash, openIndex, openTime, record, uploads, attempts } = round;
  return {
    round: {
      phase: 'aborted',
      id,
      openHash,
      openIndex,
      openTime,
      record,
      uploads,
      attempts,
      reason: leaf.body.reason,
      decision,
    },
    ledger: release(t.ledger, round.id),
  };
}
