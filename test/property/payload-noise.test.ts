import { describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { exactGaussian, GAUSSIAN_TOPS, gaussianThresholds, sampleGaussian } from '../../crypto/key-sampler.ts';
import { errorBoundOf, ringShape } from '../../crypto/params.ts';
import { publicStream } from '../../crypto/payload.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { bothEngines, contextOf, gaussian, kernelOf, keystream, parametersOf, valuesOf } from '../reference/engines.ts';

const SIGMA = 6.4;

describe('discrete Gaussian of keys and errors', () => {
  /** P(|x| <= m) by plain summation in doubles, another way than the table's. */
  const cumulative = (m: number): number => {
    const weight = (x: number): number => Math.exp((-x * x) / (2 * SIGMA * SIGMA));
    const range = (n: number): number[] => Array.from({ length: 2 * n + 1 }, (_, i) => weight(i - n));
    const total = (list: number[]): number => list.sort((a, b) => a - b).reduce((sum, x) => sum + x, 0);
    return total(range(m)) / total(range(100));
  };

  it('has the thresholds of the distribution', () => {
    const thresholds = gaussianThresholds();
    for (const [m, threshold] of thresholds.entries())
      expect(Math.abs(Number(threshold) / 2 ** 127 - cumulative(m))).toBeLessThan(2 ** -50);
    // Strictly increasing to the last unit but one: nothing of weight 2^-127 or more is cut off.
    expect(thresholds.at(-1)).toBe((1n << 127n) - 1n);
  });

  it('is equal on both engines, ties and boundary words included', async () => {
    const engines = await bothEngines(ringShape(parametersOf({ dimension: 900 })));
    // Each top word itself, its neighbours, both signs; then the extremes; the rest from a keystream.
    const words = [...GAUSSIAN_TOPS].flatMap((top) =>
      [top - 1, top, top + 1].flatMap((t) => [(2 * t) >>> 0, (2 * t + 1) >>> 0]),
    );
    words.push(0, 1, 0xffffffff, 0xfffffffe);
    const first = new Uint8Array(4096 * 4);
    first.set(keystream('first', first.length));
    for (const [i, word] of words.entries()) new DataView(first.buffer).setUint32(4 * i, word, true);
    const rest = keystream('rest', 12 * 4096);
    rest.fill(0, 0, 120);
    rest.fill(255, 120, 240);
    const samples = engines.map((engine) => {
      const out = new Int16Array(4096);
      engine.sampleGaussian({ first: () => first.slice(), rest: () => rest.slice() }, out);
      return out;
    });
    expect(samples[1]).toEqual(samples[0]);
    const view = new DataView(first.buffer);
    expect(samples[0]).toEqual(
      Int16Array.from(samples[0]!, (_, c) => exactGaussian(view.getUint32(4 * c, true), rest, c)),
    );
  });

  it('resolves a tie by all 127 bits', () => {
    const limbs = (u: bigint): [number, Uint8Array] => {
      const rest = new Uint8Array(12);
      const view = new DataView(rest.buffer);
      for (const [i, shift] of [64n, 32n, 0n].entries())
        view.setUint32(4 * i, Number((u >> shift) & 0xffffffffn), true);
      return [Number((u >> 96n) << 1n), rest];
    };
    for (const [m, threshold] of gaussianThresholds().slice(0, 80).entries()) {
      const [below, belowRest] = limbs(threshold - 1n);
      const [at, atRest] = limbs(threshold);
      expect(exactGaussian(below, belowRest, 0)).toBe(m);
      expect(exactGaussian(at + 1, atRest, 0)).toBe(-(m + 1));
    }
  });

  it('wipes the bits it was given', () => {
    const bytes = keystream('bits', 4000).slice();
    sampleGaussian({ first: () => bytes, rest: () => new Uint8Array(12000) }, new Int16Array(1000));
    expect(bytes.some((byte) => byte !== 0)).toBe(false);
  });

  it('is close to its exact probabilities over a million samples', async () => {
    const engine = await kernelOf(parametersOf({ dimension: 900 }));
    const samples = new Int16Array(1_000_000);
    engine.sampleGaussian(gaussian('million'), samples);
    const counts = new Map<number, number>();
    for (const x of samples) counts.set(x, (counts.get(x) ?? 0) + 1);
    // Chi squared over -20..20 and the rest, 41 degrees of freedom; 100 is beyond 1 in 10^6. The seed is fixed.
    let statistic = 0;
    let rest = samples.length;
    for (let x = -20; x <= 20; x++) {
      const m = Math.abs(x);
      const p = m === 0 ? cumulative(0) : (cumulative(m) - cumulative(m - 1)) / 2;
      statistic += ((counts.get(x) ?? 0) - p * samples.length) ** 2 / (p * samples.length);
      rest -= counts.get(x) ?? 0;
    }
    const tail = (1 - cumulative(20)) * samples.length;
    expect(statistic + (rest - tail) ** 2 / tail).toBeLessThan(100);
  });
});

describe('measured noise of sums', () => {
  /** The smallest bound under which the sum opens is its largest remainder. */
  async function largestRemainder(engine: RingEngine, try_: (engine: RingEngine) => boolean): Promise<number> {
    let [low, high] = [0, engine.shape.errorBound];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      using tight = await createKernelEngine(loadKernelModule(), { ...engine.shape, errorBound: middle });
      if (try_(tight)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  it.each([2, 16, 128, 1024])('of %i nodes is within B, and no smaller than the theory has it', async (nodes) => {
    const parameters = parametersOf({ dimension: 50_000, nodesMax: nodes, minCohort: 2 });
    const engine = await kernelOf(parameters);
    const a = publicStream(contextOf(parameters, engine), 0);
    const { ringDegree, lastBlockCoefficients: coefficients } = parameters;
    const key = new Int32Array(ringDegree);
    const values = valuesOf('noise', 50_000, 16);
    using sum = engine.sum(coefficients);
    for (let node = 0; node < nodes; node++) {
      const own = new Int16Array(ringDegree);
      engine.sampleGaussian(gaussian(`key ${node}`), own);
      for (let c = 0; c < ringDegree; c++) key[c]! += own[c]!;
      using sealer = engine.sealer(own);
      sum.add(sealer.seal(values, coefficients, a, gaussian(`error ${node}`)));
    }
    const wire = sum.wire();
    const largest = await largestRemainder(engine, (tight) => {
      using opener = tight.opener(key);
      const opened = new Int32Array(50_000);
      const fits = opener.open(wire, coefficients, a, opened);
      if (fits) expect(opened).toEqual(values.map((x) => nodes * x));
      return fits;
    });
    const sigma = SIGMA * Math.sqrt(nodes);
    expect(largest).toBeLessThanOrEqual(errorBoundOf(nodes));
    // The largest of some thousand samples lies between 3 and 6 sigma, but for chances below 10^-5; K as well.
    for (const measured of [largest, key.reduce((most, x) => Math.max(most, Math.abs(x)), 0)]) {
      expect(measured).toBeGreaterThan(3 * sigma);
      expect(measured).toBeLessThan(6 * sigma);
    }
  });
});
