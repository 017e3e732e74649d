import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { canonicalBytes, type Json, toHex } from '../../crypto/encoding.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { revokeLeaf } from '../../src/keys/found.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf } from './parties.ts';

// Two officers who open a round at once: both requests are given the same number, and only one can have it.

let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: [], absent: ['aggregator-2'] });
  await lab.log.until((t) => t.models.length === 1);
}, 30_000);
afterAll(() => lab[Symbol.asyncDispose]());

const request = (id: number) => ({
  task: canonicalBytes(lab.tasks[0] as unknown as Json),
  requestId: new Uint8Array(16).fill(id),
});
const ask = (id: number): Promise<{ roundId: Uint8Array }> =>
  lab.officer.callOnce(RoundService.open, request(id), 30_000);
const numbers = (): number[] => [...lab.log.transcript.announces.values()].map(({ number }) => number);

it('both get a round, each its own, and the same one again when they ask again', async () => {
  const opened = await Promise.all([ask(1), ask(2)]);
  const rounds = opened.map(({ roundId }) => toHex(roundId));
  expect(new Set(rounds).size).toBe(2);
  expect(toHex((await ask(1)).roundId)).toBe(rounds[0]);
  expect(toHex((await ask(2)).roundId)).toBe(rounds[1]);
  await vi.waitFor(() => expect(numbers()).toEqual([1, 2]), 10_000);
}, 30_000);

it('a request that was kept with a number that is taken is given the next one, also twice at once', async () => {
  const { keeper, party } = lab.coordinator;
  const { recipients, task } = lab.tasks[0]!;
  const stale = party.leaf('announce', { task, number: 1, recipients: [...recipients] });
  expect(await codeOf(keeper.append(stale))).toBe('DUPLICATE_ANNOUNCE'); // control: it can never be logged
  const { records } = party.store;
  await records.transact((tx) => tx.insert('round-requests', toHex(request(3).requestId), stale));
  const [one, twin] = await Promise.all([ask(3), ask(3)]);
  expect(toHex(one!.roundId)).toBe(toHex(twin!.roundId));
  await vi.waitFor(() => expect(numbers()).toEqual([1, 2, 3]), 10_000);
}, 30_000);

it('a task whose recipient was revoked before the first model is refused for good, not told to wait for one', async () => {
  await using other = await FederationLab.start({ nodes: [], absent: ['owner', 'aggregator-2'] });
  await other.log.until((t) => t.parties.has('owner'));
  const task = canonicalBytes(other.tasks[0] as unknown as Json);
  const open = (id: number): Promise<string | null> =>
    codeOf(other.officer.callOnce(RoundService.open, { task, requestId: new Uint8Array(16).fill(id) }, 30_000));
  expect(await open(1)).toBe('UNKNOWN_MODEL');
  const founders = join(other.folder, 'founders');
  await other.coordinator.keeper.append(revokeLeaf(p, founders, other.local.federation, 'owner', 'lost', Date.now()));
  expect(await open(2)).toBe('REVOKED');
}, 30_000);
