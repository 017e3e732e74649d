import { CryptoError } from '../../crypto/errors.ts';
import { deriveQuantiser, type Quantiser } from '../../crypto/quantise.ts';
import { AccountingError } from '../../protocols/accountant.ts';
import type { Task } from '../../protocols/task.ts';
import type { Budget } from './budget.ts';
import { peakOf } from './compression.ts';
import { requireSoundCompression } from './compression-rules.ts';
import { TrainingError } from './errors.ts';
import { parseLearningPlan, updateShape } from './learning-plan.ts';
import { leastVariance, type NoiseRequest, requireReserve, SCARCE_BITS_DENOMINATOR } from './least-variance.ts';
import { widestValue } from './widest-value.ts';

/** Rounding may raise the squared sensitivity by this factor, so the noise by 2.5 percent. */
const ROUNDING = 1.05;
/** What may be asked for: with fewer no value and its noise fit, with more nothing is saved. */
const ASKED_BITS = { least: 4, most: 16 } as const;
const SCALE_LOG_MAX = 24;

/**
 * Scale, sensitivity, noise and bits of a task.
 *
 * The scale is the least power of two at which rounding raises the squared sensitivity by at most 5 percent, or the
 * largest below that at which values still fit. The variance is the least integer for which `rounds` charges, each
 * rounded up, fit the budget. Where bits are asked for the scale is the largest integer that fits them, and the variance a
 * number of quarters.
 *
 * @throws TrainingError BAD_PLAN, BAD_BUDGET, DOES_NOT_FIT.
 */
export function fitNoise(request: NoiseRequest, budget: Budget): Quantiser {
  const { nodesMax, clip, bits } = request;
  if (bits !== undefined && !(Number.isInteger(bits) && bits >= ASKED_BITS.least && bits <= ASKED_BITS.most))
    throw new TrainingError(
      'BAD_PLAN',
      `bits of a value (--bits): a whole number from ${ASKED_BITS.least} to ${ASKED_BITS.most}`,
    );
  const widest = widestValue(nodesMax);
  const bitsMax = Math.min(bits ?? widest, widest);
  let best: Quantiser | undefined;
  for (let scaleLog = 0; scaleLog <= SCALE_LOG_MAX; scaleLog++) {
    const fitted = fitAt(request, budget, 2 ** scaleLog);
    if (fitted === null || fitted.bits > bitsMax) break;
    best = fitted;
    if (bits === undefined && Number(fitted.sensitivity2) <= ROUNDING * (clip * fitted.scale) ** 2) break;
  }
  if (best === undefined) {
    const advice =
      'allow more (--bits), spend more per round (fewer --rounds, a larger --epsilon), or lower --records-max, --nodes or --clip';
    throw new TrainingError('DOES_NOT_FIT', `values and noise do not fit ${bitsMax} bits: ${advice}`);
  }
  if (bits !== undefined) best = finest(request, budget, best, bitsMax);
  requireReserve(best, request, budget);
  return best;
}

/** Between the largest power of two that fits and its double: bits only grow with the scale. */
function finest(request: NoiseRequest, budget: Budget, fitting: Quantiser, bitsMax: number): Quantiser {
  let best = fitting;
  for (let step = fitting.scale / 2; step >= 1; step /= 2) {
    const fitted = fitAt(request, budget, best.scale + step);
    if (fitted !== null && fitted.bits <= bitsMax) best = fitted;
  }
  return best;
}

/** Null where the format cannot hold the values. */
function fitAt(request: NoiseRequest, budget: Budget, scale: number): Quantiser | null {
  const { unit, dimension, clip, recordsMax, bits, peak } = request;
  const denominator = bits === undefined ? 1n : SCARCE_BITS_DENOMINATOR;
  const derive = (variance: bigint): Quantiser => {
    const noise = { sigma2Numerator: variance, sigma2Denominator: denominator };
    return deriveQuantiser({ unit, dimension, clip, scale, recordsMax, variance: noise, ...peakField(peak) });
  };
  try {
    const { sensitivity2 } = derive(1n);
    return derive(leastVariance(sensitivity2, request, budget, denominator));
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'OUT_OF_RANGE') return null;
    if (error instanceof CryptoError || error instanceof AccountingError) {
      throw new TrainingError('DOES_NOT_FIT', error.message, { cause: error });
    }
    throw error;
  }
}

const peakField = (peak: number | undefined): { peak?: number } => (peak === undefined ? {} : { peak });

/**
 * The quantiser that a task means, derived again from its clip, scale and plan.
 *
 * @throws TrainingError TASK_MISMATCH when the task states a sensitivity or bits that are not their derivation: its
 *   charges would not be the true ones. BAD_PLAN; UNACCOUNTED, DOES_NOT_FIT for compression that no account covers.
 */
export function quantiserOf(task: Task): Quantiser {
  const plan = task.learning === null ? null : parseLearningPlan(task);
  if (plan === null && task.unit !== 'node') {
    throw new TrainingError(
      'BAD_PLAN',
      `task ${task.task}: an update without a plan is protected as a whole, unit node`,
    );
  }
  requireSoundCompression(task, plan);
  const { unit, dimension, scale } = task;
  const clip = task.clipMicro / 1e6;
  let quantiser: Quantiser;
  try {
    quantiser = deriveQuantiser({
      unit,
      dimension,
      clip,
      scale,
      recordsMax: plan?.unit === 'record' ? plan.recordsMax : 1,
      ...peakField(plan === null ? undefined : peakOf(updateShape(plan, task.clipMicro), task.compression, clip)),
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
