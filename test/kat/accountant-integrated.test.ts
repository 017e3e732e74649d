import { describe, expect, it } from 'vitest';
import { rhoOf } from '../../protocols/accountant.ts';
import { composeSampledGaussian } from '../../protocols/privacy-loss.ts';
import { sampledGaussianEpsilon, sampledGaussianRenyi, skellamRenyi } from '../../protocols/renyi.ts';
import { sampledChargeNano } from '../../protocols/sampled-charge.ts';

/**
 * The accountants against plain numerical integration: densities summed over a grid, losses counted in cells, cells convolved
 * one by one. Shares no formula and no function with what it checks.
 */

/** Density of N(mean, z^2) at x. */
const density = (x: number, mean: number, z: number): number =>
  Math.exp(-((x - mean) ** 2) / (2 * z * z)) / (z * Math.sqrt(2 * Math.PI));

/** Simpson's rule. */
function integrate(f: (x: number) => number, from: number, to: number, pieces: number): number {
  const h = (to - from) / pieces;
  let sum = f(from) + f(to);
  for (let i = 1; i < pieces; i++) sum += f(from + i * h) * (i % 2 === 1 ? 4 : 2);
  return (sum * h) / 3;
}

interface Losses {
  /** Mass at the losses (first + i) * width. */
  readonly first: number;
  readonly masses: Float64Array;
  readonly infinite: number;
}

/** Losses of one step, each rounded up (or down) to a cell. */
function lossesOf(rate: number, z: number, swap: boolean, width: number, round: (x: number) => number): Losses {
  const reach = 10;
  const step = z / 2000;
  const mixed = (x: number) => (1 - rate) * density(x, 0, z) + rate * density(x, 1, z);
  const plain = (x: number) => density(x, 0, z);
  const [over, under] = swap ? [plain, mixed] : [mixed, plain];
  const cells = new Map<number, number>();
  let total = 0;
  for (let x = -reach * z; x < 1 + reach * z; x += step) {
    const mass = over(x + step / 2) * step;
    const cell = round(Math.log(over(x + step / 2) / under(x + step / 2)) / width);
    cells.set(cell, (cells.get(cell) ?? 0) + mass);
    total += mass;
  }
  const first = Math.min(...cells.keys());
  const masses = new Float64Array(Math.max(...cells.keys()) - first + 1);
  for (const [cell, mass] of cells) masses[cell - first] = mass;
  return { first, masses, infinite: Math.max(0, 1 - total) };
}

/** One after another; tails below 1e-13 are cut, counted as lost above and as nothing below. */
function compose(a: Losses, b: Losses): Losses {
  const masses = new Float64Array(a.masses.length + b.masses.length - 1);
  for (const [i, mass] of a.masses.entries())
    if (mass > 0) for (let j = 0; j < b.masses.length; j++) masses[i + j]! += mass * b.masses[j]!;
  let [low, high, cut] = [0, masses.length, 0];
  while (high > low + 1 && cut + masses[high - 1]! < 1e-13) cut += masses[--high]!;
  for (let sum = 0; low < high - 1 && sum + masses[low]! < 1e-13; low++) sum += masses[low]!;
  const infinite = 1 - (1 - a.infinite) * (1 - b.infinite) + cut;
  return { first: a.first + b.first + low, masses: masses.slice(low, high), infinite };
}

function power(one: Losses, steps: number): Losses {
  if (steps === 1) return one;
  const half = power(one, Math.floor(steps / 2));
  const twice = compose(half, half);
  return steps % 2 === 0 ? twice : compose(twice, one);
}

function deltaOf({ first, masses, infinite }: Losses, width: number, epsilon: number): number {
  return masses.reduce((sum, mass, i) => {
    const loss = (first + i) * width;
    return loss > epsilon ? sum + mass * -Math.expm1(epsilon - loss) : sum;
  }, infinite);
}

/** Delta of composed steps from below and from above. */
function bracket(rate: number, z: number, steps: number, epsilon: number, width: number): [number, number] {
  return [Math.floor, Math.ceil].map((round) =>
    Math.max(
      ...[false, true].map((swap) => deltaOf(power(lossesOf(rate, z, swap, width, round), steps), width, epsilon)),
    ),
  ) as [number, number];
}

describe('against numerical integration', () => {
  it('three Poisson samples of 0.2 with z = 0.5: the published 0.15594', () => {
    const [below, above] = bracket(0.2, 0.5, 3, 1, 0.004);
    const ours = composeSampledGaussian({ rate: 0.2, noise: 0.5 }, 3).delta(1);
    expect(below).toBeLessThan(ours);
    expect(above).toBeGreaterThan(ours - 1e-6);
    expect(above - below).toBeLessThan(0.004);
    expect(Math.abs(ours - 0.15594)).toBeLessThan(1e-5);
  });

  it('forty steps of 0.04 with z = 1.5: the tight accountant lies between, the Renyi one above', () => {
    const step = { rate: 0.04, noise: 1.5 };
    for (const epsilon of [0.5, 1]) {
      const [below, above] = bracket(0.04, 1.5, 40, epsilon, 0.002);
      const ours = composeSampledGaussian(step, 40).delta(epsilon);
      expect(ours).toBeGreaterThan(below);
      expect(ours).toBeLessThan(above);
      // At the delta that is needed at least, the Renyi accountant says at least this epsilon.
      expect(sampledGaussianEpsilon(step, 40, below).epsilon).toBeGreaterThan(epsilon);
    }
  });

  it('Renyi divergences of a sampled step, whole and fractional orders, and the other direction is the smaller one', () => {
    for (const [rate, z, order] of [
      [0.04, 1.5, 2],
      [0.04, 1.5, 7.5],
      [0.2, 1, 3.3],
      [0.5, 2, 12],
      [0.7, 0.9, 1.4],
      [0.001, 0.8, 8],
      [0.5, 30, 1.1],
    ] as const) {
      const ratio = (x: number) => 1 - rate + rate * Math.exp((2 * x - 1) / (2 * z * z));
      const moment = (exponent: number) =>
        integrate((x) => density(x, 0, z) * ratio(x) ** exponent, -14 * z, order + 14 * z, 40_000);
      const divergence = Math.log(moment(order)) / (order - 1);
      // From above where the series is cut short.
      expect(sampledGaussianRenyi(rate, z, order) / divergence).toBeCloseTo(1, 6);
      expect(Math.log(moment(1 - order)) / (order - 1)).toBeLessThanOrEqual(divergence * (1 + 1e-9));
    }
  });
});

