import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

const nodes = ['one', 'two'];
let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['member-3'], coordinator: { roundKeyMs: 500, announceMs: 1500 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

/** Rounds that a party has keys of. */
function held(name: string): string[] {
  const entries = readdirSync(join(lab.path(name), 'rounds'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

it('a round that a member keeps from opening is withdrawn, and no disk holds a key of it', async () => {
  const opening = expect(lab.open()).rejects.toMatchObject({ code: 'ROUND_KEY_MISSING' });
  // Control: there is something to wipe.
  const holders = ['member-1', 'member-2', 'owner'];
  await vi.waitFor(() => expect(holders.map((name) => held(name).length)).toEqual([1, 1, 1]), 10_000);
  await opening;
  const [announce] = lab.coordinator.keeper.transcript.announces.values();
  expect(announce).toMatchObject({ isAborted: true, openedAs: null });
  await vi.waitFor(() => expect(holders.map(held)).toEqual([[], [], []]), 10_000);
  // The member that comes back makes no key for it; the next round opens and is exact.
  await lab.run('member-3');
  const id = await lab.open();
  expect(await lab.end(id)).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, 2, 300));
  expect(lab.log.transcript.announces.get(announce!.hash)!.roundKeys.has('member-3')).toBe(false);
}, 60_000);
