import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { dequantise } from '../../crypto/quantise.ts';
import { type Task, taskField } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { datasetSchema, encodeRegion, loadDataset } from '../../src/learning/datasets.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { decodeSafetensors, encodeSafetensors, modelFromTensors } from '../../src/learning/safetensors.ts';
import { createFileSource, valuesFor } from '../../src/training/file-source.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { parseLearningPlan, specOf } from '../../src/training/learning-plan.ts';
import { makeTask, makeUpdatesTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import { createNodeSource } from '../../src/training/node-source.ts';
import { meanOf, weigh, weightIn } from '../../src/training/weighted.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-weighted-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request = { window: 'w', recipients: ['owner'], nodes: 4, clip: 1, dimension: 3 };
/** No noise worth speaking of. */
const { task } = makeUpdatesTask({ ...request, epsilon: null, bits: 16, weightMax: 10_000 });
const plain = makeUpdatesTask({ ...request, epsilon: null }).task;

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const update = (values: readonly number[]) => ({ values: Float64Array.from(values), layers: [] }) as never;

describe('nodes that weigh as much as they say', () => {
  it('move a sum by the clip at most, whatever they weigh and send; by all of it at the largest weight', () => {
    const any = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(any, fc.double({ min: 1, max: 10_000, noNaN: true }), (values, weight) => {
        expect(norm(weigh(task, Float64Array.from(values), weight))).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
    expect(norm(weigh(task, Float64Array.of(9, 0, 0), 10_000))).toBeCloseTo(1, 12);
  });

  it('give the weighted mean, through files, rounding and the recipient', async () => {
    const nodes = [
      { values: [0.5, 0, -0.25], weight: 9000 },
      { values: [-0.5, 0.5, 0.25], weight: 2000 },
      { values: [0, 0.5, 0], weight: 1000 },
    ];
    const sums = new Int32Array(task.dimension);
    for (const [i, { values, weight }] of nodes.entries()) {
      const path = join(folder, `${i}.safetensors`);
      writeFileSync(path, encodeSafetensors([{ name: 'u', shape: [3], values: Float32Array.from(values) }]));
      const integers = await createFileSource(path, { weight, rng: (n) => new Uint8Array(n).fill(i) }).update(
        task,
        { id: 'r' } as Round,
        new Uint8Array(),
      );
      for (const [j, value] of integers!.entries()) sums[j]! += value;
    }
    const opened = dequantise(quantiserOf(task), sums);
    expect(weightIn(task, opened, 3) / 12_000).toBeCloseTo(1, 2);
    const wanted = [4500 - 1000, 1000 + 500, -2250 + 500].map((sum) => sum / 12_000);
    for (const [j, value] of meanOf(task, opened, 3).entries()) expect(value).toBeCloseTo(wanted[j]!, 2);
    // Control: each counted once, it is another mean.
    expect(Math.abs((0.5 - 0.5 + 0) / 3 - wanted[0]!)).toBeGreaterThan(0.2);

    const maker = createModelMaker({ store: { records: {} as never } });
    const round = { phase: 'released', record: {}, decision: { attempt: { cohort: [1, 2, 3] } } } as never;
    const next = await maker.next(task, [{ round, values: sums }], await maker.first(task));
    const [mean] = decodeSafetensors(next);
    expect(mean).toMatchObject({ name: 'mean', shape: [3] });
    expect([...mean!.values]).toEqual([...Float32Array.from(meanOf(task, opened, 3))]);
  });

  it('cost what nodes cost that weigh the same, but for what one more number rounds', () => {
    const noisy = { ...request, epsilon: 8, rounds: 10 };
    const weighted = makeUpdatesTask({ ...noisy, weightMax: 500 });
    const same = makeUpdatesTask(noisy);
    expect(weighted.rhoNano).toBeLessThanOrEqual(weighted.budget.rhoNano);
    const sigma = ({ noise }: Task): number =>
      Math.sqrt(Number(noise.sigma2Numerator) / Number(noise.sigma2Denominator));
    expect(sigma(weighted.task) / sigma(same.task)).toBeLessThan(1.02);
  });

  it('take the least weight that nodes can have where noise says less', () => {
    expect(weightIn(task, Float64Array.of(0, 0, 0, -5), 4)).toBe(4);
  });

  it('divide by three deviations of the noise where the weights do not stand out of it', () => {
    const noisy = makeUpdatesTask({ ...request, epsilon: 8, rounds: 10, weightMax: 5000 }).task;
    const { variance, scale } = quantiserOf(noisy);
    const noise =
      Math.sqrt(4 * (Number(variance.sigma2Numerator) / Number(variance.sigma2Denominator) + 1 / 4)) / scale;
    // Every node weighs all that it can, and still the sum is a third of a deviation: below zero in every third round.
    expect(4 * 0.25).toBeLessThan(noise / 2);
    const unlucky = Float64Array.of(noise, -noise, noise, -noise);
    expect(norm(meanOf(noisy, unlucky, 4))).toBeCloseTo((Math.sqrt(3) * 0.25) / 3, 6);
    // Control: by the least weight that four nodes can have it was more than a thousand times the longest update.
    const least = weightIn(noisy, unlucky, 4) / noisy.weightMax!;
    expect(norm(unlucky.subarray(0, 3).map((value) => value / least))).toBeGreaterThan(1000);
    // Where they do stand out they are what is divided by.
    const clear = Float64Array.of(noise, 0, 0, 9 * noise);
    expect(meanOf(noisy, clear, 4)[0]).toBeCloseTo(0.25 / 9, 9);
  });

  it.each([
    ['no weight', task, null, 'TASK_MISMATCH'],
    ['a weight of nothing', task, 0, 'BAD_PLAN'],
    ['more than there is room for', task, 10_001, 'BAD_PLAN'],
    ['no number', task, Number.NaN, 'BAD_PLAN'],
    ['a weight where all weigh the same', plain, 5, 'TASK_MISMATCH'],
  ])('are refused before anything is sent: %s', (_what, of, weight, code) => {
    expect(() => valuesFor(of, update([1, 0, 0]), 'u', weight)).toThrow(expect.objectContaining({ code }));
  });

  it('weigh as many rows as they have, where they train on tables', async () => {
    const { tf } = await loadTensorFlow(['wasm']);
    const { regions } = loadDataset('synthetic', { size: 0.2 });
    const settings = {
      dataset: 'synthetic',
      window: 'w',
      recipients: ['owner'],
      nodes: 4,
      unit: 'node',
      epsilon: null,
    } as const;
    const made = makeTask({ ...settings, weightMax: 300 });
    const quantiser = quantiserOf(made.task);
    const maker = createModelMaker({
      store: { records: { get: async () => undefined, transact: async () => {} } as never },
    });
    const model = await maker.first(made.task);
    const sum = new Int32Array(made.task.dimension);
    const weights: number[] = [];
    for (const tables of regions) {
      const source = createNodeSource({ tf, tables, tasks: [made.task] });
      const round = { id: 'r', record: { number: 1, modelNumber: 0 } } as Round;
      using trained = (await source.train!(made.task, round, model))!;
      const integers = trained.integers(round, 1);
      // One node's weight, which nobody else may see: over so many draws of the noise that it shows.
      const draws = Array.from({ length: 400 }, () => trained.integers(round, 1).at(-1)!);
      const last = draws.reduce((total, value) => total + value, 0) / draws.length / quantiser.scale;
      const rows = encodeRegion(tables, datasetSchema('synthetic')).train.rows;
      expect(Math.abs(weightIn(made.task, Float64Array.of(last), 1) - Math.min(rows, 300))).toBeLessThan(45);
      weights.push(rows);
      for (const [j, value] of integers.entries()) sum[j]! += value;
    }
    expect(Math.max(...weights)).toBeGreaterThan(300);
    expect(Math.min(...weights)).toBeLessThan(200);
    const round = { phase: 'released', record: {}, decision: { attempt: { cohort: [1, 2, 3, 4] } } } as never;
    const next = modelFromTensors(
      specOf(parseLearningPlan(made.task)),
      decodeSafetensors(await maker.next(made.task, [{ round, values: sum }], model)),
    );
    // From zero, a step of the server is the mean itself, turned round.
    const mean = meanOf(made.task, dequantise(quantiser, sum), 4);
    for (const [j, value] of next.values.entries()) expect(value).toBeCloseTo(-mean[j]!, 5);
    expect(mean).toHaveLength(made.task.dimension - 1);
  });

  it('go with nothing that would bend them: records, compression, robust rules', () => {
    expect(taskField.safeParse(task).success).toBe(true);
    expect(taskField.safeParse({ ...task, unit: 'record' }).success).toBe(false);
    const tables = { dataset: 'synthetic', window: 'w', recipients: ['owner'], nodes: 8, weightMax: 300 } as const;
    for (const more of [
      { unit: 'record' },
      { unit: 'node', compression: { keep: 0.5 } },
      { unit: 'node', buckets: 2, aggregate: 'median' },
    ] as const)
      expect(() => makeTask({ ...tables, ...more })).toThrow(expect.objectContaining({ code: 'BAD_PLAN' }));
    expect(() => makeUpdatesTask({ ...request, weightMax: 0.5 })).toThrow(
      expect.objectContaining({ code: 'BAD_PLAN' }),
    );
  });
});
