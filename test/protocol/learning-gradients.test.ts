import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { layoutOf, nodeContribution, readContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, type Region } from '../../src/learning/datasets.ts';
import { runDefaults } from '../../src/learning/defaults.ts';
import type { DesignMatrix } from '../../src/learning/features.ts';
import { forward } from '../../src/learning/forward.ts';
import { exampleGradientSum } from '../../src/learning/gradients.ts';
import { type Backend, loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { localDelta, meanGradient } from '../../src/learning/local-steps.ts';
import { initialModel, layerSize, layersOf, type Model, type ModelSpec, makeModel } from '../../src/learning/model.ts';
import { seededRandom } from '../../src/learning/random.ts';
import { modelAuc } from '../../src/learning/references.ts';
import { keepsRowsApart } from '../../src/learning/rows-apart.ts';
import { initialServerState, serverStep } from '../../src/learning/server-step.ts';
import { planOf } from '../reference/clear-rounds.ts';

let tf: Tf;
let region: Region;
let specs: ModelSpec[];

beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
  const { regions, schema } = loadDataset('synthetic', { size: 0.1 });
  region = encodeRegion(regions[0]!, schema);
  const inputs = region.train.width;
  specs = [
    { kind: 'logistic', inputs },
    { kind: 'mlp', inputs, hidden: 16 },
  ];
});

/** Weights away from the start, where nothing is zero. */
function someModel(spec: ModelSpec, seed: number): Model {
  const random = seededRandom(seed);
  return { spec, values: initialModel(spec, seed).values.map((value) => value + 0.3 * random.normal()) };
}

/** The chosen rows, in that order. */
function pickRows(matrix: DesignMatrix, rows: readonly number[]): DesignMatrix {
  const { width } = matrix;
  const x = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    x.set(matrix.x.subarray(row * width, (row + 1) * width), i * width);
  });
  return { ...matrix, rows: rows.length, x, y: Uint8Array.from(rows, (row) => matrix.y[row]!) };
}

const norm = (vector: ArrayLike<number>): number => Math.hypot(...Array.from(vector));
const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);

/** TensorFlow.js's own differentiation of the summed log loss: another way to the same gradient. */
function gradientByAutodiff(model: Model, matrix: DesignMatrix): number[] {
  const x = tf.tensor2d(matrix.x, [matrix.rows, matrix.width]);
  const y = tf.tensor2d(Float32Array.from(matrix.y), [matrix.rows, 1]);
  let offset = 0;
  const variables = layersOf(model.spec).map((layer) => {
    const [height, width = 1] = layer.shape as [number, number?];
    const values = model.values.slice(offset, offset + layerSize(layer));
    offset += values.length;
    return tf.variable(tf.tensor2d(values, [height, width]));
  });
  const [first, output, bias] = variables as [(typeof variables)[0], (typeof variables)[0], (typeof variables)[0]];
  const { grads } = tf.variableGrads(() => {
    const logits =
      model.spec.kind === 'logistic'
        ? tf.matMul(x, first as never)
        : tf.add(tf.matMul(tf.relu(tf.matMul(x, first as never)), output as never), bias);
    return tf.sum(tf.sub(tf.softplus(logits), tf.mul(logits, y))) as never;
  }, variables);
  return variables.flatMap((variable) => Array.from(grads[variable.name]!.dataSync()));
}

describe('backends', () => {
  it('give the same gradients, to a tolerance; the native library where it installs', async () => {
    const results = new Map<string, Float64Array>();
    for (const wanted of ['cpu', 'wasm', 'tensorflow'] as Backend[]) {
      const loaded = await loadTensorFlow([wanted, 'wasm']);
      if (loaded.backend !== wanted) {
        expect(loaded.notes[0]).toContain(wanted);
        console.log(`not compared, since it does not start here: ${loaded.notes.join('; ')}`);
        continue;
      }
      const sums = specs.map((spec) => exampleGradientSum(loaded.tf, someModel(spec, 7), region.train, 2).sum);
      results.set(wanted, Float64Array.from(sums.flatMap((sum) => [...sum])));
    }
    ({ tf } = await loadTensorFlow(['wasm']));
    expect(results.size).toBeGreaterThanOrEqual(2);
    const cpu = results.get('cpu')!;
    for (const sum of results.values()) expect(norm(minus(sum, cpu)) / norm(cpu)).toBeLessThan(1e-4);
  });

  it('say why they cannot be had, and leave the process its error handlers', async () => {
    const before = process.listenerCount('uncaughtException');
    await expect(loadTensorFlow(['none' as Backend])).rejects.toMatchObject({ code: 'NO_BACKEND' });
    await loadTensorFlow(['wasm']);
    expect(process.listenerCount('uncaughtException')).toBe(before);
  });

  it.each(['wasm', 'cpu'] as const)('%s: the logit of a row does not depend on the rows beside it', async (backend) => {
    const loaded = await loadTensorFlow([backend]);
    for (const spec of specs) {
      const model = someModel(spec, 3);
      const whole = forward(loaded.tf, model, region.train);
      for (const kept of [1, 2, 3, 7, 17, 64, 131]) {
        const rows = Array.from({ length: kept }, (_, i) => (i * 11 + kept) % region.train.rows);
        const part = forward(loaded.tf, model, pickRows(region.train, rows));
        expect([...part.residuals]).toEqual(rows.map((row) => whole.residuals[row]));
      }
    }
    ({ tf } = await loadTensorFlow(['wasm']));
  });
});

