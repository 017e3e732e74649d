import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { EnrolmentDoor } from '../protocol/enrolment-lab.ts';

// A node that is revoked in the middle of a round: its stream is cut, and it never reads how the round ends.

const weak = vi.hoisted(() => ({ isDeaf: false }));
vi.mock('../../src/party/revoked.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/revoked.ts')>();
  const wipeIfRevoked: typeof original.wipeIfRevoked = (...args) => !weak.isDeaf && original.wipeIfRevoked(...args);
  return { ...original, wipeIfRevoked };
});

const nodes = ['one', 'two', 'bad', 'worse', 'slow'];
let lab: FederationLab;
let door: EnrolmentDoor;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['slow'] });
  door = await EnrolmentDoor.open(lab);
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

function held(name: string): string[] {
  const entries = readdirSync(join(lab.path(name), 'rounds'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

const said = (party: string, event: string) => lab.events.filter((e) => e.party === party && e.event === event);

describe('a node that is revoked while its round runs', () => {
  it('wipes its secrets of the round, tells its operator, and the others go on', async () => {
    const id = await lab.open();
    await lab.until(id, (round) => round.uploads.size === 4);
    expect(held('bad')).toEqual([id]); // control: there is something to wipe
    weak.isDeaf = true;
    await door.revoke('worse');
    await vi.waitFor(() => expect(said('worse', 'log refused')).toHaveLength(1), 10_000);
    await lab.stop('worse');
    weak.isDeaf = false;
    await door.revoke('bad');
    await vi.waitFor(() => expect(held('bad')).toEqual([]), 10_000);
    expect(said('bad', 'revoked')).toMatchObject([{ code: 'CERTIFICATE_REVOKED', wiped: 1 }]);
    await lab.run('slow');
    expect(await lab.end(id)).toBe('released');
    expect(await lab.result(id)).toEqual(plainSum(['one', 'two', 'slow'], 1, 300));
  }, 60_000);

  it('control: one that does not listen keeps them for ever; started again, it is told again and wipes them', async () => {
    const [id] = lab.log.transcript.rounds.keys();
    expect(held('worse')).toEqual([id]);
    await lab.run('worse');
    await vi.waitFor(() => expect(held('worse')).toEqual([]), 10_000);
    expect(said('worse', 'revoked')).toMatchObject([{ wiped: 1 }]);
  }, 30_000);
});
