import { toHex } from '../../crypto/encoding.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { type Compressor, compressorOf, peakOf, type UpdateShape } from './compression.ts';
import { keepResidual, type Residuals, residualFor } from './residuals.ts';

/** Bounds what a node has not sent yet: a multiple of the clip, times the gain of the task without feedback. */
const RESIDUAL_CLIPS = 2;

/** A node's own side of compression. */
export interface Compressing {
  readonly task: Task;
  readonly shape: UpdateShape;
  /** The round's model, as its bytes. */
  readonly model: Uint8Array;
  readonly residuals: Residuals;
}

/**
 * What a node quantises for a task: the update, rotated and cut down to the kept values.
 *
 * Law, unit record: the map is linear and lengthens nothing, so one record moves the result by the clip at most, as before. Unit
 * node: the result has at most the clip's norm, whatever is left over from earlier rounds.
 *
 * @param update - taken over, and wiped where it is not what is returned.
 * @returns null where the update is too short for the task's threshold.
 */
export function compressUpdate(compressing: Compressing, update: Float64Array): Float64Array | null {
  const { task, shape, model } = compressing;
  const compressor = compressorOf(task, shape, model);
  if (compressor === null) return update;
  try {
    return task.unit === 'record' ? compressor.compress(update) : nodeUpdate(compressing, compressor, update);
  } finally {
    update.fill(0);
  }
}

function nodeUpdate(
  { task, shape, model, residuals }: Compressing,
  compressor: Compressor,
  update: Float64Array,
): Float64Array | null {
  const { errorFeedback, sendAboveMicro = 0 } = task.compression!;
  const clip = task.clipMicro / 1e6;
  if (!errorFeedback) {
    if (normOf(update) < sendAboveMicro / 1e6) return null;
    return bounded(compressor.compress(update), clip, peakOf(shape, task.compression, clip));
  }
  // Seide, Fu, Droppo, Li, Yu, INTERSPEECH 2014; Karimireddy, Rebjock, Stich, Jaggi, ICML 2019 (arXiv 1901.09847), Algorithm 2.
  const taskHash = taskHashOf(nodePrimitives, task);
  const modelHash = toHex(nodePrimitives.sha256(model));
  const before = residualFor(residuals, taskHash, modelHash, shape.length);
  const after = update.map((value, i) => value + before[i]!);
  const isSent = normOf(after) >= sendAboveMicro / 1e6;
  const sent = isSent ? bounded(compressor.compress(after), clip, peakOf(shape, task.compression, clip)) : null;
  if (sent !== null) {
    const carried = compressor.expand(sent);
    for (let i = 0; i < after.length; i++) after[i]! -= carried[i]!;
    carried.fill(0);
  }
  bounded(after, (RESIDUAL_CLIPS * clip * 1e6) / task.compression!.keepMicro!);
  keepResidual(residuals, taskHash, { modelHash, before, after });
  before.fill(0);
  after.fill(0);
  return sent;
}

/** Shortens to a norm, then cuts single values, in place. */
function bounded(values: Float64Array, norm: number, peak = Number.POSITIVE_INFINITY): Float64Array {
  const factor = Math.min(1, norm / normOf(values));
  for (let i = 0; i < values.length; i++) values[i] = Math.max(-peak, Math.min(peak, values[i]! * factor));
  return values;
}

function normOf(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
