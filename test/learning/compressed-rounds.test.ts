import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { JOB_QUORUM, runJob } from '../../src/experiment/job.ts';
import { nodeContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, type Region } from '../../src/learning/datasets.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel } from '../../src/learning/model.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  modelFromTensors,
  modelTensors,
} from '../../src/learning/safetensors.ts';
import type { OpenedRound } from '../../src/party/recipient.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { compressUpdate } from '../../src/training/compressed-update.ts';
import { type Compression, compressorOf } from '../../src/training/compression.ts';
import { TrainingError } from '../../src/training/errors.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import {
  contributionPlanOf,
  parseLearningPlan,
  type RecordPlan,
  specOf,
  updateShape,
} from '../../src/training/learning-plan.ts';
import { type LearningRequest, makeTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import { createNodeSource } from '../../src/training/node-source.ts';
import { keepResidual, residualFiles, residualFor, residualsInMemory } from '../../src/training/residuals.ts';
import { rotate } from '../../src/training/rotation.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-compression-'));
const base = {
  dataset: 'synthetic',
  nodes: 4,
  window: 'week 1',
  recipients: ['recipient'],
  quorum: JOB_QUORUM,
} as const;
const make = (over: Partial<LearningRequest> = {}) => makeTask({ ...base, ...over });
const { schema, regions: tables } = loadDataset('synthetic', { size: 0.1 });
let tf: Tf;
let store: Store;
let region: Region;
beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
  store = await openStore(join(folder, 'store'));
  region = encodeRegion(tables[0]!, schema);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof TrainingError) return error.code;
    throw error;
  }
  return 'nothing';
};
const normOf = (values: Float64Array): number => Math.hypot(...values);
const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);
const modelBytes = (task: Task, seed: number): Uint8Array => {
  const model = initialModel(specOf(parseLearningPlan(task)), seed);
  return encodeSafetensors(modelTensors({ ...model, values: model.values.map((v, i) => v + Math.sin(seed + i) / 4) }));
};

describe('a job with compression', () => {
  it.each<[string, Partial<LearningRequest>, number]>([
    ['records, kept and rotated', { model: 'mlp', compression: { keep: 0.3, rotation: true } }, 135 + 33],
    ['nodes, with feedback', { unit: 'node', model: 'mlp', compression: { keep: 0.1, errorFeedback: true } }, 44],
    ['nodes, four bits, rotated', { unit: 'node', epsilon: null, bits: 4, compression: { rotation: true } }, 28],
  ])('opens sums that equal the plain ones: %s', async (_name, over, dimension) => {
    const made = make({ rounds: 2, ...over });
    expect(made.task.dimension).toBe(dimension);
    const before = JSON.stringify(made.task);
    const { model } = await runJob({ tf, regions: tables, made, records: store.records });
    expect(model.values.every(Number.isFinite)).toBe(true);
    expect(JSON.stringify(made.task)).toBe(before);
  });

  it('uses the bits that it is given, and the scale follows', () => {
    for (const bits of [4, 6, 8, 12, 16]) {
      const { task } = make({ unit: 'node', epsilon: null, bits });
      expect(task.bits).toBe(bits);
      expect(quantiserOf(task).bits).toBe(bits);
    }
    const scaleOf = (over: Partial<LearningRequest>): number =>
      make({ unit: 'node', model: 'mlp', hidden: 36, epsilon: null, bits: 8, ...over }).task.scale;
    // No value of a rotated update is above 6 / 32 of its norm: as many bits carry more than four times the scale.
    expect(scaleOf({ compression: { rotation: true } }) / scaleOf({})).toBeGreaterThan(4);
    expect(codeOf(() => make({ bits: 3 }))).toBe('BAD_PLAN');
    expect(codeOf(() => make({ bits: 17 }))).toBe('BAD_PLAN');
    // 16,384 records of norm 2 do not go into 8 bits.
    expect(codeOf(() => make({ bits: 8 }))).toBe('DOES_NOT_FIT');
    expect(make({ bits: 16, recordsMax: 2000, clip: 0.5 }).task.bits).toBe(16);
  });

  it('is the derivation of its own fields, whatever part is kept in however many bits', () => {
    for (let i = 1; i < 120; i++) {
      const [keep, bits] = [i / 120, 4 + (i % 13)];
      const compression = { keep, rotation: i % 2 === 0 };
      const { task } = make({
        unit: 'node',
        model: 'mlp',
        hidden: 1 + ((7 * i) % 256),
        epsilon: null,
        bits,
        compression,
      });
      expect(codeOf(() => quantiserOf(task))).toBe('nothing');
    }
  });

  it('has a smaller clip where less of an update is sent, and the same noise for it', () => {
    const whole = make({ unit: 'node' }).task;
    const part = make({ unit: 'node', compression: { keep: 0.25 } }).task;
    expect([whole.clipMicro, part.clipMicro]).toEqual([1_000_000, 500_000]);
    expect(make({ unit: 'node', compression: { keep: 0.25, errorFeedback: true } }).task.clipMicro).toBe(1_000_000);
  });
});

