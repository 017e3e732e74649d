import type { Task } from '../../protocols/task.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import { TrainingError } from './errors.ts';

/** Part of the clip that the weight's coordinate has; the update keeps 96.8 %. Its noise lengthens or shortens the mean, within bounds (`meanOf`), and turns nothing. */
const WEIGHT_SHARE = 0.25;

type Weighted = Pick<Task, 'task' | 'weightMax' | 'clipMicro' | 'dimension'>;

/** Numbers of an update, without the weight. */
export function numbersOf({ dimension, weightMax }: Pick<Task, 'dimension' | 'weightMax'>): number {
  return dimension - (weightMax === undefined ? 0 : 1);
}

/** @throws TrainingError BAD_PLAN: a rule over buckets would look at updates that are longer where nodes are larger. */
export function requireSoundWeights({ aggregate = 'mean' }: { readonly aggregate?: Aggregate | undefined }): void {
  if (aggregate === 'mean') return;
  throw new TrainingError('BAD_PLAN', `weights and ${aggregate} over buckets do not go together: choose one`);
}

/**
 * An update as it is summed where nodes weigh as much as they say: with v the update, clipped to sqrt(1 - s^2) C, and w of at most
 * W its weight, the vector (w/W v, w/W s C), s = 1/4.
 *
 * Law: its norm is at most C whatever w, so noise and charge are those of an update without weights; and nobody sees w, but in the
 * noised sum of all.
 *
 * @param values - taken over. @throws TrainingError TASK_MISMATCH, BAD_PLAN.
 */
export function weigh(task: Weighted, values: Float64Array, weight: number | null): Float64Array {
  const { weightMax: most } = task;
  if (most === undefined) {
    if (weight === null) return values;
    throw new TrainingError('TASK_MISMATCH', `task ${task.task} weighs all nodes alike: leave --weight out`);
  }
  if (weight === null)
    throw new TrainingError(
      'TASK_MISMATCH',
      `task ${task.task} weighs nodes: say --weight, such as the rows trained on`,
    );
  if (!(weight >= 1 && weight <= most))
    throw new TrainingError('BAD_PLAN', `--weight: from 1 to ${most}, the most that task ${task.task} has room for`);
  const { update, step } = sharesOf(task);
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  const scale = (weight / most) * (norm > update ? update / norm : 1);
  const vector = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) vector[i] = values[i]! * scale;
  vector[values.length] = step * (weight / most);
  values.fill(0);
  return vector;
}

function sharesOf({ clipMicro }: Pick<Task, 'clipMicro'>) {
  const clip = clipMicro / 1e6;
  return { update: clip * Math.sqrt(1 - WEIGHT_SHARE ** 2), step: clip * WEIGHT_SHARE };
}

/** All weights together, with the noise of that coordinate, of a noised sum; at least the least that so many nodes can have. */
export function weightIn(task: Weighted, sum: Float64Array, nodes: number): number {
  return Math.max((sum.at(-1)! / sharesOf(task).step) * task.weightMax!, nodes);
}

/** A sum of weights below so many deviations of its own noise is not divided by: it could be anything from nothing on. */
const LEAST_RATIO = 3;

/**
 * The mean of the nodes' updates, by their weights where the task weighs them; shorter where noise hides how much they weigh.
 *
 * Law: the noise of a value of a weighted mean has at most a third of the weight coordinate's length as its deviation.
 *
 * @param sum - noised, of `nodes` nodes.
 */
export function meanOf(task: Weighted & Pick<Task, 'noise' | 'scale'>, sum: Float64Array, nodes: number): Float64Array {
  if (task.weightMax === undefined) return sum.map((value) => value / nodes);
  const { sigma2Numerator, sigma2Denominator } = task.noise;
  const noise = Math.sqrt(nodes * (Number(sigma2Numerator) / Number(sigma2Denominator) + 1 / 4)) / task.scale;
  const shares = Math.max(weightIn(task, sum, nodes) / task.weightMax, (LEAST_RATIO * noise) / sharesOf(task).step);
  return sum.subarray(0, -1).map((value) => value / shares);
}
