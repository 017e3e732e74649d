// The negacyclic number-theoretic transform of Z_q[X]/(X^N+1) and its inverse, in place, two layers per pass over memory.
// Longa and Naehrig (ia.cr/2016/504), algorithms 1 and 2; lazy butterflies of Harvey (2014), values in [0, 4q) inside.
// Order: coefficients in natural order, values in bit-reversed order, as SEAL has them.
import { multiplyFixed, reduceOnce } from './modular';
import { AT_LAST, AT_LAST_QUOTIENT, AT_PRIME, AT_SCALE, AT_SCALE_QUOTIENT, HEADER } from './tables';

/** Layers whose butterflies lie inside a vector: distances 2 and 1, sixteen values at a time, transposed to be lane-wise. */
// @ts-ignore: decorator
@inline
const BLOCK: usize = 64;

/**
 * Coefficients to values. @param a - N words below 4q (so canonical and lazy ones do); on return canonical, [0, q).
 * @param tables - of the prime. @param n - N, a power of two, at least 64.
 */
export function forwardTransform(a: usize, tables: usize, n: u32): void {
  const prime = load<u32>(tables, AT_PRIME);
  const roots = tables + HEADER;
  const quotients = roots + 4 * <usize>n;
  let groups: usize = 1;
  let distance: usize = <usize>n << 1; // bytes between partners: n/2 words
  if (ctz(n) & 1) {
    forwardSingle(a, roots, quotients, prime, distance);
    groups = 2;
    distance >>= 1;
  }
  // Each turn does the layers (groups, distance) and (2 groups, distance / 2).
  for (; distance >= 32; groups <<= 2, distance >>= 2) {
    forwardDouble(a, roots, quotients, prime, groups, distance >> 1);
  }
  forwardLast(a, roots, quotients, prime, n);
}

/** The first layer alone, for an odd number of layers. */
function forwardSingle(a: usize, roots: usize, quotients: usize, prime: u32, distance: usize): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  const w = v128.load32_splat(roots, 4);
  const wq = v128.load32_splat(quotients, 4);
  for (let p = a, end = a + distance; p < end; p += 16) {
    const x = reduceOnce(v128.load(p), twoQ);
    const t = multiplyFixed(v128.load(p + distance), w, wq, q);
    v128.store(p, i32x4.add(x, t));
    v128.store(p + distance, i32x4.add(i32x4.sub(x, t), twoQ));
  }
}

/** Two layers: `step` bytes between the four legs. */
function forwardDouble(a: usize, roots: usize, quotients: usize, prime: u32, groups: usize, step: usize): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  let p = a;
  for (let g: usize = 0; g < groups; g++) {
    const upper = (groups + g) << 2;
    const w1 = v128.load32_splat(roots + upper);
    const w1q = v128.load32_splat(quotients + upper);
    const w2 = v128.load32_splat(roots + 2 * upper);
    const w2q = v128.load32_splat(quotients + 2 * upper);
    const w3 = v128.load32_splat(roots + 2 * upper, 4);
    const w3q = v128.load32_splat(quotients + 2 * upper, 4);
    for (const end = p + step; p < end; p += 16) {
      const x0 = reduceOnce(v128.load(p), twoQ);
      const x1 = reduceOnce(v128.load(p + step), twoQ);
      const t2 = multiplyFixed(v128.load(p + 2 * step), w1, w1q, q);
      const t3 = multiplyFixed(v128.load(p + 3 * step), w1, w1q, q);
      const y0 = reduceOnce(i32x4.add(x0, t2), twoQ);
      const y1 = multiplyFixed(i32x4.add(x1, t3), w2, w2q, q);
      const y2 = reduceOnce(i32x4.add(i32x4.sub(x0, t2), twoQ), twoQ);
      const y3 = multiplyFixed(i32x4.add(i32x4.sub(x1, t3), twoQ), w3, w3q, q);
      v128.store(p, i32x4.add(y0, y1));
      v128.store(p + step, i32x4.add(i32x4.sub(y0, y1), twoQ));
      v128.store(p + 2 * step, i32x4.add(y2, y3));
      v128.store(p + 3 * step, i32x4.add(i32x4.sub(y2, y3), twoQ));
    }
    p += 3 * step;
  }
}

