import { existsSync } from 'node:fs';
import { deriveParameters } from '../../crypto/params.ts';
import { epsilonOfRhoNano } from '../../protocols/accountant.ts';
import { chargeOfTask, type Task, taskField, taskHashOf } from '../../protocols/task.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import type { DatasetName } from '../learning/datasets.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { type MadeTask, makeTask, makeUpdatesTask, type RoundsRequest } from '../training/make-task.ts';
import { CliError } from './exit.ts';
import { epsilonText, grouped, printable, sizeOf } from './output.ts';

/** Flags of `task new`, as commander gives them. */
export interface TaskFlags {
  readonly out: string;
  readonly recipient: readonly string[];
  readonly nodes: number;
  readonly window: string;
  readonly name?: string;
  readonly dataset?: DatasetName;
  readonly model?: 'logistic' | 'mlp';
  readonly unit?: 'record' | 'node';
  readonly dimension?: number;
  readonly clip?: number;
  readonly rounds?: number;
  readonly epsilon?: number;
  readonly delta?: number;
  readonly minCohort?: number;
  readonly minHonest?: number;
  readonly minOrganisations?: number;
  readonly members?: number;
  readonly threshold?: number;
  readonly uploadMs?: number;
  readonly confirmMs?: number;
  readonly checkSums?: boolean;
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Leaves out what was not given, so that defaults apply. */
function given<T extends object>(fields: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}

export function taskOf(flags: Omit<TaskFlags, 'out'>): MadeTask {
  const { recipient, nodes, window, members = 5, threshold = 3, dataset, dimension, clip } = flags;
  const {
    name: task,
    rounds,
    epsilon,
    delta,
    minCohort,
    minHonest,
    minOrganisations,
    uploadMs,
    confirmMs,
    checkSums,
  } = flags;
  const common: RoundsRequest = {
    ...{ recipients: recipient, nodes, window, quorum: { members, threshold } },
    ...given({ task, rounds, epsilon, delta, minCohort, minHonest, minOrganisations, uploadMs, confirmMs, checkSums }),
  };
  if (dataset === undefined) return makeUpdatesTask({ ...common, dimension: dimension!, clip: clip ?? 1 });
  return makeTask({ ...common, dataset, ...given({ model: flags.model, unit: flags.unit, clip }) });
}

export async function writeTask(flags: TaskFlags, print: (line: string) => void): Promise<void> {
  if (existsSync(flags.out))
    throw new CliError(
      'FILE_EXISTS',
      `${flags.out} exists: a task that was used must not change, choose another --out`,
    );
  const made = taskOf(flags);
  writeDurably(flags.out, `${JSON.stringify(made.task, null, 2)}\n`);
  const { rounds, epsilon, budget } = made;
  print(
    `${flags.out}: one round costs epsilon ${epsilonText(made.epsilonPerRound)}, ${rounds} of them ${epsilonText(epsilon)} at delta 1e-${budget.deltaExponent}`,
  );
  print(
    `A federation for it is founded with: veilsum init --unit ${made.task.unit} --epsilon ${budget.epsilonMicro / 1e6} --delta 1e-${budget.deltaExponent} ...`,
  );
}

export function showTask(file: string, delta: number, print: (line: string) => void): void {
  const task: Task = readValidated(file, 'the task file', taskField);
  const { dimension, bits, nodesMax, minCohort, minHonest, noise, scale } = task;
  const parameters = deriveParameters({ dimension, bits, nodesMax, minCohort, minHonest, members: 5, threshold: 3 });
  const sigma = Math.sqrt(Number(noise.sigma2Numerator) / Number(noise.sigma2Denominator)) / scale;
  const charge = chargeOfTask(task);
  const learning = task.learning === null ? 'updates from files' : 'training on tables';
  const lines: readonly (readonly [string, string])[] = [
    ['task', `${printable(task.task)}, window ${printable(task.window)} (${learning})`],
    ['hash', taskHashOf(nodePrimitives, task)],
    ['recipients', task.recipients.join(', ')],
    [
      'sum',
      `${grouped(dimension)} values of ${bits} bits, ${minCohort} to ${nodesMax} nodes, ${task.minOrganisations} organisations or more`,
    ],
    [
      'payload',
      `${sizeOf(parameters.payloadBytes)} per node: N = ${parameters.ringDegree}, ${parameters.primes.length} primes, blocks: ${parameters.blocks} (quorum of 3-of-5)`,
    ],
    ['noise', `sigma ${sigma.toPrecision(4)} per node and value; ${minHonest} honest nodes reach the target`],
    ['privacy', `per ${task.unit}, clipped to L2 norm ${task.clipMicro / 1e6}`],
    [
      'one round',
      `epsilon ${epsilonText(epsilonOfRhoNano(BigInt(charge), delta))} at delta ${delta.toExponential()} (zCDP ${(charge / 1e9).toPrecision(4)})`,
    ],
  ];
  for (const [field, value] of lines) print(`${field.padEnd(11)} ${value}`);
}
