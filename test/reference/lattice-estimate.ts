/**
 * What breaking LWE takes, by the estimate that HomomorphicEncryption.org's tables rest on: the primal attack with BKZ.
 *
 * - Root Hermite factor of block size b: Chen 2013; 1.0219 for LLL (Gama and Nguyen, Eurocrypt 2008).
 * - Success: sqrt(b) sigma <= delta^(2b - d - 1) * Vol^(1/d) (Alkim, Ducas, Poeppelmann, Schwabe, Usenix 2016, section 6.3).
 * - Cost of BKZ: 2^(0.265 b + 16.4 + log2(8 d)), sieving on a quantum computer (Albrecht et al. 2018, ia.cr/2018/331, the
 *   model of the standard's quantum tables); 0.292 b classically.
 */

export interface LweInstance {
  /** Dimension of the secret: N. */
  readonly n: number;
  readonly logQ: number;
  /** Standard deviation of the error. */
  readonly sigma: number;
  /** Standard deviation of the secret. */
  readonly secretSigma: number;
  /** Samples at most; one ring element of public data gives n. */
  readonly samples: number;
}

/** Root Hermite factor of BKZ with block size b >= 50 (Chen 2013). */
export function rootHermite(b: number): number {
  return (((Math.PI * b) ** (1 / b) * b) / (2 * Math.PI * Math.E)) ** (1 / (2 * (b - 1)));
}

export const LLL_ROOT_HERMITE = 1.0219;

/** log2 of Vol^(1/d) for m samples, the secret's coordinates scaled to the error's size. */
function logVolume({ n, logQ, sigma, secretSigma }: LweInstance, m: number): number {
  const d = m + n + 1;
  return (m * logQ + n * Math.log2(sigma / secretSigma)) / d;
}

/** log2 of the bit operations of the cheapest primal attack. @param exponent - 0.265 quantum, 0.292 classical. */
export function primalCost(lwe: LweInstance, exponent = 0.265): { bits: number; blockSize: number } {
  const fits = (b: number, m: number): boolean => {
    const d = m + lwe.n + 1;
    const left = Math.log2(lwe.sigma) + Math.log2(b) / 2;
    return left <= (2 * b - d - 1) * Math.log2(rootHermite(b)) + logVolume(lwe, m);
  };
  // The best number of samples balances volume against dimension: found by scanning.
  const works = (b: number): number | null => {
    for (let m = Math.ceil(lwe.n / 4); m <= lwe.samples; m += Math.max(1, Math.floor(lwe.n / 64)))
      if (fits(b, m)) return m + lwe.n + 1;
    return null;
  };
  let low = 50;
  let high = 8 * lwe.n;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (works(middle) === null) low = middle + 1;
    else high = middle;
  }
  return { bits: exponent * low + 16.4 + Math.log2(8 * works(low)!), blockSize: low };
}

/**
 * The gap that LLL leaves: second minimum (Gaussian heuristic) over the planted vector, divided by delta^d. LLL finds
 * the planted vector where this is above a constant of about 0.3 (Gama and Nguyen 2008, section 3.2).
 */
export function lllGap(lwe: LweInstance): number {
  const d = lwe.samples + lwe.n + 1;
  const second = Math.sqrt(d / (2 * Math.PI * Math.E)) * 2 ** logVolume(lwe, lwe.samples);
  const planted = lwe.sigma * Math.sqrt(d);
  return second / planted / LLL_ROOT_HERMITE ** d;
}
