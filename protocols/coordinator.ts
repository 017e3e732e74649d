import { isOfBucket } from './buckets.ts';
import { areComplaintsSettled, isReady, recipientDisputes, waitedFor } from './disputes.ts';
import type { Body } from './leaves.ts';
import { isBuffered, isOneShot } from './one-shot.ts';
import { checkCohortSize, checkHolders, isActive, isServable, nextCohort, readyMembers } from './rules-round.ts';
import {
  type Announce,
  type Attempt,
  type Complaint,
  findParty,
  isRunning,
  isWithdrawn,
  type Round,
  type Transcript,
  type Upload,
  windowKey,
} from './transcript.ts';

/** What the coordinator should do next about one round. Recomputed from the log at every step, so a restart loses nothing. */
export type CoordinatorDuty =
  | { readonly duty: 'open'; readonly announce: Announce; readonly members: readonly string[] }
  | { readonly duty: 'close'; readonly round: Round; readonly attempt: number; readonly cohort: readonly Upload[] }
  | { readonly duty: 'decide'; readonly round: Extract<Round, { phase: 'confirming' }> }
  | { readonly duty: 'abort'; readonly round: Round; readonly reason: Body<'abort'>['reason'] }
  | { readonly duty: 'withdraw'; readonly announce: Announce };

/**
 * When the coordinator stops waiting, in ms of its own monotonic clock; what is late only makes a set smaller.
 * `since` says when the coordinator itself saw a leaf (by hash) for the first time.
 */
export interface Patience {
  readonly now: number;
  since(leafHash: string): number;
  readonly roundKeyMs: number;
  /** How long an announcement may wait for its keys before it is withdrawn. */
  readonly announceMs: number;
  readonly readyMs: number;
  /** How long t members and every recipient may take to open their boxes and say so, after the last confirmation. */
  readonly holderMs: number;
  readonly answerMs: number;
}

function late(patience: Patience, leafHash: string, allowedMs: number): boolean {
  return patience.now - patience.since(leafHash) >= allowedMs;
}

/** Opens once every member has logged its key, or once 2t-1 have and the others are late. */
function openDuty(t: Transcript, announce: Announce, patience: Patience): CoordinatorDuty | null {
  if (!announce.recipients.every((name) => announce.roundKeys.has(name))) return null;
  // One that was revoked since is not listed: the record would be refused.
  const isServing = (name: string): boolean => announce.roundKeys.has(name) && findParty(t, name)?.revoked !== true;
  const members = t.quorum.members.filter(isServing);
  const complete = members.length === t.quorum.members.length;
  const enough = members.length >= 2 * t.quorum.threshold - 1 && late(patience, announce.hash, patience.roundKeyMs);
  return complete || enough ? { duty: 'open', announce, members } : null;
}

/**
 * Nodes that the round waits for: not revoked, and enrolled before the round's model was logged, so that it is sealed to them. Nobody,
 * once a round without masks has as many uploads as it asked for.
 */
function expectedNodes(t: Transcript, round: Round): string[] {
  const complete = [...round.uploads.values()].filter(({ node }) => isActive(t, node));
  if (isBuffered(round.record, complete.length) && checkCohortSize(t, round.record, complete) === null) return [];
  const model = t.models[round.record.modelNumber]!;
  const nodes = [...t.parties.values()].filter((party) => party.role === 'node' && !party.revoked);
  const known = nodes.filter((party) => party.index < model.index).map((party) => party.name);
  return known.filter((name) => isOfBucket(round, name));
}

function closeOrAbort(t: Transcript, round: Round): CoordinatorDuty {
  const cohort = nextCohort(t, round);
  const attempt = round.attempts.length + 1;
  const small = checkCohortSize(t, round.record, cohort);
  if (small !== null)
    return { duty: 'abort', round, reason: small.rejected === 'TOO_FEW_ORGS' ? 'TOO_FEW_ORGS' : 'COHORT_TOO_SMALL' };
  if (attempt > round.record.maxAttempts) return { duty: 'abort', round, reason: 'TOO_MANY_ATTEMPTS' };
  return { duty: 'close', round, attempt, cohort };
}

function hasOpenBox(attempt: Attempt, complaints: ReadonlyMap<string, Complaint>): boolean {
  return [...complaints].some(([holder, { resealed, final }]) => {
    return resealed !== null && !final && !isReady(attempt, holder);
  });
}

