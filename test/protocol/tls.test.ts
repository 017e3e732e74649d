import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../protocols/errors.ts';
import { ACCESS, checkAccess } from '../../src/grpc/access.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { type Implementation, implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { type AnyMethod, PartyService, SERVICES } from '../../src/grpc/services.ts';
import { type Authority, createAuthority, issue } from '../../src/tls/authority.ts';
import { KEY_AGREEMENTS, secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { loadTlsIdentity, saveTlsIdentity } from '../../src/tls/files.ts';
import { identityOf, ROLES, spkiPin, type TlsRole } from '../../src/tls/identity.ts';
import { createRequest, createTlsKey } from '../../src/tls/keys.ts';
import { codeOf, party } from './parties.ts';

const status = { name: 'x', role: 'coordinator', version: '0.1.0', logSize: 0n, ready: true };
const seen: string[] = [];
const statusService = implement(PartyService, {
  status: async (_request, { peer }) => {
    seen.push(`${peer.role}/${peer.name} of ${peer.organisation} ${peer.spkiSha256}`);
    return status;
  },
});

let authority: Authority;
let stranger: Authority;
let serverTls: TlsIdentity;
let node: TlsIdentity;
let server: RunningServer;
const open: Connection[] = [];

function connection(
  tls: TlsIdentity,
  pins: readonly string[] = [spkiPin(serverTls.certificates)],
  role?: TlsRole,
): Connection {
  const made = new Connection({
    address: server.address,
    tls,
    expected: { pins, ...(role === undefined ? {} : { role }) },
  });
  open.push(made);
  return made;
}
const ask = (tls: TlsIdentity, pins?: readonly string[], role?: TlsRole): Promise<string> =>
  codeOf(connection(tls, pins, role).call(PartyService.status, {}));

beforeAll(async () => {
  authority = await createAuthority('ours', new Date());
  stranger = await createAuthority('theirs', new Date());
  serverTls = await party(authority, 'coordinator-1', 'coordinator');
  node = await party(authority, 'eu-1', 'node');
  server = await startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services: [statusService] });
});
afterAll(async () => {
  for (const made of open) made.close();
  await server.stop(0);
});

