import { layoutOf, leastCap, type PresencePlan } from './plan.ts';

/**
 * When a candidate passes. Node i has n_i customers with it; the round sums f = sum of min(n_i, cap), with the noise of all
 * nodes. Fewer than `leastNodes` nodes make f at most (leastNodes - 1) * cap, and the cap is such that fewer than
 * `leastCustomers` customers do, too. So f beyond that says both, and a margin for the noise is asked for on top.
 *
 * A sum of discrete Gaussians is sub-Gaussian with their added variances (Canonne, Kamath, Steinke, arXiv 2004.00010, section 3):
 * noise of r or more has probability exp(-r^2 / 2 nodes sigma^2) at most. That is where `marginOf` comes from, and how often a
 * candidate that clears the threshold by r is hidden all the same.
 */

/** Standard deviation of the noise of a sum, in records. */
export function noiseOfSum(sigma2: number, steps: number, nodes: number): number {
  return Math.sqrt(sigma2 * nodes) / steps;
}

/** Customers that noise of this deviation pretends with a probability of at most 10^-doubt. */
export function marginOf(noise: number, doubt: number): number {
  return noise * Math.sqrt(2 * doubt * Math.LN10);
}

/** The least cap under which a candidate that `leastNodes` nodes have to the full is hidden as seldom as others pass. */
export function capFor(least: Parameters<typeof leastCap>[0], margin: number): number {
  return Math.max(Math.ceil(2 * margin), leastCap(least));
}

/** Customers, capped, noise included, from which on a candidate passes. */
export function thresholdOf({ leastNodes, cap, doubt }: PresencePlan, noise: number): number {
  return (leastNodes - 1) * cap + marginOf(noise, doubt);
}

/** A bound of the probability that a candidate is hidden of which the nodes have f customers, each node's capped. */
export function hiddenAtMost(plan: PresencePlan, noise: number, f: number): number {
  const clear = f - thresholdOf(plan, noise);
  return clear <= 0 ? 1 : Math.exp(-((clear / noise) ** 2) / 2);
}

/**
 * The candidates that passed, of every column. Decided in whole steps: whoever opened the sum finds the same.
 *
 * @param sum - opened integers of a presence round.
 */
export function keptOf(plan: PresencePlan, sum: Int32Array, noise: number, steps: number): number[][] {
  const least = Math.ceil(thresholdOf(plan, noise) * steps);
  return layoutOf(plan).places.map(({ counted, counts }) => counted.filter((_, i) => sum[counts + i]! >= least));
}
