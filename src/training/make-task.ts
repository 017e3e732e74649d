import { canonicalBytes, type Json } from '../../crypto/encoding.ts';
import { MAX_TENSORS, sizeOfShape } from '../../protocols/task.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { datasetSchema } from '../learning/datasets.ts';
import { type Profile, type RunDefaults, runDefaults } from '../learning/defaults.ts';
import { designColumns } from '../learning/features.ts';
import type { Layer, ModelSpec } from '../learning/model.ts';
import type { Optimiser } from '../learning/optimisers.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { assembleTask, type Filled, type MadeTask, micro, type RoundsRequest } from './assemble-task.ts';
import { compressedFields } from './compression.ts';
import { type CompressionRequest, compressionFor, requireSoundCompression } from './compression-rules.ts';
import { TrainingError } from './errors.ts';
import { type LearningPlan, type RecordPlan, requireAccounted, schemaHashOf, updateShape } from './learning-plan.ts';
import { requireSoundLocal } from './local-plan.ts';
import { type PseudoPlan, requireSoundPseudo } from './pseudo-plan.ts';
import { samplingFor } from './sampling.ts';
import { sensitiveInputs } from './sensitive.ts';
import { requireSoundWeights } from './weighted.ts';

export type { MadeTask, RoundsRequest } from './assemble-task.ts';

export interface LearningRequest extends RoundsRequest {
  readonly dataset: DatasetName;
  /** In place of the dataset's own. */
  readonly schema?: FeatureSchema;
  readonly model?: ModelSpec['kind'];
  readonly profile?: Profile;
  readonly unit?: 'record' | 'node';
  /** For unit 'record'. */
  readonly recordsMax?: number;
  /** For unit 'record': every round is over records that nodes draw with this probability. */
  readonly sampleRate?: number;
  /** For unit 'record': columns of the table whose weights one record moves by this part of the clip only. */
  readonly sensitive?: { readonly columns: readonly string[]; readonly share: number };
  /** For unit 'node'. */
  readonly local?: Partial<LocalRequest>;
  /** For unit 'node': layers of the model that stay on each node. */
  readonly localLayers?: readonly string[];
  /** How the recipient steps; left out: momentum. */
  readonly optimiser?: Optimiser;
  /** With buckets: how their means become one update; left out: the mean. */
  readonly aggregate?: Aggregate;
  /** Of the server's step; left out: what suits the optimiser and the dataset. */
  readonly serverRate?: number;
  readonly clip?: number;
  readonly compression?: CompressionRequest;
  /** For unit 'node': nodes weigh as many rows as they have, up to this, in secret; left out: all weigh the same. */
  readonly weightMax?: number;
  /** Rows without a label take part; left out: they are refused. */
  readonly pseudo?: PseudoPlan;
  /** L2 penalty on all weights in the server's step; left out: the dataset's own. */
  readonly weightDecay?: number;
  /** Units of the hidden layer; left out: 16. */
  readonly hidden?: number;
}

/** Local training between two rounds, for unit 'node'. */
interface LocalRequest {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  /** mu of FedProx; 0 for none. */
  readonly proximal: number;
}

/** Updates of any `dimension` numbers, or of layers with names. */
export type UpdatesRequest = RoundsRequest & { readonly clip: number; readonly weightMax?: number | undefined } & (
    | { readonly dimension: number; readonly tensors?: undefined }
    | { readonly tensors: readonly Layer[] }
  );

/** Records in one node's sum, unless asked otherwise. */
const RECORDS_MAX = 16_384;
const LOCAL: LocalRequest = { steps: 20, batch: 128, learningRate: 0.3, proximal: 0 };
const NODE_CLIP = 1;
/** Under so much noise the learning rate falls over the rounds, of which there are enough; measured in src/learning/README.md. */
const NOISY_EPSILON = 3;
const DECAY_ROUNDS = 50;
/** Of FedAdam and FedYogi; measured in src/learning/README.md. */
const ADAPTIVE = { learningRate: 0.05, momentum: 0.9 };
/** What a coordinator takes, of canonical JSON. */
const MAX_TASK_BYTES = 65_535;
/** Rounds that a budget is divided among where updates come from files and nobody says how many. */
const UPDATE_ROUNDS = 10;

