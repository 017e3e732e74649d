import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deriveParameters } from '../../crypto/params.ts';
import type { Body } from '../../protocols/leaves.ts';
import { taskFitsGenesis } from '../../protocols/minimums.ts';
import { chargeOfTask, type Task, taskField, taskHashOf } from '../../protocols/task.ts';
import { readFederation } from '../config/federation.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import type { Optimiser } from '../learning/optimisers.ts';
import { readUpdateLayers } from '../learning/update-file.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { type MadeTask, makeTask, makeUpdatesTask, type RoundsRequest } from '../training/make-task.ts';
import { epsilonOfOneRound } from '../training/sampling.ts';
import { unitOf } from './budget.ts';
import { type CompressionFlags, compressionLines, compressionOf } from './compression-flags.ts';
import { CliError } from './exit.ts';
import { genesisOf } from './federation-file.ts';
import { layerLines, layerSummary, weightLines } from './layer-lines.ts';
import { type MaskingFlags, maskingLines, oneShotOf } from './masking-flags.ts';
import { noiseLines, noiseOfNode } from './noise-words.ts';
import { epsilonText, grouped, printable, sizeOf } from './output.ts';
import { sensitiveOf } from './privacy-task.ts';
import type { PseudoFlags } from './pseudo-flags.ts';
import { pseudoLines, pseudoOf } from './pseudo-request.ts';

/** Flags of `task new`, as commander gives them. */
export interface TaskFlags extends CompressionFlags, MaskingFlags, PseudoFlags {
  readonly out: string;
  readonly recipient: readonly string[];
  readonly nodes: number;
  readonly window: string;
  readonly name?: string;
  readonly dataset?: DatasetName;
  /** A feature file, in place of a dataset. */
  readonly features?: string;
  readonly recordsMax?: number;
  readonly model?: 'logistic' | 'mlp';
  readonly hidden?: number;
  readonly unit?: 'record' | 'node';
  readonly dimension?: number;
  /** A .safetensors file whose layers the updates have, and patterns of the ones that are summed. */
  readonly like?: string;
  readonly weightMax?: number;
  readonly only?: readonly string[];
  readonly sampleRate?: number;
  readonly renyiOrder?: number;
  readonly optimiser?: Optimiser;
  readonly serverRate?: number;
  readonly weightDecay?: number;
  readonly localSteps?: number;
  readonly localBatch?: number;
  readonly localRate?: number;
  readonly proximal?: number;
  readonly localLayer?: readonly string[];
  readonly sensitive?: readonly string[];
  readonly sensitiveShare?: number;
  readonly clip?: number;
  readonly rounds?: number;
  readonly epsilon?: number;
  readonly delta?: number;
  readonly minCohort?: number;
  readonly minHonest?: number;
  readonly minOrganisations?: number;
  readonly buckets?: number;
  readonly aggregate?: Aggregate;
  readonly members?: number;
  readonly threshold?: number;
  readonly uploadMs?: number;
  readonly confirmMs?: number;
  readonly checkSums?: boolean;
  /** Folder of the founders or of a party: the task is compared with what its federation was founded for. */
  readonly dir?: string;
}

/** Part of the clip that sensitive columns have, unless asked otherwise. */
const SENSITIVE_SHARE = 0.25;

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Leaves out what was not given, so that defaults apply. */
export function given<T extends object>(fields: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}

