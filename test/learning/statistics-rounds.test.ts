import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { taskHashOf } from '../../protocols/task.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { federationOf, plainSum } from '../../src/experiment/job.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { buildRows, splitRecords } from '../../src/learning/region-rows.ts';
import { decodeSafetensors, modelFromTensors } from '../../src/learning/safetensors.ts';
import { parseSchema } from '../../src/learning/schema.ts';
import { makeTable } from '../../src/learning/table.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { countedFeatures } from '../../src/statistics/columns.ts';
import { figuresOf } from '../../src/statistics/figures.ts';
import { keptFileOf } from '../../src/statistics/kept-file.ts';
import { makeStatisticsTask, noiseOf } from '../../src/statistics/make-statistics-task.ts';
import { noModel } from '../../src/statistics/no-model.ts';
import { withStatistics } from '../../src/statistics/node-statistics.ts';
import { type FiguresPlan, type PresencePlan, statisticsPlanOf } from '../../src/statistics/plan.ts';
import { besideStatistics } from '../../src/statistics/recipient-statistics.ts';
import { scaledFeatures } from '../../src/statistics/scaled-features.ts';
import { keptOf } from '../../src/statistics/threshold.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { budgetFor } from '../../src/training/budget.ts';
import { parseLearningPlan, specOf } from '../../src/training/learning-plan.ts';
import { type MadeTask, makeTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import { createNodeSource } from '../../src/training/node-source.ts';

let store: Store;
const folder = mkdtempSync(join(tmpdir(), 'veilsum-counted-'));
beforeAll(async () => {
  store = await openStore(join(folder, 'store'));
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const NODES = 4;
const SCHEMA = parseSchema({
  name: 'rounds',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  derive: {
    table: 'accounts',
    key: 'id',
    asOf: { date: '2026-01-01' },
    columns: [{ name: 'age', kind: 'since', column: 'since', days: 3650 }],
  },
  features: [
    { kind: 'number', column: 'seats', low: 0, high: 100 },
    { kind: 'number', column: 'age', low: 0, high: 3650, transform: 'sqrt' },
    { kind: 'levels', column: 'trade', levels: ['retail', 'energy', 'fishing'], base: 'retail' },
  ],
});

/** A third of the first region's accounts fish; nobody else's do. */
const regions = Array.from({ length: NODES }, (_, region) => {
  const rows = Array.from({ length: 700 }, (_, row) => ({
    id: `${region}-${row}`,
    seats: String(20 + ((row * 7) % 41)),
    since: `20${10 + (row % 15)}-06-01`,
    trade: region === 0 && row % 3 === 0 ? 'fishing' : ['retail', 'energy'][row % 2]!,
    won: (row * 7) % 41 > 20 ? 'yes' : 'no',
  }));
  const names = ['id', 'seats', 'since', 'trade', 'won'] as const;
  const accounts = makeTable(`region ${region}`, new Map(names.map((name) => [name, rows.map((row) => row[name])])));
  const input = { name: `region ${region}`, schema: SCHEMA, tables: new Map([['accounts', accounts]]), leakage: [] };
  return splitRecords(input.name, buildRows({ ...input, now: Date.parse('2026-02-01') }), SCHEMA);
});

it('two steps and training, each a whole round: the sums are exact, what one region alone has shows in none but the first', async () => {
  const { tf } = await loadTensorFlow(['wasm']);
  const base = { schema: SCHEMA, nodes: NODES, window: 'w1', recipients: ['recipient'], minHonest: 2, minCohort: 3 };
  const maker = besideStatistics(createModelMaker({ store }));
  /** A released round of a task over all regions, and what it opened to. */
  const run = async (
    made: MadeTask,
    tasks: readonly MadeTask[],
    model: Uint8Array,
    log?: Transcript,
    schema = SCHEMA,
  ) => {
    const all = tasks.map(({ task }) => task);
    const federation = await federationOf(made, NODES);
    const updates = new Map<string, Int32Array>();
    for (const [i, name] of federation.nodeNames.entries()) {
      const training = createNodeSource({ tf, tables: regions[i]!, tasks: [], schemas: [schema] });
      const source = withStatistics(training, { tables: regions[i]!, tasks: all, schemas: [schema] });
      updates.set(name, (await source.update(made.task, undefined as never, model, log))!);
    }
    const round = federation.runRound(1, updates);
    if (round.phase !== 'released') throw new Error('not released');
    const { values } = federation.openings.get(round.id)!;
    expect(values).toEqual(plainSum(updates, updates.keys()));
    return { round, values };
  };

  const first = makeStatisticsTask({ ...base, epsilon: 2 });
  const plan = statisticsPlanOf(first.task) as PresencePlan;
  const model = await maker.first(first.task);
  expect(model).toEqual(noModel());
  const shown = await run(first, [first], model);
  expect(await maker.next(first.task, [shown], model)).toEqual(model);
  const { scale } = first.task;
  const kept = keptOf(plan, shown.values, noiseOf(first.task, NODES), scale);
  const { id, resultHash, record } = shown.round;
  // In memory every round is of a task of its own; the log that nodes are shown says ours.
  const taskHash = taskHashOf(nodePrimitives, first.task);
  const log = { rounds: new Map([[id, { ...shown.round, record: { ...record, taskHash } }]]) } as unknown as Transcript;
  const file = keptFileOf(plan, SCHEMA, kept, { taskHash, roundId: id, resultHash });
  expect(file.columns[2]!.names).toEqual(['retail', 'energy']);

  const second = makeStatisticsTask({ ...base, epsilon: 2, kept: file });
  const counted = statisticsPlanOf(second.task) as FiguresPlan;
  const sum = await run(second, [first, second], model, log);
  const values = Float64Array.from(sum.values, (value) => value / second.task.scale);
  const found = figuresOf(counted, countedFeatures(SCHEMA), values, noiseOf(second.task, NODES));
  const scaled = scaledFeatures(SCHEMA, counted, found);
  const [seats, age, trade] = scaled.features;
  expect(seats).toMatchObject({ mean: expect.closeTo(40, 0), scale: expect.closeTo(11.8, 0) });
  expect(age).toMatchObject({ transform: 'sqrt', mean: expect.closeTo(53, -1) });
  expect(trade).toMatchObject({ levels: ['retail', 'energy'], rare: false });

  // Training begins where statistics left: with its own first model, which every node makes for itself.
  const made = makeTask({ ...base, dataset: 'synthetic', schema: scaled, rounds: 2, epsilon: 4 });
  const spent = first.rhoNano + second.rhoNano + made.rhoNano;
  expect(spent).toBeLessThanOrEqual(budgetFor(8, 1e-5).rhoNano);
  const trained = await run(made, [made], model, undefined, scaled);
  const spec = specOf(parseLearningPlan(made.task));
  const next = modelFromTensors(spec, decodeSafetensors(await maker.next(made.task, [trained], model)));
  const weight = next.values[1]!;
  expect(weight).toBeGreaterThan(0);
}, 60_000);