describe('everybody keeps the same values', () => {
  const { task } = make({ unit: 'node', model: 'mlp', compression: { keep: 0.3 } });
  const plan = parseLearningPlan(task);
  const shape = updateShape(plan, task.clipMicro);

  it('a node whose task keeps another part is refused: its update has another length', () => {
    const other = (compression: Partial<Compression>): Task => ({
      ...task,
      compression: { ...task.compression!, ...compression },
    });
    expect(codeOf(() => quantiserOf(task))).toBe('nothing');
    expect(codeOf(() => quantiserOf(other({ keepMicro: 200_000 })))).toBe('BAD_PLAN');
    expect(codeOf(() => quantiserOf(other({ rotation: true })))).toBe('BAD_PLAN');
    expect(codeOf(() => quantiserOf(other({ values: shape.length + 1 })))).toBe('BAD_PLAN');
    const { compression: _, ...without } = task;
    expect(codeOf(() => quantiserOf(without))).toBe('BAD_PLAN');
    // A rotation saves bits of nodes' values: a task that states it has more of them is not the derivation.
    const rotated = make({ unit: 'node', model: 'mlp', epsilon: null, bits: 8, compression: { rotation: true } }).task;
    expect(codeOf(() => quantiserOf({ ...rotated, bits: 9 }))).toBe('TASK_MISMATCH');
  });

  it('control: with other places of the same number the sum is of no model, and nothing shows it', () => {
    const updates = [1, 2, 3].map((n) => Float64Array.from({ length: shape.length }, (_, i) => Math.sin(n + i)));
    const mean = updates[0]!.map((_, i) => updates.reduce((sum, update) => sum + update[i]!, 0));
    const [agreed, another] = [1, 2].map((seed) => compressorOf(task, shape, modelBytes(task, seed))!);
    const sumOf = (last: typeof agreed) =>
      updates
        .slice(0, 2)
        .map((u) => agreed!.compress(u))
        .concat(last!.compress(updates[2]!))
        .reduce((a, b) => a.map((v, i) => v + b[i]!));
    // Of the sum's kept values each is right, times the gain.
    const kept = (sum: Float64Array) => agreed!.compress(agreed!.expand(sum)).map((value) => value / agreed!.gain);
    expect(normOf(minus(kept(sumOf(agreed)), agreed!.compress(mean)))).toBeLessThan(1e-9);
    expect(sumOf(another).length).toBe(sumOf(agreed).length);
    expect(normOf(minus(kept(sumOf(another)), agreed!.compress(mean)))).toBeGreaterThan(
      0.3 * normOf(agreed!.compress(mean)),
    );
  });
});

