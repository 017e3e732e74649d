import { toHex } from '../../crypto/encoding.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { initialModel, type Model, makeModel } from '../learning/model.ts';
import { decodeSafetensors, encodeSafetensors, joinTensors, namedTensors } from '../learning/safetensors.ts';
import { layersOfPart, placePart, type Sharing, sizeOfPart, takePart } from '../learning/shared-layers.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { type LearningPlan, parseLearningPlan, specOf } from './learning-plan.ts';
import { keepResidual, type Residuals, residualFor } from './residuals.ts';

/** Which layers of a plan's model are common. */
export function sharingOf(plan: LearningPlan): Sharing {
  return { spec: specOf(plan), local: plan.localLayers ?? [] };
}

/** The model that every job of a plan starts from. */
function startOf(plan: LearningPlan): Model {
  return initialModel(specOf(plan), plan.model.kind === 'mlp' ? plan.model.seed : 1);
}

/**
 * A model as it is published: common layers alone.
 *
 * @param model - left out: the first one.
 */
export function encodeModel(plan: LearningPlan, model: Model = startOf(plan)): Uint8Array {
  const sharing = sharingOf(plan);
  const isWhole = plan.localLayers === undefined;
  const values = isWhole ? model.values : new Float32Array(takePart(sharing, 'shared', model.values));
  return encodeSafetensors(namedTensors(values, layersOfPart(sharing, 'shared')));
}

/**
 * The inverse; local layers are those of the first model, public numbers.
 *
 * @throws LearningError BAD_MODEL unless the layers are exactly the common ones, BAD_TENSOR_FILE, NOT_FINITE.
 */
export function readModel(plan: LearningPlan, bytes: Uint8Array): Model {
  const sharing = sharingOf(plan);
  const shared = joinTensors(layersOfPart(sharing, 'shared'), decodeSafetensors(bytes));
  if (plan.localLayers === undefined) return makeModel(sharing.spec, shared);
  const { values } = startOf(plan);
  placePart(sharing, 'shared', values, shared);
  return makeModel(sharing.spec, values);
}

/** A sum of common layers as one of the whole model: 0 for local ones. */
export function liftSum(plan: LearningPlan, sum: Float64Array): Float64Array {
  if (plan.localLayers === undefined) return sum;
  const whole = new Float64Array(startOf(plan).values.length);
  placePart(sharingOf(plan), 'shared', whole, sum);
  return whole;
}

/** A node's own head for the models of one task. */
export interface OwnHead {
  readonly task: Task;
  /** The round's model, as it was published. */
  readonly model: Uint8Array;
  /** What is kept of a head: how far it is from the first model's, beside the hash of the model that it was trained with. */
  readonly heads: Residuals;
}

/** The common layers with this node's own ones. Secret. */
export function modelWithHead({ task, model: bytes, heads }: OwnHead): Model {
  const plan = parseLearningPlan(task);
  const model = readModel(plan, bytes);
  if (plan.localLayers === undefined) return model;
  const sharing = sharingOf(plan);
  const own = keptHead({ task, model: bytes, heads });
  const local = takePart(sharing, 'local', model.values).map((value, i) => value + own[i]!);
  placePart(sharing, 'local', model.values, local);
  own.fill(0);
  return model;
}

/**
 * Trains common and local layers together, and keeps the local ones (Arivazhagan, Aggarwal, Singh, Choudhary, 2019, arXiv
 * 1912.00818). The head is durable before the update is used; asked again for the same model, after a crash or an aborted
 * round, training starts from the head that it had then.
 *
 * @param train - what local steps change, start minus end, of the whole model.
 * @returns the common layers' part. Secret; what `train` returned is wiped.
 */
export function trainWithHead(own: OwnHead, train: (model: Model) => Float64Array): Float64Array {
  const delta = train(modelWithHead(own));
  const plan = parseLearningPlan(own.task);
  if (plan.localLayers === undefined) return delta;
  const sharing = sharingOf(plan);
  const before = keptHead(own);
  const moved = takePart(sharing, 'local', delta);
  const after = before.map((value, i) => value - moved[i]!);
  keepResidual(own.heads, taskHashOf(nodePrimitives, own.task), { modelHash: hashOf(own.model), before, after });
  const shared = takePart(sharing, 'shared', delta);
  for (const secret of [delta, before, moved, after]) secret.fill(0);
  return shared;
}

function keptHead({ task, model, heads }: OwnHead): Float64Array {
  const length = sizeOfPart(sharingOf(parseLearningPlan(task)), 'local');
  return residualFor(heads, taskHashOf(nodePrimitives, task), hashOf(model), length);
}

function hashOf(bytes: Uint8Array): string {
  return toHex(nodePrimitives.sha256(bytes));
}
