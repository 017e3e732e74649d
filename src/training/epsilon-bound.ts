import { logChoose } from '../../protocols/special-functions.ts';

/** One game: a record was in the sum or not, and what an attacker saw of it. */
export interface Trial {
  readonly isPresent: boolean;
  /** Larger where the attacker believes more that it is there. */
  readonly score: number;
}

/** What trials show about epsilon, whatever anybody claims. */
export interface EpsilonBound {
  /** With the confidence asked for, no mechanism of a smaller epsilon (at that delta) behaves so. 0: nothing is shown. */
  readonly epsilon: number;
  /** The attacker says "present" above it. */
  readonly threshold: number;
  /** Trials that the bound is made of; as many others chose the threshold. */
  readonly trials: number;
}

/** P(X >= successes) for X binomial, from the first term on by the ratio of each to the one before. */
function upperTail(trials: number, successes: number, p: number): number {
  if (successes <= 0 || p >= 1) return 1;
  if (p <= 0) return 0;
  const log = logChoose(trials, successes) + successes * Math.log(p) + (trials - successes) * Math.log1p(-p);
  const odds = p / (1 - p);
  let term = 1;
  let sum = 1;
  for (let k = successes; k < trials; k += 1) {
    term *= ((trials - k) / (k + 1)) * odds;
    sum += term;
  }
  return Math.min(1, Math.exp(log) * sum);
}

/** Bisection steps: a rate to 2^-50. */
const STEPS = 50;

/** The rate that so many successes leave just possible. */
function leastRate(trials: number, successes: number, miss: number): number {
  if (successes <= 0) return 0;
  let [low, high] = [0, 1];
  for (let i = 0; i < STEPS; i += 1) {
    const middle = (low + high) / 2;
    if (upperTail(trials, successes, middle) <= miss) low = middle;
    else high = middle;
  }
  return low;
}

/** One-sided bounds of a rate, each with that confidence by itself (Clopper, Pearson 1934). */
export function rateBounds(successes: number, trials: number, confidence: number): { low: number; high: number } {
  const miss = 1 - confidence;
  return { low: leastRate(trials, successes, miss), high: 1 - leastRate(trials, trials - successes, miss) };
}

type Side = 'above' | 'below';

/** ln((a - delta) / b): a is the rate of a verdict where it is right to be common, b where it is wrong; bounded apart. */
function boundAt(trials: readonly Trial[], threshold: number, side: Side, delta: number, confidence: number): number {
  const saysSo = ({ score }: Trial): boolean => (side === 'above' ? score > threshold : score <= threshold);
  const rate = (isPresent: boolean): { low: number; high: number } => {
    const those = trials.filter((trial) => trial.isPresent === isPresent);
    // Two bounds have to hold at once.
    return rateBounds(those.filter(saysSo).length, those.length, 1 - (1 - confidence) / 2);
  };
  const common = rate(side === 'above').low - delta;
  return common > 0 ? Math.max(0, Math.log(common / rate(side !== 'above').high)) : 0;
}

/**
 * A lower bound on epsilon from independent trials. (epsilon, delta) means P(verdict | present) <= e^epsilon P(verdict | absent)
 * + delta for every verdict, and the same with both swapped; rates that break this at some threshold refute it.
 *
 * The first half of the trials chooses threshold and side, the second half alone is counted: the bound holds with the
 * confidence although the best was picked.
 */
export function epsilonLowerBound(trials: readonly Trial[], delta: number, confidence: number): EpsilonBound {
  const half = Math.floor(trials.length / 2);
  const [chosen, counted] = [trials.slice(0, half), trials.slice(half)];
  let best = { bound: -1, threshold: 0, side: 'above' as Side };
  for (const threshold of quantiles(chosen.map(({ score }) => score))) {
    for (const side of ['above', 'below'] as const) {
      const bound = boundAt(chosen, threshold, side, delta, confidence);
      if (bound > best.bound) best = { bound, threshold, side };
    }
  }
  const { threshold, side } = best;
  return { epsilon: boundAt(counted, threshold, side, delta, confidence), threshold, trials: counted.length };
}

/** Forty thresholds at equal shares of the scores. */
function quantiles(scores: readonly number[]): number[] {
  const sorted = scores.toSorted((a, b) => a - b);
  return Array.from({ length: 40 }, (_, i) => sorted[Math.floor(((i + 0.5) / 40) * sorted.length)] ?? 0);
}
