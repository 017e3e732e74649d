import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalBytes, type Json, toHex } from '../../crypto/encoding.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { FederationLab } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

const nodes = ['eu-1', 'us-1', 'apac-1', 'latam-1', 'eu-2', 'us-2'];
let lab: FederationLab;

beforeAll(async () => {
  const task = { dimension: 300, minCohort: 3, buckets: 2, uploadMs: 20_000 };
  lab = await FederationLab.start({ nodes, members: 3, threshold: 2, task });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

it('opens both buckets asked for at once, and makes one model of their sums', async () => {
  const task = canonicalBytes(lab.tasks[0] as unknown as Json);
  const open = async (request: number): Promise<string> => {
    const requestId = new Uint8Array(16).fill(request);
    const { roundId } = await lab.officer.call(RoundService.open, { task, requestId }, { deadlineMs: 70_000 });
    return toHex(roundId);
  };
  await lab.log.until((t) => t.models.length === 1);
  const ids = await Promise.all([open(1), open(2)]);
  await lab.log.until((t) => ids.every((id) => t.rounds.has(id)));
  expect(await Promise.all(ids.map((id) => lab.end(id)))).toEqual(['released', 'released']);
  const rounds = ids.map((id) => lab.round(id));
  const cohorts = rounds.map((round) => round.attempts.at(-1)!.cohort.map(({ node }) => node));
  expect(cohorts.flat().sort()).toEqual([...nodes].sort());
  expect(rounds.map(({ record }) => record.bucket!.index).sort()).toEqual([0, 1]);
  for (const [i, round] of rounds.entries())
    expect(await lab.result(round.id)).toEqual(plainSum(cohorts[i]!, round.record.number, 300));
  const t = await lab.log.until((now) => (now.models.length === 2 ? now : null));
  expect(t.ledger.spentRhoNano).toBe(2 * rounds[0]!.record.charge.rhoNano);
  expect(t.models[1]!.decide).toBe(
    [...t.roundOfDecide].find(([, id]) => t.rounds.get(id)!.record.bucket!.index === 0)![0],
  );
  expect(lab.events.filter(({ event }) => event === 'round refused')).toEqual([]);
}, 60_000);
