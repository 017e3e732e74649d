import { z } from 'zod';
import { hashField, labelField } from '../../protocols/fields.ts';
import type { Task } from '../../protocols/task.ts';
import { TrainingError } from '../training/errors.ts';

/** Of all columns together. */
const CANDIDATES_MAX = 65_536;

/**
 * `Task.learning` of a task that counts instead of training. Two steps, each a round of its own:
 *
 * presence: of every candidate (a level, a bucket of a text, a bin of a bounded number) how many customers have it, at most
 *   `cap` of one node counted. Shows which candidates several nodes have, and is all that is asked about the others.
 * figures: over the candidates that passed alone: counts, and of numbers sum, sum of squares and a histogram.
 */
const candidates = z.int().min(1).max(4096);

const columnField = z.strictObject({
  kind: z.enum(['number', 'levels', 'text']),
  column: z.string().min(1).max(128),
  /** How many there are to count. */
  candidates,
  /** How many of them one record has at most. */
  most: candidates,
});

const common = {
  version: z.literal(1),
  kind: z.literal('statistics'),
  unit: z.literal('record'),
  /** The public feature schema, by name and by the hash of its content. */
  schema: z.strictObject({ name: labelField, hash: hashField }),
  columns: z.array(columnField).min(1).max(1024),
  /** Most records in one node's sum: sets the bits of a value. */
  recordsMax: z
    .int()
    .min(1)
    .max(2 ** 24),
};

const presencePlan = z.strictObject({
  ...common,
  step: z.literal('presence'),
  /** A candidate passes that at least so many nodes, and so many customers in all of them, have. */
  leastNodes: z.int().min(2).max(1024),
  leastCustomers: z
    .int()
    .min(1)
    .max(2 ** 24),
  /** Most customers of one node that count for a candidate. */
  cap: z
    .int()
    .min(1)
    .max(2 ** 24),
  /** A candidate that fewer have passes with a probability of at most 10^-doubt. */
  doubt: z.int().min(6).max(18),
});

const figuresPlan = z.strictObject({
  ...common,
  step: z.literal('figures'),
  /** The round that showed what passed, as the log has it. */
  presence: z.strictObject({ taskHash: hashField, roundId: hashField, resultHash: hashField }),
  /** Of each column the candidates that passed, ascending. */
  kept: z.array(z.array(z.int().min(0).max(4095)).max(4096)).max(1024),
});

const statisticsPlanField = z.discriminatedUnion('step', [presencePlan, figuresPlan]);

export type StatisticsPlan = z.infer<typeof statisticsPlanField>;
export type PresencePlan = z.infer<typeof presencePlan>;
export type FiguresPlan = z.infer<typeof figuresPlan>;
export type CountedColumn = z.infer<typeof columnField>;

/** Whether a task counts instead of training; what it says may still be wrong. */
export function isStatistics(task: { readonly learning?: Task['learning'] }): boolean {
  return task.learning?.['kind'] === 'statistics';
}

/**
 * A task's plan; null where it is none of statistics.
 *
 * @throws TrainingError BAD_PLAN, saying where: malformed, of another unit or of another length than the task's.
 */
export function statisticsPlanOf(task: Task): StatisticsPlan | null {
  if (!isStatistics(task)) return null;
  const where = `statistics plan of task ${task.task}`;
  const parsed = statisticsPlanField.safeParse(task.learning);
  if (!parsed.success) throw new TrainingError('BAD_PLAN', `${where}: ${z.prettifyError(parsed.error)}`);
  const plan = parsed.data;
  const fault = faultOf(task, plan);
  if (fault !== null) throw new TrainingError('BAD_PLAN', `${where}: ${fault}`);
  return plan;
}

