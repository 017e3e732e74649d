import { disputes } from '../crypto/share-claims.ts';
import { subsets } from '../crypto/sharing.ts';
import type { RemarkCode } from './checks.ts';
import { type Dispute, disputesOf } from './disputes.ts';
import { stalenessOf } from './one-shot.ts';
import { shareClaims } from './share-agreement.ts';
import { type Decision, decisionOf, isRunning, isWithdrawn, type Round, type Transcript } from './transcript.ts';

/** What an auditor says about one round, in numbers. Charges in units of 1e-9 of rho (zCDP). */
export interface RoundSummary {
  readonly number: number;
  readonly task: string;
  /** Absent where the round is over all nodes. */
  readonly bucket?: { readonly index: number; readonly count: number };
  /** Hash of the record. */
  readonly round: string;
  readonly uploads: number;
  /** Nodes in the sum; null where nothing was decided. */
  readonly cohort: number | null;
  readonly attempts: number;
  readonly masking: 'pairwise' | 'none';
  /** How many models behind the round's each upload of the decided set was; null where nothing was decided, and in rounds with masks. */
  readonly staleness: readonly number[] | null;
  /** Attempts in which nobody had confirmed before: more than one means that claim (b) of the design does not hold. Without masks it never does. */
  readonly oneAttempt: boolean;
  readonly chargeRhoNano: number;
  readonly charged: boolean;
  /** Of the budget of genesis, after this round's decision or, without one, as things stood when the log ended. */
  readonly spentRhoNano: number;
  readonly leftRhoNano: number;
  readonly outcome: 'released' | 'aborted' | 'running';
  readonly reason: string | null;
  readonly resultHash: string | null;
  /** Members whose logged shares differ from the ones that a majority of holders logged, or that a recipient named. */
  readonly named: readonly string[];
  readonly approvals: 'none';
}

/** Sets whose holders logged different hashes of K_T, with the members that did. */
function shareDisputes(round: Round, decision: Decision): { readonly sets: number; readonly members: string[] } {
  const { members, threshold } = round.record.parameters;
  const sets = subsets(members, threshold);
  const names = round.record.members.map(({ name }) => name);
  const found = disputes(sets, shareClaims(round.record, decision));
  const involved = new Set(found.flatMap(({ claims: byHash }) => [...byHash.values()].flat()));
  return { sets: found.length, members: [...involved].sort((a, b) => a - b).map((index) => names[index]!) };
}

/** What an audit still says about a round once its uploads, confirmations and answers are dropped. */
export interface RoundFacts {
  readonly uploads: number;
  readonly cohort: number | null;
  readonly attempts: number;
  readonly staleness: readonly number[] | null;
  /** Leaf index of the decision. */
  readonly decided: number | null;
  readonly disputes: ReturnType<typeof shareDisputes> | null;
  /** Boxes of its attempts that their holders could not use. */
  readonly boxes: readonly Dispute[];
}

function stalenessIn(round: Round): number[] | null {
  const decision = decisionOf(round);
  if (decision === null || round.record.masking !== 'none') return null;
  return decision.attempt.cohort.map((upload) => stalenessOf(round.record, upload));
}

export function factsOf(round: Round): RoundFacts {
  const decision = decisionOf(round);
  return {
    uploads: round.uploads.size,
    cohort: decision?.attempt.cohort.length ?? null,
    staleness: stalenessIn(round),
    attempts: round.attempts.length,
    decided: decision?.index ?? null,
    disputes: decision === null ? null : shareDisputes(round, decision),
    boxes: isRunning(round) ? [] : round.attempts.flatMap(disputesOf),
  };
}

