import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { personalise } from '../../src/cli/model-personalise.ts';
import { runPersonal } from '../../src/experiment/personal.ts';
import { encodeRegion, loadDataset } from '../../src/learning/datasets.ts';
import type { DesignMatrix } from '../../src/learning/features.ts';
import { fitHead, headLayers } from '../../src/learning/head.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { initialModel, type Model, type ModelSpec } from '../../src/learning/model.ts';
import { seededRandom } from '../../src/learning/random.ts';
import { modelAuc } from '../../src/learning/references.ts';
import { decodeSafetensors, encodeSafetensors, modelTensors } from '../../src/learning/safetensors.ts';
import { solvePositive } from '../../src/learning/solve.ts';
import { formatCsv } from '../../src/learning/table.ts';
import { readModel } from '../../src/scoring/read-inputs.ts';
import { parseLearningPlan } from '../../src/training/learning-plan.ts';
import { encodeModel } from '../../src/training/local-layers.ts';
import { makeTask } from '../../src/training/make-task.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-personal-'));
afterAll(() => rmSync(folder, { recursive: true }));

const code = (value: string) => expect.objectContaining({ code: value });
const { tf } = await loadTensorFlow(['wasm']);
const WIDTH = 5;

/** Rows whose log-odds are linear, with weights of the region's own. */
function rowsOf(weights: readonly number[], rows: number, seed: string): DesignMatrix {
  const random = seededRandom(seed);
  const x = Float32Array.from({ length: rows * WIDTH }, (_, i) => (i % WIDTH === 0 ? 1 : random.normal()));
  const y = Uint8Array.from({ length: rows }, (_, row) => {
    const score = weights.reduce((sum, weight, j) => sum + weight * x[row * WIDTH + j]!, 0);
    return random.uniform() < 1 / (1 + Math.exp(-score)) ? 1 : 0;
  });
  return { rows, width: WIDTH, x, y, outside: new Map() };
}
const logistic = (weights: readonly number[]): Model => ({
  spec: { kind: 'logistic', inputs: WIDTH },
  values: Float32Array.from(weights),
});

it('a positive definite system is solved', () => {
  const number = fc.double({ min: -3, max: 3, noNaN: true });
  fc.assert(
    fc.property(fc.array(number, { minLength: 9, maxLength: 9 }), fc.tuple(number, number, number), (a, b) => {
      // A A^T + I is symmetric and positive definite.
      const matrix = Float64Array.from({ length: 9 }, (_, at) => {
        const [i, j] = [Math.floor(at / 3), at % 3];
        return [0, 1, 2].reduce((sum, k) => sum + a[3 * i + k]! * a[3 * j + k]!, i === j ? 1 : 0);
      });
      const x = solvePositive(matrix.slice(), Float64Array.from(b));
      for (let i = 0; i < 3; i++)
        expect([0, 1, 2].reduce((sum, j) => sum + matrix[3 * i + j]! * x[j]!, 0)).toBeCloseTo(b[i]!, 8);
    }),
  );
  expect(() => solvePositive(Float64Array.of(1, 2, 2, 1), Float64Array.of(1, 1))).toThrow(code('NOT_FINITE'));
});

describe("a region's own head", () => {
  const COMMON = [0, 1, 1, 0, 0];

  it('stays the common one where the region is like the others; control: it moves where it is not, and is better on held-out rows', () => {
    const same = fitHead(tf, logistic(COMMON), rowsOf(COMMON, 1500, 'same'), '1');
    expect(same.strength).toBeNull();
    expect(same.model.values).toEqual(Float32Array.from(COMMON));
    const OWN = [0, 1, -1, 1, 0];
    const other = fitHead(tf, logistic(COMMON), rowsOf(OWN, 1500, 'other'), '1');
    expect(other.strength).not.toBeNull();
    const heldOut = rowsOf(OWN, 1500, 'held out');
    expect(modelAuc(tf, other.model, heldOut)).toBeGreaterThan(modelAuc(tf, logistic(COMMON), heldOut) + 0.1);
  });

  it('is a minimum: no small change of it lessens loss and pull', () => {
    const rows = rowsOf([0, 1, -1, 1, 0], 400, 'minimum');
    const { model, strength } = fitHead(tf, logistic(COMMON), rows, '1');
    const value = (weights: Float32Array): number => {
      let sum = (strength! / 2) * weights.reduce((total, weight, j) => total + (weight - COMMON[j]!) ** 2, 0);
      for (let row = 0; row < rows.rows; row++) {
        const score = weights.reduce((total, weight, j) => total + weight * rows.x[row * WIDTH + j]!, 0);
        sum += Math.log1p(Math.exp(-score)) + (1 - rows.y[row]!) * score;
      }
      return sum;
    };
    for (let j = 0; j < WIDTH; j++)
      for (const step of [0.05, -0.05]) {
        const moved = model.values.slice();
        moved[j]! += step;
        expect(value(moved)).toBeGreaterThan(value(model.values));
      }
  });

  it('is not fitted to hardly any rows, nor where it is too wide', () => {
    expect(() => fitHead(tf, logistic(COMMON), rowsOf(COMMON, 4, 'few'), '1')).toThrow(code('EMPTY_REGION'));
    const wide = { kind: 'logistic', inputs: 5000 } as const;
    const rows = { rows: 8, width: 5000, x: new Float32Array(40_000), y: new Uint8Array(8), outside: new Map() };
    expect(() => fitHead(tf, initialModel(wide), rows, '1')).toThrow(code('TOO_LARGE'));
  });

  it('leaves the layers below as they are', () => {
    const spec: ModelSpec = { kind: 'mlp', inputs: WIDTH, hidden: 4 };
    const given = initialModel(spec, 3);
    const { model, strength } = fitHead(tf, given, rowsOf([0, 2, -1, 1, 0], 1000, 'mlp'), '1');
    expect(strength).not.toBeNull();
    expect(model.values.slice(0, WIDTH * 4)).toEqual(given.values.slice(0, WIDTH * 4));
    expect(model.values.slice(WIDTH * 4)).not.toEqual(given.values.slice(WIDTH * 4));
    expect(headLayers(spec)).toEqual(['output.weight', 'output.bias']);
  });
});

