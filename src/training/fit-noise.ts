import { CryptoError } from '../../crypto/errors.ts';
import { ceilLog2 } from '../../crypto/params.ts';
import { deriveQuantiser, type Quantiser } from '../../crypto/quantise.ts';
import { AccountingError } from '../../protocols/accountant.ts';
import { chargeOf } from '../../protocols/record.ts';
import type { Sampling } from '../../protocols/sampled-charge.ts';
import type { Task } from '../../protocols/task.ts';
import { type Budget, DELTA_RESERVE } from './budget.ts';
import { TrainingError } from './errors.ts';
import { parseLearningPlan } from './learning-plan.ts';

/** What quantiser and noise are fitted to. */
export interface NoiseRequest {
  readonly unit: 'record' | 'node';
  readonly dimension: number;
  readonly clip: number;
  /** 1 for unit 'node'. */
  readonly recordsMax: number;
  readonly minHonest: number;
  readonly nodesMax: number;
  /** Rounds that the budget has to last for. */
  readonly rounds: number;
  /** Where records are drawn: at the budget's order. */
  readonly sampling?: Sampling | undefined;
}

/** Rounding may raise the squared sensitivity by this factor, so the noise by 2.5 percent. */
const ROUNDING = 1.05;
/** Widest value that `deriveParameters` takes, and widest slot. */
const BITS_MAX = 28;
const SLOT_BITS_MAX = 32;
const SCALE_LOG_MAX = 24;
const LEAST_VARIANCE = 16n;

/**
 * Scale, sensitivity, noise and bits of a task.
 *
 * The scale is the least power of two at which rounding raises the squared sensitivity by at most 5 percent, or the
 * largest below that at which values still fit. The variance is the least integer for which `rounds` charges, each
 * rounded up, fit the budget.
 *
 * @throws TrainingError BAD_BUDGET, DOES_NOT_FIT.
 */
export function fitNoise(request: NoiseRequest, budget: Budget): Quantiser {
  const { nodesMax, clip } = request;
  const bitsMax = Math.min(BITS_MAX, SLOT_BITS_MAX - ceilLog2(nodesMax));
  let best: Quantiser | undefined;
  for (let scaleLog = 0; scaleLog <= SCALE_LOG_MAX; scaleLog++) {
    const fitted = fitAt(request, budget, 2 ** scaleLog);
    if (fitted === null || fitted.bits > bitsMax) break;
    best = fitted;
    if (Number(fitted.sensitivity2) <= ROUNDING * (clip * fitted.scale) ** 2) break;
  }
  if (best === undefined) {
    const advice = 'lower recordsMax, nodesMax or the clip, or spend more per round';
    throw new TrainingError('DOES_NOT_FIT', `values and noise do not fit ${bitsMax} bits: ${advice}`);
  }
  requireReserve(best, request, budget);
  return best;
}

/** Null where the format cannot hold the values. */
function fitAt(request: NoiseRequest, budget: Budget, scale: number): Quantiser | null {
  const { unit, dimension, clip, recordsMax } = request;
  const derive = (variance: bigint): Quantiser => {
    const noise = { sigma2Numerator: variance, sigma2Denominator: 1n };
    return deriveQuantiser({ unit, dimension, clip, scale, recordsMax, variance: noise });
  };
  try {
    const { sensitivity2 } = derive(1n);
    return derive(leastVariance(sensitivity2, request, budget));
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'OUT_OF_RANGE') return null;
    if (error instanceof CryptoError || error instanceof AccountingError) {
      throw new TrainingError('DOES_NOT_FIT', error.message, { cause: error });
    }
    throw error;
  }
}

type Spread = Pick<NoiseRequest, 'dimension' | 'minHonest' | 'rounds' | 'sampling'>;

/** Least integer sigma^2 of one node such that one charge is at most the rounds' equal share of the budget. */
function leastVariance(sensitivity2: bigint, spread: Spread, budget: Budget): bigint {
  const { minHonest, rounds, dimension, sampling } = spread;
  if (!Number.isSafeInteger(rounds) || rounds < 1)
    throw new TrainingError('BAD_BUDGET', 'a job has at least one round');
  const share = BigInt(budget.rhoNano) / BigInt(rounds);
  if (share < 1n) throw new TrainingError('BAD_BUDGET', `the budget is too small for ${rounds} rounds`);
  const fits = (variance: bigint): boolean => {
    const noise = { sigma2Numerator: String(variance), sigma2Denominator: '1' };
    const terms = { noise, sensitivity2: String(sensitivity2), sampling, parameters: { minHonest, dimension } };
    return BigInt(chargeOf(terms)) <= share;
  };
  const below = 2n * BigInt(minHonest) * share;
  // From sigma^2 = 16 on, what a sum of discrete Gaussians costs beyond one is below 1e-60 and never decides.
  let variance = (sensitivity2 * 1_000_000_000n + below - 1n) / below;
  if (variance < LEAST_VARIANCE) variance = LEAST_VARIANCE;
  // That excess is above zero: a charge that was a whole number of units is one more with it.
  while (!fits(variance)) variance += 1n;
  return sampling === undefined ? variance : leastThatFits(variance, fits);
}

/** What is drawn costs less than that: charges fall as the variance grows, so bisection finds where they begin to fit. */
function leastThatFits(enough: bigint, fits: (variance: bigint) => boolean): bigint {
  if (fits(LEAST_VARIANCE)) return LEAST_VARIANCE;
  let [low, high] = [LEAST_VARIANCE, enough];
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Everything that can fail besides the zCDP account, over all rounds and nodes, fits what the conversion left aside. */
function requireReserve(quantiser: Quantiser, { nodesMax, rounds, dimension }: NoiseRequest, budget: Budget): void {
  const failures = rounds * nodesMax * (quantiser.failure + dimension * 2 * Math.exp(-72));
  if (failures <= 10 ** -budget.deltaExponent * DELTA_RESERVE) return;
  throw new TrainingError('BAD_BUDGET', 'delta is too small for rounding and sampling to stay below it');
}

/**
 * The quantiser that a task means, derived again from its clip, scale and plan.
 *
 * @throws TrainingError TASK_MISMATCH when the task states a sensitivity or bits that are not their derivation: its
 *   charges would not be the true ones. BAD_PLAN.
 */
export function quantiserOf(task: Task): Quantiser {
  const plan = task.learning === null ? null : parseLearningPlan(task);
  if (plan === null && task.unit !== 'node') {
    throw new TrainingError(
      'BAD_PLAN',
      `task ${task.task}: an update without a plan is protected as a whole, unit node`,
    );
  }
  const { unit, dimension, scale } = task;
  let quantiser: Quantiser;
  try {
    quantiser = deriveQuantiser({
      unit,
      dimension,
      clip: task.clipMicro / 1e6,
      scale,
      recordsMax: plan?.unit === 'record' ? plan.recordsMax : 1,
      variance: {
        sigma2Numerator: BigInt(task.noise.sigma2Numerator),
        sigma2Denominator: BigInt(task.noise.sigma2Denominator),
      },
    });
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new TrainingError('TASK_MISMATCH', `task ${task.task}: ${error.message}`, { cause: error });
  }
  const stated = `sensitivity2 ${task.sensitivity2} in ${task.bits} bits`;
  const derived = `sensitivity2 ${quantiser.sensitivity2} in ${quantiser.bits} bits`;
  if (stated !== derived) {
    throw new TrainingError('TASK_MISMATCH', `task ${task.task} states ${stated}; its clip and scale make ${derived}`);
  }
  return quantiser;
}
