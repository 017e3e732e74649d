import { deriveParameters } from '../../crypto/params.ts';
import type { Quantiser } from '../../crypto/quantise.ts';
import type { Sampling } from '../../protocols/sampled-charge.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { datasetSchema } from '../learning/datasets.ts';
import { type Profile, type RunDefaults, runDefaults } from '../learning/defaults.ts';
import { designColumns } from '../learning/features.ts';
import type { ModelSpec } from '../learning/model.ts';
import type { Optimiser } from '../learning/optimisers.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { budgetFor, deltaIn, epsilonOf, NO_PRIVACY } from './budget.ts';
import { TrainingError } from './errors.ts';
import { fitNoise } from './fit-noise.ts';
import { type LearningPlan, type RecordPlan, requireAccounted, schemaHashOf, vectorLength } from './learning-plan.ts';
import { epsilonOfOneRound, samplingFor } from './sampling.ts';
import { sensitiveInputs } from './sensitive.ts';
import { minimumsFor } from './task-minimums.ts';

/** What every task is asked for, whatever its updates are. */
export interface RoundsRequest {
  readonly task?: string;
  readonly window: string;
  readonly recipients: readonly string[];
  /** Nodes that are expected. */
  readonly nodes: number;
  /** Most nodes in one sum; default 16, or `nodes` if that is more. */
  readonly nodesMax?: number;
  /** Fewest nodes in a sum that is opened; default as `minimumsFor` says. */
  readonly minCohort?: number;
  /** Nodes whose noise alone has to suffice. */
  readonly minHonest?: number;
  readonly minOrganisations?: number;
  /** Into how many buckets the nodes are divided; `nodesMax` and the minimums are then of one bucket. Left out: none. */
  readonly buckets?: number;
  /** Null: no privacy, for experiments that compare with it. */
  readonly epsilon?: number | null;
  readonly delta?: number;
  /** Rounds that the budget is divided among. */
  readonly rounds?: number;
  /** The order that the federation counts at, where it names one; left out with a sample rate: the best one. */
  readonly renyiOrder?: number;
  readonly checkSums?: boolean;
  readonly quorum?: { readonly members: number; readonly threshold: number };
  readonly maxAttempts?: number;
  readonly maxLeaves?: number;
  readonly uploadMs?: number;
  readonly confirmMs?: number;
}

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
  /** How the recipient steps; left out: momentum. */
  readonly optimiser?: Optimiser;
  /** With buckets: how their means become one update; left out: the mean. */
  readonly aggregate?: Aggregate;
  /** Of the server's step; left out: what suits the optimiser and the dataset. */
  readonly serverRate?: number;
  readonly clip?: number;
}

/** Local training between two rounds, for unit 'node'. */
interface LocalRequest {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  /** mu of FedProx; 0 for none. */
  readonly proximal: number;
}

export interface UpdatesRequest extends RoundsRequest {
  readonly dimension: number;
  readonly clip: number;
}

/** A task and what it costs. */
export interface MadeTask {
  readonly task: Task;
  readonly rounds: number;
  /** Of all rounds together, for the genesis. */
  readonly budget: ReturnType<typeof budgetFor>;
  /** Charge of one sum, and of all sums of all rounds: at most the budget's. */
  readonly rhoNanoPerRound: number;
  readonly rhoNano: number;
  /** What one sum alone, and all together, amount to at the budget's delta. */
  readonly epsilonPerRound: number;
  readonly epsilon: number;
}

/** Records in one node's sum, unless asked otherwise. */
const RECORDS_MAX = 16_384;
const LOCAL: LocalRequest = { steps: 20, batch: 128, learningRate: 0.3, proximal: 0 };
const NODE_CLIP = 1;
/** Under so much noise the learning rate falls over the rounds, of which there are enough; measured in src/learning/README.md. */
const NOISY_EPSILON = 3;
const DECAY_ROUNDS = 50;
/** Of FedAdam and FedYogi; measured in src/learning/README.md. */
const ADAPTIVE = { learningRate: 0.05, momentum: 0.9 };
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
    model: model === 'mlp' ? { kind: model, inputs, hidden: defaults.hidden, seed: 1 } : { kind: model, inputs },
  } as const;
  const aggregate = request.aggregate === undefined ? {} : { aggregate: request.aggregate };
  const { bins } = defaults;
  const filled = { epsilon: defaults.epsilon, delta: defaults.delta, rounds: defaults.rounds, ...request };
  const server = serverPlan(filled, defaults, unit);
  const local = { ...LOCAL, ...request.local };
  const plan: LearningPlan =
    unit === 'record'
      ? {
          ...common,
          ...aggregate,
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
          unit,
          server,
          local: {
            ...{ steps: local.steps, batch: local.batch, learningRateMicro: micro(local.learningRate) },
            ...(local.proximal > 0 ? { proximalMicro: micro(local.proximal) } : {}),
          },
        };
  const clip = request.clip ?? (unit === 'record' ? defaults.clip : NODE_CLIP);
  const sampling = filled.epsilon === null ? undefined : samplingFor({ ...filled, epsilon: filled.epsilon }, unit);
  return assemble(filled, plan, vectorLength(plan, micro(clip)), clip, sampling);
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
  { optimiser, serverRate, epsilon, rounds }: Pick<LearningRequest, 'optimiser' | 'serverRate'> & Filled,
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
    weightDecayMicro: micro(defaults.weightDecay ?? 0),
    ...(isAdaptive ? { optimiser } : {}),
    ...(unit === 'record' && isNoisy ? { decayRounds: rounds } : {}),
  };
}

