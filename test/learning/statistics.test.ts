import { resolve } from 'node:path';
import fc from 'fast-check';
import { mean, quantileSorted, variance } from 'simple-statistics';
import { describe, expect, it, vi } from 'vitest';
import { quantise } from '../../crypto/quantise.ts';
import { taskFitsGenesis } from '../../protocols/minimums.ts';
import type { Task } from '../../protocols/task.ts';
import { chargeOfTask, taskHashOf } from '../../protocols/task.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { LearningError } from '../../src/learning/errors.ts';
import { readFeatureFile } from '../../src/learning/feature-file.ts';
import { designColumns, encodeTable } from '../../src/learning/features.ts';
import { type FeatureSchema, type NumberFeature, parseSchema } from '../../src/learning/schema.ts';
import { column, makeTable, selectRows, type Table } from '../../src/learning/table.ts';
import type { UpdateSource } from '../../src/party/node.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { countedFeatures } from '../../src/statistics/columns.ts';
import { type Figure, figuresOf, type NumberFigures } from '../../src/statistics/figures.ts';
import { keptFileOf } from '../../src/statistics/kept-file.ts';
import { makeStatisticsTask, noiseOf } from '../../src/statistics/make-statistics-task.ts';
import { noModel } from '../../src/statistics/no-model.ts';
import { withStatistics } from '../../src/statistics/node-statistics.ts';
import { type FiguresPlan, layoutOf, type PresencePlan, statisticsPlanOf } from '../../src/statistics/plan.ts';
import { statisticsQuantiser } from '../../src/statistics/quantiser.ts';
import { scaledFeatures } from '../../src/statistics/scaled-features.ts';
import { hiddenAtMost, keptOf, marginOf, thresholdOf } from '../../src/statistics/threshold.ts';
import { statisticsVector } from '../../src/statistics/vector.ts';
import { budgetFor } from '../../src/training/budget.ts';
import { TrainingError } from '../../src/training/errors.ts';
import { parseLearningPlan } from '../../src/training/learning-plan.ts';
import { countingRng } from '../reference/memory-round.ts';

const SCHEMA = parseSchema({
  name: 'counted',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  features: [
    { kind: 'number', column: 'seats', low: 0, high: 1000, transform: 'log1p' },
    { kind: 'number', column: 'discount', low: 0, high: 32, missing: 0 },
    { kind: 'bands', column: 'age', edges: [30, 50], base: 0 },
    { kind: 'levels', column: 'trade', levels: ['retail', ['energy', 'Oil'], 'fishing'], base: 'fishing' },
    { kind: 'text', column: 'said', buckets: 64, words: [1], seed: 'counted/1' },
  ],
});
const NODES = 4;
const ROWS = 900;
const base = { schema: SCHEMA, nodes: NODES, window: 'w1', recipients: ['owner'], recordsMax: 2000 } as const;

/** Rows of a node. 'fishing' is at the first one alone, with a word that nobody else says. */
function tableOf(node: number): Table {
  let state = 100 + node;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const rows = Array.from({ length: ROWS }, () => {
    const isOwn = node === 0 && random() < 0.4;
    const trade = isOwn ? 'fishing' : ['retail', ' OIL', 'energy', 'music'][Math.floor(random() * 4)]!;
    return {
      seats: String(Math.round(Math.exp(3 + random() + random() - 1))),
      discount: random() < 0.1 ? '' : (10 + 10 * (random() + random() - 1)).toFixed(2),
      age: '40',
      trade,
      said: isOwn ? 'boats' : ['call me', 'send the quote'][Math.floor(random() * 2)]!,
      won: random() < 0.5 ? 'yes' : 'no',
    };
  });
  const names = ['seats', 'discount', 'age', 'trade', 'said', 'won'] as const;
  return makeTable(`node ${node}`, new Map(names.map((name) => [name, rows.map((row) => row[name])])));
}

