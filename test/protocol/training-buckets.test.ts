import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskFitsGenesis } from '../../protocols/minimums.ts';
import type { Round } from '../../protocols/transcript.ts';
import { AGGREGATES } from '../../src/learning/aggregates.ts';
import { decodeSafetensors } from '../../src/learning/safetensors.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { parseLearningPlan } from '../../src/training/learning-plan.ts';
import { makeTask, makeUpdatesTask } from '../../src/training/make-task.ts';
import { createModelMaker, type RoundOutcome } from '../../src/training/model-maker.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-buckets-'));
let store: Store;
beforeAll(async () => {
  store = await openStore(folder);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const base = { dataset: 'synthetic', window: 'w', recipients: ['owner'], nodes: 20, buckets: 5 } as const;
const bucketOf = (nodes: number): Round =>
  ({
    phase: 'released',
    id: `${nodes}`,
    record: { number: 1 },
    decision: { attempt: { cohort: Array(nodes).fill({}) } },
  }) as unknown as Round;

describe('a task with buckets', () => {
  it('has minimums of one bucket, noise for every charge of the log, and fits a federation that can pay all of them', () => {
    const { task, rounds, rhoNano, rhoNanoPerRound, budget } = makeTask({ ...base, rounds: 10 });
    expect(task).toMatchObject({ buckets: 5, minCohort: 3, minHonest: 2 });
    expect(rhoNano).toBe(rounds * 5 * rhoNanoPerRound);
    expect(rhoNano).toBeLessThanOrEqual(budget.rhoNano);
    const minimums = { cohort: 3, organisations: 2, honest: 2 };
    const fits = (rhoOfLog: number) =>
      taskFitsGenesis(
        { minimums, budget: { ...budget, unit: 'record', rhoNano: rhoOfLog } },
        { members: 5, threshold: 3 },
        task,
      )?.rejected ?? 'fits';
    expect(fits(5 * rhoNanoPerRound)).toBe('fits');
    expect(fits(5 * rhoNanoPerRound - 1)).toBe('BUDGET_EXCEEDED');
  });

  it('is refused where a bucket would be smaller than a sum may be, and a rule where there are none', () => {
    const refusal = (make: () => unknown) => expect(make).toThrow(expect.objectContaining({ code: 'BAD_PLAN' }));
    refusal(() => makeTask({ ...base, nodes: 14, minCohort: 3 }));
    refusal(() => makeTask({ ...base, buckets: 1 }));
    refusal(() => makeTask({ ...base, buckets: 65, nodes: 1000 }));
    const { buckets: _, ...without } = base;
    const { task } = makeTask({ ...without, aggregate: 'median' });
    refusal(() => parseLearningPlan(task));
  });
});

describe.each(AGGREGATES)('the next model by %s', (rule) => {
  it('of buckets that agree is that of one sum, for either unit', async () => {
    for (const unit of ['node', 'record'] as const) {
      const { task } = makeTask({ ...base, unit, aggregate: rule, task: `${unit} ${rule}` });
      const outcomes: RoundOutcome[] = [];
      const maker = createModelMaker({ store, onOutcome: (outcome) => outcomes.push(outcome) });
      const first = await maker.first(task);
      const part = Int32Array.from({ length: task.dimension }, (_, i) => 4 * ((i % 7) + 1) * 10);
      const five = await maker.next(
        task,
        Array.from({ length: 5 }, () => ({ round: bucketOf(4), values: part })),
        first,
      );
      const one = await maker.next(task, [{ round: bucketOf(20), values: part.map((value) => 5 * value) }], first);
      const [a, b] = [five, one].map((bytes) => [...decodeSafetensors(bytes)[0]!.values]);
      for (const [i, value] of a!.entries()) expect(value).toBeCloseTo(b![i]!, 5);
      expect(outcomes.map(({ nodes }) => nodes)).toEqual([20, 20]);
    }
  });
});

it('does not follow one poisoned bucket of five; control: a mean does', async () => {
  const moved = async (rule: (typeof AGGREGATES)[number]): Promise<number> => {
    const { task } = makeTask({ ...base, unit: 'node', aggregate: rule, task: `poisoned ${rule}` });
    const maker = createModelMaker({ store });
    const first = await maker.first(task);
    const honest = new Int32Array(task.dimension);
    const poison = new Int32Array(task.dimension).fill(2 ** (task.bits - 1));
    const sums = [poison, honest, honest, honest, honest].map((values) => ({ round: bucketOf(4), values }));
    const before = decodeSafetensors(first)[0]!.values;
    const after = decodeSafetensors(await maker.next(task, sums, first))[0]!.values;
    return Math.hypot(...after.map((value, i) => value - before[i]!));
  };
  for (const rule of ['median', 'trimmed-mean', 'geometric-median'] as const)
    expect(await moved(rule)).toBeLessThan(1e-6);
  const mean = await moved('mean');
  expect(mean).toBeGreaterThan(0.1);
  // Too few buckets to leave one out: what is bounded is its norm, so it is a fifth of a clip and some noise.
  expect(await moved('three-sigma')).toBeLessThan(mean);
});

it('hands on the mean of all nodes of all buckets, where updates come from files', async () => {
  const { task } = makeUpdatesTask({ ...base, dimension: 4, clip: 1 });
  const maker = createModelMaker({ store });
  const sums = [2, 3].map((nodes) => ({ round: bucketOf(nodes), values: new Int32Array(4).fill(nodes * task.scale) }));
  sums[0]!.values.fill(7 * task.scale);
  const [mean] = decodeSafetensors(await maker.next(task, sums, await maker.first(task)));
  expect([...mean!.values]).toEqual(Array(4).fill(2));
});