it('calls of a fixed number of rows, as the native library gets them, change no bit', () => {
  let calls = 0;
  const native = new Proxy(tf, {
    get: (of, name) => {
      if (name === 'getBackend') return () => 'tensorflow';
      if (name === 'tensor2d')
        return (values: never, shape: [number, number]) => {
          if (shape[1] === region.train.width) calls += shape[0] === 256 ? 1 : 1e6;
          return tf.tensor2d(values, shape);
        };
      return Reflect.get(of, name);
    },
  });
  for (const spec of specs) {
    const model = someModel(spec, 4);
    expect(forward(native, model, region.train)).toEqual(forward(tf, model, region.train));
  }
  expect(calls).toBe(2 * Math.ceil(region.train.rows / 256));
  expect(region.train.rows % 256).not.toBe(0);
});

describe('a backend that mixes rows', () => {
  /** Adds a part of the first row's result to all others, far below any tolerance. */
  const mixing = (): Tf => {
    const matMul: Tf['matMul'] = (a, b, ...rest) => {
      const product = tf.matMul(a, b, ...rest);
      const first = tf.slice(product as never, [0, 0], [1, -1]);
      return tf.add(product, tf.mul(first, 1e-5)) as never;
    };
    return new Proxy(tf, { get: (of, name) => (name === 'matMul' ? matMul : Reflect.get(of, name)) });
  };

  it('is found out, and is not trained with; one that keeps them apart is', () => {
    expect(keepsRowsApart(mixing())).toBe(false);
    expect(keepsRowsApart(tf)).toBe(true);
  });
});

describe('clipped gradient sums', () => {
  it('are the gradient of the log loss where nothing is clipped', () => {
    for (const spec of specs) {
      const model = someModel(spec, 11);
      const exact = exampleGradientSum(tf, model, region.train, Number.POSITIVE_INFINITY).sum;
      const other = Float64Array.from(gradientByAutodiff(model, region.train));
      expect(norm(minus(exact, other)) / norm(other)).toBeLessThan(1e-4);
      const mean = meanGradient(
        tf,
        model,
        region.train,
        Uint32Array.from({ length: region.train.rows }, (_, row) => row),
      );
      const scaled = Float64Array.from(mean, (value) => value * region.train.rows);
      expect(norm(minus(exact, scaled)) / norm(exact)).toBeLessThan(1e-4);
    }
  });

  it('move by at most the clip when one row comes or goes, and not at all when rows change places', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 0, max: region.train.rows - 1 }),
        fc.constantFrom(0.1, 0.5, 1, 2),
        (which, seed, gone, clip) => {
          const model = someModel(specs[which]!, seed);
          const all = Array.from({ length: region.train.rows }, (_, row) => row);
          const whole = exampleGradientSum(tf, model, region.train, clip).sum;
          const without = pickRows(
            region.train,
            all.filter((row) => row !== gone),
          );
          const moved = norm(minus(whole, exampleGradientSum(tf, model, without, clip).sum));
          expect(moved).toBeLessThanOrEqual(clip);
          // Control: without clipping the same row moves the sum further, unless it was short anyway.
          const free = exampleGradientSum(tf, model, pickRows(region.train, [gone]), Number.POSITIVE_INFINITY).sum;
          expect(moved).toBeCloseTo(Math.min(clip, norm(free)), 2);
          const shuffled = [...seededRandom(seed).shuffle(Uint32Array.from(all))];
          expect(exampleGradientSum(tf, model, pickRows(region.train, shuffled), clip).sum).toEqual(whole);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('refuse a bad clip, a table too large for an exact sum, and rows of another schema', () => {
    const model = someModel(specs[0]!, 1);
    const code = (value: string) => expect.objectContaining({ code: value });
    expect(() => exampleGradientSum(tf, model, region.train, 0)).toThrow(code('BAD_SETTING'));
    expect(() => exampleGradientSum(tf, model, { ...region.train, rows: 2 ** 22 }, 2)).toThrow(code('TOO_LARGE'));
    const narrow = makeModel({ kind: 'logistic', inputs: 3 }, new Float32Array(3));
    expect(() => exampleGradientSum(tf, narrow, region.train, 1)).toThrow(code('BAD_MODEL'));
    const huge = { ...model, values: model.values.map(() => 3e38) };
    expect(() => exampleGradientSum(tf, huge, region.train, 1)).toThrow(code('NOT_FINITE'));
  });
});

