import { available } from '../../protocols/ledger.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { epsilonAtLog } from '../party/rounds-view.ts';
import { epsilonText } from './output.ts';

/** Epsilon of a sum of charges at the log's delta, as text. Charges add up; epsilons do not. */
export function epsilonAt(t: Transcript, rhoNano: number): string {
  return epsilonText(epsilonAtLog(t, rhoNano));
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
    `budget: epsilon ${epsilonAt(t, budgetRhoNano)} at delta 1e-${budget.deltaExponent} per ${budget.unit}; spent ${epsilonAt(t, spentRhoNano)}${inRounds}; left ${percent} % (${(left / 1e9).toFixed(6)} of ${(budgetRhoNano / 1e9).toFixed(6)} in ${unitOf(budget.renyiOrder)})`,
  ];
}

/** What the ledger of a log counts. */
export function unitOf(order: number | undefined): string {
  return order === undefined ? 'zCDP' : `Renyi divergence of order ${order} over ${order}`;
}

/** What a charge does to the budget, before it is taken. Null: it does not fit. */
export function roundsLeft(t: Transcript, rhoNano: number): number {
  return Math.floor(available(t.ledger) / rhoNano);
}
