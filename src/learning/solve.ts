import { LearningError } from './errors.ts';

/**
 * Solves A x = b for a symmetric, positive definite A by Cholesky's method (Golub and Van Loan, Matrix Computations, 4th
 * edition, algorithm 4.2.1).
 *
 * @param matrix - n x n, row-major; its lower half is read and overwritten.
 * @throws LearningError NOT_FINITE where A is not positive definite, or holds NaN.
 */
export function solvePositive(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  const at = (i: number, j: number): number => matrix[i * n + j]!;
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = at(i, j);
      for (let k = 0; k < j; k++) sum -= at(i, k) * at(j, k);
      if (i === j && !(sum > 0)) throw new LearningError('NOT_FINITE', 'the curvature of the loss is not positive');
      matrix[i * n + j] = i === j ? Math.sqrt(sum) : sum / at(j, j);
    }
  }
  const x = right.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i]! -= at(i, k) * x[k]!;
    x[i]! /= at(i, i);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i]! -= at(k, i) * x[k]!;
    x[i]! /= at(i, i);
  }
  return x;
}