/**
 * A task that trains a model on tables.
 *
 * Law: `rounds` charges of the task fit the zCDP budget of (epsilon, delta) in integer nano-rho.
 *
 * @throws TrainingError BAD_BUDGET, DOES_NOT_FIT; LearningError BAD_SETTING.
 */
export function makeTask(request: LearningRequest): MadeTask {
  const { dataset, model = 'logistic', profile = 'full', unit = 'record' } = request;
  const defaults = runDefaults(dataset, profile, model);
  const schema = request.schema ?? datasetSchema(dataset);
  requireAccounted(schema, unit);
  const inputs = designColumns(schema).length;
  const common = {
    version: 1,
    schema: { name: schema.name, hash: schemaHashOf(schema) },
    model:
      model === 'mlp'
        ? { kind: model, inputs, hidden: request.hidden ?? defaults.hidden, seed: 1 }
        : { kind: model, inputs },
  } as const;
  const aggregate = request.aggregate === undefined ? {} : { aggregate: request.aggregate };
  const localLayers = localLayersOf(request, common.model, unit);
  const pseudo = request.pseudo === undefined ? {} : { pseudo: request.pseudo };
  if (request.pseudo !== undefined) requireSoundPseudo(request.pseudo, unit);
  const { bins } = defaults;
  const filled = { epsilon: defaults.epsilon, delta: defaults.delta, rounds: defaults.rounds, ...request };
  const server = serverPlan(filled, defaults, unit);
  const local = { ...LOCAL, ...request.local };
  const plan: LearningPlan =
    unit === 'record'
      ? {
          ...common,
          ...aggregate,
          ...pseudo,
          unit,
          server,
          countShareMicro: micro(defaults.countShare),
          bins: { count: bins.count, lowMicro: micro(bins.low), highMicro: micro(bins.high) },
          recordsMax: request.recordsMax ?? RECORDS_MAX,
          ...(request.sensitive === undefined ? {} : { sensitive: sensitivePlan(schema, request.sensitive) }),
        }
      : {
          ...common,
          ...aggregate,
          ...pseudo,
          ...localLayers,
          unit,
          server,
          local: {
            ...{ steps: local.steps, batch: local.batch, learningRateMicro: micro(local.learningRate) },
            ...(local.proximal > 0 ? { proximalMicro: micro(local.proximal) } : {}),
          },
        };
  const clip = request.clip ?? (unit === 'record' ? defaults.clip : nodeClip(request.compression));
  const sampling = filled.epsilon === null ? undefined : samplingFor({ ...filled, epsilon: filled.epsilon }, unit);
  const recordsMax = plan.unit === 'record' ? plan.recordsMax : 1;
  const shape = updateShape(plan, micro(clip));
  const { weightMax } = request;
  requireWeight(weightMax);
  if (weightMax !== undefined) requireSoundWeights(plan);
  const sent = compressedFields(shape, compressionFor(request.compression, request.bits, shape), micro(clip) / 1e6);
  if (weightMax !== undefined && (unit !== 'node' || sent.compression !== undefined))
    throw new TrainingError('BAD_PLAN', 'weights are for unit node, without compression: records are counted anyway');
  const made = assembleTask(filled, {
    ...{ unit, learning: plan, clip, recordsMax, sampling, weightMax },
    ...{ ...sent, dimension: sent.dimension + (weightMax === undefined ? 0 : 1) },
  });
  requireSoundCompression(made.task, plan);
  return made;
}

