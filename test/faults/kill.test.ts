import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/encoding.ts';
import { decodeParts } from '../../src/party/parts.ts';
import { primitives as p } from '../../src/party/party.ts';
import { openStore } from '../../src/store/open-store.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// Parties in processes of their own, each ended by SIGKILL at one exact point and started again on what its disk holds.
// Every round must end with the exact sum, each node in it once; no party may act twice.

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;
let number = 0;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, coordinator: { readyMs: 15_000 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

/**
 * Runs a round in which parties die, each at its point, and come back as fresh processes here.
 *
 * @param deaths - party and point (lab-child.ts). @param atDeath - looks at what a dead party left on its disk.
 */
async function roundOfDeaths(
  deaths: Record<string, string>,
  atDeath: (name: string) => Promise<void> = async () => {},
): Promise<string> {
  const dying = Object.entries(deaths);
  await Promise.all(dying.map(([name]) => lab.stop(name)));
  const children = await Promise.all(dying.map(async ([name, point]) => [name, await lab.spawn(name, point)] as const));
  const back = children.map(async ([name, child]) => {
    expect(await child.ended).toBe('SIGKILL');
    await atDeath(name);
    await lab.run(name);
  });
  const allBack = Promise.all(back);
  allBack.catch(() => {}); // awaited below
  const id = await lab.open();
  number++;
  expect(await lab.end(id)).toBe('released');
  // A point that the round never reached would be waited for without end.
  for (const [name, child] of children) expect([name, child.process.signalCode]).toEqual([name, 'SIGKILL']);
  await allBack;
  expect(await lab.result(id)).toEqual(plainSum(nodes, number, 300));
  expect(lab.round(id).attempts).toHaveLength(1);
  return id;
}

/** Nodes ask the replica that answered last: which one that is, the round before decides. So both die, one after the other. */
const bothAt = (point: string): Record<string, string> => ({ 'aggregator-1': point, 'aggregator-2': point });

describe('SIGKILL', () => {
  it('of nodes: in mid-upload, with a confirmation kept but not sent, with one sent but not acknowledged', async () => {
    // And of the recipient, with its seeds kept and nothing said.
    const owner = 'before:Append:ready';
    await roundOfDeaths({ one: 'half-upload', two: 'before:Confirm', three: 'after:Confirm', owner });
  });

  it('of a member between answer and sending: the same sealed bytes; of the recipient between opening and release', async () => {
    const kept = new Map<string, string[]>();
    const deaths = { 'member-1': 'before:PutAnswer', 'member-2': 'after:Append:ready', owner: 'before:Append:release' };
    const id = await roundOfDeaths(deaths, async (name) => {
      if (name !== 'member-1') return;
      await using store = await openStore(join(lab.path(name), 'state'));
      for (const { key, value } of await store.records.list('answers')) {
        const [, ...sealed] = decodeParts(value);
        kept.set(
          key,
          sealed.map((box) => toHex(p.sha256(box))),
        );
      }
    });
    const round = lab.round(id);
    if (round.phase !== 'released') throw new Error(round.phase);
    const { hash, answers } = round.decision;
    expect(answers.get('member-1')!.body.sealed.map((box) => box.hash)).toEqual(kept.get(hash));
  });

  it('of a node with its upload ready, of the aggregators with a payload durable but not logged, of a ready recipient', async () => {
    const owner = 'after:Append:ready';
    await roundOfDeaths({ one: 'before:Upload', ...bothAt('before:Append:upload'), owner });
  });

  it('of the aggregators before they could say that an upload, or a confirmation, is logged', async () => {
    await roundOfDeaths(bothAt('after:Append:upload'));
    await roundOfDeaths(bothAt('after:Append:confirm'));
  });

  it('of the coordinator between close and decision, and right after the decision: the same log, one decision', async () => {
    for (const point of ['before:keep:decide', 'after:keep:decide']) {
      await roundOfDeaths({ coordinator: point });
    }
    expect(lab.log.failure).toBeNull();
    const { log } = lab.coordinator.keeper;
    const kinds = (await log.entries(0, log.size)).map((leaf) => JSON.parse(Buffer.from(leaf).toString()).kind);
    for (const kind of ['open', 'close', 'decide', 'release']) {
      expect(kinds.filter((k) => k === kind)).toHaveLength(number);
    }
  });
});
