import { CryptoError } from '../../crypto/errors.ts';
import { deriveQuantiser, type Quantiser } from '../../crypto/quantise.ts';
import type { Task } from '../../protocols/task.ts';
import { micro } from '../training/assemble-task.ts';
import type { Budget } from '../training/budget.ts';
import { TrainingError } from '../training/errors.ts';
import { leastVariance, type NoiseRequest, requireReserve } from '../training/least-variance.ts';
import { widestValue } from '../training/widest-value.ts';
import { clipOf, layoutOf, type StatisticsPlan } from './plan.ts';

/** Steps of one record at most: a value is right to half of that in the half width of its bounds. */
const STEPS_LOG_MAX = 12;

/**
 * The quantiser of vectors that are whole numbers of steps already. Rounding leaves them as they are, so that the
 * sensitivity is norm2 * steps^2 and nothing is added to delta for it.
 */
function exactQuantiser(plan: StatisticsPlan, steps: number, variance: Quantiser['variance']): Quantiser {
  const layout = layoutOf(plan);
  const { dimension, norm2 } = layout;
  const { recordsMax } = plan;
  const clip = clipOf(layout);
  const derived = deriveQuantiser({ unit: 'record', dimension, clip, scale: steps, recordsMax: 1, variance });
  const largest = recordsMax * steps + 1;
  const bits = 1 + (largest + derived.noiseTail).toString(2).length;
  return { ...derived, recordsMax, sensitivity2: BigInt(norm2) * BigInt(steps) ** 2n, failure: 0, largest, bits };
}

/**
 * Most steps per record that the format holds, and the least noise of the budget's share.
 *
 * @throws TrainingError BAD_BUDGET, DOES_NOT_FIT.
 */
export function fitStatistics(plan: StatisticsPlan): (request: NoiseRequest, budget: Budget) => Quantiser {
  return (request, budget) => {
    const bitsMax = widestValue(request.nodesMax);
    for (let log = STEPS_LOG_MAX; log >= 0; log--) {
      const { norm2 } = layoutOf(plan);
      const variance = leastVariance(BigInt(norm2) * 4n ** BigInt(log), request, budget);
      const fitted = tryExact(plan, 2 ** log, { sigma2Numerator: variance, sigma2Denominator: 1n });
      if (fitted === null || fitted.bits > bitsMax) continue;
      requireReserve(fitted, request, budget);
      return fitted;
    }
    const advice = 'lower --records-max or --nodes, or spend more (--epsilon)';
    throw new TrainingError('DOES_NOT_FIT', `counts and noise do not fit ${bitsMax} bits: ${advice}`);
  };
}

/** Null where the format cannot hold the values. */
function tryExact(...request: Parameters<typeof exactQuantiser>): Quantiser | null {
  try {
    return exactQuantiser(...request);
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'OUT_OF_RANGE') return null;
    throw error;
  }
}

/**
 * The quantiser that a task of statistics means, derived again from its scale and plan.
 *
 * @throws TrainingError TASK_MISMATCH when the task states another sensitivity, clip or bits: its charge would not be the true one.
 */
export function statisticsQuantiser(task: Task, plan: StatisticsPlan): Quantiser {
  const { sigma2Numerator, sigma2Denominator } = task.noise;
  const variance = { sigma2Numerator: BigInt(sigma2Numerator), sigma2Denominator: BigInt(sigma2Denominator) };
  const derived = tryExact(plan, task.scale, variance);
  const isStated =
    derived !== null &&
    String(derived.sensitivity2) === task.sensitivity2 &&
    derived.bits === task.bits &&
    micro(derived.clip) === task.clipMicro;
  if (isStated) return derived;
  const why = 'states a sensitivity, a clip or bits that its plan and scale do not make';
  throw new TrainingError('TASK_MISMATCH', `task ${task.task} ${why}`);
}