describe('contribution of a node', () => {
  it('moves by at most the clip with any one record, training or held-out, and reads back', () => {
    for (const kind of ['logistic', 'mlp'] as const) {
      const plan = planOf(runDefaults('synthetic', 'demo', kind), region.train.width);
      const model = someModel(plan.spec, 5);
      const whole = nodeContribution(tf, model, region, plan);
      expect(whole.length).toBe(layoutOf(plan).dimension);
      for (const gone of [0, 17, 60]) {
        const drop = (matrix: DesignMatrix) =>
          pickRows(
            matrix,
            Array.from({ length: matrix.rows }, (_, row) => row).filter((row) => row !== gone % matrix.rows),
          );
        const trained = nodeContribution(tf, model, { ...region, train: drop(region.train) }, plan);
        expect(norm(minus(whole, trained))).toBeLessThanOrEqual(plan.clip);
        const held = nodeContribution(tf, model, { ...region, heldOut: drop(region.heldOut) }, plan);
        expect(norm(minus(whole, held))).toBe(plan.clip);
      }
      const read = readContribution(whole, plan, 0);
      expect(read.count).toBeCloseTo(region.train.rows, 6);
      expect(read.histogram!.reduce((sum, value) => sum + value, 0)).toBe(region.heldOut.rows);
      expect(() => readContribution(whole.slice(1), plan, 0)).toThrow(expect.objectContaining({ code: 'BAD_MODEL' }));
    }
  });

  it('fits the demo: fewer than 200 coordinates', () => {
    const plan = planOf(runDefaults('synthetic', 'demo'), region.train.width);
    expect(layoutOf(plan).dimension).toBeLessThan(200);
  });
});

describe('server step', () => {
  it('divides by the mean of the counts, keeps momentum, and leaves its input alone', () => {
    const start = initialServerState(makeModel({ kind: 'logistic', inputs: 2 }, new Float32Array(2)));
    const settings = { learningRate: 0.5, momentum: 0.5 };
    const one = serverStep(start, { unit: 'record', sum: [100, -200], count: 100 }, settings);
    expect([...one.model.values]).toEqual([-0.5, 1]);
    const two = serverStep(one, { unit: 'record', sum: [150, 0], count: 200 }, settings);
    expect(two.meanCount).toBe(150);
    expect([...two.velocity]).toEqual([1.5, -1]);
    expect([...two.model.values]).toEqual([-1.25, 1.5]);
    expect([...start.model.values]).toEqual([0, 0]);
    const byNode = serverStep(start, { unit: 'node', sum: [4, 8], nodes: 4 }, { learningRate: 1, momentum: 0 });
    expect([...byNode.model.values]).toEqual([-1, -2]);
  });

  it('refuses what is not a number, a short sum and a count that noise has swallowed does not explode', () => {
    const start = initialServerState(makeModel({ kind: 'logistic', inputs: 2 }, new Float32Array(2)));
    const settings = { learningRate: 1, momentum: 0 };
    const code = (value: string) => expect.objectContaining({ code: value });
    expect(() => serverStep(start, { unit: 'record', sum: [1], count: 5 }, settings)).toThrow(code('BAD_MODEL'));
    expect(() => serverStep(start, { unit: 'record', sum: [1, Number.NaN], count: 5 }, settings)).toThrow(
      code('NOT_FINITE'),
    );
    expect(() => serverStep(start, { unit: 'record', sum: [1, 1], count: Number.NaN }, settings)).toThrow(
      code('NOT_FINITE'),
    );
    expect(() => serverStep(start, { unit: 'node', sum: [1, 1], nodes: 0 }, settings)).toThrow(code('BAD_SETTING'));
    const noisy = serverStep(start, { unit: 'record', sum: [1, 1], count: -3 }, settings);
    expect(Math.abs(noisy.model.values[0]!)).toBeLessThan(1);
  });
});

