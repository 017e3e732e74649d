import { epsilonOfRhoNano } from '../../protocols/accountant.ts';
import { available } from '../../protocols/ledger.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { deltaOf } from '../party/rounds-view.ts';
import { epsilonText } from './output.ts';

/** Epsilon of a sum of charges at the log's delta, as text. Charges add up; epsilons do not. */
export function epsilonAt(t: Transcript, rhoNano: number): string {
  return epsilonText(epsilonOfRhoNano(BigInt(rhoNano), deltaOf(t)));
}

/** What is spent and left of the log's budget, in words. */
export function budgetLines(t: Transcript): string[] {
  const { budgetRhoNano, spentRhoNano, reserved } = t.ledger;
  const budget = t.genesis!.budget;
  const left = available(t.ledger);
  const promised = [...reserved.values()].reduce((sum, rho) => sum + rho, 0);
  const percent = budgetRhoNano === 0 ? 0 : Math.floor((left / budgetRhoNano) * 100);
  const inRounds = promised === 0 ? '' : `, ${epsilonAt(t, promised)} set aside for open rounds`;
  return [
    `budget: epsilon ${epsilonAt(t, budgetRhoNano)} at delta 1e-${budget.deltaExponent} per ${budget.unit}; spent ${epsilonAt(t, spentRhoNano)}${inRounds}; left ${percent} % (${(left / 1e9).toFixed(6)} of ${(budgetRhoNano / 1e9).toFixed(6)} in zCDP)`,
  ];
}

/** What a charge does to the budget, before it is taken. Null: it does not fit. */
export function roundsLeft(t: Transcript, rhoNano: number): number {
  return Math.floor(available(t.ledger) / rhoNano);
}