const tables = Array.from({ length: NODES }, (_, node) => tableOf(node));
const pooled = makeTable(
  'pooled',
  new Map([...tables[0]!.columns.keys()].map((name) => [name, tables.flatMap((table) => column(table, name))])),
);
const presence = makeStatisticsTask({ ...base, epsilon: 2 });
const presencePlan = statisticsPlanOf(presence.task) as PresencePlan;
/** A log in which the first step was released. */
const RELEASED = {
  taskHash: taskHashOf(nodePrimitives, presence.task),
  roundId: '1'.repeat(64),
  resultHash: '2'.repeat(64),
};
const log = logOf({ phase: 'released', resultHash: RELEASED.resultHash, record: { taskHash: RELEASED.taskHash } });

function logOf(round: object): Transcript {
  return { rounds: new Map([[RELEASED.roundId, round]]) } as unknown as Transcript;
}

/** Everything passed but the third level and most buckets. */
function figuresTask(kept: number[][], over: object = {}): Task {
  const file = keptFileOf(presencePlan, SCHEMA, kept, RELEASED);
  return makeStatisticsTask({ ...base, epsilon: 2, kept: file, ...over }).task;
}

const never: UpdateSource = { update: () => Promise.reject(new Error('asked to train')) };
const sourceOf = (table: Table, tasks: readonly Task[], over: { schemas?: FeatureSchema[]; seed?: number } = {}) =>
  withStatistics(never, {
    tables: partsOf(table),
    tasks,
    schemas: over.schemas ?? [SCHEMA],
    rng: countingRng(`statistics ${over.seed ?? 1}`),
  });

/** A table cut in two, as training has it: nothing depends on where. */
function partsOf(table: Table): { train: Table; heldOut: Table } {
  const rows = [...Array(table.rowCount).keys()];
  return { train: selectRows(table, rows.slice(100)), heldOut: selectRows(table, rows.slice(0, 100)) };
}

/** The sum of all nodes' answers, as it would be opened. */
async function opened(task: Task, tasks: readonly Task[] = [presence.task, task]): Promise<Int32Array> {
  const sum = new Int32Array(task.dimension);
  for (const [node, table] of tables.entries()) {
    const values = await sourceOf(table, tasks, { seed: node }).update(task, undefined as never, noModel(), log);
    for (const [i, value] of values!.entries()) sum[i]! += value;
  }
  return sum;
}

const stepsOf = (task: Task, vector: Float64Array) => vector.map((value) => value * task.scale);
const sumOf = (vectors: readonly Float64Array[]) =>
  vectors.reduce((sum, vector) => sum.map((value, i) => value + vector[i]!));

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof TrainingError || error instanceof LearningError) return error.code;
    throw error;
  }
  return 'nothing';
}

