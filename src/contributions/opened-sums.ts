import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { resultHashOf } from '../../protocols/recipient.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { FOLDER } from '../keys/party-folder.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import { layoutOf } from '../learning/contribution.ts';
import { resultHashFor } from '../party/results.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { StoreError } from '../store/errors.ts';
import { openStore } from '../store/open-store.ts';
import { quantiserOf } from '../training/fit-noise.ts';
import { contributionPlanOf, parseLearningPlan } from '../training/learning-plan.ts';
import { numbersOf, weightIn } from '../training/weighted.ts';
import type { RoundAttendance } from './attendance.ts';
import { ContributionError } from './errors.ts';

/** What one opened sum says, in the units of updates. Released values: whatever is made of them costs no privacy. */
export interface OpenedSum {
  readonly round: RoundAttendance;
  /** The sum's trained part, divided by its nodes. */
  readonly mean: Float64Array;
  /**
   * Noised number of training records of all its nodes together; null where the task counts none (unit node). In rounds without masks a
   * late node's count less, as its update does.
   */
  readonly records: number | null;
  /** Standard deviation of the noise in `records`. */
  readonly recordsNoise: number | null;
  /** How the task makes one update of the sums of buckets. */
  readonly rule: Aggregate;
}

/**
 * Reads the sums that a recipient opened from its own folder, each compared with the hash in its release leaf.
 *
 * @param tasks - the recipient's task files. @returns sums of rounds that were released and whose task is there.
 * @throws ContributionError NO_SUMS where the folder holds none, SUM_DIFFERS where one is not what was released.
 */
export async function readOpenedSums(
  t: Transcript,
  rounds: readonly RoundAttendance[],
  folder: string,
  tasks: readonly Task[],
): Promise<OpenedSum[]> {
  const state = join(folder, FOLDER.state);
  // Opening would make an empty store where there is none.
  if (!existsSync(join(state, 'store.sqlite')))
    throw new ContributionError('NO_SUMS', `${folder} holds no opened sums: --dir is the folder of the recipient`);
  await using store = await openStore(state);
  const byHash = new Map(tasks.map((task) => [taskHashOf(nodePrimitives, task), task]));
  const sums: OpenedSum[] = [];
  for (const round of rounds) {
    const known = t.rounds.get(round.id)!;
    const task = byHash.get(known.record.taskHash);
    if (known.phase !== 'released' || task === undefined) continue;
    const hash = await resultHashFor({ store }, round.id).catch(ifMissing);
    if (hash === null) continue;
    const values = new Int32Array((await store.blobs.get(hash)).slice().buffer);
    if (resultHashOf(nodePrimitives, values) !== known.resultHash)
      throw new ContributionError(
        'SUM_DIFFERS',
        `the sum of round ${round.number} on this disk is not the one whose hash was released: restore the recipient's folder`,
      );
    sums.push(sumOf(task, round, values));
  }
  if (sums.length === 0)
    throw new ContributionError(
      'NO_SUMS',
      `${folder} holds no sum of this log's rounds and of its own task files: it is another recipient's, or another log`,
    );
  return sums;
}

function ifMissing(error: unknown): null {
  if (error instanceof StoreError && error.code === 'NOT_FOUND') return null;
  throw error;
}

/** Noise: each of n nodes adds variance sigma^2, and at most a quarter of a step by rounding (model-maker.ts). */
function sumOf(task: Task, round: RoundAttendance, values: Int32Array): OpenedSum {
  const { scale, variance } = quantiserOf(task);
  const nodes = round.cohort.length;
  const plan = task.learning === null ? null : parseLearningPlan(task);
  const meanTo = (end: number): Float64Array =>
    Float64Array.from(values.subarray(0, end), (value) => value / (scale * nodes));
  const rule = plan?.aggregate ?? 'mean';
  const sigma = Math.sqrt(nodes * (Number(variance.sigma2Numerator) / Number(variance.sigma2Denominator) + 1 / 4));
  if (plan?.unit !== 'record') {
    const mean = meanTo(numbersOf(task));
    // What files weigh is what their nodes say; nodes that train weigh by the rows that they train on.
    if (plan === null || task.weightMax === undefined) return { round, mean, records: null, recordsNoise: null, rule };
    const rowsOf = (last: number): number => weightIn(task, Float64Array.of(last / scale), 0);
    return { round, mean, records: rowsOf(values.at(-1)!), recordsNoise: rowsOf(sigma), rule };
  }
  const { gradientEnd, countIndex, countStep } = layoutOf(contributionPlanOf(plan, task.clipMicro));
  // Compression leaves weights out, in front of the count, and the same ones for all buckets of a model.
  const leftOut = (task.compression?.values ?? task.dimension) - task.dimension;
  return {
    round,
    mean: meanTo(gradientEnd - leftOut),
    records: values[countIndex - leftOut]! / scale / countStep,
    recordsNoise: sigma / scale / countStep,
    rule,
  };
}
