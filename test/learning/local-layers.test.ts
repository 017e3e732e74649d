import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { runJob } from '../../src/experiment/job.ts';
import { encodeRegion, loadDataset } from '../../src/learning/datasets.ts';
import type { DesignMatrix } from '../../src/learning/features.ts';
import { exampleGradientSum } from '../../src/learning/gradients.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { localDelta } from '../../src/learning/local-steps.ts';
import { initialModel, type Model, type ModelSpec, makeModel } from '../../src/learning/model.ts';
import { modelAuc } from '../../src/learning/references.ts';
import { decodeSafetensors } from '../../src/learning/safetensors.ts';
import { placePart, takePart } from '../../src/learning/shared-layers.ts';
import { openStore } from '../../src/store/open-store.ts';
import { parseLearningPlan } from '../../src/training/learning-plan.ts';
import { encodeModel, modelWithHead, readModel } from '../../src/training/local-layers.ts';
import { type LearningRequest, makeTask } from '../../src/training/make-task.ts';
import { createNodeSource } from '../../src/training/node-source.ts';
import { residualFiles, residualsInMemory } from '../../src/training/residuals.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-local-'));
afterAll(() => rmSync(folder, { recursive: true }));

const code = (value: string) => expect.objectContaining({ code: value });
const { tf } = await loadTensorFlow(['wasm']);
const { regions: tables, schema } = loadDataset('synthetic', { seed: 4, size: 0.3 });
const regions = tables.map((region) => encodeRegion(region, schema));

const HEAD = ['output.weight', 'output.bias'];
const base: LearningRequest = {
  ...{ nodes: 4, window: 'first', recipients: ['owner'], epsilon: null, rounds: 3 },
  ...{ local: { steps: 20, learningRate: 0.3 }, quorum: { members: 5, threshold: 3 } },
  dataset: 'synthetic',
  model: 'mlp',
};
const request: LearningRequest = { ...base, clip: 2, bits: 16 };
const made = makeTask({ ...request, unit: 'node', localLayers: HEAD });
const { task } = made;
const plan = parseLearningPlan(task);
const round = { record: { number: 1, modelNumber: 0 } } as never;

/** The same bytes in the same order: batches, rounding and noise repeat. */
const counted = () => {
  let calls = 0;
  return (length: number) => new Uint8Array(length).fill(calls++);
};

describe('a task with local layers', () => {
  it('sums and publishes the common ones alone', () => {
    const { inputs } = plan.model;
    const whole = makeTask({ ...request, unit: 'node' }).task;
    expect([whole.dimension, task.dimension]).toEqual([16 * inputs + 17, 16 * inputs]);
    expect(decodeSafetensors(encodeModel(plan)).map(({ name }) => name)).toEqual(['hidden.weight']);
    expect(readModel(plan, encodeModel(plan)).values).toEqual(initialModel({ kind: 'mlp', inputs, hidden: 16 }).values);
    expect(whole.learning).not.toHaveProperty('localLayers');
  });

  it('is refused where a layer is unknown, named twice, or none is left', () => {
    const of = (localLayers: string[], model: 'mlp' | 'logistic' = 'mlp') =>
      makeTask({ ...request, model, unit: 'node', localLayers });
    expect(() => of(['head'])).toThrow(/the model has hidden\.weight, output\.weight, output\.bias/);
    expect(() => of(['output.bias', 'output.bias'])).toThrow(code('BAD_PLAN'));
    expect(() => of(['output.weight'], 'logistic')).toThrow(/veilsum model personalise/);
    expect(() => readModel(plan, encodeModel(parseLearningPlan(makeTask({ ...request, unit: 'node' }).task)))).toThrow(
      code('BAD_MODEL'),
    );
  });

  it('trains a head in each node, which is on its disk alone, and body and head are better than any first model', async () => {
    const heads = regions.map(() => residualsInMemory());
    await using store = await openStore(join(folder, 'job'));
    const { bytes } = await runJob({ tf, regions: tables, made, records: store.records, heads });
    const models = heads.map((own) => modelWithHead({ task, model: bytes, heads: own }));
    for (const [i, { heldOut }] of regions.entries()) {
      const first = modelAuc(tf, readModel(plan, encodeModel(plan)), heldOut);
      expect(modelAuc(tf, models[i]!, heldOut)).toBeGreaterThan(first);
    }
    const sharing = { spec: models[0]!.spec, local: HEAD };
    const parts = (part: 'shared' | 'local') =>
      new Set(models.map(({ values }) => String(takePart(sharing, part, values))));
    expect([parts('shared').size, parts('local').size]).toEqual([1, 4]);
  });
});

