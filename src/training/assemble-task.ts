import { deriveParameters } from '../../crypto/params.ts';
import type { Quantiser } from '../../crypto/quantise.ts';
import type { Sampling } from '../../protocols/sampled-charge.ts';
import { chargeOfTask, type NamedShape, type Task, taskField } from '../../protocols/task.ts';
import { type Budget, budgetFor, deltaIn, epsilonOf, NO_PRIVACY } from './budget.ts';
import type { Compression } from './compression.ts';
import { TrainingError } from './errors.ts';
import { fitNoise } from './fit-noise.ts';
import type { NoiseRequest } from './least-variance.ts';
import { oneShotPlan } from './one-shot-plan.ts';
import { epsilonOfOneRound } from './sampling.ts';
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
  /** Rounds without masks; left out: with them. A buffer left out is `minCohort`. */
  readonly oneShot?: { readonly buffer?: number; readonly maxStaleness?: number } | undefined;
  /** Null: no privacy, for experiments that compare with it. */
  readonly epsilon?: number | null;
  readonly delta?: number;
  /** Rounds that the budget is divided among. */
  readonly rounds?: number;
  /** The order that the federation counts at, where it names one; left out with a sample rate: the best one. */
  readonly renyiOrder?: number;
  /** Bits of a noised value, all of which are used; left out: as many as rounding asks for. */
  readonly bits?: number;
  readonly checkSums?: boolean;
  readonly quorum?: { readonly members: number; readonly threshold: number };
  readonly maxAttempts?: number;
  readonly maxLeaves?: number;
  readonly uploadMs?: number;
  readonly confirmMs?: number;
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

/** A request in which everything that a budget needs is said. */
export type Filled = RoundsRequest & Required<Pick<RoundsRequest, 'epsilon' | 'delta' | 'rounds'>>;

/** What the updates of a task are. */
export interface Substance {
  readonly unit: 'record' | 'node';
  readonly learning: Task['learning'];
  readonly dimension: number;
  /** L2 norm of one unit. */
  readonly clip: number;
  /** Most records in one node's update; 1 for unit 'node'. */
  readonly recordsMax: number;
  readonly sampling?: Sampling | undefined;
  /** Names and shapes, where updates from files have some. */
  readonly tensors?: readonly NamedShape[] | undefined;
  readonly weightMax?: number | undefined;
  /** How an update of `dimension` values came to have so few, and what its rotation bounds them by. */
  readonly compression?: Compression | undefined;
  readonly peak?: number | undefined;
}

/**
 * A whole task with the noise that its budget asks for.
 *
 * @param fitting - quantiser and noise; left out: of vectors that are rounded.
 * @throws TrainingError BAD_PLAN, BAD_BUDGET, DOES_NOT_FIT.
 */
export function assembleTask(
  request: Filled,
  { unit, learning, dimension, clip, recordsMax, sampling, tensors, weightMax, compression, peak }: Substance,
  fitting: (request: NoiseRequest, budget: Budget) => Quantiser = fitNoise,
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
  const oneShot = oneShotPlan(request, { minCohort, nodesMax }, compression !== undefined);
  const { epsilon, delta } = request;
  const budget = epsilon === null ? NO_PRIVACY : budgetFor(epsilon, delta, sampling?.order ?? request.renyiOrder);
  const clipMicro = micro(clip);
  const fitted = fitting(
    {
      ...{ unit, dimension, clip: clipMicro / 1e6, recordsMax, minHonest, nodesMax, rounds: charges, sampling },
      ...{ bits: request.bits, peak },
    },
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
    ...(oneShot === undefined ? {} : { oneShot }),
    noise: {
      sigma2Numerator: String(fitted.variance.sigma2Numerator),
      sigma2Denominator: String(fitted.variance.sigma2Denominator),
    },
    sensitivity2: String(fitted.sensitivity2),
    ...(sampling === undefined ? {} : { sampling }),
    clipMicro,
    scale: fitted.scale,
    maxAttempts: request.maxAttempts ?? 4,
    maxLeaves: request.maxLeaves ?? 10_000,
    uploadMs: request.uploadMs ?? 60_000,
    confirmMs: request.confirmMs ?? 30_000,
    checkSums: request.checkSums ?? false,
    learning,
    ...(tensors === undefined ? {} : { tensors }),
    ...(weightMax === undefined ? {} : { weightMax }),
    ...(compression === undefined ? {} : { compression }),
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

/** Units of 1e-6. */
export function micro(value: number): number {
  return Math.round(value * 1e6);
}