describe('mutual TLS 1.3', () => {
  it('lets an enrolled party in and tells the handler who it is', async () => {
    expect(await ask(node, undefined, 'coordinator')).toBe('SUCCEEDED');
    expect(seen.at(-1)).toBe(`node/eu-1 of Test ${spkiPin(node.certificates)}`);
  });

  it('refuses a client without a certificate', async () => {
    expect(await ask({ ...node, certificates: '' })).toBe('CERTIFICATE_REQUIRED');
  });

  it('refuses a client of another authority', async () => {
    const foreign = await party(stranger, 'eu-1', 'node');
    expect(await ask({ ...foreign, authorities: authority.certificate })).toBe('CERTIFICATE_REFUSED');
  });

  it('refuses a certificate that has expired, and takes one whose issuer is a day ahead', async () => {
    const past = await party(authority, 'eu-2', 'node', { now: new Date(Date.now() - 3 * 86_400_000), days: 1 });
    expect(await codeOf(connection(past).callOnce(PartyService.status, {}, 10_000))).toBe('CERTIFICATE_EXPIRED');
    const ahead = await createAuthority('ahead', new Date(Date.now() + 86_400_000));
    const early = await party(ahead, 'eu-2', 'node', { now: new Date(Date.now() + 86_400_000) });
    const both = `${authority.certificate}${ahead.certificate}`;
    const wide = await startServer({
      host: '127.0.0.1',
      port: 0,
      tls: { ...serverTls, authorities: both },
      services: [statusService],
    });
    const client = new Connection({
      address: wide.address,
      tls: { ...early, authorities: both },
      expected: { pins: [spkiPin(serverTls.certificates)] },
    });
    expect(await codeOf(client.call(PartyService.status, {}))).toBe('SUCCEEDED');
    client.close();
    await wide.stop(0);
  });

  it('does not talk to a server of another authority', async () => {
    expect(await ask({ ...node, authorities: stranger.certificate })).toBe('UNTRUSTED_SERVER');
  });

  it('does not talk to a server with another key or another role than expected', async () => {
    const other = await party(authority, 'coordinator-2', 'coordinator');
    expect(await ask(node, [spkiPin(other.certificates)])).toBe('PIN_MISMATCH');
    expect(await ask(node, undefined, 'aggregator')).toBe('PIN_MISMATCH');
    expect(() => connection(node, [])).toThrowError(expect.objectContaining({ code: 'NO_PIN' }));
    // Control: with the pin check weakened to any key of this authority, the same server is taken for the other one.
    expect(await ask(node, [spkiPin(other.certificates), server.identity.spkiSha256])).toBe('SUCCEEDED');
  });

  it('refuses TLS 1.2 on both sides', async () => {
    const old: SecureContextOptions = { ...secureContextOptions(node), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
    const { ciphers: _none, ...oldContext } = old;
    expect(await rawHandshake(oldContext)).toMatch(/PROTOCOL_VERSION/);
    expect(await rawHandshake({ ...oldContext, maxVersion: 'TLSv1.3' })).toBe('TLSv1.3'); // control
    const { ciphers: _all, ...oldServer } = {
      ...secureContextOptions(serverTls),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    } as const;
    const listening = createTlsServer({ ...oldServer, requestCert: true, ALPNProtocols: ['h2'] }).listen(
      0,
      '127.0.0.1',
    );
    await new Promise((resolve) => listening.once('listening', resolve));
    const client = new Connection({
      address: `127.0.0.1:${(listening.address() as AddressInfo).port}`,
      tls: node,
      expected: { pins: [spkiPin(serverTls.certificates)] },
    });
    expect(await codeOf(client.call(PartyService.status, {}))).toBe('TLS_VERSION');
    client.close();
    listening.close();
  });

  it('agrees on a hybrid key where this OpenSSL can', async () => {
    const hybrid = KEY_AGREEMENTS.startsWith('X25519MLKEM768');
    const { ecdhCurve: _curve, ...context } = secureContextOptions(node);
    if (hybrid) expect(await rawHandshake({ ...context, ecdhCurve: 'X25519MLKEM768' })).toBe('TLSv1.3');
    expect(await rawHandshake({ ...context, ecdhCurve: 'X25519' })).toBe('TLSv1.3');
    expect(await rawHandshake({ ...context, ecdhCurve: 'P-521' })).toMatch(/^ERR_SSL/);
  });

  it('resumes no session, so that every connection is checked anew', async () => {
    expect(await resumes(secureContextOptions(serverTls))).toBe(false);
    const { secureOptions: _noTickets, ...weakened } = secureContextOptions(serverTls);
    expect(await resumes(weakened)).toBe(true); // control
  });

  it('shuts out a revoked party, on new connections and on those that were open', async () => {
    const mallory = await party(authority, 'eu-3', 'node');
    const { spkiSha256 } = identityOf(mallory.certificates);
    let revoked = '';
    const own = await startServer({
      host: '127.0.0.1',
      port: 0,
      tls: serverTls,
      services: [statusService],
      isRevoked: (peer) => peer.spkiSha256 === revoked,
    });
    const connect = (tls: TlsIdentity): Connection => {
      const made = new Connection({ address: own.address, tls, expected: { pins: [own.identity.spkiSha256] } });
      open.push(made);
      return made;
    };
    const standing = connect(mallory);
    expect(await codeOf(standing.call(PartyService.status, {}))).toBe('SUCCEEDED');
    revoked = spkiSha256;
    expect(await codeOf(standing.call(PartyService.status, {}))).toBe('CERTIFICATE_REVOKED');
    expect(await codeOf(connect(mallory).call(PartyService.status, {}))).toBe('CERTIFICATE_REVOKED');
    expect(await codeOf(connect(node).call(PartyService.status, {}))).toBe('SUCCEEDED');
    await own.stop(0);
  });
});

describe('roles', () => {
  it('every RPC refuses every role that has no row, and lets the others through to its handler', async () => {
    const reached = new ProtocolError('NOT_READY', 'reached the handler');
    const refuse = async (): Promise<never> => Promise.reject(reached);
    const refuseStream = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) });
    const services = Object.values(SERVICES).map(
      (service): Implementation => ({
        service,
        handlers: Object.fromEntries(
          Object.entries(service as Record<string, AnyMethod>).map(([name, method]) => [
            name,
            method.responseStream ? refuseStream : refuse,
          ]),
        ),
      }),
    );
    const all = await startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services });
    const expected = { pins: [all.identity.spkiSha256] };
    for (const role of ROLES) {
      const client = new Connection({ address: all.address, tls: await party(authority, 'x', role), expected });
      for (const service of Object.values(SERVICES)) {
        for (const method of Object.values(service) as AnyMethod[]) {
          const isAllowed = (ACCESS[method.path as keyof typeof ACCESS] as readonly string[]).includes(role);
          expect([method.path, role, await callAny(client, method)]).toEqual([
            method.path,
            role,
            isAllowed ? 'NOT_READY' : 'ROLE_REFUSED',
          ]);
        }
      }
      client.close();
    }
    const self = new Connection({ address: all.address, tls: serverTls, expected });
    expect(await callAny(self, SERVICES.ResultService.fetch as AnyMethod)).toBe('NOT_READY');
    self.close();
    await all.stop(0);
  });

  it('an RPC without a row is refused, and keeps a server from starting', async () => {
    const peer = identityOf(node.certificates);
    const { '/veilsum.v1.PartyService/Status': _row, ...table } = ACCESS;
    expect(() => checkAccess(table, '/veilsum.v1.PartyService/Status', peer, '')).toThrowError(/role/);
    expect(() => checkAccess(ACCESS, 'constructor', peer, '')).toThrowError(/role/);
    expect(() => checkAccess(ACCESS, '/veilsum.v1.PartyService/Status', peer, '')).not.toThrow(); // control
    const start = startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services: [statusService], access: table });
    expect(await codeOf(start)).toBe('NO_SUCH_CALL');
    // @ts-expect-error a table must have a row for every RPC
    const incomplete: Record<keyof typeof ACCESS, readonly string[]> = table;
    expect(Object.keys(incomplete).length).toBe(Object.keys(ACCESS).length - 1);
  });

  it('a party that holds too many calls is told so, and served again later', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = implement(PartyService, { status: async () => gate.then(() => status) });
    const own = await startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services: [slow], maxCallsPerPeer: 2 });
    const client = new Connection({ address: own.address, tls: node, expected: { pins: [own.identity.spkiSha256] } });
    const held = [1, 2].map(() => client.callOnce(PartyService.status, {}, 10_000));
    await expect
      .poll(() => codeOf(client.callOnce(PartyService.status, {}, 200)), { timeout: 5_000 })
      .toBe('TOO_MANY_CALLS');
    release();
    await Promise.all(held);
    expect(await codeOf(client.callOnce(PartyService.status, {}, 10_000))).toBe('SUCCEEDED');
    client.close();
    await own.stop(0);
  });
});

