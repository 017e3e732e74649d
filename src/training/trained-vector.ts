import type { Quantiser } from '../../crypto/quantise.ts';
import { wipe } from '../../crypto/secret.ts';
import { clipNorm } from '../learning/robust.ts';
import type { Trained } from '../party/finished-updates.ts';
import type { NoisedIntegers } from './noised-integers.ts';

/**
 * A vector that may go into a round later than the one that it was trained for.
 *
 * Law: unit 'node': the weight is of the clipped vector, so a weighted update has norm weight * clip at most; unit 'record': of the
 * whole sum, the count and the histogram with it, so what one record moves is weighted alike.
 *
 * @param vector - taken over: wiped when this is.
 */
export function trainedVector(integers: NoisedIntegers, quantiser: Quantiser, vector: Float64Array): Trained {
  return {
    integers: (_round, weight) => {
      // Quantising clips what is longer, but only after the weight.
      const clipped = quantiser.unit === 'node' && weight < 1 ? clipNorm(vector, quantiser.clip) : vector;
      const weighted = clipped.map((value) => value * weight);
      if (clipped !== vector) wipe(clipped);
      return integers.of(quantiser, weighted);
    },
    [Symbol.dispose]: () => wipe(vector),
  };
}
