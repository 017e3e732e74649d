import { basename } from 'node:path';
import type { Rng } from '../../crypto/primitives.ts';
import type { Task } from '../../protocols/task.ts';
import { LearningError } from '../learning/errors.ts';
import { arrangeUpdate, readUpdateFile, type Update } from '../learning/update-file.ts';
import type { UpdateSource } from '../party/node.ts';
import { TrainingError } from './errors.ts';
import { quantiserOf } from './fit-noise.ts';
import { NoisedIntegers } from './noised-integers.ts';
import { trainedVector } from './trained-vector.ts';
import { numbersOf, weigh } from './weighted.ts';

export interface FileSourceSettings {
  /** Patterns of the layers that are sent; left out: all of the file. */
  readonly only?: readonly string[];
  /** How much the update counts, where the task weighs nodes. */
  readonly weight?: number | null;
  readonly rng?: Rng;
}

/** Without masks an update may go from one round to the next, until a decision holds it. */
const ANY_ROUND = 'rounds without masks';

/**
 * One update from a file (`veilsum node submit --update PATH`), from any framework: clipped as a whole to the task's L2
 * norm, so the unit is the node. It goes into one round, the first that asks; in others this node has nothing to send.
 *
 * @throws LearningError at once when the file cannot be used. `update` throws as {@link valuesFor}.
 */
export function createFileSource(
  path: string,
  { only = [], weight = null, rng }: FileSourceSettings = {},
): UpdateSource {
  const integers = new NoisedIntegers(rng);
  const checked = readUpdateFile(path, only);
  const length = checked.values.length;
  checked.values.fill(0);
  let sentIn: string | null = null;
  const valuesOf = (task: Task): Float64Array => {
    const update = readUpdateFile(path, only);
    if (update.values.length !== length)
      throw new LearningError('BAD_TENSOR_FILE', 'the update file was changed meanwhile');
    return valuesFor(task, update, basename(path), weight);
  };
  return {
    update: async (task, round) => {
      if (sentIn !== null && sentIn !== round.id) return null;
      const values = valuesOf(task);
      sentIn = round.id;
      return integers.of(quantiserOf(task), values);
    },
    train: async (task) => {
      if (sentIn !== null) return null;
      const values = valuesOf(task);
      sentIn = ANY_ROUND;
      return trainedVector(integers, quantiserOf(task), values);
    },
  };
}

/**
 * An update's numbers as a task takes them.
 *
 * @param update - taken over.
 * @throws TrainingError TASK_MISMATCH for a task that protects records, WRONG_LENGTH; LearningError LAYER_MISMATCH.
 */
export function valuesFor(task: Task, update: Update, name: string, weight: number | null = null): Float64Array {
  if (task.unit !== 'node') {
    const why = 'an update from a file is clipped as a whole, which protects a node: it takes a task with unit node';
    throw new TrainingError('TASK_MISMATCH', `task ${task.task} protects single records, and ${why}`);
  }
  if (task.tensors !== undefined) return weigh(task, arrangeUpdate(update, task.tensors, name), weight);
  const { length } = update.values;
  if (length === numbersOf(task)) return weigh(task, update.values, weight);
  throw new TrainingError(
    'WRONG_LENGTH',
    `the update has ${length} numbers, task ${task.task} takes ${numbersOf(task)}`,
  );
}
