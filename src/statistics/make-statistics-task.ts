import { type Task, taskField } from '../../protocols/task.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { assembleTask, type MadeTask, type RoundsRequest } from '../training/assemble-task.ts';
import { TrainingError } from '../training/errors.ts';
import { requireAccounted, schemaHashOf } from '../training/learning-plan.ts';
import { countedColumns } from './columns.ts';
import type { KeptFile } from './kept-file.ts';
import { clipOf, layoutOf, leastCap, type PresencePlan, type StatisticsPlan, statisticsPlanOf } from './plan.ts';
import { fitStatistics } from './quantiser.ts';
import { capFor, marginOf, noiseOfSum } from './threshold.ts';

export interface StatisticsRequest extends RoundsRequest {
  readonly schema: FeatureSchema;
  /** Most records of one node. */
  readonly recordsMax?: number;
  /** What passed in the first step; left out: this is the first step. */
  readonly kept?: KeptFile;
  /** Of the first step: what a candidate needs to pass. */
  readonly leastNodes?: number;
  readonly leastCustomers?: number;
}

const RECORDS_MAX = 16_384;
/** "Several" nodes. */
const LEAST_NODES = 2;
const LEAST_CUSTOMERS = 20;
/** One in a million. */
const DOUBT = 6;
/** Of one round, unless asked otherwise. */
const EPSILON = 1;

/**
 * A task of statistics: one round, of which `epsilon` is what it may cost.
 *
 * @throws TrainingError NO_BOUNDS, UNACCOUNTED, BAD_PLAN, SCHEMA_MISMATCH where what passed is of another feature file,
 *   BAD_BUDGET, DOES_NOT_FIT where the noise asks for a cap beyond `recordsMax`.
 */
export function makeStatisticsTask(request: StatisticsRequest): MadeTask {
  const { schema, kept } = request;
  requireAccounted(schema, 'record');
  const filled = { epsilon: EPSILON, delta: 1e-5, rounds: 1, ...request };
  const common = {
    version: 1,
    kind: 'statistics',
    unit: 'record',
    schema: { name: schema.name, hash: schemaHashOf(schema) },
    columns: countedColumns(schema),
    recordsMax: request.recordsMax ?? RECORDS_MAX,
  } as const;
  const assemble = (plan: StatisticsPlan): MadeTask => {
    const layout = layoutOf(plan);
    const { recordsMax } = plan;
    const substance = {
      unit: 'record',
      learning: plan,
      dimension: layout.dimension,
      clip: clipOf(layout),
      recordsMax,
    } as const;
    const made = assembleTask(filled, substance, fitStatistics(plan));
    statisticsPlanOf(made.task);
    return made;
  };
  if (kept !== undefined) {
    const { name, hash } = kept.schema;
    if (hash !== common.schema.hash)
      throw new TrainingError(
        'SCHEMA_MISMATCH',
        `what passed is of another feature file, ${name}, or of another version`,
      );
    return assemble({
      ...common,
      step: 'figures',
      presence: kept.presence,
      kept: kept.columns.map((column) => column.kept),
    });
  }
  const { leastNodes = LEAST_NODES, leastCustomers = LEAST_CUSTOMERS, nodes } = request;
  if (!(leastNodes >= 2 && leastNodes <= nodes))
    throw new TrainingError('BAD_PLAN', `a value is shown that 2 nodes or more have, and at most all ${nodes}`);
  const least = { leastNodes, leastCustomers };
  const first: PresencePlan = { ...common, step: 'presence', ...least, cap: leastCap(least), doubt: DOUBT };
  const made = assemble(first);
  const cap = capFor(first, marginOf(noiseOf(made.task, nodes), DOUBT));
  if (cap > common.recordsMax)
    throw new TrainingError(
      'DOES_NOT_FIT',
      `under so much noise ${cap} customers of a node would have to count, more than a node's ${common.recordsMax} records: spend more, or count fewer columns`,
    );
  return { ...made, task: taskField.parse({ ...made.task, learning: { ...first, cap } }) };
}

/** Standard deviation of the noise in a sum of so many nodes, in records. */
export function noiseOf({ noise, scale }: Pick<Task, 'noise' | 'scale'>, nodes: number): number {
  return noiseOfSum(Number(noise.sigma2Numerator) / Number(noise.sigma2Denominator), scale, nodes);
}