describe("a node's head", () => {
  const nodeIn = (name: string) =>
    createNodeSource({
      tf,
      tables: tables[0]!,
      tasks: [task],
      rng: counted(),
      heads: residualFiles(join(folder, name), 'head'),
    });
  const first = encodeModel(plan);
  const second = encodeModel(plan, initialModel({ kind: 'mlp', inputs: plan.model.inputs, hidden: 16 }, 9));
  const headOf = (name: string, model: Uint8Array) =>
    modelWithHead({ task, model, heads: residualFiles(join(folder, name), 'head') });

  it('is kept for its owner alone, and is the same after a restart', async () => {
    await nodeIn('a').update(task, round, first);
    const [file] = readdirSync(join(folder, 'a'));
    expect(statSync(join(folder, 'a', file!)).mode & 0o777).toBe(0o600);
    const one = headOf('a', second).values;
    const source = nodeIn('b');
    await source.update(task, round, first);
    expect(headOf('b', second).values).toEqual(one);
    // Not the first model's, which the next model alone would bring.
    expect(one).not.toEqual(readModel(plan, second).values);
  });

  it('asked again for a model, after a crash or an aborted round, trains from what it had then', async () => {
    await nodeIn('c').update(task, round, first);
    await nodeIn('c').update(task, round, second);
    const once = readFileSync(join(folder, 'c', readdirSync(join(folder, 'c'))[0]!));
    await nodeIn('c').update(task, round, second);
    expect(readFileSync(join(folder, 'c', readdirSync(join(folder, 'c'))[0]!))).toEqual(once);
    expect(headOf('c', second).values).not.toEqual(headOf('c', first).values);
  });
});

describe('unit record', () => {
  const spec = readModel(plan, encodeModel(plan)).spec as ModelSpec;
  const { train } = regions[0]!;
  const { learning } = makeTask({ ...base, unit: 'record', clip: 2 }).task;
  const recordTask = {
    ...makeTask({ ...base, unit: 'record', clip: 2 }).task,
    learning: { ...learning, localLayers: HEAD },
  };

  it('with local layers is refused by name', () => {
    expect(() => makeTask({ ...request, unit: 'record', localLayers: HEAD })).toThrow(code('UNACCOUNTED'));
    expect(() => parseLearningPlan(recordTask)).toThrow(/veilsum model personalise/);
  });

  it('control: without the check a task of records with private heads is taken', async () => {
    vi.resetModules();
    vi.doMock('../../src/training/local-plan.ts', async (original) => ({
      ...(await original<typeof import('../../src/training/local-plan.ts')>()),
      requireSoundLocal: () => {},
    }));
    const weakened = await import('../../src/training/learning-plan.ts');
    expect(weakened.parseLearningPlan(recordTask).localLayers).toEqual(HEAD);
    vi.doUnmock('../../src/training/local-plan.ts');
    vi.resetModules();
  });

  it('one record more moves the common layers of a round by the clip at most while the head is public, and by many clips while it is private', () => {
    const CLIP = 0.1;
    const more = withRecord(train);
    const start = initialModel(spec, 1);
    const body = (model: Model, rows: DesignMatrix): Float64Array =>
      takePart({ spec, local: HEAD }, 'shared', exampleGradientSum(tf, model, rows, CLIP).sum);
    const apart = (a: Float64Array, b: Float64Array): number =>
      Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
    /** All rows in every step, so that nothing but the record makes a difference. */
    const withPrivateHead = (rows: DesignMatrix): Model => {
      const settings = { steps: 30, batch: rows.rows, learningRate: 2, seed: 1 };
      const moved = takePart({ spec, local: HEAD }, 'local', localDelta(tf, start, rows, settings));
      const values = start.values.slice();
      const head = takePart({ spec, local: HEAD }, 'local', values).map((value, i) => value - moved[i]!);
      placePart({ spec, local: HEAD }, 'local', values, head);
      return makeModel(spec, values);
    };
    expect(apart(body(start, train), body(start, more))).toBeLessThanOrEqual(CLIP);
    expect(apart(body(withPrivateHead(train), train), body(withPrivateHead(train), more))).toBeLessThanOrEqual(CLIP);
    const broken = apart(body(withPrivateHead(train), train), body(withPrivateHead(more), more));
    expect(broken).toBeGreaterThan(2 * CLIP);
  });
});

/** The same rows and one more, as far out as a schema lets it be, of the rarer class. */
function withRecord(rows: DesignMatrix): DesignMatrix {
  const x = new Float32Array((rows.rows + 1) * rows.width);
  x.set(rows.x);
  x.fill(4, rows.rows * rows.width);
  return { ...rows, rows: rows.rows + 1, x, y: Uint8Array.of(...rows.y, 0) };
}
