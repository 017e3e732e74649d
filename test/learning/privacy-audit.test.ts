import { beforeAll, describe, expect, it } from 'vitest';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import type { Rng } from '../../crypto/primitives.ts';
import type { Task } from '../../protocols/task.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { seededRandom } from '../../src/learning/random.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { type CanaryKit, playCanaries, withLessNoise } from '../../src/training/canaries.ts';
import { epsilonLowerBound, rateBounds, type Trial } from '../../src/training/epsilon-bound.ts';

describe('bounds of a rate', () => {
  it('are those of the tables (Clopper, Pearson)', () => {
    for (const [successes, trials, low, high] of [
      [0, 10, 0, 0.30849710781876083],
      [5, 10, 0.18708602844739855, 0.8129139715526015],
      [10, 10, 0.6915028921812392, 1],
      [3, 100, 0.006229971538346152, 0.08517605297428417],
    ] as const) {
      const bounds = rateBounds(successes, trials, 0.975);
      expect(bounds.low).toBeCloseTo(low, 12);
      expect(bounds.high).toBeCloseTo(high, 12);
    }
  });

  it('hold as often as they say', () => {
    const random = seededRandom('rates');
    let misses = 0;
    for (let i = 0; i < 400; i++) {
      const rate = random.uniform();
      const successes = Array.from({ length: 60 }, () => Number(random.uniform() < rate)).reduce((a, b) => a + b);
      misses += Number(rateBounds(successes, 60, 0.9).low > rate);
    }
    // At most one in ten; six standard deviations of luck.
    expect(misses).toBeLessThan(40 + 36);
  });
});

describe('a lower bound on epsilon', () => {
  /** An answer that is right with odds e^epsilon: exactly (epsilon, 0). */
  const randomised = (epsilon: number, trials: number): Trial[] => {
    const random = seededRandom(`randomised ${epsilon}`);
    return Array.from({ length: trials }, () => {
      const isPresent = random.uniform() < 0.5;
      const isTrue = random.uniform() < 1 / (1 + Math.exp(-epsilon));
      return { isPresent, score: isPresent === isTrue ? 1 : 0 };
    });
  };

  it('comes close to the truth from below, and is nothing where nothing is told', () => {
    for (const epsilon of [0.5, 1, 3]) {
      const bound = epsilonLowerBound(randomised(epsilon, 8000), 0, 0.999).epsilon;
      expect(bound).toBeLessThanOrEqual(epsilon);
      expect(bound).toBeGreaterThan(0.6 * epsilon);
    }
    expect(epsilonLowerBound(randomised(0, 8000), 0, 0.999).epsilon).toBe(0);
    expect(epsilonLowerBound([], 0, 0.999).epsilon).toBe(0);
  });
});

/** Fixed bytes: a chance of one in a thousand to be wrong is no reason for a test to fail now and then. */
function fixedRng(name: string): Rng {
  const random = seededRandom(name);
  return (length) => Uint8Array.from({ length }, () => random.integer(256));
}

describe('neighbouring cohorts through whole rounds (B6)', () => {
  let tf: CanaryKit['tf'];
  beforeAll(async () => {
    ({ tf } = await loadTensorFlow(['wasm']));
  });
  const shown = async (change: Partial<Parameters<typeof playCanaries>[0]>): Promise<number> => {
    const request = { epsilon: 1, delta: 1e-5, canaries: 256, rounds: 2, ...change };
    const trials = await playCanaries(request, {
      ...{ tf, primitives: nodePrimitives, rng: fixedRng('canaries') },
      engineFor: (task, quorum) =>
        createKernelEngine(loadKernelModule(), ringShape(deriveParameters({ ...task, ...quorum }))),
    });
    expect(trials.length).toBe(request.canaries * request.rounds);
    return epsilonLowerBound(trials, request.delta, 0.999).epsilon;
  };

  it('tell no more than the charge says', async () => {
    expect(await shown({})).toBeLessThanOrEqual(1);
  });

  it('control: nodes that add a tenth of the noise are caught', async () => {
    expect(await shown({ asFollowed: (task) => withLessNoise(task, 0.1) })).toBeGreaterThan(1);
  });

  it('nor over drawn records; control: what the draw saves is missed when every record is taken', async () => {
    const drawn = { sampleRate: 0.001, delta: 1e-3, rounds: 6 };
    expect(await shown(drawn)).toBeLessThanOrEqual(1);
    const everybody = ({ sampling: _, ...task }: Task): Task => task;
    expect(await shown({ ...drawn, asFollowed: everybody })).toBeGreaterThan(1);
  });
});
