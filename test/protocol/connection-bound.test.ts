import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection } from '../../src/grpc/connection.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { PartyService } from '../../src/grpc/services.ts';
import { type Authority, createAuthority } from '../../src/tls/authority.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import { codeOf, party } from './parties.ts';

// P33 Strangers who open connections and say nothing, or a party that opens many: others are still served, and the server holds
// no more than it said.

/** What a control leaves out: the module is replaced here. */
const none = { giveWay: false, perParty: false, recheck: false };
const without = vi.hoisted(() => ({ giveWay: false, perParty: false, recheck: false }));
vi.mock('../../src/grpc/connection-bound.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/connection-bound.ts')>();
  const { take, called, recheck } = real.ConnectionBound.prototype;
  // Every connection counts as another party's.
  real.ConnectionBound.prototype.called = function (end, peer): void {
    called.call(this, end, without.perParty && peer !== null ? { ...peer, spkiSha256: end } : peer);
  };
  real.ConnectionBound.prototype.recheck = function (isBarred): void {
    if (!without.recheck) recheck.call(this, isBarred);
  };
  let held = 0;
  real.ConnectionBound.prototype.take = function (socket: Socket): void {
    if (!without.giveWay) {
      take.call(this, socket);
      return;
    }
    // The plain way to bound: who comes last is refused.
    if (held >= 6) return void socket.destroy();
    held++;
    socket.once('close', () => held--);
  };
  return real;
});

let authority: Authority;
let client: TlsIdentity;
let other: TlsIdentity;
let revoked = '';
const idle: Socket[] = [];

async function serving(maxConnectionsPerAddress = 100, maxConnectionsPerParty = 100): Promise<RunningServer> {
  const status = implement(PartyService, {
    status: async () => ({ name: 'c', role: 'coordinator', version: '0', logSize: 0n, ready: true }),
  });
  const tls = await party(authority, 'c', 'coordinator');
  return startServer({
    host: '127.0.0.1',
    port: 0,
    tls,
    services: [status],
    maxConnections: 6,
    maxConnectionsPerAddress,
    maxConnectionsPerParty,
    isRevoked: ({ name }) => name === revoked,
  });
}

/** A connection that never says a word, from an address of this machine; resolves when the server has taken or cut it. */
async function silent({ port }: RunningServer, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {}); // cut
  idle.push(socket);
  await once(socket, 'connect');
  return socket;
}

const connected = (server: RunningServer, tls = client): Connection =>
  new Connection({ address: server.address, tls, expected: { pins: [server.identity.spkiSha256] } });
const asks = (connection: Connection): Promise<string> => codeOf(connection.callOnce(PartyService.status, {}, 10_000));

beforeAll(async () => {
  authority = await createAuthority('ours', new Date());
  client = await party(authority, 'eu-1', 'node');
  other = await party(authority, 'eu-2', 'node');
});
beforeEach(() => {
  Object.assign(without, none);
  revoked = '';
});
afterAll(() => {
  for (const socket of idle) socket.destroy();
});

describe('a server whose connections are all taken', () => {
  it('by strangers: the one that waits longest gives way, and a party is served', async () => {
    const server = await serving();
    const sockets: Socket[] = [];
    for (let i = 0; i < 6; i++) sockets.push(await silent(server));
    const first = once(sockets[0]!, 'close');
    const connection = connected(server);
    expect(await asks(connection)).toBe('SUCCEEDED');
    await first;
    expect(sockets.slice(1).every((socket) => !socket.destroyed)).toBe(true);
    // However many more come, the party stays: it has made a call.
    const closed: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) closed.push(once(await silent(server), 'close'));
    await Promise.race(closed);
    expect(await asks(connection)).toBe('SUCCEEDED');
    connection.close();
    await server.stop(0);
  });

  it('control: where the last to come is refused, strangers keep everybody out', async () => {
    without.giveWay = true;
    const server = await serving();
    for (let i = 0; i < 6; i++) await silent(server);
    const connection = connected(server);
    expect(['UNREACHABLE', 'CONNECTION_LOST', 'CERTIFICATE_REFUSED']).toContain(await asks(connection));
    connection.close();
    await server.stop(0);
  });

  // Only Linux answers on all of 127.0.0.0/8.
  it.skipIf(process.platform !== 'linux')(
    'by one address: its own connections give way, those of others stay',
    async () => {
      const server = await serving(3);
      const others = [await silent(server, '127.0.0.2'), await silent(server, '127.0.0.2')];
      const own = [await silent(server), await silent(server), await silent(server)];
      const first = once(own[0]!, 'close');
      const fourth = await silent(server);
      await first;
      expect([...others, ...own.slice(1), fourth].every((socket) => !socket.destroyed)).toBe(true);
      await server.stop(0);
    },
  );

  it('by parties: nobody is cut, and the next one is refused', async () => {
    const server = await serving();
    const parties = Array.from({ length: 6 }, () => connected(server));
    expect(await Promise.all(parties.map(asks))).toEqual(Array.from({ length: 6 }, () => 'SUCCEEDED'));
    const late = await silent(server);
    if (!late.destroyed) await once(late, 'close');
    expect(await Promise.all(parties.map(asks))).toEqual(Array.from({ length: 6 }, () => 'SUCCEEDED'));
    for (const connection of parties) connection.close();
    await server.stop(0);
  });

  const six = Array.from({ length: 6 }, () => 'SUCCEEDED');
  const REFUSED = ['UNREACHABLE', 'CONNECTION_LOST', 'CERTIFICATE_REFUSED'];

  /** One party takes all places with calls that are let in, and then another one comes. */
  async function another(server: RunningServer, between: (first: readonly Connection[]) => unknown): Promise<string> {
    const first = Array.from({ length: 6 }, () => connected(server));
    expect(await Promise.all(first.map(asks))).toEqual(six);
    await between(first);
    const late = connected(server, other);
    const code = await asks(late);
    for (const connection of [...first, late]) connection.close();
    await server.stop(0);
    return code;
  }

  it('by one party: it keeps as many as it is meant to, and the next party is served', async () => {
    expect(await another(await serving(100, 5), () => {})).toBe('SUCCEEDED');
  });

  it('control: where its connections count as those of several parties, it keeps everybody out', async () => {
    without.perParty = true;
    expect(REFUSED).toContain(await another(await serving(100, 5), () => {}));
  });

  it('by a party that is revoked: it keeps none, though it never calls again', async () => {
    const server = await serving();
    const revoking = (): void => {
      revoked = 'eu-1';
      server.recheckCallers();
    };
    expect(await another(server, revoking)).toBe('SUCCEEDED');
  });

  it('by one that calls under a certificate which is refused by now', async () => {
    const refused = await another(await serving(), async (first) => {
      revoked = 'eu-1';
      expect(await asks(first[3]!)).toBe('CERTIFICATE_REVOKED');
    });
    expect(refused).toBe('SUCCEEDED');
  });

  it('control: where nobody looks again, a revoked party keeps everybody out', async () => {
    without.recheck = true;
    const server = await serving();
    const revoking = (): void => {
      revoked = 'eu-1';
      server.recheckCallers();
    };
    expect(REFUSED).toContain(await another(server, revoking));
  });
});
