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
  for (let start = 0; start < matrix.rows; start += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, matrix.rows - start);
    tf.tidy(() => {
      let x = tf.tensor2d(matrix.x.subarray(start * inputs, (start + rows) * inputs), [rows, inputs]);
      const y = tf.tensor2d(Float32Array.from(matrix.y.subarray(start, start + rows)), [rows, 1]);
      if (units > 0) {
        x = tf.relu(tf.matMul(x, tf.tensor2d(layers.get('hidden.weight')!, [inputs, units])));
        hidden.set(x.dataSync(), start * units);
      }
      const weight = layers.get('output.weight')!;
      let logit = tf.matMul(x, tf.tensor2d(weight, [weight.length, 1]));
      if (units > 0) logit = tf.add(logit, tf.scalar(layers.get('output.bias')![0]!));
      logits.set(logit.dataSync(), start);
      residuals.set(tf.sub(tf.sigmoid(logit), y).dataSync(), start);
    });
  }
  if (!logits.every(Number.isFinite)) throw new LearningError('NOT_FINITE', 'the model overflows on these rows');
  return { logits, residuals, hidden };
}

/** Log-odds of every row. Ranking by them is ranking by probability. */
export function scoreRows(tf: Tf, model: Model, matrix: DesignMatrix): Float32Array {
  return forward(tf, model, matrix).logits;
}