describe('sums of buckets', () => {
  it('are laid out again before a robust rule compares them, and bounded in what they are laid out to', async () => {
    const compression = { keep: 0.25, rotation: true };
    const { task } = make({
      unit: 'node',
      model: 'mlp',
      nodes: 6,
      buckets: 2,
      aggregate: 'median',
      epsilon: null,
      compression,
    });
    const shape = updateShape(parseLearningPlan(task), task.clipMicro);
    const model = modelBytes(task, 5);
    const compressor = compressorOf(task, shape, model)!;
    const bucket = (number: number, values: Int32Array): OpenedRound => {
      const cohort = [{ node: 'a' }, { node: 'b' }, { node: 'c' }];
      const round = { phase: 'released', id: '', record: { number }, decision: { attempt: { cohort } } };
      return { round: round as unknown as OpenedRound['round'], values };
    };
    const next = async (sums: readonly OpenedRound[]): Promise<Float64Array> => {
      const maker = createModelMaker({ store });
      const spec = specOf(parseLearningPlan(task));
      const [before, after] = [model, await maker.next(task, sums, model)].map((bytes) =>
        modelFromTensors(spec, decodeSafetensors(bytes)),
      );
      return Float64Array.from(before!.values, (value, i) => value - after!.values[i]!);
    };
    const sent = [1, 2].map((n) => Int32Array.from({ length: task.dimension }, (_, i) => ((i * 37 * n) % 9) - 4));
    const step = await next(sent.map((values, i) => bucket(i, values)));
    // The median of two is their mean; a mean of local changes is a step already.
    const means = sent.map((values) => compressor.expand(Float64Array.from(values, (v) => v / task.scale / 3)));
    for (const [i, value] of step.entries()) expect(value).toBeCloseTo((means[0]![i]! + means[1]![i]!) / 2, 5);
    // Far longer than three clipped updates with their noise can be.
    const long = sent.map((values) => values.map((value) => value * 1000));
    const bound = await next(long.map((values, i) => bucket(i, values)));
    expect(normOf(bound)).toBeLessThan(normOf(step) * 100);
    expect(normOf(bound)).toBeGreaterThan(compressor.gain * 0.5);
  });
});

describe('one record, in the table or not', () => {
  const { task } = make({ compression: { keep: 0.2, rotation: true } });
  const clip = task.clipMicro / 1e6;
  const plan = parseLearningPlan(task) as RecordPlan;
  const shape = updateShape(plan, task.clipMicro);
  const residuals = residualsInMemory();

  /** The region's contribution, with all its training records or without one. */
  function sumWithout(row: number | null, seed: number): Float64Array {
    const drawn = {
      train: new Uint8Array(region.train.rows).fill(1),
      heldOut: new Uint8Array(region.heldOut.rows).fill(1),
    };
    if (row !== null) drawn.train[row] = 0;
    const model = {
      ...initialModel(specOf(plan), 1),
      values: initialModel(specOf(plan), 1).values.map((_, i) => Math.sin(seed + i)),
    };
    return nodeContribution(tf, model, region, contributionPlanOf(plan, task.clipMicro), { drawn });
  }

  it('moves what is sent by the clip at most, exactly', () => {
    for (let row = 0; row < 25; row++) {
      const model = modelBytes(task, row);
      const [all, less] = [null, row].map(
        (left) => compressUpdate({ task, shape, model, residuals }, sumWithout(left, row))!,
      );
      expect(all!.length).toBe(task.dimension);
      const moved = minus(all!, less!);
      expect(moved.some((value) => value !== 0)).toBe(true);
      expect(moved.reduce((sum, value) => sum + value * value, 0)).toBeLessThanOrEqual(clip * clip);
      // The record's count is neither dropped nor rotated.
      expect(moved[task.dimension - 33]).toBe(0.1 * clip - ((0.1 * clip) % 2 ** -20));
    }
  });

  it('error feedback is refused for records', () => {
    const feedback = { ...task, compression: { ...task.compression!, errorFeedback: true as const } };
    expect(codeOf(() => quantiserOf(feedback))).toBe('UNACCOUNTED');
    expect(codeOf(() => createNodeSource({ tf, tables: tables[0]!, tasks: [feedback] }))).toBe('UNACCOUNTED');
    expect(codeOf(() => make({ compression: { keep: 0.1, errorFeedback: true } }))).toBe('UNACCOUNTED');
    expect(codeOf(() => make({ unit: 'node', compression: { errorFeedback: true } }))).toBe('BAD_PLAN');
  });

  it('control: with feedback one record moves a round by more than the clip', () => {
    const feedback = {
      ...task,
      compression: { values: shape.length, keepMicro: 100_000, errorFeedback: true as const },
    };
    const left = new Map<number | null, Float64Array>();
    let most = 0;
    for (let round = 0; round < 12; round++) {
      const compressor = compressorOf(feedback, shape, modelBytes(task, round))!;
      const [all, less] = [null, 0].map((row) => {
        const carry = left.get(row) ?? new Float64Array(shape.length);
        const update = sumWithout(row, 3).map((value, i) => value + carry[i]!);
        const sent = compressor.compress(update);
        left.set(row, minus(update, compressor.expand(sent)));
        return sent;
      });
      most = Math.max(most, normOf(minus(all!, less!)));
    }
    expect(most).toBeGreaterThan(1.5 * clip);
  });
});

