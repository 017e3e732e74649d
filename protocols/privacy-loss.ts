import { convolutionPower } from './convolution.ts';
import { normalCdf } from './special-functions.ts';

/**
 * Tight accounting for Poisson-sampled Gaussian steps by the distribution of the privacy loss, discretised so that delta is
 * never understated: "connect the dots" (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi, PoPETs 2022(4), arXiv 2207.04380).
 * Rounding in doubles leaves an absolute error near 1e-13: not for a delta below 1e-10.
 */

/** One step: rate q of the sample, noise z over the sensitivity. */
export interface SampledStep {
  readonly rate: number;
  readonly noise: number;
}

type Direction = 'remove' | 'add';

/** Standard deviations at which a step's loss is cut; what lies beyond counts as lost. */
const REACH = 9;
/** Bins after composition. */
const MAX_BINS = 2 ** 20;
const FINEST = 1e-3;

/**
 * Hockey-stick divergence at gamma = e^epsilon of one step: sup over events of P - gamma Q, where P and Q are
 * (1-q) N(0, z^2) + q N(1, z^2) and N(0, z^2), in this order for 'remove', swapped for 'add'.
 */
function stepDivergence(step: SampledStep, direction: Direction, gamma: number): number {
  const { rate, noise } = step;
  const ratio = direction === 'remove' ? gamma : 1 / gamma;
  // The likelihood ratio (1-q) + q exp((2x-1) / 2z^2) never falls to 1-q.
  if (ratio <= 1 - rate) return direction === 'remove' ? 1 - gamma : 0;
  const x = 0.5 + noise * noise * Math.log((ratio - 1 + rate) / rate);
  if (direction === 'remove') {
    return (1 - rate - gamma) * normalCdf(-x / noise) + rate * normalCdf((1 - x) / noise);
  }
  return (1 - gamma * (1 - rate)) * normalCdf(x / noise) - gamma * rate * normalCdf((x - 1) / noise);
}

/** Masses of the privacy loss at (first + i) * width, and the mass at infinity. */
interface LossMasses {
  readonly first: number;
  readonly width: number;
  readonly masses: Float64Array;
  readonly infinite: number;
}

/**
 * The masses whose divergence curve connects the exact points at e^(i * width) by chords: convex, hence never below.
 * With slope s_i between points i and i+1, Q's mass at point i is s_i - s_(i-1) and P's is e^(i * width) times that.
 */
function connectDots(step: SampledStep, direction: Direction, width: number): LossMasses {
  const [lowest, highest] = lossRange(step, direction);
  const first = Math.floor(lowest / width);
  const last = Math.ceil(highest / width);
  const gammas = Float64Array.from({ length: last - first + 1 }, (_, i) => Math.exp((first + i) * width));
  const divergences = gammas.map((gamma) => stepDivergence(step, direction, gamma));
  const masses = new Float64Array(gammas.length);
  let slopeBefore = (divergences[0]! - 1) / gammas[0]!;
  for (let i = 0; i < gammas.length; i += 1) {
    const slope = i + 1 < gammas.length ? (divergences[i + 1]! - divergences[i]!) / (gammas[i + 1]! - gammas[i]!) : 0;
    masses[i] = Math.max(0, (slope - slopeBefore) * gammas[i]!);
    slopeBefore = slope;
  }
  return { first, width, masses, infinite: Math.max(0, divergences[gammas.length - 1]!) };
}

function lossRange({ rate, noise }: SampledStep, direction: Direction): [number, number] {
  const log = (x: number) => Math.log1p(rate * Math.expm1((2 * x - 1) / (2 * noise * noise)));
  const [low, high] = [log(-REACH * noise), log(1 + REACH * noise)];
  return direction === 'remove' ? [low, high] : [-high, -low];
}

function compose(step: SampledStep, direction: Direction, steps: number): LossMasses {
  const [low, high] = lossRange(step, direction);
  const width = Math.max(FINEST * Math.min(1, high - low), ((high - low) * steps * 1.001) / MAX_BINS);
  const one = connectDots(step, direction, width);
  return {
    first: one.first * steps,
    width,
    masses: convolutionPower(one.masses, steps),
    infinite: -Math.expm1(steps * Math.log1p(-one.infinite)),
  };
}

function deltaOf({ first, width, masses, infinite }: LossMasses, epsilon: number): number {
  let sum = infinite;
  for (let i = masses.length - 1; i >= 0 && (first + i) * width > epsilon; i -= 1) {
    sum += masses[i]! * -Math.expm1(epsilon - (first + i) * width);
  }
  return Math.min(1, sum);
}

/** The composed loss of both directions of add-or-remove neighbours, as functions of epsilon and delta. */
export function composeSampledGaussian(step: SampledStep, steps: number) {
  if (!(step.rate > 0 && step.rate <= 1) || !(step.noise > 0) || !Number.isSafeInteger(steps) || steps < 1) {
    throw new RangeError('sampled Gaussian out of range');
  }
  const directions = (['remove', 'add'] as const).map((direction) => compose(step, direction, steps));
  const delta = (epsilon: number) => Math.max(...directions.map((masses) => deltaOf(masses, epsilon)));
  return {
    /** An upper bound of delta. */
    delta,
    /** The least epsilon found for delta; Infinity when the cut tails alone are more than delta. */
    epsilon(target: number): number {
      const ceiling = Math.max(...directions.map(({ first, width, masses }) => (first + masses.length) * width), 0);
      if (delta(ceiling) > target) return Number.POSITIVE_INFINITY;
      // Bisection to 1e-9 is far below the discretisation.
      let [low, high] = [0, ceiling];
      if (delta(0) <= target) return 0;
      while (high - low > 1e-9) {
        const middle = (low + high) / 2;
        if (delta(middle) > target) low = middle;
        else high = middle;
      }
      return high;
    },
  };
}