function requireWeight(most: number | undefined): void {
  if (most === undefined || (Number.isSafeInteger(most) && most >= 1 && most <= 2 ** 40)) return;
  throw new TrainingError('BAD_PLAN', 'the largest weight: a whole number from 1');
}

/** Kept values of an update have the square root of their part of its norm, and leftovers are not shorter than an update. */
export function nodeClip({ keep = 1, errorFeedback }: CompressionRequest = {}): number {
  return errorFeedback ? NODE_CLIP : NODE_CLIP * Math.sqrt(keep);
}

function localLayersOf(
  { localLayers }: LearningRequest,
  model: ModelSpec,
  unit: 'record' | 'node',
): { readonly localLayers?: string[] } {
  if (localLayers === undefined) return {};
  requireSoundLocal(model, localLayers, unit);
  return { localLayers: [...localLayers] };
}

function sensitivePlan(
  schema: FeatureSchema,
  { columns, share }: NonNullable<LearningRequest['sensitive']>,
): NonNullable<RecordPlan['sensitive']> {
  const inputs = sensitiveInputs(schema, { columns }).reduce((sum, one) => sum + one, 0);
  return { columns: [...columns], inputs, shareMicro: micro(share) };
}

/** Momentum steps as the dataset's defaults say; a mean of local deltas is a step already. Adaptive rules scale it themselves. */
function serverPlan(
  {
    optimiser,
    serverRate,
    weightDecay,
    epsilon,
    rounds,
  }: Pick<LearningRequest, 'optimiser' | 'serverRate' | 'weightDecay'> & Filled,
  defaults: RunDefaults,
  unit: 'record' | 'node',
): LearningPlan['server'] {
  const isAdaptive = optimiser === 'adam' || optimiser === 'yogi';
  const plain = unit === 'record' ? defaults : { learningRate: 1, momentum: 0 };
  const { learningRate, momentum } = isAdaptive ? ADAPTIVE : plain;
  const isNoisy = epsilon !== null && epsilon <= NOISY_EPSILON && rounds >= DECAY_ROUNDS;
  return {
    learningRateMicro: micro(serverRate ?? learningRate),
    momentumMicro: micro(momentum),
    weightDecayMicro: micro(weightDecay ?? defaults.weightDecay ?? 0),
    ...(isAdaptive ? { optimiser } : {}),
    ...(unit === 'record' && isNoisy ? { decayRounds: rounds } : {}),
  };
}

/** A task for updates that nodes bring as files: every update is clipped as a whole, the unit is the node. */
export function makeUpdatesTask(request: UpdatesRequest): MadeTask {
  const { clip, weightMax } = request;
  requireWeight(weightMax);
  const tensors = request.tensors?.map(({ name, shape }) => ({ name, shape: [...shape] }));
  const empty = tensors?.find(({ shape }) => sizeOfShape(shape) === 0);
  if (empty !== undefined) throw new TrainingError('DOES_NOT_FIT', `layer ${empty.name} holds no number: leave it out`);
  if (tensors !== undefined && tensors.length > MAX_TENSORS)
    throw new TrainingError('DOES_NOT_FIT', `${tensors.length} layers are more than the ${MAX_TENSORS} of a task`);
  const numbers =
    request.tensors === undefined
      ? request.dimension
      : request.tensors.reduce((sum, { shape }) => sum + sizeOfShape(shape), 0);
  const dimension = numbers + (weightMax === undefined ? 0 : 1);
  const made = assembleTask(
    { task: 'updates', epsilon: 8, delta: 1e-5, rounds: UPDATE_ROUNDS, ...request },
    { unit: 'node', learning: null, dimension, clip, recordsMax: 1, tensors, weightMax },
  );
  if (canonicalBytes(made.task as unknown as Json).length <= MAX_TASK_BYTES) return made;
  const why = `their names and shapes make more than the ${MAX_TASK_BYTES} bytes of a task`;
  throw new TrainingError('DOES_NOT_FIT', `choose fewer layers: ${why}`);
}