describe('what a node adds to a round of figures', () => {
  const kept = [[...Array(32).keys()], [10, 16, 20], [0, 1], [...Array(64).keys()]];
  const task = figuresTask(kept);
  const plan = statisticsPlanOf(task) as FiguresPlan;

  it('adds up to the pooled table, in whole steps', () => {
    const own = tables.map((table) => stepsOf(task, statisticsVector([table], SCHEMA, plan, task.scale)));
    const all = stepsOf(task, statisticsVector([pooled], SCHEMA, { ...plan, recordsMax: NODES * ROWS }, task.scale));
    expect(sumOf(own)).toEqual(all);
    expect(all.every(Number.isSafeInteger)).toBe(true);
    // All rows of a node count, however they are cut; so does the cap, once for all of them.
    for (const each of [plan, { ...presencePlan, cap: 90 }]) {
      const { train, heldOut } = partsOf(tables[0]!);
      const whole = statisticsVector([tables[0]!], SCHEMA, each, task.scale);
      expect(statisticsVector([train, heldOut], SCHEMA, each, task.scale)).toEqual(whole);
    }
    // Nothing is lost or added by rounding what is whole already.
    const seed = new Uint8Array(32).fill(7);
    const quantiser = statisticsQuantiser(task, plan);
    const vector = statisticsVector([tables[0]!], SCHEMA, plan, task.scale);
    expect([...quantise(quantiser, nodePrimitives, seed, vector)]).toEqual([...own[0]!]);
  });

  it('is the sums that simple-statistics makes of the pooled cells', () => {
    const vector = statisticsVector([pooled], SCHEMA, { ...plan, recordsMax: NODES * ROWS }, task.scale);
    const [seats, discount, trade, said] = layoutOf(plan).places;
    expect(vector[0]).toBe(NODES * ROWS);
    const cells = column(pooled, 'discount')
      .filter((cell) => cell !== '')
      .map(Number);
    const [n, total, squares] = [0, 1, 2].map((i) => vector[discount!.moments! + i]!) as [number, number, number];
    expect(n).toBe(cells.length);
    const m = total / n;
    // Clamped to where the kept bins lie, from 10 to 21.
    const clamped = cells.map((x) => Math.min(21, Math.max(10, x)));
    expect(15.5 + 5.5 * m).toBeCloseTo(mean(clamped), 3);
    expect(5.5 ** 2 * (squares / n - m ** 2)).toBeCloseTo(variance(clamped), 1);
    // A histogram of three bins counts every value, with the nearest kept bin below it.
    const bins = [0, 1, 2].map((i) => vector[discount!.counts + i]!);
    const edges = [Number.NEGATIVE_INFINITY, 16, 20, Number.POSITIVE_INFINITY];
    expect(bins).toEqual([0, 1, 2].map((i) => cells.filter((x) => x >= edges[i]! && x < edges[i + 1]!).length));
    const logs = column(pooled, 'seats').map((cell) => Math.log1p(Number(cell)));
    const half = Math.log1p(1000) / 2;
    expect(half + (half * vector[seats!.moments! + 1]!) / logs.length).toBeCloseTo(mean(logs), 3);
    const count = (...names: string[]) =>
      column(pooled, 'trade').filter((cell) => names.includes(cell.trim().toLowerCase())).length;
    // What did not pass is counted with the first level, for the base did not pass either.
    const rest = count('fishing', 'music');
    expect([0, 1].map((i) => vector[trade!.counts + i])).toEqual([count('retail') + rest, count('energy', 'oil')]);
    // Of texts the second step asks nothing. In the first one a row's words are counted once each.
    expect([said!.counted, said!.counts]).toEqual([[], vector.length]);
    const plain = { ...presencePlan, recordsMax: NODES * ROWS, cap: NODES * ROWS };
    const first = statisticsVector([pooled], SCHEMA, plain, task.scale);
    const texts = column(pooled, 'said').reduce((sum, cell) => sum + cell.split(' ').length, 0);
    expect(first.slice(layoutOf(plain).places[3]!.counts).reduce((sum, value) => sum + value, 0)).toBe(texts);
  });

  it('carries noise of the variance that its quantiser says, within a bound that one sum in 10^9 leaves', async () => {
    const sum = await opened(task);
    const plain = stepsOf(task, statisticsVector([pooled], SCHEMA, { ...plan, recordsMax: NODES * ROWS }, task.scale));
    const noise = noiseOf(task, NODES) * task.scale;
    const bound = noise * Math.sqrt(2 * Math.log((2 * task.dimension) / 1e-9));
    const errors = [...sum].map((value, i) => value - plain[i]!);
    expect(Math.max(...errors.map(Math.abs))).toBeLessThan(bound);
    expect(Math.sqrt(variance(errors)) / noise).toBeGreaterThan(0.7);
    expect(Math.sqrt(variance(errors)) / noise).toBeLessThan(1.3);
    // Its figures are the pooled ones, give or take their noise.
    const values = Float64Array.from(sum, (value) => value / task.scale);
    const found = figuresOf(plan, countedFeatures(SCHEMA), values, noiseOf(task, NODES));
    const discount = found[1] as NumberFigures;
    const cells = column(pooled, 'discount')
      .filter((cell) => cell !== '')
      .map(Number);
    const near = (figure: Figure, truth: number, more = 0) =>
      expect(Math.abs(figure.value - truth)).toBeLessThan(6 * figure.noise + more);
    near(discount.count, cells.length);
    const clamped = cells.map((x) => Math.min(21, Math.max(10, x)));
    near(discount.mean, mean(clamped), 0.01);
    near(discount.deviation, Math.sqrt(variance(clamped)), 0.01);
    const logs = column(pooled, 'seats').map((cell) => Math.log1p(Number(cell)));
    const sorted = logs.sort((a, b) => a - b);
    const width = Math.log1p(1000) / 32;
    for (const one of (found[0] as NumberFigures).quantiles) {
      expect(one.is).toBe('at');
      near(one, quantileSorted(sorted, one.part), width);
    }
    // Bins 10, 16 and 20 passed: a number below 16 may be anywhere there, and so may one above 20.
    const [, , median] = discount.quantiles;
    expect(median).toMatchObject({ part: 0.5, is: 'below', value: 16, noise: 0 });
  });
});