export function taskOf(flags: Omit<TaskFlags, 'out' | 'dir'>): MadeTask {
  const { recipient, nodes, window, members = 5, threshold = 3, dataset, features, dimension, clip } = flags;
  const {
    name: task,
    rounds,
    epsilon,
    delta,
    minCohort,
    minHonest,
    minOrganisations,
    buckets,
    uploadMs,
    confirmMs,
    checkSums,
  } = flags;
  const common: RoundsRequest = {
    ...{ recipients: recipient, nodes, window, quorum: { members, threshold } },
    ...given({
      task,
      rounds,
      epsilon,
      delta,
      minCohort,
      minHonest,
      minOrganisations,
      buckets,
      uploadMs,
      confirmMs,
      checkSums,
    }),
    ...given({ renyiOrder: flags.renyiOrder, bits: flags.bits, oneShot: oneShotOf(flags) }),
  };
  const isOfFiles = (flags.like ?? dimension) !== undefined;
  const compression = compressionOf({ ...flags, isOfFiles });
  const pseudo = pseudoOf({ ...flags, isOfFiles });
  if (flags.like !== undefined) {
    const tensors = readUpdateLayers(flags.like, flags.only);
    return makeUpdatesTask({ ...common, tensors, clip: clip ?? 1, weightMax: flags.weightMax });
  }
  if (dimension !== undefined) {
    return makeUpdatesTask({ ...common, dimension, clip: clip ?? 1, weightMax: flags.weightMax });
  }
  const schema = features === undefined ? undefined : readFeatureFile(features, resolve);
  return makeTask({
    ...common,
    // With a feature file of one's own the dataset only says which step sizes and bins are the default.
    dataset: dataset ?? 'synthetic',
    ...given({
      schema,
      recordsMax: flags.recordsMax,
      model: flags.model,
      hidden: flags.hidden,
      compression,
      unit: flags.unit,
      clip,
      sampleRate: flags.sampleRate,
      optimiser: flags.optimiser,
      localLayers: flags.localLayer,
      weightMax: flags.weightMax,
      aggregate: flags.aggregate,
      serverRate: flags.serverRate,
      weightDecay: flags.weightDecay,
      pseudo,
      sensitive: flags.sensitive && { columns: flags.sensitive, share: flags.sensitiveShare ?? SENSITIVE_SHARE },
    }),
    local: given({
      steps: flags.localSteps,
      batch: flags.localBatch,
      learningRate: flags.localRate,
      proximal: flags.proximal,
    }),
  });
}

/** The genesis of a folder's federation. @throws ConfigError where there is none. */
export function foundationOf(folder: string): Body<'genesis'> {
  return genesisOf(readFederation(join(folder, 'federation.json')));
}

/** Refuses a task that no round of the federation could ever be of. @throws CliError */
export function requireFit(genesis: Body<'genesis'>, task: Task, quorum: QuorumSize = sizeOfQuorum(genesis)): void {
  const unfit = taskFitsGenesis(genesis, quorum, task);
  if (unfit !== null)
    throw new CliError(
      unfit.rejected,
      `no round of task ${printable(task.task)} can be opened in this federation: ${unfit.why}`,
    );
}

interface QuorumSize {
  readonly members: number;
  readonly threshold: number;
}

export function sizeOfQuorum({ members, threshold }: Body<'genesis'>): QuorumSize {
  return { members: members.length, threshold };
}

/** What `init` has to be told for a task, and for good. */
export function foundingFlags({ task, budget }: MadeTask): string {
  return [
    `--unit ${task.unit} --epsilon ${budget.epsilonMicro / 1e6} --delta 1e-${budget.deltaExponent}`,
    ...(budget.renyiOrder === undefined ? [] : [`--renyi-order ${budget.renyiOrder}`]),
    `--min-cohort ${task.minCohort} --min-honest ${task.minHonest} --min-organisations ${task.minOrganisations}`,
  ].join(' ');
}

export async function writeTask(flags: TaskFlags, print: (line: string) => void): Promise<void> {
  if (existsSync(flags.out))
    throw new CliError(
      'FILE_EXISTS',
      `${flags.out} exists: a task that was used must not change, choose another --out`,
    );
  const genesis = flags.dir === undefined ? null : foundationOf(flags.dir);
  const quorum = genesis === null ? {} : sizeOfQuorum(genesis);
  const renyiOrder = genesis?.budget.renyiOrder;
  const made = taskOf({ ...flags, ...quorum, ...(renyiOrder === undefined ? {} : { renyiOrder }) });
  const { rounds, epsilon, budget, task } = made;
  if (genesis !== null) requireFit(genesis, task);
  writeDurably(flags.out, `${JSON.stringify(task, null, 2)}\n`);
  print(
    `${flags.out}: one round costs epsilon ${epsilonText(made.epsilonPerRound)}, ${rounds} of them ${epsilonText(epsilon)} at delta 1e-${budget.deltaExponent}, per ${task.unit}`,
  );
  for (const line of [...layerSummary(task), ...weightLines(task)]) print(line);
  for (const line of compressionLines(task, { members: 5, threshold: 3, ...flags, ...quorum })) print(line);
  for (const line of [...pseudoLines(task, rounds), ...bucketLines(task), ...maskingLines(task)]) print(line);
  for (const line of noiseLines(task, flags.nodes)) print(line);
  if (genesis !== null) return print(`Rounds of it can be opened in the federation of ${flags.dir}.`);
  print('A federation is founded for its task: unit, budget and minimums are final then. For this one:');
  print(`  veilsum init --dir founders --origin NAME --coordinator CARD ... ${foundingFlags(made)}`);
}

