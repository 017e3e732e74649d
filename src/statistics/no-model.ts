import { bytesEqual } from '../../crypto/encoding.ts';
import type { Task } from '../../protocols/task.ts';
import { encodeSafetensors } from '../learning/safetensors.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { firstModelOf } from '../training/model-maker.ts';

/**
 * A log has one row of models, and every round starts from the last one. Rounds of statistics leave it as it is. Where nothing
 * was trained before them they start from this, which no model has as its parameters.
 */
export function noModel(): Uint8Array {
  return encodeSafetensors([{ name: 'no_model_yet', shape: [1], values: new Float32Array(1) }]);
}

/** What a round of training starts from: after statistics alone the task's own first model, which everybody can make. */
export function trainingModel(task: Task, model: Uint8Array): Uint8Array {
  return task.learning !== null && bytesEqual(model, noModel()) ? firstModelOf(parseLearningPlan(task)) : model;
}
