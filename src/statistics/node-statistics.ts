import type { Rng } from '../../crypto/primitives.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import type { RegionTables } from '../learning/datasets.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import type { UpdateSource } from '../party/node.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { TrainingError } from '../training/errors.ts';
import { requireAccounted, schemaHashOf } from '../training/learning-plan.ts';
import { NoisedIntegers } from '../training/noised-integers.ts';
import { countedColumns } from './columns.ts';
import { trainingModel } from './no-model.ts';
import { type FiguresPlan, type StatisticsPlan, statisticsPlanOf } from './plan.ts';
import { statisticsQuantiser } from './quantiser.ts';
import { statisticsVector } from './vector.ts';

export interface NodeStatistics {
  /** All of them are counted: tables that were cut by the number of the row (`loadDataset`) would else move by more than one record. */
  readonly tables: Pick<RegionTables, 'train' | 'heldOut'>;
  /** All tasks of the site. */
  readonly tasks: readonly Task[];
  /** Feature files of the site. */
  readonly schemas: readonly FeatureSchema[];
  readonly rng?: Rng;
}

/**
 * A node's answers to rounds of statistics; rounds of other tasks are left to `training`.
 *
 * @throws LearningError about the table, TrainingError, for all tasks of statistics at once: before anything is connected.
 */
export function withStatistics(training: UpdateSource, node: NodeStatistics): UpdateSource {
  const { tasks, rng = systemRng } = node;
  const integers = new NoisedIntegers(rng);
  for (const task of tasks) requireCountable(task, node);
  return {
    train: async (task, round, model, log) =>
      statisticsPlanOf(task) === null
        ? ((await training.train?.(task, round, trainingModel(task, model), log)) ?? null)
        : null,
    update: async (task, round, model, log) => {
      const plan = statisticsPlanOf(task);
      if (plan === null) return training.update(task, round, trainingModel(task, model), log);
      requirePresence(plan, tasks, log);
      return integers.of(statisticsQuantiser(task, plan), ownVector(task, plan, node));
    },
  };
}

/** Whether this node can answer a task; what is no task of statistics is none of its business. */
export function requireCountable(task: Task, node: Omit<NodeStatistics, 'tasks' | 'rng'>): void {
  const plan = statisticsPlanOf(task);
  if (plan === null) return;
  statisticsQuantiser(task, plan);
  ownVector(task, plan, node).fill(0);
}

/** Secret. */
function ownVector(task: Task, plan: StatisticsPlan, node: Pick<NodeStatistics, 'tables' | 'schemas'>): Float64Array {
  const { train, heldOut } = node.tables;
  return statisticsVector([train, heldOut], schemaFor(task, plan, node), plan, task.scale);
}

/** The schema that a plan names by hash. @throws TrainingError SCHEMA_MISMATCH, UNACCOUNTED; LearningError MISSING_COLUMN */
function schemaFor(task: Task, plan: StatisticsPlan, { schemas }: Pick<NodeStatistics, 'schemas'>): FeatureSchema {
  const { name, hash } = plan.schema;
  const schema = schemas.find((own) => schemaHashOf(own) === hash);
  if (schema === undefined) {
    const isHere = schemas.some((own) => own.name === name);
    const why = isHere ? 'another version of it is here' : "'features' in a region's settings names its file";
    throw new TrainingError('SCHEMA_MISMATCH', `task ${task.task} needs feature schema ${name}: ${why}`);
  }
  requireAccounted(schema, 'record');
  if (JSON.stringify(countedColumns(schema)) === JSON.stringify(plan.columns)) return schema;
  throw new TrainingError('SCHEMA_MISMATCH', `task ${task.task} counts other columns than schema ${name} has`);
}

/**
 * Why a second step does not follow a first one; null where it does: the round that it names is in the log, released with
 * that result, and of a task that this site has too, over the same columns of the same feature file. Which candidates
 * passed there is the recipient's word: the result is sealed to it.
 *
 * @param tasks - the site's.
 * @param log - left out: no log was shown, so nothing is believed.
 */
function presenceFault({ presence, ...plan }: FiguresPlan, tasks: readonly Task[], log?: Transcript): string | null {
  const round = log?.rounds.get(presence.roundId);
  if (round === undefined) return 'the log has no such round';
  if (round.phase !== 'released' || round.resultHash !== presence.resultHash)
    return 'that round was not released with this result';
  if (round.record.taskHash !== presence.taskHash) return 'that round was of another task';
  const task = tasks.find((own) => taskHashOf(nodePrimitives, own) === presence.taskHash);
  if (task === undefined) return "its task file is not among this node's tasks: add it to node.yaml";
  const first = statisticsPlanOf(task);
  if (first?.step !== 'presence') return 'that round was no first step';
  return first.schema.hash === plan.schema.hash ? null : 'that round was over another feature file';
}

/** @throws TrainingError NOT_PRECEDED: see {@link presenceFault}. */
function requirePresence(plan: StatisticsPlan, tasks: readonly Task[], log?: Transcript): void {
  const fault = plan.step === 'figures' ? presenceFault(plan, tasks, log) : null;
  if (fault === null) return;
  throw new TrainingError('NOT_PRECEDED', `the second step of statistics does not follow a first one: ${fault}`);
}
