import { type ClientHttp2Session, constants, connect as http2Connect } from 'node:http2';
import { connect as tlsConnect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection } from '../../src/grpc/connection.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { MAX_HEADER_BYTES, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_STREAMS } from '../../src/grpc/limits.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { PartyService } from '../../src/grpc/services.ts';
import { createAuthority } from '../../src/tls/authority.ts';
import { secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { codeOf, party } from '../protocol/parties.ts';

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ requestLimit: false }));

vi.mock('../../src/grpc/request-in-time.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/request-in-time.ts')>();
  const requestInTime: typeof real.requestInTime = (limitMs) => {
    return real.requestInTime(without.requestLimit ? 2 ** 30 : limitMs);
  };
  return { ...real, requestInTime };
});

const STATUS = '/veilsum.v1.PartyService/Status';
const status = { name: 'c', role: 'coordinator', version: '0', logSize: 0n, ready: true };
const service = implement(PartyService, { status: async () => status });

let serverTls: TlsIdentity;
let node: TlsIdentity;
let server: RunningServer;
let honest: Connection;
const sessions: ClientHttp2Session[] = [];

function start(idleMs?: number): Promise<RunningServer> {
  const limit = idleMs === undefined ? {} : { idleMs };
  return startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services: [service], ...limit });
}

beforeAll(async () => {
  const authority = await createAuthority('ours', new Date());
  serverTls = await party(authority, 'c', 'coordinator');
  node = await party(authority, 'eu-1', 'node');
  server = await start();
  const tls = await party(authority, 'eu-2', 'node');
  honest = new Connection({ address: server.address, tls, expected: { pins: [server.identity.spkiSha256] } });
});
beforeEach(() => {
  without.requestLimit = false;
});
afterAll(async () => {
  for (const session of sessions) session.destroy();
  honest.close();
  await server.stop(0);
});

/** A party with a good certificate and a client of its own making. */
function hostile(to: RunningServer = server): Promise<ClientHttp2Session> {
  const session = http2Connect(`https://${to.address}`, {
    createConnection: () =>
      tlsConnect({
        ...secureContextOptions(node),
        host: '127.0.0.1',
        port: to.port,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      }),
  });
  sessions.push(session);
  session.on('error', () => {});
  return new Promise((resolve) => session.once('remoteSettings', () => resolve(session)));
}

/** Headers of a call. */
function call(path = STATUS, more: Record<string, string> = {}): Record<string, string> {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...more };
}

interface Ended {
  readonly grpc: string | undefined;
  readonly code: string | undefined;
  readonly rst: number | undefined;
}

/** Does one call with raw bytes as its body. @param body - null leaves it open. */
function raw(session: ClientHttp2Session, headers: Record<string, string>, body: Uint8Array | null): Promise<Ended> {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: false });
    let seen: Record<string, unknown> = {};
    const take = (more: object): void => {
      seen = { ...seen, ...more };
    };
    stream
      .on('response', take)
      .on('trailers', take)
      .on('error', () => {});
    stream.on('close', () => {
      const text = (name: string): string | undefined => seen[name] as string | undefined;
      resolve({ grpc: text('grpc-status'), code: text('veilsum-code'), rst: stream.rstCode });
    });
    stream.resume();
    if (body !== null) stream.end(body);
  });
}

const frame = (bytes: Uint8Array, compressed = 0, length = bytes.length): Buffer => {
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, bytes]);
};
const serves = (): Promise<string> => codeOf(honest.callOnce(PartyService.status, {}, 10_000));

describe('a party with a certificate and bad intentions', () => {
  it('control: its own client can call', async () => {
    expect(await raw(await hostile(), call(), frame(new Uint8Array(0)))).toMatchObject({ grpc: '0' });
  });

  it('is cut off when it opens and resets streams without end (CVE-2023-44487)', async () => {
    const session = await hostile();
    const closed = new Promise<void>((resolve) => session.once('close', resolve));
    let opened = 0;
    while (!session.destroyed && !session.closed && opened < 20_000) {
      const batch = Array.from({ length: MAX_STREAMS }, () => session.request(call(), { endStream: false }));
      await new Promise((resolve) => setImmediate(resolve));
      for (const stream of batch) stream.on('error', () => {}).close(constants.NGHTTP2_CANCEL);
      opened += batch.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    expect(opened).toBeLessThan(20_000);
    expect(await serves()).toBe('SUCCEEDED');
  });

  it('gets no more streams than allowed on one connection', async () => {
    const session = await hostile();
    expect(session.remoteSettings).toMatchObject({
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListSize: MAX_HEADER_BYTES,
    });
  });

  it.each([
    ['many header fields', Object.fromEntries(Array.from({ length: MAX_HEADERS + 1 }, (_, i) => [`x-${i}`, 'a']))],
    ['long header fields', Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`x-${i}`, 'a'.repeat(8 << 10)]))],
  ])('%s: refused before any handler', async (_name, more) => {
    const { grpc, rst } = await raw(await hostile(), call(STATUS, more), frame(new Uint8Array(0)));
    expect(grpc).toBeUndefined();
    expect(rst).not.toBe(0);
    expect(await serves()).toBe('SUCCEEDED');
  });

  it('a length that is too large is refused by its prefix, none of it is waited for', async () => {
    const long = frame(new Uint8Array(10), 0, MAX_MESSAGE_BYTES + 1);
    expect(await raw(await hostile(), call(), long)).toMatchObject({ grpc: '8' });
    const right = frame(new Uint8Array(10), 0, 11); // control: one byte missing, which is another refusal
    expect((await raw(await hostile(), call(), right)).grpc).not.toBe('8');
  });

  it('a small message that unpacks to a large one is refused', async () => {
    const bomb = gzipSync(new Uint8Array(64 << 20));
    expect(bomb.length).toBeLessThan(MAX_MESSAGE_BYTES);
    const gzip = call(STATUS, { 'grpc-encoding': 'gzip' });
    expect(await raw(await hostile(), gzip, frame(bomb, 1))).toMatchObject({ grpc: '8' });
    expect(await raw(await hostile(), gzip, frame(gzipSync(new Uint8Array(0)), 1))).toMatchObject({ grpc: '0' }); // control
  });

  it('a request that never ends is ended', { timeout: 15_000 }, async () => {
    const own = await start(200);
    expect(await raw(await hostile(own), call(), null)).toMatchObject({ grpc: '4', code: 'IDLE' });
    await own.stop(0);
    without.requestLimit = true; // control: it may take as long as it likes
    const patient = await start(200);
    const session = await hostile(patient);
    const stream = session.request(call(), { endStream: false });
    let grpc: unknown;
    stream.on('trailers', (trailers) => {
      grpc = trailers['grpc-status'];
    });
    stream.resume();
    await new Promise((resolve) => setTimeout(resolve, 400));
    stream.end(frame(new Uint8Array(0)));
    await new Promise((resolve) => stream.once('close', resolve));
    expect(grpc).toBe('0');
    session.destroy();
    await patient.stop(0);
  });
});
