import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Body } from '../../protocols/leaves.ts';
import { chargeOfTask } from '../../protocols/task.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import { keptFileField } from '../statistics/kept-file.ts';
import { makeStatisticsTask, noiseOf } from '../statistics/make-statistics-task.ts';
import { type PresencePlan, statisticsPlanOf } from '../statistics/plan.ts';
import { hiddenAtMost, thresholdOf } from '../statistics/threshold.ts';
import { type Budget, budgetFor, epsilonOf } from '../training/budget.ts';
import type { MadeTask } from '../training/make-task.ts';
import { CliError } from './exit.ts';
import { counted, epsilonText, grouped } from './output.ts';
import { foundationOf, foundingFlags, given, requireFit, sizeOfQuorum, type TaskFlags } from './task-new.ts';

/** Flags of `statistics task`, as commander gives them. */
export interface StatisticsFlags
  extends Pick<TaskFlags, 'out' | 'recipient' | 'nodes' | 'window' | 'name' | 'recordsMax'> {
  readonly features: string;
  readonly kept?: string;
  readonly leastNodes?: number;
  readonly leastCustomers?: number;
  readonly epsilon?: number;
  readonly delta?: number;
  readonly budget?: number;
  readonly minCohort?: number;
  readonly minHonest?: number;
  readonly minOrganisations?: number;
  readonly members?: number;
  readonly threshold?: number;
  readonly uploadMs?: number;
  readonly confirmMs?: number;
  readonly dir?: string;
}

const BUDGET_EPSILON = 8;
/** Part of the cap at which it is said, too, how often a value is missed. */
const NEARLY = 0.9;
/** Steps of epsilon that are left over. */
const EPSILON_STEP = 1e-3;

export function writeStatisticsTask(flags: StatisticsFlags, print: (line: string) => void): void {
  const { out, features, kept, nodes, recipient, name, members = 5, threshold = 3 } = flags;
  if (existsSync(out))
    throw new CliError('FILE_EXISTS', `${out} exists: a task that was used must not change, choose another --out`);
  if (kept !== undefined && (flags.leastNodes ?? flags.leastCustomers) !== undefined)
    throw new CliError('USAGE', '--least-nodes and --least-customers are of the first step, without --kept', {
      exitCode: 3,
    });
  const genesis = flags.dir === undefined ? null : foundationOf(flags.dir);
  const quorum = genesis === null ? { members, threshold } : sizeOfQuorum(genesis);
  const { epsilon, delta, minCohort, minHonest, minOrganisations, uploadMs, confirmMs, recordsMax } = flags;
  const { leastNodes, leastCustomers } = flags;
  const made = makeStatisticsTask({
    ...{ schema: readFeatureFile(features, resolve), nodes, recipients: recipient, window: flags.window, quorum },
    ...given({ task: name, epsilon, delta, minCohort, minHonest, minOrganisations, uploadMs, confirmMs }),
    ...given({ recordsMax, leastNodes, leastCustomers, renyiOrder: genesis?.budget.renyiOrder }),
    ...(kept === undefined ? {} : { kept: readValidated(kept, 'the file of what passed', keptFileField, FETCH) }),
  });
  if (genesis !== null) requireFit(genesis, made.task, quorum);
  writeDurably(out, `${JSON.stringify(made.task, null, 2)}\n`);
  const [first, ...more] = taskLines(made, nodes);
  print(`${out}: ${first}`);
  for (const line of more) print(`  ${line}`);
  const whole = genesis === null ? budgetFor(flags.budget ?? BUDGET_EPSILON, delta ?? 1e-5) : budgetOf(genesis);
  print(budgetLine(made, whole));
  if (genesis === null) {
    print('A federation is founded once, with the budget of all that is to come. For this one:');
    print(
      `  veilsum init --dir founders --origin NAME --coordinator CARD ... ${foundingFlags({ ...made, budget: whole })}`,
    );
  } else print(`Rounds of it can be opened in the federation of ${flags.dir}.`);
}

function budgetOf({ budget }: Body<'genesis'>): Budget {
  const { rhoNano, epsilonMicro, deltaExponent, renyiOrder } = budget;
  return { rhoNano, epsilonMicro, deltaExponent, ...given({ renyiOrder }) };
}

const FETCH = "'veilsum statistics fetch' of a first step writes it";

/** What the round counts, what it costs, and how far it can be told from noise. */
function taskLines({ task, epsilonPerRound, budget }: MadeTask, nodes: number): string[] {
  const plan = statisticsPlanOf(task)!;
  const cost = `costs epsilon ${epsilonText(epsilonPerRound)} at delta 1e-${budget.deltaExponent}, per record`;
  const noise = noiseOf(task, nodes);
  const noiseLine = `the noise of a count over ${counted(nodes, 'node')} has a standard deviation of ${noise.toPrecision(3)} records`;
  if (plan.step === 'figures') {
    const all = plan.kept.reduce((sum, kept) => sum + kept.length, 0);
    return [
      `second step, ${counted(all, 'value')} that passed, of ${counted(plan.columns.length, 'column')}: ${cost}`,
      noiseLine,
    ];
  }
  const all = plan.columns.reduce((sum, { candidates }) => sum + candidates, 0);
  return [
    `first step, ${counted(all, 'candidate')} of ${counted(plan.columns.length, 'column')}: ${cost}`,
    noiseLine,
    ...presenceLines(plan, noise),
  ];
}

function presenceLines(plan: PresencePlan, noise: number): string[] {
  const { leastNodes, leastCustomers, cap, doubt } = plan;
  const least = Math.ceil(thresholdOf(plan, noise));
  const most = Math.ceil(NEARLY * cap);
  const missed = (customers: number): string => hiddenAtMost(plan, noise, customers).toPrecision(1);
  return [
    `at most ${grouped(cap)} customers of one node count for a value; it passes from ${grouped(least)} on, noise included`,
    `what fewer than ${leastNodes} nodes, or fewer than ${counted(leastCustomers, 'customer')}, have passes with a probability of 1e-${doubt} at most`,
    `what ${leastNodes} nodes have ${grouped(cap)} times each, or more, is missed with ${missed(leastNodes * cap)} at most, ${grouped(most)} times each with ${missed(leastNodes * most)}`,
  ];
}

/** What is left for training beside this round. */
function budgetLine({ task }: MadeTask, budget: Budget): string {
  const [whole, delta] = [epsilonText(budget.epsilonMicro / 1e6), `1e-${budget.deltaExponent}`];
  const left = budget.rhoNano - chargeOfTask(task);
  if (left <= 0) return `a budget of epsilon ${whole} at delta ${delta} does not carry it: --epsilon less`;
  const isFirst = statisticsPlanOf(task)!.step === 'presence';
  const after = isFirst
    ? `, after a second step at the same price ${leftEpsilon(budget, left - chargeOfTask(task))}`
    : '';
  return `of epsilon ${whole} at delta ${delta} it leaves epsilon ${leftEpsilon(budget, left)}${after}: 'task new --epsilon' of what is trained then`;
}

/** The largest epsilon, in steps, whose budget fits what is left. */
function leftEpsilon({ deltaExponent, renyiOrder }: Budget, rhoNano: number): string {
  if (rhoNano <= 0) return '0';
  let steps = Math.floor(epsilonOf(rhoNano, deltaExponent, renyiOrder) / EPSILON_STEP);
  const epsilon = (): number => Number((steps * EPSILON_STEP).toFixed(3));
  while (steps > 0 && budgetFor(epsilon(), 10 ** -deltaExponent, renyiOrder).rhoNano > rhoNano) steps -= 1;
  return String(epsilon());
}