describe('what no account covers', () => {
  it('a rotation beside sensitive columns, or of more records than are added up exactly', () => {
    const column = schema.features[0]!.column;
    const sensitive = { columns: [column], share: 0.25 };
    expect(codeOf(() => make({ sensitive, compression: { keep: 0.5 } }))).toBe('nothing');
    expect(codeOf(() => make({ sensitive, compression: { rotation: true } }))).toBe('UNACCOUNTED');
    const many = { model: 'mlp', recordsMax: 2 ** 19, clip: 4 } as const;
    expect(codeOf(() => make({ ...many, compression: { keep: 0.5 } }))).toBe('nothing');
    expect(codeOf(() => make({ ...many, compression: { rotation: true } }))).toBe('DOES_NOT_FIT');
  });

  it('a rotation beside pseudo labels of a small weight: sums lie on a finer grid, which doubles do not hold so far', () => {
    const compression = { rotation: true };
    const rows = { model: 'mlp', recordsMax: 2 ** 15, clip: 4 } as const;
    const pseudo = (weightParts: number) => ({ confidenceMicro: 900_000, weightParts, fromModel: 1 });
    expect(codeOf(() => make({ ...rows, compression }))).toBe('nothing');
    expect(codeOf(() => make({ ...rows, compression, pseudo: pseudo(64) }))).toBe('nothing');
    expect(codeOf(() => make({ ...rows, pseudo: pseudo(1) }))).toBe('nothing');
    expect(codeOf(() => make({ ...rows, compression, pseudo: pseudo(1) }))).toBe('DOES_NOT_FIT');
    // What that refuses: one record of weight 1/64 is lost in one rotated sum, and moves another one by more than it is.
    const signs = new Int8Array(4096).fill(1);
    const all = new Float64Array(4096).fill(2 ** 10);
    const moved = (record: number): number => {
      const without = rotate(all, signs, 4096);
      const withIt = rotate(
        all.map((value, i) => (i === 0 ? value + record : value)),
        signs,
        4096,
      );
      return withIt[0]! - without[0]!;
    };
    expect(moved(2 ** -30)).toBe(2 ** -36);
    expect(moved(2 ** -36)).toBe(0);
    expect(moved(3 * 2 ** -31)).toBe(2 ** -35);
  });

  it('a threshold below which a node sends nothing, but where no privacy is claimed', () => {
    for (const unit of ['record', 'node'] as const)
      expect(codeOf(() => make({ unit, compression: { sendAbove: 0.1 } }))).toBe('UNACCOUNTED');
    expect(codeOf(() => make({ unit: 'node', epsilon: null, bits: 16, compression: { sendAbove: 0.1 } }))).toBe(
      'nothing',
    );
    expect(codeOf(() => make({ unit: 'node', epsilon: null, bits: 16, compression: { sendAbove: 0 } }))).toBe(
      'BAD_PLAN',
    );
    expect(codeOf(() => make({ compression: { keep: 0 } }))).toBe('BAD_PLAN');
  });

  it('control: who stays away tells of a record', () => {
    const { task } = make({ unit: 'node', epsilon: null, bits: 16, compression: { sendAbove: 0.1 } });
    const compressing = {
      task,
      shape: updateShape(parseLearningPlan(task), task.clipMicro),
      model: modelBytes(task, 1),
      residuals: residualsInMemory(),
    };
    const update = (norm: number) =>
      new Float64Array(compressing.shape.length).fill(norm / Math.sqrt(compressing.shape.length));
    expect(compressUpdate(compressing, update(0.101))).not.toBeNull();
    expect(compressUpdate(compressing, update(0.099))).toBeNull();
  });
});