describe('one record more or less', () => {
  const rowOf = fc.record({
    seats: fc.oneof(fc.constant(''), fc.double({ min: -1e4, max: 1e4, noNaN: true }).map(String)),
    discount: fc.oneof(fc.constant(''), fc.constant('32'), fc.double({ min: -30, max: 70, noNaN: true }).map(String)),
    trade: fc.constantFrom('retail', 'oil', 'fishing', 'music', ''),
    said: fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 40 }).map((words) => words.join(' ')),
  });
  const names = ['seats', 'discount', 'trade', 'said'] as const;
  const tableFrom = (rows: readonly Record<(typeof names)[number], string>[]) =>
    makeTable('rows', new Map(names.map((name) => [name, rows.map((row) => row[name])])));
  const steps = 4096;
  const figures = statisticsPlanOf(figuresTask([[3, 9], [0, 31], [1, 2], [...Array(64).keys()]])) as FiguresPlan;
  const moved2 = (plan: PresencePlan | FiguresPlan, table: Table): bigint => {
    const vectors = [table, selectRows(table, [...Array(table.rowCount - 1).keys()])].map((rows) =>
      statisticsVector([rows], SCHEMA, plan, steps),
    );
    return [...vectors[0]!].reduce((sum, value, i) => {
      const difference = (value - vectors[1]![i]!) * steps;
      expect(Number.isSafeInteger(difference)).toBe(true);
      return sum + BigInt(difference) ** 2n;
    }, 0n);
  };

  it('never moves a vector further than the task states', () => {
    const plans = [{ ...presencePlan, cap: 2 }, presencePlan, figures];
    const property = fc.property(fc.array(rowOf, { minLength: 1, maxLength: 6 }), (rows) => {
      for (const plan of plans) {
        const bound = BigInt(layoutOf(plan).norm2) * BigInt(steps) ** 2n;
        expect(moved2(plan, tableFrom(rows)) <= bound).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 60 });
  });

  it('moves it just as far, where it has everything that counts', () => {
    const words = Array.from({ length: 60 }, (_, i) => `w${i}`).join(' ');
    const full = { seats: '5000', discount: '32', trade: 'oil', said: words };
    const table = tableFrom([full, full]);
    for (const plan of [presencePlan, figures])
      expect(moved2(plan, table)).toBe(BigInt(layoutOf(plan).norm2) * BigInt(steps) ** 2n);
    expect(BigInt(presence.task.sensitivity2)).toBe(BigInt(layoutOf(presencePlan).norm2 * presence.task.scale ** 2));
    // Under the cap alone: where a node's count is full, it is not moved at all.
    expect(moved2({ ...presencePlan, cap: 1 }, table)).toBe(0n);
  });
});

