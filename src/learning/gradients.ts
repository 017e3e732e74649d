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

/** What a sum of gradients is told beside its clip. */
export interface GradientOptions {
  /**
   * Inputs whose weights have an L2 bound of their own, below the clip: `inputs` is 1 for each of them. The other weights
   * keep sqrt(clip^2 - own^2).
   */
  readonly sensitive?: { readonly inputs: Uint8Array; readonly clip: number } | undefined;
  /** 1 for a row that takes part, 0 for one that does not; absent: all do. Secret. */
  readonly drawn?: Uint8Array | undefined;
}

/** A row's two bounds, and which inputs are under which. */
interface Bounds {
  readonly isOwn: Uint8Array;
  readonly own: number;
  readonly rest: number;
  readonly drawn: Uint8Array | undefined;
}

/**
 * Sums the gradients of the log loss over all rows, or those drawn, each row's clipped to L2 norm `clip` (Abadi et al., CCS
 * 2016, arXiv 1607.00133). Rows that are not drawn are computed and multiplied by zero: the time does not tell how many were.
 *
 * Laws: adding or removing one row changes `sum` by a vector of norm at most `clip`, in sensitive inputs' weights by at most their own; exactly, not up to rounding, and in
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
export function exampleGradientSum(
  tf: Tf,
  model: Model,
  matrix: DesignMatrix,
  clip: number,
  { sensitive, drawn }: GradientOptions = {},
): GradientSum {
  if (!(clip > 0)) throw new LearningError('BAD_SETTING', 'the clipping norm must be above zero');
  if (
    sensitive !== undefined &&
    !(sensitive.clip > 0 && sensitive.clip < clip && sensitive.inputs.length === matrix.width)
  )
    throw new LearningError('BAD_SETTING', "the sensitive inputs' clip must be above zero and below the whole");
  if (drawn !== undefined && drawn.length !== matrix.rows)
    throw new LearningError('BAD_SETTING', 'a draw has one entry per row');
  if (Number.isFinite(clip) && matrix.rows * clip > ROWS_TIMES_CLIP_MAX) {
    throw new LearningError(
      'TOO_LARGE',
      `${matrix.rows} rows at clipping norm ${clip} are more than one exact sum holds`,
    );
  }
  const { residuals, hidden } = forward(tf, model, matrix);
  const sum = new Float64Array(parameterCount(model.spec));
  const bounds: Bounds = {
    isOwn: sensitive?.inputs ?? new Uint8Array(matrix.width),
    own: sensitive?.clip ?? 1,
    rest: sensitive === undefined ? clip : Math.sqrt(clip * clip - sensitive.clip * sensitive.clip),
    drawn,
  };
  if (model.spec.kind === 'logistic') sumLogistic(sum, matrix, residuals, bounds);
  else sumHidden(sum, matrix, residuals, hidden, layerViews(model).get('output.weight')!, bounds);
  return { sum, count: drawn === undefined ? matrix.rows : drawn.reduce((count, one) => count + one, 0) };
}

function sumLogistic(sum: Float64Array, matrix: DesignMatrix, residuals: Float32Array, bounds: Bounds): void {
  const { x, width, rows } = matrix;
  const { isOwn, own, rest, drawn } = bounds;
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    let [squares, ownSquares] = [0, 0];
    for (let j = 0; j < width; j++) {
      const square = x[start + j]! ** 2;
      if (isOwn[j] === 1) ownSquares += square;
      else squares += square;
    }
    const residual = residuals[row]!;
    const taken = drawn?.[row] ?? 1;
    const factorOf = (sumOfSquares: number, clip: number): number =>
      taken * cut(residual * clipFactor(Math.abs(residual) * Math.sqrt(sumOfSquares), clip));
    const factor = factorOf(squares, rest);
    const ownFactor = factorOf(ownSquares, own);
    for (let j = 0; j < width; j++) sum[j]! += (isOwn[j] === 1 ? ownFactor : factor) * x[start + j]!;
  }
}

function sumHidden(
  sum: Float64Array,
  matrix: DesignMatrix,
  residuals: Float32Array,
  hidden: Float32Array,
  output: Float32Array,
  { isOwn, own, rest, drawn }: Bounds,
): void {
  const { x, width, rows } = matrix;
  const units = output.length;
  const nonZero = new Uint32Array(width);
  const firstOutput = width * units;
  for (let row = 0; row < rows; row++) {
    let [inputSquares, ownSquares] = [0, 0];
    let found = 0;
    for (let j = 0; j < width; j++) {
      const value = x[row * width + j]!;
      if (value === 0) continue;
      nonZero[found++] = j;
      if (isOwn[j] === 1) ownSquares += value * value;
      else inputSquares += value * value;
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
    const taken = drawn?.[row] ?? 1;
    const restNorm = Math.abs(residual) * Math.sqrt(inputSquares * backSquares + hiddenSquares + 1);
    const ownNorm = Math.abs(residual) * Math.sqrt(ownSquares * backSquares);
    const factor = residual * clipFactor(restNorm, rest);
    const ownFactor = residual * clipFactor(ownNorm, own);
    for (let k = 0; k < units; k++) {
      const activation = hidden[row * units + k]!;
      if (activation <= 0) continue;
      const back = taken * cut(factor * output[k]!);
      const ownBack = taken * cut(ownFactor * output[k]!);
      for (let i = 0; i < found; i++) {
        const j = nonZero[i]!;
        sum[j * units + k]! += (isOwn[j] === 1 ? ownBack : back) * x[row * width + j]!;
      }
      sum[firstOutput + k]! += taken * cut(factor * activation);
    }
    sum[firstOutput + units]! += taken * cut(factor);
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