describe('what error feedback has not sent', () => {
  const { task } = make({ unit: 'node', model: 'mlp', compression: { keep: 0.1, errorFeedback: true } });
  const shape = updateShape(parseLearningPlan(task), task.clipMicro);
  const update = (): Float64Array => new Float64Array(shape.length).fill(0.001);

  it('is sent later: after enough rounds all of it was, and none twice', () => {
    const residuals = residualsInMemory();
    const received = new Float64Array(shape.length);
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      const model = modelBytes(task, round);
      const sent = compressUpdate({ task, shape, model, residuals }, update())!;
      // Asked again for the same model, as after an aborted round: the same.
      expect(compressUpdate({ task, shape, model, residuals }, update())).toEqual(sent);
      for (const [i, value] of compressorOf(task, shape, model)!.expand(sent).entries()) received[i]! += value;
    }
    const total = received.reduce((sum, value) => sum + value, 0) / shape.length;
    expect(Math.max(...received)).toBeLessThanOrEqual(rounds * 0.001 + 1e-9);
    // A value waits for ten rounds in the mean.
    expect(total / 0.001).toBeGreaterThan(rounds - 13);
  });

  it('never lengthens an update beyond the clip, however much has gathered', () => {
    const residuals = residualsInMemory();
    for (let round = 0; round < 5; round++) {
      const model = modelBytes(task, round);
      const sent = compressUpdate({ task, shape, model, residuals }, update().fill(1e6))!;
      expect(normOf(sent)).toBeLessThanOrEqual(1 + 1e-12);
    }
    const gathered = residualFor(residuals, taskHashOf(nodePrimitives, task), 'of the next model', shape.length);
    expect(normOf(gathered)).toBeLessThanOrEqual(20 + 1e-9);
  });

  it("lies in the node's folder for its owner alone, and is refused when it is cut short", () => {
    const place = join(folder, 'residuals');
    const files = residualFiles(place);
    const [before, after] = [Float64Array.of(1, 2), Float64Array.of(3, 4)];
    expect([...residualFor(files, 'ab', 'model', 2)]).toEqual([0, 0]);
    keepResidual(files, 'ab', { modelHash: 'model', before, after });
    expect([...residualFor(files, 'ab', 'model', 2)]).toEqual([1, 2]);
    expect([...residualFor(files, 'ab', 'next', 2)]).toEqual([3, 4]);
    const [name] = readdirSync(place);
    expect(statSync(join(place, name!)).mode & 0o777).toBe(0o600);
    expect(statSync(place).mode & 0o777).toBe(0o700);
    writeFileSync(join(place, name!), new Uint8Array(11));
    expect(() => residualFor(files, 'ab', 'next', 2)).toThrow(/CORRUPT|cut short|delete it/);
  });
});