describe('a value that one node alone has', () => {
  it('does not pass, however many customers it has there; by a rule of plain counts it would', async () => {
    const { task } = presence;
    const noise = noiseOf(task, NODES);
    const kept = keptOf(presencePlan, await opened(task), noise, task.scale);
    const passed = keptFileOf(presencePlan, SCHEMA, kept, RELEASED).columns;
    expect(passed.find(({ column: name }) => name === 'trade')!.names).toEqual(['retail', 'energy']);
    expect(passed.find(({ column: name }) => name === 'said')!.names).toHaveLength(5);
    // Control: with a threshold on plain counts in the module's place, what is made and read by the same code lets it through.
    vi.resetModules();
    vi.doMock('../../src/statistics/threshold.ts', async (load) => ({
      ...(await load<object>()),
      capFor: () => base.recordsMax,
      keptOf: (plan: PresencePlan, sum: Int32Array, deviation: number, steps: number) => {
        const least = (plan.leastCustomers + marginOf(deviation, plan.doubt)) * steps;
        return layoutOf(plan).places.map(({ counted, counts }) => counted.filter((_, i) => sum[counts + i]! >= least));
      },
    }));
    try {
      const careless = await import('../../src/statistics/make-statistics-task.ts');
      const { keptOf: letThrough } = await import('../../src/statistics/threshold.ts');
      const plain = careless.makeStatisticsTask({ ...base, epsilon: 2 }).task;
      const plan = statisticsPlanOf(plain) as PresencePlan;
      expect(letThrough(plan, await opened(plain, [plain]), noise, plain.scale)[2]).toContain(2);
    } finally {
      vi.doUnmock('../../src/statistics/threshold.ts');
      vi.resetModules();
    }
    expect(kept[2]).not.toContain(2);
  });

  it('passes and is missed as seldom as is said: over all sums that fewer nodes, or just enough of them, can make', () => {
    const noise = noiseOf(presence.task, NODES);
    const { cap, leastNodes, leastCustomers, doubt } = presencePlan;
    const threshold = thresholdOf(presencePlan, noise);
    // The most that too few nodes, or too few customers, can add up to.
    const most = Math.max((leastNodes - 1) * cap, leastCustomers - 1);
    const tail = (r: number): number => Math.exp(-((r / noise) ** 2) / 2);
    expect(tail(threshold - most)).toBeLessThanOrEqual(10 ** -doubt * (1 + 1e-9));
    expect(hiddenAtMost(presencePlan, noise, leastNodes * cap)).toBeLessThanOrEqual(10 ** -doubt);
    expect(hiddenAtMost(presencePlan, noise, threshold)).toBe(1);
    // Where few are asked for, the noise sets the cap; where many are, they do.
    const many = statisticsPlanOf(
      makeStatisticsTask({ ...base, epsilon: 8, leastCustomers: 1000 }).task,
    ) as PresencePlan;
    expect(many.cap).toBe(999);
    expect(cap).toBe(Math.ceil(2 * marginOf(noise, doubt)));
  });
});

describe('what did not pass', () => {
  const task = figuresTask([[3], [4], [0, 1], []]);
  const plan = statisticsPlanOf(task) as FiguresPlan;
  const trades = ['retail', 'oil', 'retail', 'fishing'];
  const blank = trades.map(() => '');
  const table = makeTable(
    'few',
    new Map([...['seats', 'discount', 'said'].map((name) => [name, blank] as const), ['trade', trades]]),
  );
  const { counts } = layoutOf(plan).places[2]!;
  /** Records less all levels that passed: what anybody makes of the figures. */
  const left = (vector: Float64Array): number => vector[0]! - vector[counts]! - vector[counts + 1]!;

  it('is no figure by subtraction, and no coordinate of the model either', async () => {
    expect(left(statisticsVector([table], SCHEMA, plan, 1))).toBe(0);
    const scaled = scaledFeatures(
      SCHEMA,
      plan,
      figuresOf(plan, countedFeatures(SCHEMA), new Float64Array(task.dimension), 1),
    );
    expect(designColumns(scaled).filter((name) => name.startsWith('trade'))).toEqual(['trade=energy']);
    // Control: with what is left counted nowhere the one customer that fishes shows.
    vi.resetModules();
    vi.doMock('../../src/statistics/columns.ts', async (load) => ({ ...(await load<object>()), restOf: () => -1 }));
    try {
      const careless = await import('../../src/statistics/vector.ts');
      expect(left(careless.statisticsVector([table], SCHEMA, plan, 1))).toBe(1);
    } finally {
      vi.doUnmock('../../src/statistics/columns.ts');
      vi.resetModules();
    }
  });
});

