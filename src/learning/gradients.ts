import { LearningError } from './errors.ts';
import type { DesignMatrix } from './features.ts';
import { forward } from './forward.ts';
import type { Tf } from './load-tensorflow.ts';
import { layerViews, type Model, parameterCount } from './model.ts';

/**
 * Per-example factors are cut to multiples of 2^-20. Features are multiples of 2^-10, so every product is a multiple of
 * 2^-30 and a double adds up to 2^53 of those without rounding.
 */
export const FACTOR_STEPS = 2 ** 20;

/** Rows times clip must stay below this, so that no sum reaches 2^53 steps of 2^-30. */
const ROWS_TIMES_CLIP_MAX = 2 ** 22;

export interface GradientSum {
  /** One number per weight, in the model's order: the sum over rows of clipped log-loss gradients. Secret. */
  readonly sum: Float64Array;
  /** Rows that went in. Secret: it leaves the node only as a noised coordinate. */
  readonly count: number;
}

/**
 * Sums the gradients of the log loss over all rows, each row's clipped to L2 norm `clip` (Abadi et al., CCS 2016,
 * arXiv 1607.00133, without sampling).
 *
 * Laws: adding or removing one row changes `sum` by a vector of norm at most `clip`; exactly, not up to rounding, and in
 * whatever order rows come. A sum of floats has no such bound: one row more can move every later rounding (Casacuberta
 * et al., CCS 2022, arXiv 2207.10635). So TensorFlow.js computes the forward pass, each row's gradient is cut towards
 * zero to a grid (which never lengthens it), and the rows are added in integers' arithmetic.
 * Premise: a row's logit does not depend on the rows beside it, bit for bit; a test checks it for every backend at hand.
 *
 * Closed forms, r = sigmoid(logit) - y: logistic r x; mlp, with the active units a = 1[h > 0]: W by x (r v a)^T, v by
 * r h, b by r. Infinite `clip` leaves rows as they are, for references without privacy.
 *
 * @throws LearningError BAD_SETTING, TOO_LARGE, BAD_MODEL or NOT_FINITE.
 */
export function exampleGradientSum(tf: Tf, model: Model, matrix: DesignMatrix, clip: number): GradientSum {
  if (!(clip > 0)) throw new LearningError('BAD_SETTING', 'the clipping norm must be above zero');
  if (Number.isFinite(clip) && matrix.rows * clip > ROWS_TIMES_CLIP_MAX) {
    throw new LearningError(
      'TOO_LARGE',
      `${matrix.rows} rows at clipping norm ${clip} are more than one exact sum holds`,
    );
  }
  const { residuals, hidden } = forward(tf, model, matrix);
  const sum = new Float64Array(parameterCount(model.spec));
  if (model.spec.kind === 'logistic') sumLogistic(sum, matrix, residuals, clip);
  else sumHidden(sum, matrix, residuals, hidden, layerViews(model).get('output.weight')!, clip);
  return { sum, count: matrix.rows };
}

function sumLogistic(sum: Float64Array, matrix: DesignMatrix, residuals: Float32Array, clip: number): void {
  const { x, width, rows } = matrix;
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    let squares = 0;
    for (let j = 0; j < width; j++) squares += x[start + j]! ** 2;
    const residual = residuals[row]!;
    const factor = cut(residual * clipFactor(Math.abs(residual) * Math.sqrt(squares), clip));
    for (let j = 0; j < width; j++) sum[j]! += factor * x[start + j]!;
  }
}

function sumHidden(
  sum: Float64Array,
  matrix: DesignMatrix,
  residuals: Float32Array,
  hidden: Float32Array,
  output: Float32Array,
  clip: number,
): void {
  const { x, width, rows } = matrix;
  const units = output.length;
  const nonZero = new Uint32Array(width);
  const firstOutput = width * units;
  for (let row = 0; row < rows; row++) {
    let inputSquares = 0;
    let found = 0;
    for (let j = 0; j < width; j++) {
      const value = x[row * width + j]!;
      if (value === 0) continue;
      nonZero[found++] = j;
      inputSquares += value * value;
    }
    let backSquares = 0;
    let hiddenSquares = 0;
    for (let k = 0; k < units; k++) {
      const activation = hidden[row * units + k]!;
      if (activation <= 0) continue;
      hiddenSquares += activation * activation;
      backSquares += output[k]! ** 2;
    }
    const residual = residuals[row]!;
    const norm = Math.abs(residual) * Math.sqrt(inputSquares * backSquares + hiddenSquares + 1);
    const factor = residual * clipFactor(norm, clip);
    for (let k = 0; k < units; k++) {
      const activation = hidden[row * units + k]!;
      if (activation <= 0) continue;
      const back = cut(factor * output[k]!);
      for (let i = 0; i < found; i++) sum[nonZero[i]! * units + k]! += back * x[row * width + nonZero[i]!]!;
      sum[firstOutput + k]! += cut(factor * activation);
    }
    sum[firstOutput + units]! += cut(factor);
  }
}

/** min(1, clip / norm), a hair less so that the doubles' own rounding cannot lift a norm above the clip. */
function clipFactor(norm: number, clip: number): number {
  return norm <= clip * (1 - 2 ** -40) ? 1 : (clip / norm) * (1 - 2 ** -40);
}

/** Towards zero, to a multiple of 1 / FACTOR_STEPS. */
function cut(value: number): number {
  return Math.trunc(value * FACTOR_STEPS) / FACTOR_STEPS;
}