/** Distances 2 and 1, and the canonical reduction. */
function forwardLast(a: usize, roots: usize, quotients: usize, prime: u32, n: u32): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  // The twiddles of distance 2 begin at index n/4, those of distance 1 at n/2.
  let r = roots + <usize>n;
  let s = quotients + <usize>n;
  let r2 = roots + 2 * <usize>n;
  let s2 = quotients + 2 * <usize>n;
  for (let p = a, end = a + 4 * <usize>n; p < end; p += BLOCK, r += 16, s += 16, r2 += 32, s2 += 32) {
    const a0 = v128.load(p);
    const a1 = v128.load(p, 16);
    const a2 = v128.load(p, 32);
    const a3 = v128.load(p, 48);
    // Transpose: leg i of four neighbouring groups.
    const b0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5);
    const b1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5);
    const b2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7);
    const b3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7);
    const x0 = reduceOnce(v128.shuffle<i64>(b0, b1, 0, 2), twoQ);
    const x1 = reduceOnce(v128.shuffle<i64>(b0, b1, 1, 3), twoQ);
    const x2 = v128.shuffle<i64>(b2, b3, 0, 2);
    const x3 = v128.shuffle<i64>(b2, b3, 1, 3);
    const w1 = v128.load(r);
    const w1q = v128.load(s);
    const t2 = multiplyFixed(x2, w1, w1q, q);
    const t3 = multiplyFixed(x3, w1, w1q, q);
    const y0 = reduceOnce(i32x4.add(x0, t2), twoQ);
    const y1 = multiplyFixed(i32x4.add(x1, t3), v128.load(r2), v128.load(s2), q);
    const y2 = reduceOnce(i32x4.add(i32x4.sub(x0, t2), twoQ), twoQ);
    const y3 = multiplyFixed(i32x4.add(i32x4.sub(x1, t3), twoQ), v128.load(r2, 16), v128.load(s2, 16), q);
    const z0 = canonical(i32x4.add(y0, y1), twoQ, q);
    const z1 = canonical(i32x4.add(i32x4.sub(y0, y1), twoQ), twoQ, q);
    const z2 = canonical(i32x4.add(y2, y3), twoQ, q);
    const z3 = canonical(i32x4.add(i32x4.sub(y2, y3), twoQ), twoQ, q);
    storeTransposed(p, z0, z1, z2, z3);
  }
}

/** [0, 4q) to [0, q). */
// @ts-ignore: decorator
@inline
function canonical(x: v128, twoQ: v128, q: v128): v128 {
  return reduceOnce(reduceOnce(x, twoQ), q);
}

// @ts-ignore: decorator
@inline
function storeTransposed(p: usize, z0: v128, z1: v128, z2: v128, z3: v128): void {
  const c0 = v128.shuffle<i32>(z0, z1, 0, 4, 1, 5);
  const c1 = v128.shuffle<i32>(z2, z3, 0, 4, 1, 5);
  const c2 = v128.shuffle<i32>(z0, z1, 2, 6, 3, 7);
  const c3 = v128.shuffle<i32>(z2, z3, 2, 6, 3, 7);
  v128.store(p, v128.shuffle<i64>(c0, c1, 0, 2));
  v128.store(p, v128.shuffle<i64>(c0, c1, 1, 3), 16);
  v128.store(p, v128.shuffle<i64>(c2, c3, 0, 2), 32);
  v128.store(p, v128.shuffle<i64>(c2, c3, 1, 3), 48);
}

/**
 * Values to coefficients, 1/N included. @param a - N lazy words, [0, 2q); on return canonical, [0, q).
 */
export function inverseTransform(a: usize, tables: usize, n: u32): void {
  const prime = load<u32>(tables, AT_PRIME);
  const roots = tables + HEADER + 8 * <usize>n;
  const quotients = roots + 4 * <usize>n;
  inverseFirst(a, roots, quotients, prime, n);
  let groups: usize = <usize>n >> 4;
  let step: usize = 16;
  for (; groups > 1; groups >>= 2, step <<= 2) inverseDouble(a, roots, quotients, prime, groups, step);
  if (groups === 1) inverseLastDouble(a, tables, roots, quotients, prime, step);
  else inverseLastSingle(a, tables, prime, <usize>n << 1);
}

/** Distances 1 and 2. */
function inverseFirst(a: usize, roots: usize, quotients: usize, prime: u32, n: u32): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  let r = roots + <usize>n;
  let s = quotients + <usize>n;
  let r2 = roots + 2 * <usize>n;
  let s2 = quotients + 2 * <usize>n;
  for (let p = a, end = a + 4 * <usize>n; p < end; p += BLOCK, r += 16, s += 16, r2 += 32, s2 += 32) {
    const a0 = v128.load(p);
    const a1 = v128.load(p, 16);
    const a2 = v128.load(p, 32);
    const a3 = v128.load(p, 48);
    const b0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5);
    const b1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5);
    const b2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7);
    const b3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7);
    const x0 = v128.shuffle<i64>(b0, b1, 0, 2);
    const x1 = v128.shuffle<i64>(b0, b1, 1, 3);
    const x2 = v128.shuffle<i64>(b2, b3, 0, 2);
    const x3 = v128.shuffle<i64>(b2, b3, 1, 3);
    const y0 = reduceOnce(i32x4.add(x0, x1), twoQ);
    const y1 = multiplyFixed(i32x4.add(i32x4.sub(x0, x1), twoQ), v128.load(r2), v128.load(s2), q);
    const y2 = reduceOnce(i32x4.add(x2, x3), twoQ);
    const y3 = multiplyFixed(i32x4.add(i32x4.sub(x2, x3), twoQ), v128.load(r2, 16), v128.load(s2, 16), q);
    const w1 = v128.load(r);
    const w1q = v128.load(s);
    const z0 = reduceOnce(i32x4.add(y0, y2), twoQ);
    const z1 = reduceOnce(i32x4.add(y1, y3), twoQ);
    const z2 = multiplyFixed(i32x4.add(i32x4.sub(y0, y2), twoQ), w1, w1q, q);
    const z3 = multiplyFixed(i32x4.add(i32x4.sub(y1, y3), twoQ), w1, w1q, q);
    storeTransposed(p, z0, z1, z2, z3);
  }
}

