import { bisect } from './accountant.ts';
import { logNormalCdf, normalCdf } from './special-functions.ts';

/**
 * Delta of the Gaussian mechanism with noise z times the sensitivity: Phi(1/2z - epsilon z) - e^epsilon Phi(-1/2z - epsilon z)
 * (Balle, Wang, arXiv 1805.06530, Theorem 8). n such steps are one with z / sqrt(n).
 */
export function gaussianDelta(noise: number, epsilon: number): number {
  const upper = normalCdf(1 / (2 * noise) - epsilon * noise);
  return Math.max(0, upper - Math.exp(epsilon + logNormalCdf(-1 / (2 * noise) - epsilon * noise)));
}

/** The least z that gives (epsilon, delta), from above. */
export function gaussianNoise(epsilon: number, delta: number): number {
  let high = 1;
  while (gaussianDelta(high, epsilon) > delta) high *= 2;
  return bisect(0, high, (noise) => noise === 0 || gaussianDelta(noise, epsilon) > delta).above;
}

/**
 * Delta of one discrete Gaussian of sensitivity 1: P(X > epsilon sigma^2 - 1/2) - e^epsilon P(X > epsilon sigma^2 + 1/2)
 * (Canonne, Kamath, Steinke, arXiv 2004.00010, Theorem 7), summed term by term.
 */
export function discreteGaussianDelta(sigma2: number, epsilon: number): number {
  const reach = Math.ceil(40 * Math.sqrt(sigma2)) + 40;
  let norm = 1;
  for (let x = 1; x <= reach; x += 1) norm += 2 * Math.exp(-(x * x) / (2 * sigma2));
  const first = Math.floor(epsilon * sigma2 - 0.5) + 1;
  let sum = 0;
  // P(X = x) - e^epsilon P(X = x + 1), the second one's exponent written out so that nothing cancels early.
  for (let x = first + reach; x >= first; x -= 1) {
    const weight = Math.exp(-(x * x) / (2 * sigma2));
    sum += weight * -Math.expm1(epsilon - (2 * x + 1) / (2 * sigma2));
  }
  return Math.max(0, sum / norm);
}