describe('the second step', () => {
  const kept = [[...Array(32).keys()], [...Array(32).keys()], [0, 1], [3, 40]];
  const task = figuresTask(kept);
  const update = (tasks: readonly Task[], seen: Transcript | undefined) =>
    sourceOf(tables[0]!, tasks).update(task, undefined as never, noModel(), seen);

  it('is answered after a first one that the log has, and not otherwise', async () => {
    const both = [presence.task, task];
    expect((await update(both, log))!.length).toBe(task.dimension);
    const { resultHash } = RELEASED;
    const record = { taskHash: RELEASED.taskHash };
    for (const seen of [
      undefined,
      { rounds: new Map() } as unknown as Transcript,
      logOf({ phase: 'decided', record }),
      logOf({ phase: 'released', resultHash: '3'.repeat(64), record }),
      logOf({ phase: 'released', resultHash, record: { taskHash: '4'.repeat(64) } }),
    ])
      expect(await codeOf(() => update(both, seen))).toBe('NOT_PRECEDED');
    expect(await codeOf(() => update([task], log))).toBe('NOT_PRECEDED');
  });

  it('gives a feature file to train with: scales, limits, levels and coordinates', async () => {
    const plan = statisticsPlanOf(task) as FiguresPlan;
    const noise = noiseOf(task, NODES);
    const values = Float64Array.from(await opened(task), (value) => value / task.scale);
    const found = figuresOf(plan, countedFeatures(SCHEMA), values, noise);
    const scaled = scaledFeatures(SCHEMA, plan, found);
    const [, discount, bands, trade, said] = scaled.features;
    const cells = column(pooled, 'discount')
      .filter((cell) => cell !== '')
      .map(Number);
    expect((discount as NumberFeature).mean).toBeCloseTo(mean(cells), 0);
    expect((discount as NumberFeature).scale).toBeCloseTo(Math.sqrt(variance(cells)), 0);
    expect((discount as NumberFeature).limit).toBeLessThan(4);
    expect(bands).toEqual(SCHEMA.features[2]);
    // The base did not pass: the first level that did takes its place, and all others are with it.
    expect(trade).toMatchObject({ levels: ['retail', ['energy', 'Oil']], base: 'retail', rare: false });
    expect(said).toMatchObject({ coordinates: [3, 40] });
    expect(designColumns(scaled).filter((name) => name.startsWith('said'))).toEqual(['said~3', 'said~40']);
    expect(parseSchema(JSON.parse(JSON.stringify(scaled)))).toEqual(scaled);
    const matrix = encodeTable(tables[0]!, scaled);
    const own = [...Array(matrix.rows).keys()].map((row) => matrix.x[row * matrix.width + 2]!);
    expect(Math.abs(mean(own))).toBeLessThan(0.2);
    expect(Math.sqrt(variance(own))).toBeCloseTo(1, 0);
  });

  it('leaves out columns of which nothing passed, and keeps numbers by their bounds', async () => {
    const plan = statisticsPlanOf(figuresTask([[], [1, 30], [], []])) as FiguresPlan;
    expect(layoutOf(plan)).toMatchObject({ dimension: 1 + 5, norm2: 1 + 4 });
    const found = figuresOf(plan, countedFeatures(SCHEMA), new Float64Array(6), 1);
    const scaled = scaledFeatures(SCHEMA, plan, found);
    expect(scaled.features.map(({ column: name }) => name)).toEqual(['seats', 'discount', 'age']);
    expect(scaled.features.slice(0, 2)).toEqual(SCHEMA.features.slice(0, 2));
    // Nor is there a column in which all rows are the same.
    const single = { ...plan, kept: [[], [1, 30], [1], []] };
    const alone = figuresOf(single, countedFeatures(SCHEMA), new Float64Array(7), 1);
    expect(scaledFeatures(SCHEMA, single, alone)).toEqual(scaled);
    // Too few values for their noise are refused, not divided by; with enough of them there is a mean.
    expect(found[1]).toMatchObject({ refused: expect.stringContaining('about 0 records') });
    const enough = figuresOf(plan, countedFeatures(SCHEMA), Float64Array.of(100, 100, 10, 20, 50, 50), 1);
    expect((enough[1] as NumberFigures).mean.value).toBeCloseTo(16 + 15 * 0.1, 9);
    // Nothing is known beyond bins 1 and 30: the file's own limit, 4, or the bounds, which are nearer.
    expect(scaledFeatures(SCHEMA, plan, enough).features[1]).toMatchObject({ mean: 17.5, scale: 6.538, limit: 2.7 });
    const flat = figuresOf(plan, countedFeatures(SCHEMA), Float64Array.of(100, 100, 10, 1.05, 50, 50), 1);
    expect(flat[1]).toMatchObject({ refused: expect.stringContaining('variance') });
  });
});

