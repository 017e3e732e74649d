import { afterAll, beforeAll, expect, it } from 'vitest';
import { stalenessOf, weightOf } from '../../protocols/one-shot.ts';
import type { Round } from '../../protocols/transcript.ts';
import { type NodeSetting, runNode } from '../../src/party/node.ts';
import type { Running } from '../../src/party/running.ts';
import { FederationLab } from './federation-lab.ts';
import { plainSum, trainedOf, updateOf, weightedUpdateOf } from './lab-parties.ts';

// Rounds without masks over real connections: they go on while one node trains for as long as it takes.

const DIMENSION = 300;
let lab: FederationLab;
let slow: Running;
let careful: Running;
/** Ends the slow node's training. */
let finish: () => void;
let trainings = 0;
/** Resolves when it has begun. */
const began = Promise.withResolvers<void>();

beforeAll(async () => {
  lab = await FederationLab.start({
    nodes: ['eu-1', 'us-1', 'slow', 'careful'],
    task: { dimension: DIMENSION, uploadMs: 60_000, oneShot: { buffer: 2, maxStaleness: 2 } },
    policy: { maskingNone: 'accept' },
    absent: ['us-1', 'slow', 'careful'],
  });
  const training = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const setting: NodeSetting = {
    policy: lab.policy,
    tasks: lab.tasks,
    engine: 'auto',
    checkSums: () => {},
    source: {
      update: async () => null,
      train: async () => {
        trainings++;
        began.resolve();
        await training;
        return trainedOf('slow');
      },
    },
  };
  slow = await runNode(lab.path('slow'), async () => setting);
  const { maskingNone: _, ...policy } = lab.policy;
  careful = await runNode(lab.path('careful'), async () => ({ ...setting, policy }));
}, 60_000);

afterAll(async () => {
  await Promise.all([slow.stop(), careful.stop()]);
  await lab[Symbol.asyncDispose]();
}, 60_000);

const cohortOf = (round: Round): string[] => round.attempts.at(-1)!.cohort.map(({ node }) => node);

it('two rounds pass while a node trains; its update then counts, weighted, in the third, and never again', async () => {
  for (const count of [0, 1]) {
    const id = await lab.open();
    // The buffer is not full before the slow node has begun.
    await began.promise;
    if (count === 0) await lab.run('us-1');
    expect(await lab.end(id)).toBe('released');
    const round = lab.round(id);
    expect(round.record.masking).toBe('none');
    expect(cohortOf(round).sort()).toEqual(['eu-1', 'us-1']);
    expect(await lab.result(id)).toEqual(plainSum(['eu-1', 'us-1'], round.record.number, DIMENSION));
  }
  await lab.stop('us-1');
  const id = await lab.open();
  // Started again in the middle of the round: it sends what it had prepared, and nothing else counts.
  const prepared = await lab.until(id, (round) => round.uploads.get('eu-1')?.hash);
  await lab.stop('eu-1');
  await lab.run('eu-1');
  finish();
  expect(await lab.end(id)).toBe('released');
  const third = lab.round(id);
  expect(cohortOf(third).sort()).toEqual(['eu-1', 'slow']);
  const upload = third.uploads.get('slow')!;
  expect([third.record.modelNumber, upload.shared!.model.number, stalenessOf(third.record, upload)]).toEqual([2, 0, 2]);
  expect(third.uploads.get('eu-1')!.hash).toBe(prepared);
  const own = weightedUpdateOf('slow', third.record.number, DIMENSION, weightOf(2));
  const other = updateOf('eu-1', third.record.number, DIMENSION);
  expect(await lab.result(id)).toEqual(own.map((value, i) => value + other[i]!));
  // In the fourth it is a new one, from the newest model: what a decision holds is not sent again.
  const last = await lab.open();
  expect(await lab.end(last)).toBe('released');
  expect(lab.round(last).uploads.get('slow')!.shared!.model.number).toBe(3);
  expect(trainings).toBe(2);
  const said = (event: string) => lab.events.filter((one) => one.event === event);
  expect(said('update finished late').length).toBeGreaterThan(0);
  expect(said('confirmed')).toEqual([]);
  const refused = said('round refused');
  expect(new Set(refused.map(({ party, code }) => `${party} ${code}`))).toEqual(new Set(['careful MASKING_REFUSED']));
}, 120_000);
