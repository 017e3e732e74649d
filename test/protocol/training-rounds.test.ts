import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNoiseSampler } from '../../crypto/noise.ts';
import { quantise } from '../../crypto/quantise.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { nodeContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, poolRows, type RegionTables } from '../../src/learning/datasets.ts';
import { LearningError } from '../../src/learning/errors.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel, type Model } from '../../src/learning/model.ts';
import { modelAuc, trainReferences } from '../../src/learning/references.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  modelFromTensors,
  modelTensors,
} from '../../src/learning/safetensors.ts';
import { selectRows } from '../../src/learning/table.ts';
import { loadNoiseModule } from '../../src/platform/noise-module.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { TrainingError } from '../../src/training/errors.ts';
import { createFileSource } from '../../src/training/file-source.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import {
  contributionPlanOf,
  parseLearningPlan,
  type RecordPlan,
  serverSettingsOf,
  specOf,
} from '../../src/training/learning-plan.ts';
import { makeTask, makeUpdatesTask } from '../../src/training/make-task.ts';
import { createModelMaker, type RoundOutcome } from '../../src/training/model-maker.ts';
import { createNodeSource } from '../../src/training/node-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-training-'));
const base = { dataset: 'synthetic', nodes: 4, window: 'week 1', recipients: ['owner'] } as const;
const { schema, regions: tables } = loadDataset('synthetic');
let tf: Tf;
let store: Store;

beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
  store = await openStore(join(folder, 'store'));
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** A decided round of so many nodes, as far as sources and model maker look at it. */
function roundOf(number: number, nodes: number): Round {
  const cohort = Array.from({ length: nodes }, (_, i) => ({ node: `node-${i + 1}` }));
  return {
    id: `${number}`,
    record: { number },
    phase: 'decided',
    decision: { attempt: { cohort } },
  } as unknown as Round;
}

function addUp(vectors: readonly Int32Array[]): Int32Array {
  return vectors[0]!.map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0));
}

const sourceOf = (region: RegionTables, task: Task) => createNodeSource({ tf, tables: region, tasks: [task] });
const modelOf = (task: Task, bytes: Uint8Array): Model =>
  modelFromTensors(specOf(parseLearningPlan(task)), decodeSafetensors(bytes));
const bytesOf = (model: Model) => encodeSafetensors(modelTensors(model));

/** The code of what `run` throws. */
async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof TrainingError || error instanceof LearningError) return error.code;
    throw error;
  }
  return 'nothing';
}