/** How records are drawn, and which of their columns are under stronger protection. */
function recordLines(task: Task): (readonly [string, string])[] {
  const sensitive = sensitiveOf(task);
  const lines: (readonly [string, string])[] = [];
  if (task.sampling !== undefined)
    lines.push(['drawn', `each record with probability ${task.sampling.rateMicro / 1e6}, anew in every round`]);
  if (sensitive !== null) {
    const columns = sensitive.columns.map(printable).join(', ');
    lines.push([
      'sensitive',
      `${columns}: a record moves their weights by ${sensitive.share.toPrecision(3)} of the whole sensitivity`,
    ]);
  }
  return lines;
}

/** What buckets cost and what they ask of the nodes. */
function bucketLines(task: Task): string[] {
  const { buckets, minCohort, minHonest } = task;
  if (buckets === undefined) return [];
  const rule = task.learning === null ? 'mean' : (parseLearningPlan(task).aggregate ?? 'mean');
  return [
    `${buckets} of ${minCohort} nodes or more each, combined by ${rule}; one model costs the log's budget ${buckets} charges`,
    `at most ${minCohort - minHonest} corrupt nodes in all buckets together: they may come to be in one`,
  ];
}

export function showTask(
  file: string,
  { delta, dir }: { readonly delta: number; readonly dir?: string },
  print: (line: string) => void,
): void {
  const task: Task = readValidated(file, 'the task file', taskField);
  const { dimension, bits, nodesMax, minCohort, minHonest, scale } = task;
  const genesis = dir === undefined ? null : foundationOf(dir);
  const quorum = genesis === null ? { members: 5, threshold: 3 } : sizeOfQuorum(genesis);
  const of = `${quorum.threshold}-of-${quorum.members}`;
  const parameters = deriveParameters({ dimension, bits, nodesMax, minCohort, minHonest, ...quorum });
  const charge = chargeOfTask(task);
  const training = task.learning === null ? 'updates from files' : 'training on tables';
  const learning = isStatistics(task) ? 'statistics' : training;
  const unfit = genesis === null ? null : taskFitsGenesis(genesis, quorum, task);
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
      `${sizeOf(parameters.payloadBytes)} per node: N = ${parameters.ringDegree}, ${parameters.primes.length} primes, blocks: ${parameters.blocks} (${genesis === null ? `for example under a quorum of ${of}; --dir FOLDER takes a federation's own` : `quorum of ${of}`})`,
    ],
    [
      'noise',
      `sigma ${noiseOfNode(task).toPrecision(4)} per node and value (${grouped(scale)} steps per 1.0); ${minHonest} honest nodes reach the target`,
    ],
    ...noiseLines(task, minCohort).map((line) => ['', line] as const),
    ...layerLines(task),
    ...weightLines(task).map((line) => ['weights', line] as const),
    ...compressionLines(task, quorum).map((line) => ['compressed', line] as const),
    ...bucketLines(task).map((line) => ['buckets', line] as const),
    ...maskingLines(task).map((line) => ['masking', line] as const),
    ['privacy', `per ${task.unit}, clipped to L2 norm ${task.clipMicro / 1e6}`],
    ...recordLines(task),
    ...pseudoLines(task).map((line) => ['unlabelled', line] as const),
    [
      'one round',
      `epsilon ${epsilonText(epsilonOfOneRound(task, delta))} at delta ${delta.toExponential()} (${unitOf(task.sampling?.order)} ${(charge / 1e9).toPrecision(4)})`,
    ],
    ...(genesis === null
      ? []
      : [['federation', unfit === null ? 'can open rounds of it' : `can NOT: ${unfit.why}`] as const]),
  ];
  for (const [field, value] of lines) print(`${field.padEnd(11)} ${value}`);
}
