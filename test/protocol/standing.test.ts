import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { PartyService } from '../../src/grpc/services.ts';
import { issue } from '../../src/tls/authority.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import { loadTlsKey } from '../../src/tls/files.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { EnrolmentDoor } from './enrolment-lab.ts';
import { codeOf, party } from './parties.ts';

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ standing: false }));

vi.mock('../../src/party/standing.ts', async (original) => {
  const real = await original<typeof import('../../src/party/standing.ts')>();
  const isBarred: typeof real.isBarred = (...args) => !without.standing && real.isBarred(...args);
  return { ...real, isBarred };
});

let lab: FederationLab;
let door: EnrolmentDoor;
const servers = ['coordinator', 'aggregator-1', 'member-1'] as const;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1', 'eu-2'], absent: ['eu-1', 'eu-2', 'owner', 'aggregator-2'] });
  await lab.log.until((t) => t.parties.has('eu-2'));
  door = await EnrolmentDoor.open(lab);
  for (const server of servers) await untilSize(server, lab.log.transcript.size);
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  without.standing = false;
});

/** Waits until a server has read so much of the log: what it bars follows from that. */
async function untilSize(server: string, size: number): Promise<void> {
  const connection = lab.connect('officer', server);
  await vi.waitFor(async () => {
    const { logSize } = await connection.callOnce(PartyService.status, {}, 5000);
    expect(Number(logSize)).toBeGreaterThanOrEqual(size);
  }, 20_000);
  connection.close();
}

async function call(tls: TlsIdentity, server: string): Promise<string> {
  const connection = lab.connect(tls, server);
  return codeOf(connection.callOnce(PartyService.status, {}, 5000)).finally(() => connection.close());
}

describe.each(servers)('%s', (server) => {
  it('answers an enrolled party', async () => {
    expect(await call(await lab.tlsOf('eu-1'), server)).toBe('SUCCEEDED');
  });

  it('refuses a certificate of the authority for a key that is not the enrolled one', async () => {
    const swapped = await party(door.authority, 'eu-1', 'node');
    expect(await call(swapped, server)).toBe('CERTIFICATE_REVOKED');
    without.standing = true;
    expect(await call(swapped, server)).toBe('SUCCEEDED');
  });

  it.each([
    ['role', { role: 'coordinator', organisation: 'eu-1' }],
    ['organisation', { role: 'node', organisation: 'eu-2' }],
  ] as const)('refuses a party in another %s than it was enrolled in', async (_what, other) => {
    const tls = await lab.tlsOf('eu-1');
    const { publicKey } = await loadTlsKey(`${lab.path('eu-1')}/tls/tls.key`);
    const subject = { name: 'eu-1', ...other };
    const certificates = await issue(door.authority, { publicKey }, subject, { now: new Date() });
    expect(await call({ ...tls, certificates }, server)).toBe('CERTIFICATE_REVOKED');
    without.standing = true;
    expect(await call({ ...tls, certificates }, server)).toBe('SUCCEEDED');
  });

  it('refuses a logged key under another name, also as an officer', async () => {
    const tls = await lab.tlsOf('eu-1');
    const { publicKey } = await loadTlsKey(`${lab.path('eu-1')}/tls/tls.key`);
    for (const role of ['node', 'officer'] as const) {
      const subject = { name: 'ghost', role, organisation: 'eu-1' };
      const certificates = await issue(door.authority, { publicKey }, subject, { now: new Date() });
      expect(await call({ ...tls, certificates }, server)).toBe('CERTIFICATE_REVOKED');
      without.standing = true;
      expect(await call({ ...tls, certificates }, server)).toBe('SUCCEEDED');
      without.standing = false;
    }
  });
});

it('a revoked party is refused by all of them, on connections that were open too, and only it', async () => {
  const tls = await lab.tlsOf('eu-2');
  const open = servers.map((server) => lab.connect(tls, server));
  for (const connection of open)
    expect(await codeOf(connection.callOnce(PartyService.status, {}, 5000))).toBe('SUCCEEDED');
  await door.revoke('eu-2');
  for (const [i, server] of servers.entries()) {
    await untilSize(server, lab.log.transcript.size);
    expect(await codeOf(open[i]!.callOnce(PartyService.status, {}, 5000))).toBe('CERTIFICATE_REVOKED');
    expect(await call(tls, server)).toBe('CERTIFICATE_REVOKED');
    expect(await call(await lab.tlsOf('eu-1'), server)).toBe('SUCCEEDED');
    without.standing = true;
    expect(await call(tls, server)).toBe('SUCCEEDED');
    without.standing = false;
  }
  for (const connection of open) connection.close();
});