/** One line per opened round, in the order of their open leaves. */
export function summarise(t: Transcript, facts: (round: Round) => RoundFacts = factsOf): RoundSummary[] {
  const budget = t.ledger.budgetRhoNano;
  const rounds = [...t.rounds.values()].map((round) => ({ round, ...facts(round) }));
  // Charges in the order of their decisions, each with what was spent up to and with it.
  const spentAt: { readonly index: number; readonly spent: number }[] = [];
  for (const { round, decided } of rounds.toSorted((a, b) => (a.decided ?? 0) - (b.decided ?? 0))) {
    if (decided === null) continue;
    spentAt.push({ index: decided, spent: (spentAt.at(-1)?.spent ?? 0) + round.record.charge.rhoNano });
  }
  return rounds.map(({ round, uploads, cohort, attempts, decided, staleness }) => {
    const until = decided ?? t.size;
    const spent = spentAt.findLast(({ index }) => index <= until)?.spent ?? 0;
    return {
      number: round.record.number,
      task: round.record.task,
      ...(round.record.bucket === undefined ? {} : { bucket: round.record.bucket }),
      round: round.id,
      uploads,
      cohort,
      attempts,
      masking: round.record.masking,
      staleness,
      oneAttempt: attempts <= 1,
      chargeRhoNano: round.record.charge.rhoNano,
      charged: decided !== null,
      spentRhoNano: spent,
      leftRhoNano: budget - spent,
      outcome: round.phase === 'released' || round.phase === 'aborted' ? round.phase : 'running',
      reason: round.phase === 'aborted' ? round.reason : isRunning(round) ? round.phase : null,
      resultHash: round.phase === 'released' ? round.resultHash : null,
      named: round.phase === 'released' ? [...round.liars] : [],
      approvals: round.record.approvals,
    };
  });
}

/** Something an auditor reports without calling it a violation. */
export interface Remark {
  readonly code: RemarkCode;
  /** Leaf index; null where it is about no one leaf. */
  readonly index: number | null;
  /** Words for a person; may hold names that the log gives. */
  readonly text: string;
}

/** Checks 11, 13, 16, 21 and 25: what rounds show that is no violation. */
export function remarkRounds(t: Transcript, facts: (round: Round) => RoundFacts = factsOf): Remark[] {
  const remarks: Remark[] = [];
  for (const announce of t.announces.values()) {
    if (announce.openedAs !== null || isWithdrawn(t, announce)) continue;
    const text = `round ${announce.number} of ${announce.task} was announced, and neither opened nor withdrawn in this log`;
    remarks.push({ code: 'NO_END', index: announce.index, text });
  }
  for (const round of t.rounds.values()) {
    const { number, task, checkSums, masking } = round.record;
    const index = round.openIndex;
    if (isRunning(round)) {
      const text = `round ${number} of ${task} was opened and has no end in this log (${round.phase})`;
      remarks.push({ code: 'NO_END', index, text });
    }
    if (masking === 'none') {
      const text = `round ${number} of ${task} ran without pairwise masks (masking: none): t members and a recipient together could open any one update of it, nobody saw the set before sharing a key, and only adding up the payloads again checks its sum`;
      remarks.push({ code: 'NO_MASKS', index, text });
    }
    if (checkSums) {
      const text = `round ${number} of ${task} lets nodes keep their plain updates in a private folder (check-sums)`;
      remarks.push({ code: 'PLAIN_UPDATES_KEPT', index, text });
    }
    const { decided, disputes: differ, boxes } = facts(round);
    for (const { node, holder, final } of boxes) {
      const outcome = final ? 'nor the second box that it sealed' : 'and it sealed no second one';
      const text = `round ${number} of ${task}: ${holder} could not use the box of ${node}, ${outcome}; one of the two is at fault`;
      remarks.push({ code: 'BOX_REFUSED', index, text });
    }
    if (differ !== null && differ.sets > 0) {
      const text = `round ${number} of ${task}: ${differ.members.join(', ')} logged different hashes for ${differ.sets} shares`;
      remarks.push({ code: 'SHARES_DIFFER', index: decided, text });
    }
  }
  return remarks;
}
