import type { Aggregate } from './aggregates.ts';
import { LearningError } from './errors.ts';
import { allFinite } from './finite.ts';

/**
 * Robust rules over B vectors of equal length: the means of buckets or, where nothing is encrypted, the nodes' own updates.
 *
 * Laws: the order of the vectors does not matter; moving all of them moves the result alike; every coordinate of the result lies
 * between the least and the largest of the vectors' (the geometric median: in their convex hull). A rule with breakdown point f
 * stays within the sound vectors' range coordinate by coordinate (the geometric median: within a bounded distance) whatever
 * f of the B vectors are: median and geometric median f < B / 2, trimmed mean f <= trimOf(B), mean and three-sigma 0.
 *
 * - median, trimmed-mean: coordinate-wise (Yin, Chen, Ramchandran, Bartlett, ICML 2018, arXiv 1803.01498), unweighted.
 * - geometric-median: smoothed Weiszfeld iterations, weighted (Pillutla, Kakade, Harchaoui, IEEE TSP 2022, arXiv 1912.13445).
 * - three-sigma: per coordinate, what is further than three standard deviations from the median is left out, the weighted mean of
 *   the rest taken. One of B values is at most B / sqrt(B - 1) deviations away from a median that the others share, so below 8 vectors nothing
 *   is ever left out, and the rule is the mean.
 *
 * @param weights - of the vectors, say how many nodes each is the mean of; positive.
 * @throws LearningError BAD_SETTING without vectors, NOT_FINITE.
 */
export function aggregate(
  rule: Aggregate,
  vectors: readonly Float64Array[],
  weights: readonly number[] = vectors.map(() => 1),
): Float64Array {
  const length = vectors[0]?.length;
  if (length === undefined || weights.length !== vectors.length || vectors.some((vector) => vector.length !== length))
    throw new LearningError('BAD_SETTING', 'a robust rule needs vectors of one length, each with a weight');
  if (!vectors.every(allFinite))
    throw new LearningError('NOT_FINITE', 'an update that is to be aggregated holds a value that is no number');
  switch (rule) {
    case 'mean':
      return meanVector(vectors, weights);
    case 'median':
      return byCoordinate(vectors, medianOf);
    case 'trimmed-mean':
      return byCoordinate(vectors, trimmedMean);
    case 'three-sigma':
      return byCoordinate(vectors, (values) => withoutOutliers(values, weights));
    case 'geometric-median':
      return geometricMedian(vectors, weights);
    default:
      return rule satisfies never;
  }
}

/** The vector itself where its L2 norm is at most `bound`, else shortened to it. A mean of clipped updates is never longer, but for noise. */
export function clipNorm(vector: Float64Array, bound: number): Float64Array {
  let sum = 0;
  for (const value of vector) sum += value * value;
  const norm = Math.sqrt(sum);
  return norm <= bound ? vector : vector.map((value) => (value * bound) / norm);
}

/** How many values the trimmed mean leaves out at either end: a quarter, rounded down, at least one of three. */
export function trimOf(vectors: number): number {
  return vectors < 3 ? 0 : Math.max(1, Math.floor(vectors / 4));
}

function byCoordinate(vectors: readonly Float64Array[], combine: (values: Float64Array) => number): Float64Array {
  const values = new Float64Array(vectors.length);
  const combined = new Float64Array(vectors[0]!.length);
  for (let i = 0; i < combined.length; i++) {
    for (let b = 0; b < values.length; b++) values[b] = vectors[b]![i]!;
    combined[i] = combine(values);
  }
  return combined;
}

function weightedMean(values: Float64Array, weights: readonly number[]): number {
  let sum = 0;
  let total = 0;
  for (let b = 0; b < values.length; b++) {
    sum += weights[b]! * values[b]!;
    total += weights[b]!;
  }
  return sum / total;
}

/** {@link weightedMean} of all coordinates, vector by vector: the same additions in the same order. */
function meanVector(vectors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const mean = new Float64Array(vectors[0]!.length);
  let total = 0;
  vectors.forEach((vector, b) => {
    const weight = weights[b]!;
    total += weight;
    for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + weight * vector[i]!;
  });
  for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! / total;
  return mean;
}

function medianOf(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function trimmedMean(values: Float64Array): number {
  const trim = trimOf(values.length);
  const kept = values
    .slice()
    .sort()
    .subarray(trim, values.length - trim);
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

function withoutOutliers(values: Float64Array, weights: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const sigma = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  if (sigma === 0) return weightedMean(values, weights);
  const median = medianOf(values);
  // The slack is for rounding where all values are as good as equal.
  const isKept = [...values].map((value) => Math.abs(value - median) <= 3 * sigma * (1 + 1e-9));
  if (!isKept.includes(false)) return weightedMean(values, weights);
  const of = <T extends number>(all: Iterable<T>): T[] => [...all].filter((_, b) => isKept[b]);
  return weightedMean(Float64Array.from(of(values)), of(weights));
}

const MOST_STEPS = 200;

function geometricMedian(vectors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  let center = byCoordinate(vectors, medianOf);
  const spread = Math.max(...vectors.map((vector) => distance(vector, center)));
  if (spread === 0) return center;
  for (let step = 0; step < MOST_STEPS; step++) {
    // Smoothing keeps the weight of a vector that lies in the centre finite.
    const pulls = vectors.map((vector, b) => weights[b]! / Math.max(1e-9 * spread, distance(vector, center)));
    const next = meanVector(vectors, pulls);
    const moved = distance(next, center);
    center = next;
    if (moved <= 1e-9 * spread) break;
  }
  return center;
}

function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}
