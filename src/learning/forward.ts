import { LearningError } from './errors.ts';
import type { DesignMatrix } from './features.ts';
import type { Tf } from './load-tensorflow.ts';
import { layerViews, type Model } from './model.ts';

/** A forward pass over every row. */
export interface Activations {
  /** rows: log-odds, the model's score. */
  readonly logits: Float32Array;
  /** rows: sigmoid(logit) - y, the derivative of the log loss by the logit. */
  readonly residuals: Float32Array;
  /** rows x hidden, after relu; empty for logistic regression. */
  readonly hidden: Float32Array;
}

/** Rows that one TensorFlow call takes; bounds memory, not the result. */
const CHUNK_ROWS = 16384;
/**
 * Rows of every call of the native library, the last one filled up with zeros. Its matrix products add up a row in another order
 * where rows are left over at the end of a block (Eigen), so that a row would depend on how many others there are.
 */
const NATIVE_ROWS = 256;

/** Rows from `start` on as one call takes them, at most `most`; with `isFull` exactly so many. */
function chunkOf({ x, y, rows, width }: DesignMatrix, start: number, most: number, isFull: boolean) {
  const taken = Math.min(most, rows - start);
  const given = isFull ? most : taken;
  const inputs = new Float32Array(given * width);
  inputs.set(x.subarray(start * width, (start + taken) * width));
  const labels = new Float32Array(given);
  labels.set(y.subarray(start, start + taken));
  return { taken, given, inputs, labels };
}

/**
 * Runs the model over a design matrix through TensorFlow.js, in chunks.
 *
 * @throws LearningError BAD_MODEL when the model was made for another width, NOT_FINITE when it overflows.
 */
export function forward(tf: Tf, model: Model, matrix: DesignMatrix): Activations {
  const { inputs } = model.spec;
  if (inputs !== matrix.width) {
    throw new LearningError(
      'BAD_MODEL',
      `the model takes ${inputs} inputs, the rows have ${matrix.width}: other schema?`,
    );
  }
  const units = model.spec.kind === 'mlp' ? model.spec.hidden : 0;
  const logits = new Float32Array(matrix.rows);
  const residuals = new Float32Array(matrix.rows);
  const hidden = new Float32Array(matrix.rows * units);
  const layers = layerViews(model);
  const isNative = tf.getBackend() === 'tensorflow';
  const most = isNative ? NATIVE_ROWS : CHUNK_ROWS;
  for (let start = 0; start < matrix.rows; start += most) {
    const { taken, given, inputs: rows, labels } = chunkOf(matrix, start, most, isNative);
    tf.tidy(() => {
      let x = tf.tensor2d(rows, [given, inputs]);
      const y = tf.tensor2d(labels, [given, 1]);
      if (units > 0) {
        x = tf.relu(tf.matMul(x, tf.tensor2d(layers.get('hidden.weight')!, [inputs, units])));
        hidden.set(x.dataSync().subarray(0, taken * units), start * units);
      }
      const weight = layers.get('output.weight')!;
      let logit = tf.matMul(x, tf.tensor2d(weight, [weight.length, 1]));
      if (units > 0) logit = tf.add(logit, tf.scalar(layers.get('output.bias')![0]!));
      logits.set(logit.dataSync().subarray(0, taken), start);
      residuals.set(tf.sub(tf.sigmoid(logit), y).dataSync().subarray(0, taken), start);
    });
  }
  if (!logits.every(Number.isFinite)) throw new LearningError('NOT_FINITE', 'the model overflows on these rows');
  return { logits, residuals, hidden };
}

/** Log-odds of every row. Ranking by them is ranking by probability. */
export function scoreRows(tf: Tf, model: Model, matrix: DesignMatrix): Float32Array {
  return forward(tf, model, matrix).logits;
}