function confirmingDuty(
  t: Transcript,
  round: Extract<Round, { phase: 'confirming' }>,
  patience: Patience,
): CoordinatorDuty | null {
  const { attempt, record } = round;
  const lost = attempt.cohort.some((upload) => findParty(t, upload.node)?.revoked !== false);
  if (lost) return closeOrAbort(t, round);
  if (attempt.confirms.size < attempt.cohort.length) {
    return late(patience, attempt.close, record.confirmMs) ? closeOrAbort(t, round) : null;
  }
  // More than t where they come in time: a ready member that lies or dies is then still replaced.
  const { threshold } = record.parameters;
  const lastConfirm = [...attempt.confirms.values()].reduce((a, b) => (a.index > b.index ? a : b));
  const begun = isOneShot(attempt) ? attempt.close : lastConfirm.hash;
  const waited = late(patience, begun, patience.readyMs);
  const ready = readyMembers(t, attempt).length;
  const areRecipientsReady = waitedFor(record, attempt).length === 0;
  if (areRecipientsReady && ready === record.members.length) return { duty: 'decide', round };
  if (!waited) return null;
  // A second box that its member has not judged yet: giving up now would end a round that can go on without the node.
  const isJudging = ready < threshold && [...attempt.complaints.values()].some((by) => hasOpenBox(attempt, by));
  if (isJudging && !late(patience, begun, 4 * patience.readyMs)) return null;
  if (ready < threshold) {
    // Without a node to leave out, members are only slow: closing again would ask the same of them.
    const isSlow = [...attempt.confirms.values()].every((confirm) => isServable(t, record, attempt, confirm));
    if (!isSlow) return closeOrAbort(t, round);
    return late(patience, begun, patience.holderMs) ? { duty: 'abort', round, reason: 'NOT_READY' } : null;
  }
  return areRecipientsReady ? { duty: 'decide', round } : endUnready(round, patience, begun);
}

/**
 * What a round comes to that a recipient holds up. It is never closed again without the nodes that a recipient complains of:
 * its word alone would choose U. So it ends before anything is charged, and the log says between whom.
 */
function endUnready(
  round: Extract<Round, { phase: 'confirming' }>,
  patience: Patience,
  begun: string,
): CoordinatorDuty | null {
  const { attempt, record } = round;
  const disputes = recipientDisputes(record, attempt);
  // A node has as long to seal again as a member has to judge a second box. Whoever seals badly is named in one round.
  const isHopeless = areComplaintsSettled(record, attempt) || late(patience, begun, 4 * patience.readyMs);
  if (disputes.length > 0 && isHopeless) return { duty: 'abort', round, reason: 'BOX_DISPUTED' };
  const isLate = late(patience, begun, patience.holderMs);
  return isLate ? { duty: 'abort', round, reason: 'RECIPIENT_NOT_READY' } : null;
}

/** The coordinator's duties in a log, oldest round first. */
export function coordinatorDuties(t: Transcript, patience: Patience): CoordinatorDuty[] {
  const duties: (CoordinatorDuty | null)[] = [];
  for (const announce of t.announces.values()) {
    if (announce.openedAs !== null || isWithdrawn(t, announce)) continue;
    duties.push(openDuty(t, announce, patience));
    // After it: also where it can be opened by its keys, and the rules refuse the record for good.
    if (late(patience, announce.hash, patience.announceMs)) duties.push({ duty: 'withdraw', announce });
  }
  for (const round of t.rounds.values()) {
    if (!isRunning(round)) continue;
    if (t.size >= round.openIndex + round.record.maxLeaves)
      duties.push({ duty: 'abort', round, reason: 'ROUND_ENDED' });
    else if (round.phase !== 'decided' && checkHolders(t, round.record) !== null)
      duties.push({ duty: 'abort', round, reason: 'REVOKED' });
    // Another round over the window was decided first: this one never can be.
    else if (round.phase !== 'decided' && t.decidedWindows.has(windowKey(t, round.record)))
      duties.push({ duty: 'abort', round, reason: 'ROUND_ENDED' });
    else if (round.phase === 'uploading') {
      const missing = expectedNodes(t, round).filter((name) => !round.uploads.has(name));
      if (missing.length === 0 || late(patience, round.openHash, round.record.uploadMs))
        duties.push(closeOrAbort(t, round));
    } else if (round.phase === 'confirming') {
      duties.push(confirmingDuty(t, round, patience));
    } else if (round.phase === 'decided' && late(patience, round.decision.hash, patience.answerMs)) {
      if (round.decision.answers.size < round.record.parameters.threshold) {
        duties.push({ duty: 'abort', round, reason: 'TOO_FEW_ANSWERS' });
      }
    }
  }
  return duties.filter((duty) => duty !== null);
}
