/**
 * Lattice reduction, small and plain: LLL (Lenstra, Lenstra, Lovasz 1982) in the floating-point form of Schnorr and Euchner
 * (1994). Bases are rows of exact integers; Gram-Schmidt is in doubles and is taken anew from the integers for every row
 * that is worked on, which is enough for the dimensions (up to 200) and entries (up to 2^25) of these tests.
 */

type Row = Float64Array;

export interface Reduced {
  readonly basis: readonly Row[];
  /** Swaps that it took; `swaps` reached `budget` where the reduction was stopped. */
  readonly swaps: number;
}

function dot(a: Row, b: Row): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * @param delta - Lovasz constant, below 1.
 * @param budget - swaps at most.
 */
export function lll(rows: readonly Row[], delta = 0.99, budget = Number.POSITIVE_INFINITY): Reduced {
  const basis = rows.map((row) => row.slice());
  const n = basis.length;
  const mu = basis.map(() => new Float64Array(n));
  /** r[k][j] = <b_k, b*_j>; r[k][k] = |b*_k|^2. */
  const r = basis.map(() => new Float64Array(n));
  const orthogonalise = (k: number): void => {
    for (let j = 0; j <= k; j++) {
      let value = dot(basis[k]!, basis[j]!);
      for (let i = 0; i < j; i++) value -= mu[j]![i]! * r[k]![i]!;
      r[k]![j] = value;
      if (j < k) mu[k]![j] = value / r[j]![j]!;
    }
  };
  const reduceSize = (k: number): void => {
    for (let again = true; again; ) {
      again = false;
      orthogonalise(k);
      for (let j = k - 1; j >= 0; j--) {
        const x = Math.round(mu[k]![j]!);
        if (x === 0) continue;
        if (Math.abs(x) > 2 ** 20) again = true; // doubles lost digits: take Gram-Schmidt anew
        for (let i = 0; i < basis[k]!.length; i++) basis[k]![i]! -= x * basis[j]![i]!;
        for (let i = 0; i < j; i++) mu[k]![i]! -= x * mu[j]![i]!;
        mu[k]![j]! -= x;
      }
    }
    orthogonalise(k);
  };
  let swaps = 0;
  orthogonalise(0);
  for (let k = 1; k < n && swaps < budget; ) {
    reduceSize(k);
    if (r[k]![k]! >= (delta - mu[k]![k - 1]! ** 2) * r[k - 1]![k - 1]!) k++;
    else {
      [basis[k], basis[k - 1]] = [basis[k - 1]!, basis[k]!];
      swaps++;
      k = Math.max(k - 1, 1);
      if (k === 1) orthogonalise(0);
    }
  }
  return { basis, swaps };
}

/** Coefficients of x^shift * a in Z[X]/(X^n + 1). */
export function rotate(a: ArrayLike<number>, shift: number): Row {
  const n = a.length;
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) out[(i + shift) % n] = i + shift >= n ? -a[i]! : a[i]!;
  return out;
}

/**
 * Kannan's embedding of one ring-LWE sample c = -a*s + e mod q: a basis of a lattice of dimension 2n + 1 in which
 * (s, e, t) is short. Primal attack as in Bai and Galbraith 2014.
 */
export function embedding(a: ArrayLike<number>, c: ArrayLike<number>, q: number, t: number): Row[] {
  const n = a.length;
  const row = (fill: (out: Row) => void): Row => {
    const out = new Float64Array(2 * n + 1);
    fill(out);
    return out;
  };
  const vectors = Array.from({ length: n }, (_, i) =>
    row((out) =>
      out.set(
        rotate(a, i).map((x) => ((x % q) + q) % q),
        n,
      ),
    ),
  );
  vectors.forEach((vector, i) => {
    vector[i] = 1;
  });
  const moduli = Array.from({ length: n }, (_, i) => row((out) => void out.fill(q, n + i, n + i + 1)));
  const target = row((out) => {
    out.set(Float64Array.from(c), n);
    out[2 * n] = t;
  });
  return [...moduli, ...vectors, target];
}