describe('local steps (unit: node)', () => {
  it('improve the model, the same for the same seed', () => {
    for (const spec of specs) {
      const start = initialModel(spec, 2);
      const settings = { steps: 60, batch: 64, learningRate: 0.3, seed: 4 };
      const delta = localDelta(tf, start, region.train, settings);
      expect(localDelta(tf, start, region.train, settings)).toEqual(delta);
      const { model } = serverStep(
        initialServerState(start),
        { unit: 'node', sum: delta, nodes: 1 },
        { learningRate: 1, momentum: 0 },
      );
      expect(modelAuc(tf, model, region.heldOut)).toBeGreaterThan(modelAuc(tf, start, region.heldOut) + 0.1);
    }
    const wild = { steps: 50, batch: 8, learningRate: 1e38, seed: 1 };
    expect(() => localDelta(tf, initialModel(specs[1]!, 1), region.train, wild)).toThrow(
      expect.objectContaining({ code: 'NOT_FINITE' }),
    );
  });
});

describe('adaptive server steps', () => {
  // Reddi et al., ICLR 2021, Algorithm 2, by hand: beta_1 0.9, beta_2 0.99, tau 1e-3, m = 2 and then -1.
  const settings = { learningRate: 0.1, momentum: 0.9 };
  const start = initialServerState(makeModel({ kind: 'logistic', inputs: 1 }, new Float32Array(1)));
  const step = (state: typeof start, mean: number, optimiser: 'adam' | 'yogi') =>
    serverStep(state, { unit: 'node', sum: [mean * 4], nodes: 4 }, { ...settings, optimiser });

  it('FedAdam', () => {
    const one = step(start, 2, 'adam');
    expect(one.model.values[0]).toBeCloseTo((-0.1 * 0.2) / (Math.sqrt(0.04) + 1e-3), 6);
    const two = step(one, -1, 'adam');
    expect(two.spread[0]).toBeCloseTo(0.99 * 0.04 + 0.01, 7);
    expect(two.velocity[0]).toBeCloseTo(0.9 * 0.2 - 0.1, 7);
  });

  it('FedYogi', () => {
    const one = step(start, 2, 'yogi');
    expect(one.spread[0]).toBeCloseTo(0.04, 7);
    const two = step(one, -1, 'yogi');
    expect(two.spread[0]).toBeCloseTo(0.04 + 0.01, 7);
    const three = step(two, 0.1, 'yogi');
    expect(three.spread[0]).toBeCloseTo(0.05 - 0.01 * 0.01, 7);
  });
});

it('FedProx pulls local training back: the more, the less it moves', () => {
  const random = seededRandom('proximal');
  const rows = 64;
  const x = Float32Array.from({ length: 2 * rows }, () => random.normal());
  const y = Uint8Array.from({ length: rows }, (_, row) => (x[2 * row]! > 0 ? 1 : 0));
  const matrix = { rows, width: 2, x, y, outside: new Map() };
  const model = makeModel({ kind: 'logistic', inputs: 2 }, new Float32Array(2));
  const moved = (proximal: number): number => {
    const settings = { steps: 40, batch: 16, learningRate: 0.5, seed: 1, proximal };
    return Math.hypot(...localDelta(tf, model, matrix, settings));
  };
  const [free, some, much] = [moved(0), moved(0.2), moved(1.5)];
  expect(some).toBeLessThan(free);
  expect(much).toBeLessThan(some);
  expect(() => moved(-1)).toThrow(expect.objectContaining({ code: 'BAD_SETTING' }));
});

it('a falling learning rate takes smaller steps, and never none', () => {
  const start = initialServerState(makeModel({ kind: 'logistic', inputs: 1 }, new Float32Array(1)));
  const settings = { learningRate: 1, momentum: 0, decayRounds: 4 };
  const moved: number[] = [];
  let state = start;
  for (let round = 0; round < 6; round++) {
    const next = serverStep(state, { unit: 'node', sum: [-4], nodes: 4 }, settings);
    moved.push(next.model.values[0]! - state.model.values[0]!);
    state = next;
  }
  expect(moved).toEqual([1, 0.75, 0.5, 0.25, 0.25, 0.25]);
});