describe('the authority', () => {
  const subject = { name: 'eu-9', role: 'node', organisation: 'Test' } as const;

  it('certifies what it was told, whatever a request says, after checking its signature', async () => {
    const key = createTlsKey();
    const request = await createRequest(key, 'coordinator-1');
    expect(identityOf(await issue(authority, { request }, subject, { now: new Date() }))).toMatchObject(subject);
    const forged = Uint8Array.from(request);
    forged[forged.length - 3]! ^= 1;
    expect(await codeOf(issue(authority, { request: forged }, subject, { now: new Date() }))).toBe('BAD_REQUEST');
    expect(await codeOf(issue(authority, { request: request.subarray(0, 40) }, subject, { now: new Date() }))).toBe(
      'BAD_REQUEST',
    );
    expect(await codeOf(issue(authority, { request: new Uint8Array(5000) }, subject, { now: new Date() }))).toBe(
      'BAD_REQUEST',
    );
  });

  it('certifies P-256 only, in one spelling', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ type: 'spki', format: 'der' });
    expect(await codeOf(issue(authority, { publicKey: other }, subject, { now: new Date() }))).toBe('BAD_TLS_KEY');
    const off = Uint8Array.from(createTlsKey().publicKey);
    off[90]! ^= 1; // not on the curve
    expect(await codeOf(issue(authority, { publicKey: off }, subject, { now: new Date() }))).toBe('BAD_TLS_KEY');
  });

  it.each(['', 'Eu', 'a/b', 'a b', 'a\u0000', 'a\u001b[2J', '-a', 'x'.repeat(64)])(
    'refuses the name %j',
    async (name) => {
      expect(await codeOf(issue(authority, createTlsKey(), { ...subject, name }, { now: new Date() }))).toBe(
        'BAD_SUBJECT',
      );
    },
  );

  it('keeps keys in files that nobody else can read, and refuses others', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'veilsum-tls-'));
    await saveTlsIdentity(folder, node);
    const keyFile = join(folder, 'tls.key');
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const loaded = await loadTlsIdentity(folder);
    expect(loaded.certificates).toBe(node.certificates);
    expect(Buffer.from(loaded.key.bytes).equals(node.key.bytes)).toBe(true);
    await chmod(keyFile, 0o640);
    expect(await codeOf(loadTlsIdentity(folder))).toBe('KEY_FILE_READABLE');
    await saveTlsIdentity(folder, { ...node, key: createTlsKey().privateKey });
    expect(await codeOf(loadTlsIdentity(folder))).toBe('BAD_TLS_KEY');
    await rm(folder, { recursive: true });
    expect(await codeOf(loadTlsIdentity(folder))).toBe('FILE_UNREADABLE');
  });
});

