/** Largest prime below 2^26: a product of two residues is exact in a double. */
const PRIME = 67_108_859;

/**
 * What linear combinations of released sums can tell. Each released sum is the set of cells that it adds up; the span is
 * kept in reduced row echelon form. Arithmetic is modulo a prime: a combination with rational coefficients is one here
 * too, unless the prime divides a denominator.
 */
export class Span {
  readonly #width: number;
  /** By pivot: a row with 1 at its pivot and 0 at the pivot of every other row. */
  readonly #rows = new Map<number, Float64Array>();

  /** @param width - cells. */
  constructor(width: number) {
    this.#width = width;
  }

  add(cells: Iterable<number>): void {
    const row = this.#reduced(cells);
    const pivot = row.findIndex((value) => value !== 0);
    if (pivot < 0) return;
    const inverse = power(row[pivot]!, PRIME - 2);
    for (let j = 0; j < row.length; j++) row[j] = (row[j]! * inverse) % PRIME;
    for (const other of this.#rows.values()) subtract(other, row, other[pivot]!);
    this.#rows.set(pivot, row);
  }

  /** Whether the sum over these cells follows from the released ones. */
  determines(cells: Iterable<number>): boolean {
    return this.#reduced(cells).every((value) => value === 0);
  }

  /** Cells whose own value follows from the released sums. */
  *single(): Generator<number> {
    for (const [pivot, row] of this.#rows) {
      if (row.every((value, j) => value === 0 || j === pivot)) yield pivot;
    }
  }

  #reduced(cells: Iterable<number>): Float64Array {
    const row = new Float64Array(this.#width);
    for (const cell of cells) row[cell] = 1;
    for (const [pivot, known] of this.#rows) subtract(row, known, row[pivot]!);
    return row;
  }
}

/** row -= factor * other, modulo the prime. */
function subtract(row: Float64Array, other: Float64Array, factor: number): void {
  if (factor === 0) return;
  for (let j = 0; j < row.length; j++) {
    if (other[j] !== 0) row[j] = (row[j]! + (PRIME - factor) * other[j]!) % PRIME;
  }
}

function power(base: number, exponent: number): number {
  let result = 1;
  for (let left = exponent, square = base; left > 0; left = Math.floor(left / 2), square = (square * square) % PRIME)
    if (left % 2 === 1) result = (result * square) % PRIME;
  return result;
}
