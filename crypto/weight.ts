import { CryptoError } from './errors.ts';

/**
 * A node's weight (say, its number of records) as one more coordinate of its vector, so that a weighted mean comes out of
 * one sum, under one sensitivity: the update keeps sqrt(1 - share^2) of the clipping norm, the weight the rest.
 */
export interface WeightCoordinate {
  /** L2 bound of update and weight together. */
  readonly clip: number;
  /** Part of `clip` that the weight takes, in (0, 1). */
  readonly share: number;
  /** Weights above this count as this. */
  readonly maximum: number;
}

/**
 * weight / maximum * update, clipped to its part of the norm, then the weight's coordinate.
 *
 * Law: the result's norm is at most `clip` up to rounding; the quantiser, with the same clip, enforces it.
 *
 * @param weight - finite, at least 0; clipped to `maximum`.
 * @returns update.length + 1 numbers. Secret.
 * @throws CryptoError BAD_VALUE for a weight or a setting out of range.
 */
export function appendWeight(setting: WeightCoordinate, update: ArrayLike<number>, weight: number): Float64Array {
  const { clip, share, maximum } = setting;
  if (!(clip > 0 && share > 0 && share < 1 && maximum > 0)) throw new CryptoError('BAD_VALUE', 'weight out of range');
  if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw new CryptoError('BAD_VALUE', 'weight out of range');
  const part = Math.min(weight, maximum) / maximum;
  let sum = 0;
  for (let i = 0; i < update.length; i += 1) sum += update[i]! * update[i]!;
  const bound = clip * Math.sqrt(1 - share * share);
  const norm = Math.sqrt(sum);
  const factor = norm > bound ? (bound / norm) * part : part;
  const vector = new Float64Array(update.length + 1);
  for (let i = 0; i < update.length; i += 1) vector[i] = update[i]! * factor;
  vector[update.length] = clip * share * part;
  return vector;
}

/**
 * Reads a dequantised sum: the weighted mean of the clipped updates and the sum of the weights, both noised.
 *
 * @returns mean null when the noised weight is not positive.
 */
export function splitWeight(
  { clip, share, maximum }: WeightCoordinate,
  sum: Float64Array,
): { readonly mean: Float64Array | null; readonly weight: number } {
  const parts = sum[sum.length - 1]! / (clip * share);
  return { mean: parts > 0 ? sum.subarray(0, -1).map((value) => value / parts) : null, weight: parts * maximum };
}
