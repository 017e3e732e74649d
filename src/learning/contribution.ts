import { LearningError } from './errors.ts';
import { histogramSize, type ScoreBins, scoreHistogram } from './evaluation.ts';
import type { DesignMatrix } from './features.ts';
import { scoreRows } from './forward.ts';
import { exampleGradientSum, FACTOR_STEPS, type GradientOptions } from './gradients.ts';
import type { Tf } from './load-tensorflow.ts';
import { type Model, type ModelSpec, parameterCount } from './model.ts';

/**
 * The vector that a node contributes to one round, and that the opened sum has: the gradient, one coordinate that counts
 * training records, and a score histogram of held-out records. Public, part of the round's parameters.
 */
export interface ContributionPlan {
  readonly spec: ModelSpec;
  /** L2 norm by which one record can move the whole vector, in the gradient's units: the sensitivity. */
  readonly clip: number;
  /** Part of `clip` that the record count takes, in (0, 0.5]; the gradient keeps sqrt(1 - share^2) of it. */
  readonly countShare: number;
  /** Part of `clip` that one record can move the weights of sensitive inputs by; absent: no inputs are. */
  readonly sensitiveShare?: number | undefined;
  /** Score bins of the evaluation; null for a round without one. */
  readonly bins: ScoreBins | null;
}

/** Where the parts lie, and what one record adds to each. */
export interface ContributionLayout {
  readonly dimension: number;
  readonly gradientEnd: number;
  readonly countIndex: number;
  readonly histogramStart: number;
  /** Each training record's gradient is clipped to this. */
  readonly gradientClip: number;
  /** Of that, for the weights of sensitive inputs; null where there are none. */
  readonly sensitiveClip: number | null;
  /** What each training record adds to the count coordinate. gradientClip^2 + countStep^2 <= clip^2. */
  readonly countStep: number;
  /** What each held-out record adds to its one histogram cell: at most clip. */
  readonly cellStep: number;
}

/** @throws LearningError BAD_SETTING. */
export function layoutOf(plan: ContributionPlan): ContributionLayout {
  const { clip, countShare } = plan;
  if (!(clip >= 2 ** -10 && clip <= 64))
    throw new LearningError('BAD_SETTING', 'the clipping norm must be in [2^-10, 64]');
  if (!(countShare > 0 && countShare <= 0.5)) throw new LearningError('BAD_SETTING', 'countShare must be in (0, 0.5]');
  const gradientEnd = parameterCount(plan.spec);
  const countStep = onGrid(clip * countShare);
  const gradientClip = onGrid(Math.sqrt(clip * clip - countStep * countStep));
  const sensitiveClip = plan.sensitiveShare === undefined ? null : onGrid(clip * plan.sensitiveShare);
  if (sensitiveClip !== null && !(sensitiveClip > 0 && sensitiveClip < gradientClip))
    throw new LearningError('BAD_SETTING', "the sensitive inputs' share must leave something to the others");
  return {
    dimension: gradientEnd + 1 + (plan.bins ? histogramSize(plan.bins) : 0),
    gradientEnd,
    countIndex: gradientEnd,
    histogramStart: gradientEnd + 1,
    gradientClip,
    sensitiveClip,
    countStep,
    cellStep: onGrid(clip),
  };
}

/** What a node knows beside its rows. */
export interface ContributionOptions {
  /** 1 for each sensitive input: needed where the plan gives them a share. */
  readonly sensitiveInputs?: Uint8Array | undefined;
  /** Which rows take part; absent: all. Secret. */
  readonly drawn?: { readonly train: Uint8Array; readonly heldOut: Uint8Array } | undefined;
  /** Records without a label, with the one that a released model gives them. */
  readonly unlabelled?: UnlabelledPart | undefined;
}

/** Rows that somebody else than the table's owner labelled. */
export interface UnlabelledPart {
  readonly rows: DesignMatrix;
  /** 1 for a row that takes part. Secret. */
  readonly used: Uint8Array;
  /** What such a row counts beside a labelled one: a multiple of 1/64, at most 1. */
  readonly weight: number;
}

/** Rows times clip, where none is weighted: a weight's own binary digits are so many fewer for the rows. */
const WEIGHTED_ROWS_TIMES_CLIP_MAX = 2 ** 22;

/**
 * One node's contribution, before quantisation and noise.
 *
 * Law: adding or removing one record, training or held-out, moves the result by a vector of norm at most `plan.clip`,
 * exactly (gradients.ts): a training record moves gradient and count, a held-out record one cell, and no record is both. A record
 * without a label moves what a training record does, by `weight` of it at most, if `used` and its label are its own.
 * The weights of sensitive inputs it moves by at most their share of that.
 *
 * @returns `layoutOf(plan).dimension` numbers in the gradient's units. Secret: wiped by whoever quantises it.
 * @throws LearningError BAD_SETTING, TOO_LARGE, BAD_MODEL or NOT_FINITE.
 */
