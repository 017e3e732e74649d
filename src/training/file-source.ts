import type { Rng } from '../../crypto/primitives.ts';
import { LearningError } from '../learning/errors.ts';
import { readUpdateFile } from '../learning/update-file.ts';
import type { UpdateSource } from '../party/node.ts';
import { TrainingError } from './errors.ts';
import { quantiserOf } from './fit-noise.ts';
import { NoisedIntegers } from './noised-integers.ts';

/**
 * One update from a file (`veilsum node submit --update PATH`), from any framework: clipped as a whole to the task's L2
 * norm, so the unit is the node. It goes into one round, the first that asks; in others this node has nothing to send.
 *
 * @throws LearningError at once when the file cannot be used. `update` throws TrainingError TASK_MISMATCH for a task
 *   that protects records, WRONG_LENGTH.
 */
export function createFileSource(path: string, rng?: Rng): UpdateSource {
  const integers = new NoisedIntegers(rng);
  const checked = readUpdateFile(path);
  const length = checked.values.length;
  checked.values.fill(0);
  let sentIn: string | null = null;
  return {
    update: async (task, round) => {
      if (task.unit !== 'node') {
        const why = 'an update from a file is clipped as a whole and cannot protect single records';
        throw new TrainingError('TASK_MISMATCH', `task ${task.task} has unit ${task.unit}: ${why}`);
      }
      if (length !== task.dimension) {
        throw new TrainingError(
          'WRONG_LENGTH',
          `the update has ${length} numbers, task ${task.task} takes ${task.dimension}`,
        );
      }
      sentIn ??= round.id;
      if (sentIn !== round.id) return null;
      const quantiser = quantiserOf(task);
      const { values } = readUpdateFile(path);
      if (values.length === length) return integers.of(quantiser, values);
      throw new LearningError('BAD_TENSOR_FILE', 'the update file was changed meanwhile');
    },
  };
}