it('the feature file in docs/examples is one that can be counted with', () => {
  const path = resolve(import.meta.dirname, '../../docs/examples/counted-features.yaml');
  const { task } = makeStatisticsTask({ ...base, schema: readFeatureFile(path, (own) => own) });
  expect(task.dimension).toBe(2 * 32 + 5 + 64);
});

describe('what does not go together is refused by name', () => {
  const { task } = presence;
  const change = (from: object, over: object): Task => ({ ...task, ...from, learning: { ...task.learning, ...over } });

  it('a number without bounds, or with bounds that mean nothing', async () => {
    const number = (over: object) =>
      parseSchema({ ...SCHEMA, features: [{ kind: 'number', column: 'seats', ...over }] });
    const scaled = { mean: 0, scale: 1 };
    const refused = (over: object) => codeOf(() => makeStatisticsTask({ ...base, schema: number(over) }));
    expect(await refused(scaled)).toBe('NO_BOUNDS');
    expect(await refused({ ...scaled, low: 0, high: 10 })).toBe('nothing');
    expect(await refused({ low: 0, high: 10 })).toBe('nothing');
    for (const bounds of [
      {},
      { low: 0 },
      { low: 5, high: 5 },
      { low: -1, high: 5, transform: 'sqrt' },
      { low: Number.NaN, high: 1 },
    ])
      expect(await refused(bounds)).toBe('BAD_SCHEMA');
    // Scaled by its bounds, where nothing else is said.
    expect(number({ low: 0, high: 10 }).features[0]).toMatchObject({ mean: 5, scale: 5 });
  });

  it('a node with another feature file, a cell that is no number, more rows than are agreed', async () => {
    const ask = (schemas: FeatureSchema[], table = tables[0]!) => codeOf(() => sourceOf(table, [task], { schemas }));
    expect(await ask([SCHEMA])).toBe('nothing');
    const [seats, ...others] = SCHEMA.features;
    const wider = parseSchema({ ...SCHEMA, features: [{ ...seats, high: 2000 }, ...others] });
    expect(await ask([wider])).toBe('SCHEMA_MISMATCH');
    expect(await ask([])).toBe('SCHEMA_MISMATCH');
    const spoilt = (cell: string) =>
      makeTable('spoilt', new Map(tables[0]!.columns).set('seats', [cell, ...column(tables[0]!, 'seats').slice(1)]));
    expect(await ask([SCHEMA], spoilt('7'))).toBe('nothing');
    for (const cell of ['NaN', 'Infinity', 'seven']) expect(await ask([SCHEMA], spoilt(cell))).toBe('BAD_NUMBER');
    const rare = parseSchema({ ...SCHEMA, suppress: { fewerThan: 5, columns: ['trade'] } });
    expect(await codeOf(() => makeStatisticsTask({ ...base, schema: rare }))).toBe('UNACCOUNTED');
    const few = makeStatisticsTask({ ...base, recordsMax: 899, epsilon: 8 }).task;
    expect(await codeOf(() => sourceOf(tables[0]!, [few]))).toBe('TOO_LARGE');
  });

  it('a task that states less than its plan can move, or a plan that is no such plan', async () => {
    const ask = (wrong: Task) => codeOf(() => sourceOf(tables[0]!, [wrong]));
    expect(await ask(task)).toBe('nothing');
    expect(await ask({ ...task, sensitivity2: String(BigInt(task.sensitivity2) - 1n) })).toBe('TASK_MISMATCH');
    expect(await ask({ ...task, bits: task.bits - 1 })).toBe('TASK_MISMATCH');
    expect(await ask({ ...task, clipMicro: task.clipMicro - 1 })).toBe('TASK_MISMATCH');
    expect(await ask(change({}, { cap: 0 }))).toBe('BAD_PLAN');
    // A threshold of one cap of 18 and the margin: 19 customers would pass, where the plan says 20; nor one value in a hundred.
    expect(await ask(change({}, { cap: 19 }))).toBe('nothing');
    expect(() => sourceOf(tables[0]!, [change({}, { cap: 18 })])).toThrow(/fewer than 20 customers/);
    expect(await ask(change({}, { doubt: 5 }))).toBe('BAD_PLAN');
    expect(await ask(change({ dimension: task.dimension - 1 }, {}))).toBe('BAD_PLAN');
    expect(await ask(change({ unit: 'node' }, {}))).toBe('BAD_PLAN');
    expect(await ask(change({ buckets: 2 }, {}))).toBe('BAD_PLAN');
    expect(await ask(change({ oneShot: { buffer: 3, maxStaleness: 0 } }, {}))).toBe('BAD_PLAN');
    expect(await ask(change({}, { leastNodes: 1 }))).toBe('BAD_PLAN');
    const endless = Array.from({ length: 1024 }, () => ({ ...presencePlan.columns[0]!, candidates: 4096 }));
    expect(() => sourceOf(tables[0]!, [change({}, { columns: endless })])).toThrow(/more than 65536 candidates/);
    expect(await codeOf(() => parseLearningPlan(task))).toBe('BAD_PLAN');
    expect(() => parseLearningPlan(task)).toThrow(/counts, and trains no model/);
    const [first] = presencePlan.columns;
    const fewer = presencePlan.columns.map((one) => (one === first ? { ...first!, column: 'another' } : one));
    expect(await ask(change({}, { columns: fewer }))).toBe('SCHEMA_MISMATCH');
    expect(await codeOf(() => figuresTask([[3, 3], [], [], []]))).toBe('BAD_PLAN');
    expect(await codeOf(() => figuresTask([[32], [], [], []]))).toBe('BAD_PLAN');
    expect(await codeOf(() => makeStatisticsTask({ ...base, leastNodes: 5 }))).toBe('BAD_PLAN');
    expect(await codeOf(() => makeStatisticsTask({ ...base, recordsMax: 40 }))).toBe('DOES_NOT_FIT');
    const other = parseSchema({ ...SCHEMA, name: 'other' });
    expect(await codeOf(() => figuresTask([[1], [1], [1], [1]], { schema: other }))).toBe('SCHEMA_MISMATCH');
  });

  it('nothing costs more than was asked for', () => {
    for (const epsilon of [0.1, 1, 5]) {
      const made = makeStatisticsTask({ ...base, recordsMax: 16_384, epsilon });
      expect(chargeOfTask(made.task)).toBeLessThanOrEqual(budgetFor(epsilon, 1e-5).rhoNano);
      expect(made.epsilonPerRound).toBeGreaterThan(0.99 * epsilon);
    }
    // A federation takes both steps: what a task states of a record's norm is not above its sensitivity.
    const foundations = {
      minimums: { cohort: 3, organisations: 3, honest: 2 },
      budget: { unit: 'record' as const, ...budgetFor(8, 1e-5) },
    };
    const fits = (fitting: Task) => taskFitsGenesis(foundations, { members: 5, threshold: 3 }, fitting);
    const second = figuresTask([[3], [4], [0], []]);
    expect([fits(task), fits(second)]).toEqual([null, null]);
    expect(fits({ ...second, clipMicro: second.clipMicro + 1 })).toMatchObject({ rejected: 'CHARGE_MISMATCH' });
  });
});