/** One call of any shape; the code it ends with. */
function callAny(client: Connection, method: AnyMethod): Promise<string> {
  if (method.requestStream) return codeOf(client.duplex(method as never).read());
  if (method.responseStream) return codeOf(client.stream(method as never, empty(method) as never).next());
  return codeOf(client.call(method as never, empty(method) as never));
}

function empty(method: AnyMethod): unknown {
  return method.requestDeserialize(Buffer.alloc(0));
}

/** A bare TLS handshake with the server: its version, or the code it failed with. */
function rawHandshake(context: SecureContextOptions, tap: (socket: TLSSocket) => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = tlsConnect({
      ...context,
      host: '127.0.0.1',
      port: server.port,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    tap(socket);
    const done = (result: string): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('data', () => done(String(socket.getProtocol())));
    socket.on('close', () => done('CLOSED'));
  });
}

/** Connects twice to a TLS server, the second time with the session of the first: is it taken? */
async function resumes(context: SecureContextOptions): Promise<boolean> {
  const listening = createTlsServer({ ...context, requestCert: true }, (socket) => socket.write('hello')).listen(
    0,
    '127.0.0.1',
  );
  await new Promise((resolve) => listening.once('listening', resolve));
  const { port } = listening.address() as AddressInfo;
  let session: Buffer | undefined;
  let reused = false;
  for (let attempt = 0; attempt < 2; attempt++) {
    const resumed = session === undefined ? {} : { session };
    const socket = tlsConnect({
      ...secureContextOptions(node),
      ...resumed,
      host: '127.0.0.1',
      port,
      checkServerIdentity: () => undefined,
    });
    socket.on('session', (ticket) => {
      session = ticket;
    });
    await new Promise((resolve) => socket.once('data', resolve));
    reused = socket.isSessionReused();
    socket.destroy();
  }
  listening.close();
  return reused;
}
