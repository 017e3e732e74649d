import { CryptoError } from '../../crypto/errors.ts';
import { ceilLog2 } from '../../crypto/params.ts';
import { deriveQuantiser, type Quantiser } from '../../crypto/quantise.ts';
import { AccountingError } from '../../protocols/accountant.ts';
import type { Task } from '../../protocols/task.ts';
import type { Budget } from './budget.ts';
import { TrainingError } from './errors.ts';
import { parseLearningPlan } from './learning-plan.ts';
import { leastVariance, type NoiseRequest, requireReserve } from './least-variance.ts';

/** Rounding may raise the squared sensitivity by this factor, so the noise by 2.5 percent. */
const ROUNDING = 1.05;
/** Widest value that `deriveParameters` takes, and widest slot. */
const BITS_MAX = 28;
const SLOT_BITS_MAX = 32;
const SCALE_LOG_MAX = 24;

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
