import { describe, expect, it } from 'vitest';
import { createNoiseSampler } from '../../crypto/noise.ts';
import { loadNoiseModule } from '../../src/platform/noise-module.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { chiSquareDeviate, exactProbabilities } from '../reference/gaussian.ts';

// P19, the attack: which doubles a floating-point sampler can give depends on what was added (Mironov, CCS 2012), so that
// one output names the input for certain, whatever epsilon says.

const SIGMA = 6.4;
const VARIANCE = { sigma2Numerator: 1024n, sigma2Denominator: 25n };
const SAMPLES = 100_000;

function ours(seed: number, length = SAMPLES): Int32Array {
  const noise = new Int32Array(length);
  createNoiseSampler(loadNoiseModule(), nodePrimitives, VARIANCE).sample(
    nodePrimitives.sha256(Uint8Array.of(seed)),
    noise,
  );
  return noise;
}

/** Noise as textbooks have it, in doubles; of 16 uniform bits, so that all that it can give can be listed. */
const textbook = (draw: number): number => SIGMA * Math.sqrt(-2 * Math.log((draw + 0.5) / 2 ** 16));

/**
 * The attacker knows that a value is a or b and sees value + noise.
 *
 * @param possible - whether a noise can occur at all.
 * @returns of the outputs over a, those that rule out b.
 */
function certain(outputs: readonly number[], b: number, possible: (noise: number) => boolean): number {
  return outputs.filter((output) => !possible(output - b)).length;
}

describe('P19: the noise is exact', () => {
  it('no output rules out the neighbouring input', () => {
    // Every integer that occurs has a neighbour that has a probability too.
    const probabilities = exactProbabilities(VARIANCE);
    const possible = (noise: number): boolean =>
      Number.isSafeInteger(noise) && (probabilities[Math.abs(noise)] ?? 0) > 0;
    const outputs = [...ours(1)].map((noise) => 5 + noise);
    expect(outputs.every(Number.isSafeInteger)).toBe(true);
    expect(certain(outputs, 6, possible)).toBe(0);
  });

  it('control: of a floating-point sampler nearly all outputs do', () => {
    const draws = Array.from({ length: 2 ** 16 }, (_, draw) => textbook(draw));
    const support = new Set(draws);
    const outputs = draws.slice(0, 10_000).map((noise) => 0 + noise);
    expect(certain(outputs, 0, (noise) => support.has(noise))).toBe(0);
    expect(certain(outputs, 1 / 3, (noise) => support.has(noise))).toBeGreaterThan(9_900);
  });

  it('its frequencies are the exact probabilities', () => {
    const counts = (noise: Int32Array): number[] => {
      const observed = new Array<number>(41).fill(0);
      for (const x of noise) observed[Math.max(-20, Math.min(20, x)) + 20]! += 1;
      return observed;
    };
    const expected = new Array<number>(41).fill(0);
    exactProbabilities(VARIANCE).forEach((probability, x) => {
      expected[Math.min(20, x) + 20]! += probability * SAMPLES;
      if (x > 0) expected[20 - Math.min(20, x)]! += probability * SAMPLES;
    });
    expect(Math.abs(chiSquareDeviate(counts(ours(2)), expected))).toBeLessThan(5);
    // Control: a sampler that never gives zero.
    const shifted = ours(2).map((x) => (x === 0 ? 1 : x));
    expect(chiSquareDeviate(counts(shifted), expected)).toBeGreaterThan(5);
  });
});