describe("a node's integers", () => {
  const { task } = makeTask({ ...base, profile: 'demo' });
  const plan = parseLearningPlan(task) as RecordPlan;
  const quantiser = quantiserOf(task);
  const model = initialModel(specOf(plan));

  it('are its rounded contribution and noise of the stated variance, from two fresh seeds that are wiped', async () => {
    const drawn: Uint8Array[] = [];
    const kept: Uint8Array[] = [];
    const rng = (length: number) => {
      const bytes = systemRng(length);
      drawn.push(bytes);
      kept.push(bytes.slice());
      return bytes;
    };
    const source = createNodeSource({ tf, tables: tables[0]!, tasks: [task], rng });
    const values = (await source.update(task, roundOf(1, 4), bytesOf(model)))!;
    expect(kept.map((seed) => seed.length)).toEqual([32, 32]);
    expect(drawn.every((seed) => seed.every((byte) => byte === 0))).toBe(true);

    const noise = new Int32Array(task.dimension);
    createNoiseSampler(loadNoiseModule(), nodePrimitives, quantiser.variance).sample(kept[1]!, noise);
    const contribution = nodeContribution(tf, model, source.rowsFor(task), contributionPlanOf(plan, task.clipMicro));
    const rounded = quantise(quantiser, nodePrimitives, kept[0]!, contribution);
    expect(values.map((value, i) => value - noise[i]!)).toEqual(rounded);
    // Rounding moves a coordinate by less than one step.
    rounded.forEach((value, i) => void expect(Math.abs(value - contribution[i]! * task.scale)).toBeLessThan(1));
    expect(values.every((value) => Math.abs(value) < 2 ** (task.bits - 1))).toBe(true);
    const again = (await source.update(task, roundOf(1, 4), bytesOf(model)))!;
    expect(again).not.toEqual(values);
  });

  it('move by at most the stated sensitivity when one record comes or goes, under equal rounding', () => {
    const [first] = tables;
    const all = encodeRegion(first!, schema);
    const contribution = contributionPlanOf(plan, task.clipMicro);
    const trained: Model = { ...model, values: model.values.map((_, i) => Math.sin(i + 1)) };
    const seed = systemRng(32);
    const integersOf = (rows: typeof all) =>
      quantise(quantiser, nodePrimitives, seed, nodeContribution(tf, trained, rows, contribution));
    const whole = integersOf(all);
    const moves = (part: 'train' | 'heldOut', gone: number): bigint => {
      const rows = Array.from({ length: first![part].rowCount }, (_, row) => row).filter((row) => row !== gone);
      const less = integersOf(encodeRegion({ ...first!, [part]: selectRows(first![part], rows) }, schema));
      return less.reduce((sum, value, i) => sum + BigInt(value - whole[i]!) ** 2n, 0n);
    };
    const squares = [0, 1, 2, 50, 100, 333].flatMap((row) => [moves('train', row), moves('heldOut', row % 100)]);
    for (const square of squares) expect(square).toBeLessThanOrEqual(BigInt(task.sensitivity2));
    // The bound is not idle: clipped records and cells come within a few steps of it.
    const largest = squares.reduce((a, b) => (a > b ? a : b));
    expect(Number(largest)).toBeGreaterThan(0.9 * Number(task.sensitivity2));
  });

  it('are refused before anything is sent, in terms of the table or the task', async () => {
    const [first] = tables;
    const noLabel = { ...first!, train: { ...first!.train, columns: new Map(first!.train.columns) } };
    (noLabel.train.columns as Map<string, unknown>).delete('hot_lead');
    expect(await codeOf(() => sourceOf(noLabel, task))).toBe('MISSING_COLUMN');
    const few = makeTask({ ...base, recordsMax: 100 }).task;
    expect(await codeOf(() => sourceOf(first!, few))).toBe('TOO_LARGE');
    const ofOther = makeTask({ ...base, schema: { ...schema, name: 'other' } }).task;
    expect(await codeOf(() => sourceOf(first!, ofOther))).toBe('SCHEMA_MISMATCH');
    const [feature, ...rest] = schema.features;
    const changed = { ...schema, features: [{ ...feature!, limit: 2 } as typeof feature & object, ...rest] };
    const ofChanged = makeTask({ ...base, schema: changed }).task;
    expect(await codeOf(() => sourceOf(first!, ofChanged))).toBe('SCHEMA_MISMATCH');
    // The same task is fine for who has that schema.
    createNodeSource({ tf, tables: first!, tasks: [ofChanged], schemas: [changed] });
    const cheap = { ...task, sensitivity2: '1' };
    expect(await codeOf(() => sourceOf(first!, cheap))).toBe('TASK_MISMATCH');
    expect(await codeOf(() => sourceOf(first!, makeUpdatesTask({ ...base, dimension: 59, clip: 1 }).task))).toBe(
      'BAD_PLAN',
    );

    const source = sourceOf(first!, task);
    const update = (bytes: Uint8Array) => codeOf(() => source.update(task, roundOf(1, 4), bytes));
    expect(await update(bytesOf(initialModel({ kind: 'logistic', inputs: 25 })))).toBe('BAD_MODEL');
    const notFinite = model.values.map((_, i) => (i === 3 ? Number.NaN : 0));
    const tensor = { name: 'output.weight', shape: [26], values: notFinite };
    expect(await update(encodeSafetensors([tensor]))).toBe('NOT_FINITE');
    expect(await update(new Uint8Array(9))).toBe('BAD_TENSOR_FILE');
    expect(await update(bytesOf(model))).toBe('nothing');
  });
});

