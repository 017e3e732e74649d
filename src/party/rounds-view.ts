import { epsilonInLog } from '../../protocols/accountant.ts';
import { bucketWords } from '../../protocols/buckets.ts';
import { decisionOf, type Round, type Transcript } from '../../protocols/transcript.ts';
import type { RoundRow, RoundState, RoundsView } from '../http/rounds-view.ts';
import type { LogKeeper } from './log-keeper.ts';

function stateOf(round: Round): RoundState {
  switch (round.phase) {
    case 'uploading':
      return 'open';
    case 'confirming':
      return round.attempt.confirms.size === round.attempt.cohort.length ? 'confirmed' : 'closed';
    case 'decided':
    case 'released':
    case 'aborted':
      return round.phase;
    default:
      return round satisfies never;
  }
}

function rowOf(t: Transcript, round: Round): RoundRow {
  return {
    id: round.id,
    openLeaf: round.openIndex,
    task: `${round.record.task} #${round.record.number}${bucketWords(round.record.bucket)}`,
    state: stateOf(round),
    reason: round.phase === 'aborted' ? round.reason : '',
    uploads: round.uploads.size,
    cohort: round.attempts.at(-1)?.cohort.length ?? 0,
    minCohort: round.record.parameters.minCohort,
    attempts: round.attempts.length,
    epsilon: decisionOf(round) !== null ? epsilonAtLog(t, round.record.charge.rhoNano) : null,
    bytes: round.uploads.size * round.record.parameters.payloadBytes,
  };
}

/** A sum of charges as epsilon, at the log's delta and order. */
export function epsilonAtLog(t: Transcript, rhoNano: number): number {
  return epsilonInLog(t.genesis?.budget ?? { deltaExponent: 5 }, rhoNano);
}

/** Every round of a log, newest first. */
export function roundRows(t: Transcript): RoundRow[] {
  return [...t.rounds.values()].reverse().map((round) => rowOf(t, round));
}

/** The rounds of the log for the read-only page. */
export function roundsViewOf(keeper: LogKeeper): RoundsView {
  return async () => roundRows(keeper.transcript);
}