describe('veilsum model personalise', () => {
  const { regions, schema } = loadDataset('synthetic', { seed: 2, size: 0.4 });
  const [region] = regions;
  const node = join(folder, 'node');
  const task = makeTask({
    ...{ dataset: 'synthetic', nodes: 4, window: 'first', recipients: ['owner'], profile: 'demo' },
  }).task;
  const local = makeTask({
    ...{ dataset: 'synthetic', nodes: 4, window: 'first', recipients: ['owner'], epsilon: null, task: 'local' },
    ...{ model: 'mlp', unit: 'node', localLayers: ['output.weight', 'output.bias'] },
  }).task;
  const policy = {
    ...{ genesis: '00'.repeat(32), tasks: [task.task], recipients: ['owner'], minCohort: 2, minOrganisations: 2 },
    ...{ minHonest: 2, largestSharePercent: 60, budgetRhoNano: 1, allowCheckSums: false },
  };
  mkdirSync(node);
  for (const [name, content] of Object.entries({
    'rows.csv': formatCsv(region!.train),
    'node/task.json': JSON.stringify(task),
    'node/local.json': JSON.stringify(local),
    'node/node.yaml': 'tasks: [task.json]\n',
    'node/policy.yaml': JSON.stringify(policy),
    'region.yaml': 'node: node\nfeatures: synthetic\ntables: {rows: {from: csv, path: rows.csv}}\n',
  }))
    writeFileSync(join(folder, name), content);
  const first = encodeModel(parseLearningPlan(task));
  writeFileSync(join(folder, 'first.safetensors'), first);
  const run = async (flags: Partial<Parameters<typeof personalise>[0]>): Promise<string> => {
    const lines: string[] = [];
    const base = {
      model: join(folder, 'first.safetensors'),
      out: join(folder, `${Math.random()}.safetensors`),
      config: join(folder, 'region.yaml'),
    };
    await personalise({ ...base, ...flags }, (line) => lines.push(line));
    return lines.join('\n');
  };

  it('writes a model that scores, for its owner alone, and says what it gained', async () => {
    const out = join(folder, 'personal.safetensors');
    expect(await run({ out })).toMatch(/a head fitted to .* AUC 0\.5000 before, 0\.\d+ after: a gain/s);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const { model } = readModel({ model: out, task: join(node, 'task.json'), schema: null });
    const { heldOut } = encodeRegion(region!, schema);
    expect(modelAuc(tf, model, heldOut)).toBeGreaterThan(0.7);
    // On what was fitted already it says so, and keeps it.
    expect(await run({ model: out })).toContain('the common head stays as it is');
    await expect(run({ out })).rejects.toThrow(code('FILE_EXISTS'));
  });

  it('puts common and local layers together, without which scoring is refused by name', async () => {
    const common = join(folder, 'common.safetensors');
    const out = join(folder, 'whole.safetensors');
    writeFileSync(common, encodeModel(parseLearningPlan(local)));
    const flags = { model: common, task: join(node, 'local.json') };
    expect(await run({ ...flags, out })).toContain('this node has trained no head in task local yet');
    expect(decodeSafetensors(readFileSync(out)).map(({ name }) => name)).toEqual([
      'hidden.weight',
      'output.weight',
      'output.bias',
    ]);
    expect(() => readModel({ ...flags, schema: null })).toThrow(code('NO_HEAD'));
    expect(readModel({ ...flags, model: out, schema: null }).model.spec.kind).toBe('mlp');
  });

  it('refuses what it cannot use', async () => {
    await expect(run({ dir: node })).rejects.toThrow(/give one of --config/);
    await expect(run({ out: 'model.npy' })).rejects.toThrow(/ends in \.safetensors/);
    await expect(run({ model: join(folder, 'none') })).rejects.toThrow(code('FILE_MISSING'));
    const other = join(folder, 'other.safetensors');
    writeFileSync(other, encodeSafetensors(modelTensors(logistic([0, 0, 0, 0, 0]))));
    await expect(run({ model: other })).rejects.toThrow(code('BAD_MODEL'));
  });
});

it('the experiment claims no more than its intervals show, and every sum is exact', async () => {
  const out = join(folder, 'experiment');
  const options = { datasets: ['synthetic'], models: ['mlp'], epsilons: ['none'], rounds: 1, seed: 1, out } as const;
  const found = await runPersonal({ ...options, print: () => {} });
  expect(found.map(({ way, exactSums }) => [way, exactSums])).toEqual([
    ['fitted', 1],
    ['trained', 1],
  ]);
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  for (const { regions } of found)
    for (const { region, overCommon } of regions)
      expect([report.includes(region), overCommon.low <= overCommon.value]).toEqual([true, true]);
});