describe('an update from a file', () => {
  const { task } = makeUpdatesTask({ ...base, dimension: 500, clip: 1, epsilon: 1000 });
  const write = (name: string, values: Float32Array) => {
    const path = join(folder, name);
    writeFileSync(path, encodeSafetensors([{ name: 'delta', shape: [values.length], values }]));
    return path;
  };

  it('is clipped to the norm of the task, whatever its size, and goes into one round', async () => {
    const path = write('large.safetensors', new Float32Array(500).fill(1e6));
    const source = createFileSource(path);
    const values = (await source.update(task, roundOf(1, 4), new Uint8Array()))!;
    const sigma = Math.sqrt(Number(task.noise.sigma2Numerator));
    const mean = values.reduce((sum, value) => sum + value, 0) / 500;
    expect(Math.abs(mean - task.scale / Math.sqrt(500))).toBeLessThan((6 * (sigma + 1)) / Math.sqrt(500));
    expect(values.every((value) => Math.abs(value) < 2 ** (task.bits - 1))).toBe(true);
    expect(await source.update(task, roundOf(1, 4), new Uint8Array())).toHaveLength(500);
    expect(await source.update(task, roundOf(2, 4), new Uint8Array())).toBeNull();
  });

  it('that cannot be used is refused', async () => {
    const path = write('short.safetensors', new Float32Array(499));
    const update = (of: Task) => () => createFileSource(path).update(of, roundOf(1, 4), new Uint8Array());
    expect(await codeOf(update(task))).toBe('WRONG_LENGTH');
    expect(await codeOf(update(makeTask(base).task))).toBe('TASK_MISMATCH');
    expect(await codeOf(update({ ...task, unit: 'record', dimension: 499 }))).toBe('TASK_MISMATCH');
    expect(await codeOf(() => createFileSource(join(folder, 'none.npy')))).toBe('DATA_NOT_FOUND');
    const broken = write('nan.safetensors', new Float32Array(500).fill(Number.NaN));
    expect(await codeOf(() => createFileSource(broken))).toBe('NOT_FINITE');
  });

  it('becomes part of a mean that the recipient hands on', async () => {
    const maker = createModelMaker({ store });
    const first = await maker.first(task);
    const next = await maker.next(
      task,
      [{ round: roundOf(1, 2), values: new Int32Array(500).fill(4 * task.scale) }],
      first,
    );
    expect([...decodeSafetensors(next)[0]!.values]).toEqual(Array(500).fill(2));
  });
});