/** The layers (2 groups, step) and (groups, 2 step). */
function inverseDouble(a: usize, roots: usize, quotients: usize, prime: u32, groups: usize, step: usize): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  let p = a;
  for (let g: usize = 0; g < groups; g++) {
    const upper = (groups + g) << 2;
    const w1 = v128.load32_splat(roots + upper);
    const w1q = v128.load32_splat(quotients + upper);
    const w2 = v128.load32_splat(roots + 2 * upper);
    const w2q = v128.load32_splat(quotients + 2 * upper);
    const w3 = v128.load32_splat(roots + 2 * upper, 4);
    const w3q = v128.load32_splat(quotients + 2 * upper, 4);
    for (const end = p + step; p < end; p += 16) {
      const x0 = v128.load(p);
      const x1 = v128.load(p + step);
      const x2 = v128.load(p + 2 * step);
      const x3 = v128.load(p + 3 * step);
      const y0 = reduceOnce(i32x4.add(x0, x1), twoQ);
      const y1 = multiplyFixed(i32x4.add(i32x4.sub(x0, x1), twoQ), w2, w2q, q);
      const y2 = reduceOnce(i32x4.add(x2, x3), twoQ);
      const y3 = multiplyFixed(i32x4.add(i32x4.sub(x2, x3), twoQ), w3, w3q, q);
      v128.store(p, reduceOnce(i32x4.add(y0, y2), twoQ));
      v128.store(p + step, reduceOnce(i32x4.add(y1, y3), twoQ));
      v128.store(p + 2 * step, multiplyFixed(i32x4.add(i32x4.sub(y0, y2), twoQ), w1, w1q, q));
      v128.store(p + 3 * step, multiplyFixed(i32x4.add(i32x4.sub(y1, y3), twoQ), w1, w1q, q));
    }
    p += 3 * step;
  }
}

/** The last two layers, with 1/N and the canonical reduction. */
function inverseLastDouble(a: usize, tables: usize, roots: usize, quotients: usize, prime: u32, step: usize): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  const scale = v128.load32_splat(tables, AT_SCALE);
  const scaleQ = v128.load32_splat(tables, AT_SCALE_QUOTIENT);
  const last = v128.load32_splat(tables, AT_LAST);
  const lastQ = v128.load32_splat(tables, AT_LAST_QUOTIENT);
  const w2 = v128.load32_splat(roots, 8);
  const w2q = v128.load32_splat(quotients, 8);
  const w3 = v128.load32_splat(roots, 12);
  const w3q = v128.load32_splat(quotients, 12);
  for (let p = a, end = a + step; p < end; p += 16) {
    const x0 = v128.load(p);
    const x1 = v128.load(p + step);
    const x2 = v128.load(p + 2 * step);
    const x3 = v128.load(p + 3 * step);
    const y0 = reduceOnce(i32x4.add(x0, x1), twoQ);
    const y1 = multiplyFixed(i32x4.add(i32x4.sub(x0, x1), twoQ), w2, w2q, q);
    const y2 = reduceOnce(i32x4.add(x2, x3), twoQ);
    const y3 = multiplyFixed(i32x4.add(i32x4.sub(x2, x3), twoQ), w3, w3q, q);
    v128.store(p, reduceOnce(multiplyFixed(i32x4.add(y0, y2), scale, scaleQ, q), q));
    v128.store(p + step, reduceOnce(multiplyFixed(i32x4.add(y1, y3), scale, scaleQ, q), q));
    v128.store(p + 2 * step, reduceOnce(multiplyFixed(i32x4.add(i32x4.sub(y0, y2), twoQ), last, lastQ, q), q));
    v128.store(p + 3 * step, reduceOnce(multiplyFixed(i32x4.add(i32x4.sub(y1, y3), twoQ), last, lastQ, q), q));
  }
}

/** The last layer alone, for an odd number of layers. */
function inverseLastSingle(a: usize, tables: usize, prime: u32, distance: usize): void {
  const q = i32x4.splat(prime);
  const twoQ = i32x4.splat(2 * prime);
  const scale = v128.load32_splat(tables, AT_SCALE);
  const scaleQ = v128.load32_splat(tables, AT_SCALE_QUOTIENT);
  const last = v128.load32_splat(tables, AT_LAST);
  const lastQ = v128.load32_splat(tables, AT_LAST_QUOTIENT);
  for (let p = a, end = a + distance; p < end; p += 16) {
    const x = v128.load(p);
    const y = v128.load(p + distance);
    v128.store(p, reduceOnce(multiplyFixed(i32x4.add(x, y), scale, scaleQ, q), q));
    const difference = i32x4.add(i32x4.sub(x, y), twoQ);
    v128.store(p + distance, reduceOnce(multiplyFixed(difference, last, lastQ, q), q));
  }
}
