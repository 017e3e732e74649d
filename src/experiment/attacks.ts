import { probit } from 'simple-statistics';
import type { DesignMatrix } from '../learning/features.ts';
import type { Attack } from './attack-names.ts';

/** How much longer than allowed a scaled update is. */
const SCALE = 10;
/** A value that no honest row has in this column after standardising; the format ends at 16. */
const TRIGGER = 8;

/** All rows with the backdoor's mark: TRIGGER in one column. */
export function triggered(matrix: DesignMatrix, column: number): DesignMatrix {
  const x = matrix.x.slice();
  for (let row = 0; row < matrix.rows; row++) x[row * matrix.width + column] = TRIGGER;
  return { ...matrix, x };
}

/** Index of the column with the least variance that is not constant. */
export function quietColumn({ rows, width, x }: DesignMatrix): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let j = 0; j < width; j++) {
    let sum = 0;
    let squares = 0;
    for (let row = 0; row < rows; row++) {
      const value = x[row * width + j]!;
      sum += value;
      squares += value * value;
    }
    const variance = squares / rows - (sum / rows) ** 2;
    if (variance > 1e-6 && variance < least) [best, least] = [j, variance];
  }
  return best;
}

/** The rows that a bad node trains on: others where the attack is on the data, its own otherwise. */
export function poisonedRows(attack: Attack, matrix: DesignMatrix, column: number): DesignMatrix {
  if (attack === 'label-flip') return { ...matrix, y: matrix.y.map((label) => 1 - label) };
  if (attack !== 'backdoor') return matrix;
  // Its own rows, and once more all of them with the trigger, called positive.
  const marked = triggered(matrix, column);
  const x = new Float32Array(2 * matrix.x.length);
  x.set(matrix.x);
  x.set(marked.x, matrix.x.length);
  const y = new Uint8Array(2 * matrix.rows).fill(1, matrix.rows);
  y.set(matrix.y);
  return { ...matrix, rows: 2 * matrix.rows, x, y };
}

/**
 * What a bad node sends.
 *
 * @param own - its update, of its poisoned rows. @param honest - the updates of all honest nodes. @param bad - how many are bad.
 */
export function badUpdate(
  attack: Attack,
  own: Float64Array,
  honest: readonly Float64Array[],
  bad: number,
): Float64Array {
  switch (attack) {
    case 'sign-flip':
      return own.map((value) => -value);
    case 'scaling':
      return own.map((value) => -SCALE * value);
    case 'label-flip':
      return own;
    case 'backdoor':
      // Model replacement: lengthened so that a plain mean over all nodes becomes the backdoored update.
      return own.map((value) => (value * (honest.length + bad)) / bad);
    case 'little-is-enough':
      return littleIsEnough(honest, bad);
    default:
      return attack satisfies never;
  }
}

/** mean - z sigma coordinate by coordinate, with the largest z that some honest nodes are further out than (Baruch et al., NeurIPS 2019, Algorithm 3). */
function littleIsEnough(honest: readonly Float64Array[], bad: number): Float64Array {
  const nodes = honest.length + bad;
  const supporters = Math.floor(nodes / 2 + 1) - bad;
  const z = probit((honest.length - supporters) / honest.length);
  return honest[0]!.map((_, i) => {
    const mean = honest.reduce((sum, update) => sum + update[i]!, 0) / honest.length;
    const variance = honest.reduce((sum, update) => sum + (update[i]! - mean) ** 2, 0) / honest.length;
    return mean - z * Math.sqrt(variance);
  });
}
