import { logChoose, logErfc, logSumExp } from './special-functions.ts';

/**
 * Renyi accounting in doubles, for planning and display: T steps, each a Poisson sample of rate q, clipped gradients and
 * Gaussian noise of z times the sensitivity. Mironov, Talwar, Zhang, "Renyi Differential Privacy of the Sampled Gaussian
 * Mechanism" (arXiv 1908.10530), section 3.3; add-or-remove neighbours. What is charged is computed in integers
 * (sampled-charge.ts), and so holds for discrete noise too.
 */

/** Orders that cover epsilon 0.1 to 20 at usual deltas; the ones that the published values were computed with. */
const ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => 1 + (i + 1) / 10),
  ...Array.from({ length: 52 }, (_, i) => 12 + i),
];

const MOST_TERMS = 4000;

/**
 * Renyi divergence of order alpha of one step.
 *
 * @param rate - q in [0, 1]. @param noise - z > 0. @param order - alpha > 1.
 * @throws RangeError outside these ranges.
 */
export function sampledGaussianRenyi(rate: number, noise: number, order: number): number {
  if (!(rate >= 0 && rate <= 1) || !(noise > 0) || !(order > 1)) throw new RangeError('sampled Gaussian out of range');
  if (rate === 0) return 0;
  if (rate === 1) return order / (2 * noise * noise);
  const log = Number.isInteger(order) ? logMomentInteger(rate, noise, order) : logMomentFractional(rate, noise, order);
  return log / (order - 1);
}

/** ln A_alpha = ln sum_k C(alpha, k) (1-q)^(alpha-k) q^k exp((k^2-k) / 2z^2). */
function logMomentInteger(rate: number, noise: number, order: number): number {
  const logs = Array.from(
    { length: order + 1 },
    (_, k) =>
      logChoose(order, k) + (order - k) * Math.log1p(-rate) + k * Math.log(rate) + (k * k - k) / (2 * noise * noise),
  );
  return logSumExp(logs);
}

/**
 * The same for fractional alpha: the integral is split at z0, where both densities of the mixture weigh the same, and the
 * larger one is taken out of the binomial series on each side. Terms below e^-40 are left out. Where they fall slowly
 * (much noise, a rate about 1/2) the smaller of two bounds is taken: the sum so far and one term more, for their signs alternate
 * beyond alpha; and the chord between the whole orders beside alpha, for ln A is convex in it.
 */
function logMomentFractional(rate: number, noise: number, order: number): number {
  const split = noise * noise * Math.log(1 / rate - 1) + 0.5;
  const half = (t: number) => Math.log(0.5) + logErfc(t / (Math.SQRT2 * noise));
  const logs: number[] = [];
  const signs: number[] = [];
  let logCoefficient = 0;
  let sign = 1;
  for (let i = 0; ; i += 1) {
    const j = order - i;
    const lower = i * Math.log(rate) + j * Math.log1p(-rate) + (i * i - i) / (2 * noise * noise) + half(i - split);
    const upper = j * Math.log(rate) + i * Math.log1p(-rate) + (j * j - j) / (2 * noise * noise) + half(split - j);
    logs.push(logCoefficient + lower, logCoefficient + upper);
    signs.push(sign, sign);
    if (i > order && Math.max(lower, upper) + logCoefficient < -40) return logSumExp(logs, signs);
    if (i > MOST_TERMS) {
      const below = Math.floor(order);
      const part = order - below;
      const chord = (1 - part) * logMomentInteger(rate, noise, below) + part * logMomentInteger(rate, noise, below + 1);
      const last = logSumExp([lower, upper]) + logCoefficient;
      return Math.min(chord, logSumExp([...logs, last], [...signs, 1]));
    }
    // C(alpha, i+1) = C(alpha, i) (alpha - i) / (i + 1); negative factors come after i = alpha.
    if (j < 0) sign = -sign;
    logCoefficient += Math.log(Math.abs(j) / (i + 1));
  }
}

/** Which bound turns Renyi divergence into (epsilon, delta). */
export type Conversion = 'mironov' | 'tight';

/**
 * Epsilon of order alpha. 'mironov': R + ln(1/delta) / (alpha-1) (arXiv 1702.07476, Proposition 3). 'tight': R + ln(1 - 1/alpha)
 * - (ln delta + ln alpha) / (alpha-1) (Canonne, Kamath, Steinke, Proposition 12; Balle et al. 2020, Theorem 21).
 */
function epsilonOfRenyi(divergence: number, order: number, delta: number, conversion: Conversion = 'tight'): number {
  const epsilon =
    conversion === 'mironov'
      ? divergence - Math.log(delta) / (order - 1)
      : divergence + Math.log1p(-1 / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
  return Math.max(0, epsilon);
}

/** The best epsilon over some orders. @param divergence - by order, of all steps together. */
export function renyiEpsilon(
  divergence: (order: number) => number,
  delta: number,
  orders: readonly number[] = ORDERS,
  conversion: Conversion = 'tight',
): { epsilon: number; order: number } {
  let best = { epsilon: Number.POSITIVE_INFINITY, order: 0 };
  for (const order of orders) {
    const epsilon = epsilonOfRenyi(divergence(order), order, delta, conversion);
    if (epsilon < best.epsilon) best = { epsilon, order };
  }
  return best;
}

/** The best epsilon over all orders of `steps` sampled Gaussian steps. */
export function sampledGaussianEpsilon(
  step: { readonly rate: number; readonly noise: number },
  steps: number,
  delta: number,
  conversion: Conversion = 'tight',
): { epsilon: number; order: number } {
  const divergence = (order: number): number => steps * sampledGaussianRenyi(step.rate, step.noise, order);
  return renyiEpsilon(divergence, delta, ORDERS, conversion);
}

/**
 * Renyi divergence of whole order alpha of one sum with symmetric Skellam noise: alpha s2^2 / 2 mu + min(((2 alpha - 1) s2^2
 * + 6 s1) / 4 mu^2, 3 s1 / 2 mu) (Agarwal, Kairouz, Liu, "The Skellam Mechanism for Differentially Private Federated
 * Learning", arXiv 2110.04995, Corollary 3.6).
 *
 * @param mu - variance of the noise in a coordinate. @param l1 - L1 sensitivity s1; in whole numbers at most its square, s2^2.
 */
export function skellamRenyi(mu: number, sensitivity2: number, l1: number, order: number): number {
  const more = Math.min(((2 * order - 1) * sensitivity2 + 6 * l1) / (4 * mu * mu), (3 * l1) / (2 * mu));
  return (order * sensitivity2) / (2 * mu) + more;
}
