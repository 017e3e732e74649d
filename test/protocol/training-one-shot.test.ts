import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import * as oneShot from '../../protocols/one-shot.ts';
import type { Round } from '../../protocols/transcript.ts';
import { maskingLines } from '../../src/cli/masking-flags.ts';
import { decodeSafetensors } from '../../src/learning/safetensors.ts';
import { FinishedUpdates, type Trained } from '../../src/party/finished-updates.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { makeTask, makeUpdatesTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import type { NoisedIntegers } from '../../src/training/noised-integers.ts';
import { trainedVector } from '../../src/training/trained-vector.ts';
import { finished, oneShotRecord, readied, uploaded } from '../reference/one-shot-log.ts';
import { PaperLog } from '../reference/paper-log.ts';

vi.mock('../../protocols/one-shot.ts', async (original) => ({ ...(await original<typeof oneShot>()) }));

const folder = mkdtempSync(join(tmpdir(), 'veilsum-one-shot-'));
let store: Store;
beforeAll(async () => {
  store = await openStore(folder);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const base = { dataset: 'synthetic', window: 'w', recipients: ['owner'], nodes: 6, minCohort: 3, oneShot: {} } as const;

describe('a task without masks', () => {
  it('closes with its smallest cohort unless told otherwise, and says what it promises less', () => {
    const { task } = makeTask(base);
    expect(task.oneShot).toEqual({ buffer: 3, maxStaleness: 10 });
    const own = makeTask({ ...base, oneShot: { buffer: 5, maxStaleness: 2 } }).task;
    expect(own.oneShot).toEqual({ buffer: 5, maxStaleness: 2 });
    expect(maskingLines(own).join('\n')).toMatch(/closed with 5 uploads.*weaker claim.*can shift it/s);
    const { oneShot: _, ...masked } = base;
    expect(maskingLines(makeTask(masked).task)).toEqual([]);
  });

  it('is refused with buckets, with compression, and with a buffer that no cohort fits', () => {
    const refusal = (over: object) =>
      expect(() => makeTask({ ...base, ...over })).toThrow(expect.objectContaining({ code: 'BAD_PLAN' }));
    refusal({ buckets: 2 });
    refusal({ unit: 'node', compression: { keep: 0.5 } });
    refusal({ oneShot: { buffer: 2 } });
    refusal({ oneShot: { buffer: 17 } });
    refusal({ oneShot: { buffer: 7 } }); // of six nodes
    refusal({ oneShot: { maxStaleness: -1 } });
  });
});

describe('an update at a weight', () => {
  const { task } = makeUpdatesTask({ ...base, dimension: 4, clip: 1 });
  const quantiser = quantiserOf(task);
  /** Without rounding and noise. */
  const plain = { of: (_: unknown, vector: Float64Array) => vector } as unknown as NoisedIntegers;
  const normOf = (vector: ArrayLike<number>): number => Math.hypot(...Array.from(vector));

  it('is clipped first: no longer than weight times clip, and every time from the vector as it was', () => {
    using trained = trainedVector(plain, quantiser, Float64Array.of(3, 0, 4, 0));
    const at = (weight: number) => trained.integers({} as Round, weight);
    expect(normOf(at(0.5))).toBeCloseTo(0.5, 12);
    expect(normOf(at(0.25))).toBeCloseTo(0.25, 12);
    expect([...at(1)]).toEqual([3, 0, 4, 0]); // quantising clips it
    using short = trainedVector(plain, quantiser, Float64Array.of(0.3, 0, 0.4, 0));
    expect(normOf(short.integers({} as Round, 0.5))).toBeCloseTo(0.25, 12);
  });

  it('is wiped when it is done', () => {
    const vector = Float64Array.of(1, 2, 3, 4);
    trainedVector(plain, quantiser, vector)[Symbol.dispose]();
    expect([...vector]).toEqual([0, 0, 0, 0]);
  });
});

/** A released round whose nodes were so many models behind. */
const roundOf = (behind: readonly number[]): Round =>
  ({
    phase: 'released',
    id: behind.join(),
    record: { number: 1, masking: 'none', modelNumber: 20 },
    decision: { attempt: { cohort: behind.map((s) => ({ shared: { model: { number: 20 - s } } })) } },
  }) as unknown as Round;

describe.each(['node', 'record'] as const)('the next model, unit %s', (unit) => {
  it('of nodes that are behind and agree is the one of nodes that are not; control: divided by their number it is not', async () => {
    const { task } = makeTask({ ...base, unit, task: unit });
    const maker = createModelMaker({ store });
    const first = await maker.first(task);
    // Multiples of what every weight here turns into whole numbers.
    const update = Int32Array.from({ length: task.dimension }, (_, i) => 1200 * ((i % 7) + 1));
    const next = async (behind: readonly number[], weight: number) => {
      const values = update.map((value) => value * weight);
      return [...decodeSafetensors(await maker.next(task, [{ round: roundOf(behind), values }], first))[0]!.values];
    };
    const fresh = await next([0, 0, 0], 3);
    const late = await next([0, 3, 8], 1 + 1 / 2 + 1 / 3);
    for (const [i, value] of late.entries()) expect(value).toBeCloseTo(fresh[i]!, 5);
    const wrong = vi.spyOn(oneShot, 'weightOfCohort').mockReturnValue(3);
    const shrunk = await next([0, 3, 8], 1 + 1 / 2 + 1 / 3);
    wrong.mockRestore();
    // Of records the count goes along, at the same weights: the sum says itself what it is divided by.
    const differs = shrunk.some((value, i) => Math.abs(value - fresh[i]!) > 1e-4);
    expect(differs).toBe(unit === 'node');
  });
});

describe('updates that are finished late', () => {
  /** An update from the newest model of a log, sent into its newest round. */
  function sent(log: PaperLog) {
    const wiped = vi.fn();
    const trained: Trained = { integers: () => new Int32Array(1), [Symbol.dispose]: wiped };
    const updates = new FinishedUpdates();
    const { number, modelHash: hash } = log.transcript.models.at(-1)!;
    updates.keep(log.round.record.taskHash, { trained, model: { number, hash }, sentTo: log.round.id });
    const taken = () => updates.takeFor(log.transcript, log.round, 'node-1')?.trained === trained;
    return { updates, taken, wiped };
  }

  it('go on where the round was decided without them, and not where it holds them or may come to', () => {
    const without = uploaded(PaperLog.founded(), 1, ['node-2', 'node-3']);
    const late = sent(without);
    expect(late.taken()).toBe(true); // the same round: sent again
    uploaded(finished(readied(without)), 2, []);
    expect(late.taken()).toBe(true);
    expect(late.wiped).not.toHaveBeenCalled();
    const within = uploaded(PaperLog.founded(), 1);
    const counted = sent(within);
    const running = sent(within);
    within.post('coordinator', 'open', { record: oneShotRecord(within, 2, { window: 'beside' }) });
    expect(running.taken()).toBe(false);
    uploaded(finished(readied(uploaded(within, 3))), 4, []);
    expect(counted.taken()).toBe(false);
    expect(counted.wiped).toHaveBeenCalledOnce();
    // Control: who believes that nothing counted sends it a second time.
    const again = sent(within);
    uploaded(finished(readied(uploaded(within, 5))), 6, []);
    vi.spyOn(oneShot, 'fateOf').mockReturnValue('free');
    expect(again.taken()).toBe(true);
    vi.restoreAllMocks();
  });

  it('end when they are further behind than the task allows', () => {
    const log = uploaded(PaperLog.founded(), 1, ['node-2', 'node-3']);
    const { taken, wiped } = sent(log);
    uploaded(finished(readied(log)), 2, ['node-2', 'node-3']);
    expect(taken()).toBe(true);
    uploaded(finished(readied(log)), 3, []);
    expect([taken(), wiped.mock.calls.length]).toEqual([false, 1]);
  });
});