export function nodeContribution(
  tf: Tf,
  model: Model,
  rows: { readonly train: DesignMatrix; readonly heldOut: DesignMatrix },
  plan: ContributionPlan,
  { sensitiveInputs, drawn, unlabelled }: ContributionOptions = {},
): Float64Array {
  const layout = layoutOf(plan);
  const { gradientClip, sensitiveClip } = layout;
  if ((sensitiveClip === null) !== (sensitiveInputs === undefined))
    throw new LearningError('BAD_SETTING', 'sensitive inputs and their share go together');
  const sensitive = sensitiveClip === null ? undefined : { inputs: sensitiveInputs!, clip: sensitiveClip };
  const vector = new Float64Array(layout.dimension);
  const { sum, count } = exampleGradientSum(tf, model, rows.train, gradientClip, { sensitive, drawn: drawn?.train });
  if (sum.length !== layout.gradientEnd)
    throw new LearningError('BAD_MODEL', 'the model is not the one the round names');
  vector.set(sum);
  sum.fill(0);
  vector[layout.countIndex] = count * layout.countStep;
  if (unlabelled !== undefined)
    addUnlabelled(tf, model, vector, layout, unlabelled, { sensitive, rows: rows.train.rows });
  if (plan.bins && rows.heldOut.rows > 0) {
    const cells = scoreHistogram(scoreRows(tf, model, rows.heldOut), rows.heldOut.y, plan.bins, drawn?.heldOut);
    for (let i = 0; i < cells.length; i++) vector[layout.histogramStart + i] = cells[i]! * layout.cellStep;
  }
  return vector;
}

/** The least power of two that makes a weight whole: sums in which rows have it are multiples of 2^-30 over it. */
export function weightDenominator(weight: number): number {
  return [1, 2, 4, 8, 16, 32, 64].find((power) => Number.isInteger(power * weight))!;
}

function addUnlabelled(
  tf: Tf,
  model: Model,
  vector: Float64Array,
  { gradientClip, countIndex, countStep }: ContributionLayout,
  { rows, used, weight }: UnlabelledPart,
  { sensitive, rows: labelled }: { readonly sensitive: GradientOptions['sensitive']; readonly rows: number },
): void {
  if (!(weight > 0 && weight <= 1 && Number.isInteger(64 * weight)))
    throw new LearningError('BAD_SETTING', 'rows without a label count a multiple of 1/64, at most 1');
  const parts = weightDenominator(weight);
  if ((labelled + rows.rows) * gradientClip * parts > WEIGHTED_ROWS_TIMES_CLIP_MAX)
    throw new LearningError(
      'TOO_LARGE',
      `${labelled + rows.rows} rows at clipping norm ${gradientClip} are more than one exact sum holds where some are weighted`,
    );
  const { sum, count } = exampleGradientSum(tf, model, rows, gradientClip, { sensitive, drawn: used });
  for (let i = 0; i < sum.length; i++) vector[i]! += weight * sum[i]!;
  sum.fill(0);
  vector[countIndex]! += weight * count * countStep;
}

/** An opened sum, taken apart. */
export interface OpenedContribution {
  readonly gradient: Float64Array;
  /** Noised number of training records. */
  readonly count: number;
  /** Noised histogram in rows; null for a round without evaluation. */
  readonly histogram: Float64Array | null;
  /** Standard deviation of each histogram cell's noise, in rows. */
  readonly cellNoise: number;
}

/**
 * Reads an opened sum by its plan.
 *
 * @param sum - dequantised, in the gradient's units.
 * @param sigma - standard deviation of the noise on every coordinate, same units.
 * @throws LearningError BAD_MODEL when the length is not the plan's.
 */
export function readContribution(sum: Float64Array, plan: ContributionPlan, sigma: number): OpenedContribution {
  const layout = layoutOf(plan);
  if (sum.length !== layout.dimension) {
    throw new LearningError('BAD_MODEL', `the sum has ${sum.length} numbers, the round's plan ${layout.dimension}`);
  }
  return {
    gradient: sum.slice(0, layout.gradientEnd),
    count: sum[layout.countIndex]! / layout.countStep,
    histogram: plan.bins ? sum.slice(layout.histogramStart).map((value) => value / layout.cellStep) : null,
    cellNoise: sigma / layout.cellStep,
  };
}

function onGrid(value: number): number {
  return Math.floor(value * FACTOR_STEPS) / FACTOR_STEPS;
}