type Mass = Map<number, number>;

function convolve(a: Mass, b: Mass): Mass {
  const sum: Mass = new Map();
  for (const [x, p] of a) for (const [y, q] of b) sum.set(x + y, (sum.get(x + y) ?? 0) + p * q);
  return sum;
}

function normalise(weights: Mass): Mass {
  const total = [...weights.values()].reduce((a, b) => a + b, 0);
  return new Map([...weights].map(([x, weight]) => [x, weight / total]));
}

/** @param reach - beyond what the moments below weigh: order times the shift, and some more. */
function discreteGaussian(sigma2: number, reach: number): Mass {
  const weights = new Map<number, number>();
  for (let x = -reach; x <= reach; x++) weights.set(x, Math.exp(-(x * x) / (2 * sigma2)));
  return normalise(weights);
}

/** Difference of two Poisson variables of mean mu / 2 each. */
function skellam(mu: number): Mass {
  const mean = mu / 2;
  const poisson: Mass = new Map();
  let log = -mean;
  for (let k = 0; k < mean + 30 * Math.sqrt(mean) + 30; k++) {
    poisson.set(k, Math.exp(log));
    log += Math.log(mean / (k + 1));
  }
  return convolve(poisson, new Map([...poisson].map(([k, p]) => [-k, p])));
}

/** D(mixture || noise) and D(noise || mixture), the mixture being the noise, moved by `shift` with probability `rate`. */
function divergences(noise: Mass, shift: number, rate: number, order: number): [number, number] {
  let [there, back] = [0, 0];
  for (const [x, q] of noise) {
    const moved = noise.get(x - shift);
    if (moved === undefined || q < 1e-290 || moved < 1e-290) continue;
    const p = (1 - rate) * q + rate * moved;
    there += Math.exp(order * Math.log(p) + (1 - order) * Math.log(q));
    back += Math.exp(order * Math.log(q) + (1 - order) * Math.log(p));
  }
  return [Math.log(there) / (order - 1), Math.log(back) / (order - 1)];
}

describe('whole-numbered noise, summed up', () => {
  it('the charge of drawn rounds covers sums of discrete Gaussians in both directions, and is close', () => {
    for (const [sigma2, parts, shift, rate, order] of [
      [16, 2, 3, 0.2, 4],
      [16, 1, 4, 0.05, 12],
      [4, 3, 2, 0.5, 8],
      [1, 2, 1, 0.1, 3],
      [25, 2, 9, 0.01, 10],
    ] as const) {
      const one = discreteGaussian(sigma2, order * shift + Math.ceil(9 * Math.sqrt(sigma2)));
      let noise = one;
      for (let i = 1; i < parts; i++) noise = convolve(noise, one);
      const variance = { sigma2Numerator: BigInt(sigma2), sigma2Denominator: 1n };
      const rho = rhoOf({ sensitivity2: BigInt(shift * shift), variance, parts, coordinates: 1 });
      const charged = (Number(sampledChargeNano(rho, { rateMicro: rate * 1e6, order })) * order) / 1e9;
      const [there, back] = divergences(noise, shift, rate, order);
      expect(there).toBeLessThanOrEqual(charged);
      expect(back).toBeLessThanOrEqual(there * (1 + 1e-9));
      // What a sum of narrow parts costs beyond one is a bound that is not tight.
      if (sigma2 >= 4) expect(there).toBeGreaterThan(0.999 * charged - order * 1e-9);
      // Without a draw: the divergence of the plain shift, at most order * rho.
      const [whole] = divergences(noise, shift, 1, order);
      expect(whole).toBeLessThanOrEqual(
        (order * Number(rho.numerator >> 40n)) / Number(rho.denominator >> 40n) + 1e-12,
      );
    }
  });

  it('Skellam noise keeps to its bound, which is close for wide noise', () => {
    for (const [mu, shift, order] of [
      [50, 1, 2],
      [50, 3, 5],
      [200, 4, 10],
      [20, 2, 3],
    ] as const) {
      const bound = skellamRenyi(mu, shift * shift, shift, order);
      for (const divergence of divergences(skellam(mu), shift, 1, order)) {
        expect(divergence).toBeLessThanOrEqual(bound);
        expect(divergence).toBeGreaterThan(0.8 * bound);
      }
      expect(bound).toBeGreaterThan((order * shift * shift) / (2 * mu));
    }
  });
});
