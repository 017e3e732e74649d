import { LearningError } from '../learning/errors.ts';
import { layerViews, type Model } from '../learning/model.ts';

/** Explains one encoded row: as many numbers as the model has inputs, in log-odds. */
export type Attribution = (row: ArrayLike<number>) => Float64Array;

/**
 * Integrated gradients of the log-odds F along the straight line from a reference row b to a row x (Sundararajan, Taly
 * and Yan, ICML 2017, arXiv 1703.01365, equation 1):
 *
 *   A_j = (x_j - b_j) * integral over a in [0, 1] of dF/dx_j at b + a (x - b)
 *
 * exactly, not by a sum over steps. Logistic regression: the gradient is w, so A_j = w_j (x_j - b_j). One hidden layer
 * of relu units: on the line the input of unit h goes linearly from s_h(b) to s_h(x), so its gradient is v_h W_jh on the
 * share t_h of the line where that is positive, and A_j = (x_j - b_j) * sum over h of v_h t_h W_jh.
 *
 * Laws: completeness, sum over j of A_j = F(x) - F(b) (up to rounding of doubles); an input equal to the reference's, or
 * that no weight looks at, gets 0. It says what the model looked at, not what causes an outcome.
 *
 * @param reference - as wide as the model's inputs.
 * @throws LearningError BAD_MODEL for another width, here and for rows.
 */
export function attribution(model: Model, reference: ArrayLike<number>): Attribution {
  const { spec } = model;
  const { inputs } = spec;
  const requireWidth = (row: ArrayLike<number>): void => {
    if (row.length !== inputs)
      throw new LearningError('BAD_MODEL', `the model takes ${inputs} inputs, the row has ${row.length}`);
  };
  requireWidth(reference);
  const layers = layerViews(model);
  const output = layers.get('output.weight')!;
  if (spec.kind === 'logistic') {
    return (row) => {
      requireWidth(row);
      const parts = new Float64Array(inputs);
      for (let j = 0; j < inputs; j++) parts[j] = output[j]! * (row[j]! - reference[j]!);
      return parts;
    };
  }
  const { hidden } = spec;
  const weight = layers.get('hidden.weight')!;
  const atReference = unitInputs(weight, hidden, reference);
  return (row) => {
    requireWidth(row);
    const atRow = unitInputs(weight, hidden, row);
    // v_h times the share of the line on which unit h is active.
    const active = Float64Array.from(output, (v, h) => v * activeShare(atReference[h]!, atRow[h]!));
    const parts = new Float64Array(inputs);
    for (let j = 0; j < inputs; j++) {
      let slope = 0;
      for (let h = 0; h < hidden; h++) slope += active[h]! * weight[j * hidden + h]!;
      parts[j] = slope * (row[j]! - reference[j]!);
    }
    return parts;
  };
}

/** The model's log-odds of one row that need not be one of a table, such as an average; in doubles. */
export function logOdds(model: Model, row: ArrayLike<number>): number {
  const layers = layerViews(model);
  const output = layers.get('output.weight')!;
  if (model.spec.kind === 'logistic') return output.reduce((sum, w, j) => sum + w * row[j]!, 0);
  const units = unitInputs(layers.get('hidden.weight')!, model.spec.hidden, row);
  return output.reduce((sum, v, h) => sum + v * Math.max(0, units[h]!), layers.get('output.bias')![0]!);
}

/** Inputs of the hidden units: row W, W of shape [inputs, hidden]. */
function unitInputs(weight: Float32Array, hidden: number, row: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(hidden);
  for (let j = 0; j < row.length; j++) {
    const value = row[j]!;
    if (value === 0) continue;
    for (let h = 0; h < hidden; h++) sums[h]! += value * weight[j * hidden + h]!;
  }
  return sums;
}

/** Share of [0, 1] on which from + a (to - from) is positive. */
function activeShare(from: number, to: number): number {
  if (from > 0 && to > 0) return 1;
  if (from <= 0 && to <= 0) return 0;
  const crossing = from / (from - to);
  return from > 0 ? crossing : 1 - crossing;
}