describe('rounds of training', () => {
  /** Rounds by plain integer sums, with a maker that may be made anew before each of them. */
  async function train(task: Task, rounds: number, name: string, isRestarted = false) {
    const outcomes: RoundOutcome[] = [];
    const folderOf = join(folder, name);
    let kept = await openStore(folderOf);
    const makerOf = () => createModelMaker({ store: kept, onOutcome: (outcome) => outcomes.push(outcome) });
    let maker = makerOf();
    const sources = tables.map((region) => sourceOf(region, task));
    const models = [await maker.first(task)];
    const sums: Int32Array[] = [];
    for (let round = 1; round <= rounds; round++) {
      const updates = await Promise.all(sources.map((s) => s.update(task, roundOf(round, 4), models.at(-1)!)));
      sums.push(addUp(updates.map((update) => update!)));
      if (isRestarted) {
        await kept[Symbol.asyncDispose]();
        kept = await openStore(folderOf);
        maker = makerOf();
      }
      models.push(await maker.next(task, [{ round: roundOf(round, 4), values: sums.at(-1)! }], models.at(-1)!));
    }
    await kept[Symbol.asyncDispose]();
    return { models, sums, outcomes };
  }
  const everybody = () => tables.map((region) => encodeRegion(region, schema));

  it('beat every region alone within the budget, and the recipient sees it in noised counts', async () => {
    const made = makeTask({ ...base, profile: 'demo' });
    const { task } = made;
    const { models, outcomes } = await train(task, made.rounds, 'record');
    const heldOut = poolRows(everybody().map((region) => region.heldOut));
    const auc = models.map((bytes) => modelAuc(tf, modelOf(task, bytes), heldOut));
    const plan = parseLearningPlan(task);
    const settings = { ...serverSettingsOf(plan), rounds: made.rounds };
    const alone = trainReferences(tf, specOf(plan), everybody(), settings).regionOnly.map((r) => r.aucPerRound.at(-1)!);
    expect(auc.at(-1)).toBeGreaterThan(Math.max(...alone));
    expect(outcomes).toHaveLength(10);
    const trainRows = tables.reduce((sum, region) => sum + region.train.rowCount, 0);
    const { countShareMicro } = plan as RecordPlan;
    outcomes.forEach((outcome, i) => {
      expect(outcome).toMatchObject({ round: i + 1, nodes: 4, optimiser: 'continued' });
      const step = (countShareMicro / 1e6) * (task.clipMicro / 1e6);
      expect(Math.abs(outcome.records! - trainRows)).toBeLessThan((7 * outcome.sigma) / step);
      if (outcome.evaluation && i > 0) {
        const { auc: read, aucNoise } = outcome.evaluation;
        expect(Math.abs(read - auc[i]!)).toBeLessThan(6 * aucNoise + 0.01);
      }
    });
    expect(outcomes.filter((outcome) => outcome.evaluation)).not.toHaveLength(0);
  });

  it('go on identically when the recipient is restarted before every step, or repeats one', async () => {
    const { task } = makeTask({ ...base, profile: 'demo' });
    const { models, sums } = await train(task, 4, 'restarted', true);
    const maker = createModelMaker({ store });
    let model = await maker.first(task);
    for (const [i, sum] of sums.entries()) {
      const next = await maker.next(task, [{ round: roundOf(i + 1, 4), values: sum }], model);
      expect(await maker.next(task, [{ round: roundOf(i + 1, 4), values: sum }], model)).toEqual(next);
      expect(next).toEqual(models[i + 1]);
      model = next;
    }
    // Control: without the kept state momentum is lost, and it is said.
    const outcomes: RoundOutcome[] = [];
    const empty = await openStore(join(folder, 'empty'));
    const anew = createModelMaker({ store: empty, onOutcome: (outcome) => outcomes.push(outcome) });
    expect(await anew.next(task, [{ round: roundOf(4, 4), values: sums[3]! }], models[3]!)).not.toEqual(models[4]);
    expect(outcomes[0]!.optimiser).toBe('anew');
    await empty[Symbol.asyncDispose]();
  });

  it('with several local steps protect the node, and train', async () => {
    // Four nodes cannot hide a node's whole model: the budget here shows the path, not privacy.
    const made = makeTask({ ...base, unit: 'node', profile: 'demo', epsilon: 1000, rounds: 5, clip: 2 });
    const { models, outcomes } = await train(made.task, 5, 'node');
    const heldOut = poolRows(everybody().map((region) => region.heldOut));
    const auc = models.map((bytes) => modelAuc(tf, modelOf(made.task, bytes), heldOut));
    expect(auc.at(-1)).toBeGreaterThan(0.8);
    expect(outcomes.every((outcome) => outcome.records === null && outcome.evaluation === null)).toBe(true);
  });

  it('refuse a sum of another length and a round without a decision', async () => {
    const { task } = makeTask(base);
    const maker = createModelMaker({ store });
    const first = await maker.first(task);
    const next = (values: Int32Array, round: Round) => codeOf(() => maker.next(task, [{ round, values }], first));
    expect(await next(new Int32Array(task.dimension - 1), roundOf(1, 4))).toBe('WRONG_LENGTH');
    const open = { ...roundOf(1, 4), phase: 'uploading' } as unknown as Round;
    expect(await next(new Int32Array(task.dimension), open)).toBe('NOT_DECIDED');
  });
});