function faultOf(task: Task, plan: StatisticsPlan): string | null {
  if (task.unit !== 'record') return `it protects records, the task a ${task.unit}`;
  if (task.buckets !== undefined) return 'buckets are for models';
  if (task.sampling !== undefined) return 'it is over all records, none are drawn';
  if (task.compression !== undefined) return 'counts are sent as they are';
  if (task.oneShot !== undefined)
    return 'rounds without masks are for training: counts are made for the round that asks';
  if (plan.step === 'presence' && plan.cap < leastCap(plan))
    return `with a cap of ${plan.cap}, fewer than ${plan.leastCustomers} customers of ${plan.leastNodes} nodes would pass`;
  if (plan.columns.some(({ most, candidates: all }) => most > all))
    return 'a record has more candidates than there are';
  if (plan.columns.reduce((sum, column) => sum + column.candidates, 0) > CANDIDATES_MAX)
    return `more than ${CANDIDATES_MAX} candidates`;
  if (plan.step === 'figures') {
    if (plan.kept.length !== plan.columns.length) return 'what is kept is not said of every column';
    const isFit = (kept: readonly number[], all: number) => kept.every((one, i) => one < (kept[i + 1] ?? all));
    if (!plan.kept.every((kept, i) => isFit(kept, plan.columns[i]!.candidates)))
      return 'what is kept is not an ascending part of the candidates';
  }
  const { dimension } = layoutOf(plan);
  return dimension === task.dimension ? null : `it makes ${dimension} values, the task carries ${task.dimension}`;
}

/** Below this cap a threshold of (leastNodes - 1) caps says nothing of `leastCustomers`. */
export function leastCap({ leastNodes, leastCustomers }: Pick<PresencePlan, 'leastNodes' | 'leastCustomers'>): number {
  return Math.max(1, Math.ceil((leastCustomers - 1) / (leastNodes - 1)));
}

/** The norm of a record, as tasks state it: cut to whole millionths, so that its square is not above norm2. */
export function clipOf({ norm2 }: Layout): number {
  return Math.floor(Math.sqrt(norm2) * 1e6) / 1e6;
}

/** Where a column's values lie in the vector. */
export interface Place {
  readonly column: CountedColumn;
  /** Candidates that are counted: all, or those kept. */
  readonly counted: readonly number[];
  /** Of a number in the second step: records with a value, sum, sum of squares. Null: not there. */
  readonly moments: number | null;
  /** Of the first counted candidate. */
  readonly counts: number;
}

export interface Layout {
  readonly dimension: number;
  readonly places: readonly Place[];
  /** Squared L2 norm of what one record adds at most, where one record is 1. */
  readonly norm2: number;
}

/**
 * presence: every candidate in turn. norm2 = sum of `most`.
 * figures: the number of records, then of each column with anything kept: for numbers count, sum u, sum u^2 of u in [-1, 1], the range of the bins kept;
 *   the kept bins or levels. norm2 = 1 + 4 for each number (1 + u^2 + u^4 + 1) + 1 for the levels of a column. Texts: none.
 */
export function layoutOf(plan: StatisticsPlan): Layout {
  const places: Place[] = [];
  let [at, norm2] = plan.step === 'presence' ? [0, 0] : [1, 1];
  for (const [i, column] of plan.columns.entries()) {
    const counted = plan.step === 'presence' ? [...Array(column.candidates).keys()] : figuresOfColumn(plan, i);
    const hasMoments = plan.step === 'figures' && column.kind === 'number' && counted.length > 0;
    const moments = hasMoments ? at : null;
    if (hasMoments) at += MOMENTS;
    places.push({ column, counted, moments, counts: at });
    at += counted.length;
    norm2 += Math.min(column.most, counted.length) + (hasMoments ? MOMENTS : 0);
  }
  return { dimension: at, places, norm2 };
}

/** Buckets of a text that passed are coordinates; how many customers each has tells nobody anything, so that is not asked. */
function figuresOfColumn({ columns, kept }: FiguresPlan, i: number): readonly number[] {
  return columns[i]!.kind === 'text' ? [] : kept[i]!;
}

/** Count, sum and sum of squares. */
const MOMENTS = 3;