/** A task for updates that nodes bring as files: every update is clipped as a whole, the unit is the node. */
export function makeUpdatesTask(request: UpdatesRequest): MadeTask {
  return assemble(
    { task: 'updates', epsilon: 8, delta: 1e-5, rounds: UPDATE_ROUNDS, ...request },
    null,
    request.dimension,
    request.clip,
  );
}

type Filled = RoundsRequest & Required<Pick<RoundsRequest, 'epsilon' | 'delta' | 'rounds'>>;

function assemble(
  request: Filled,
  plan: LearningPlan | null,
  dimension: number,
  clip: number,
  sampling?: Sampling,
): MadeTask {
  const { rounds, buckets } = request;
  if (buckets !== undefined && !(Number.isSafeInteger(buckets) && buckets >= 2 && buckets <= 64))
    throw new TrainingError('BAD_PLAN', 'buckets: a whole number from 2 to 64');
  // Each bucket is a cohort of its own.
  const smallest = Math.floor(request.nodes / (buckets ?? 1));
  const { minCohort, minHonest, minOrganisations } = minimumsFor(smallest, request);
  if (buckets !== undefined && smallest < minCohort)
    throw new TrainingError(
      'BAD_PLAN',
      `${buckets} buckets of ${request.nodes} nodes have ${smallest} at least, and a sum needs ${minCohort}`,
    );
  // The log charges every bucket's sum, though a node's data is in one only.
  const charges = rounds * (buckets ?? 1);
  const nodesMax = request.nodesMax ?? Math.max(16, Math.ceil(request.nodes / (buckets ?? 1)));
  const unit = plan?.unit ?? 'node';
  const { epsilon, delta } = request;
  const budget = epsilon === null ? NO_PRIVACY : budgetFor(epsilon, delta, sampling?.order ?? request.renyiOrder);
  const recordsMax = plan?.unit === 'record' ? plan.recordsMax : 1;
  const clipMicro = micro(clip);
  const fitted = fitNoise(
    { unit, dimension, clip: clipMicro / 1e6, recordsMax, minHonest, nodesMax, rounds: charges, sampling },
    budget,
  );
  requireParameters(fitted, { nodesMax, minCohort, minHonest, ...(request.quorum ?? { members: 5, threshold: 3 }) });
  const task: Task = taskField.parse({
    version: 1,
    task: request.task ?? 'lead-scoring',
    window: request.window,
    unit,
    recipients: [...request.recipients],
    dimension,
    bits: fitted.bits,
    nodesMax,
    minCohort,
    minHonest,
    minOrganisations,
    ...(buckets === undefined ? {} : { buckets }),
    noise: { sigma2Numerator: String(fitted.variance.sigma2Numerator), sigma2Denominator: '1' },
    sensitivity2: String(fitted.sensitivity2),
    ...(sampling === undefined ? {} : { sampling }),
    clipMicro,
    scale: fitted.scale,
    maxAttempts: request.maxAttempts ?? 4,
    maxLeaves: request.maxLeaves ?? 10_000,
    uploadMs: request.uploadMs ?? 60_000,
    confirmMs: request.confirmMs ?? 30_000,
    checkSums: request.checkSums ?? false,
    learning: plan,
  });
  const rhoNanoPerRound = chargeOfTask(task);
  const rhoNano = rhoNanoPerRound * charges;
  if (rhoNano > budget.rhoNano) throw new TrainingError('BAD_BUDGET', 'the rounds cost more than the budget');
  return {
    task,
    rounds,
    budget,
    rhoNanoPerRound,
    rhoNano,
    epsilonPerRound: epsilonOfOneRound(task, deltaIn(budget.deltaExponent)),
    epsilon: epsilonOf(rhoNano, budget.deltaExponent, budget.renyiOrder),
  };
}

type Places = Omit<Parameters<typeof deriveParameters>[0], 'dimension' | 'bits'>;

function requireParameters({ dimension, bits }: Quantiser, places: Places): void {
  try {
    deriveParameters({ dimension, bits, ...places });
  } catch (cause) {
    throw new TrainingError('DOES_NOT_FIT', cause instanceof Error ? cause.message : 'no parameters', { cause });
  }
}

function micro(value: number): number {
  return Math.round(value * 1e6);
}
