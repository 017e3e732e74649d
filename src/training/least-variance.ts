import type { Quantiser } from '../../crypto/quantise.ts';
import { chargeOf } from '../../protocols/record.ts';
import type { Sampling } from '../../protocols/sampled-charge.ts';
import { type Budget, DELTA_RESERVE } from './budget.ts';
import { TrainingError } from './errors.ts';

/** What quantiser and noise are fitted to. */
export interface NoiseRequest {
  readonly unit: 'record' | 'node';
  readonly dimension: number;
  readonly clip: number;
  /** 1 for unit 'node'. */
  readonly recordsMax: number;
  readonly minHonest: number;
  readonly nodesMax: number;
  /** Rounds that the budget has to last for. */
  readonly rounds: number;
  /** Where records are drawn: at the budget's order. */
  readonly sampling?: Sampling | undefined;
  /** Bits of a noised value, all of which are used; left out: as many as rounding asks for. */
  readonly bits?: number | undefined;
  /** See `QuantiserRequest`. */
  readonly peak?: number | undefined;
}

/** Squared steps, from which on what a sum of discrete Gaussians costs beyond one is below 1e-60 and never decides. */
const LEAST_VARIANCE = 16n;
/** Where bits are scarce the noise may be smaller, in quarters of a squared step; below one of them nothing is proven. */
export const SCARCE_BITS_DENOMINATOR = 4n;

type Spread = Pick<NoiseRequest, 'dimension' | 'minHonest' | 'rounds' | 'sampling'>;

/**
 * Least sigma^2 of one node such that one charge is at most the rounds' equal share of the budget.
 *
 * @param denominator - of the answer: 1, or SCARCE_BITS_DENOMINATOR.
 * @returns its numerator.
 */
export function leastVariance(sensitivity2: bigint, spread: Spread, budget: Budget, denominator = 1n): bigint {
  const { minHonest, rounds, dimension, sampling } = spread;
  if (!Number.isSafeInteger(rounds) || rounds < 1)
    throw new TrainingError('BAD_BUDGET', 'a job has at least one round');
  const share = BigInt(budget.rhoNano) / BigInt(rounds);
  if (share < 1n) throw new TrainingError('BAD_BUDGET', `the budget is too small for ${rounds} rounds`);
  const fits = (variance: bigint): boolean => {
    const noise = { sigma2Numerator: String(variance), sigma2Denominator: String(denominator) };
    const terms = { noise, sensitivity2: String(sensitivity2), sampling, parameters: { minHonest, dimension } };
    return BigInt(chargeOf(terms)) <= share;
  };
  const below = 2n * BigInt(minHonest) * share;
  const least = denominator === 1n ? LEAST_VARIANCE : 1n;
  let variance = (denominator * sensitivity2 * 1_000_000_000n + below - 1n) / below;
  if (variance < least) variance = least;
  // That excess is above zero: a charge that was a whole number of units is one more with it.
  while (!fits(variance)) variance += 1n;
  return sampling === undefined ? variance : leastThatFits(least, variance, fits);
}

/** What is drawn costs less than that: charges fall as the variance grows, so bisection finds where they begin to fit. */
function leastThatFits(least: bigint, enough: bigint, fits: (variance: bigint) => boolean): bigint {
  if (fits(least)) return least;
  let [low, high] = [least, enough];
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Everything that can fail besides the zCDP account, over all rounds and nodes, fits what the conversion left aside. */
export function requireReserve(
  quantiser: Quantiser,
  { nodesMax, rounds, dimension }: NoiseRequest,
  budget: Budget,
): void {
  const failures = rounds * nodesMax * (quantiser.failure + dimension * 2 * Math.exp(-72));
  if (failures <= 10 ** -budget.deltaExponent * DELTA_RESERVE) return;
  throw new TrainingError('BAD_BUDGET', 'delta is too small for rounding and sampling to stay below it');
}
