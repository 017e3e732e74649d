import { type ClientHttp2Session, type ClientHttp2Stream, connect as http2Connect } from 'node:http2';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  AggregationServiceService,
  type UploadHeader,
  type UploadReceipt,
} from '../../proto/gen/veilsum/v1/aggregation.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { type Handlers, implement } from '../../src/grpc/handlers.ts';
import { receiveUpload } from '../../src/grpc/receive-upload.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { AggregationService } from '../../src/grpc/services.ts';
import { sourceOf } from '../../src/grpc/transfer.ts';
import { upload } from '../../src/grpc/upload.ts';
import { createAuthority } from '../../src/tls/authority.ts';
import { secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { MemorySink, party, sha256 } from '../protocol/parties.ts';

// A node that sends its payload as slowly as it can: one byte of a message at a time, or one message for every byte.

/** Controls: nobody looks at the clock, or at how short chunks are. */
const without = vi.hoisted(() => ({ idleLimit: false, shortest: false }));
vi.mock('../../src/grpc/in-time.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/in-time.ts')>();
  const inTime: typeof real.inTime = (limitMs, ...rest) => real.inTime(without.idleLimit ? null : limitMs, ...rest);
  return { ...real, inTime };
});
vi.mock('../../src/grpc/limits.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/limits.ts')>();
  return {
    ...real,
    get SHORT_CHUNK_BYTES() {
      return without.shortest ? 0 : real.SHORT_CHUNK_BYTES;
    },
  };
});

/** Counts durable writes. */
class CountingSink extends MemorySink {
  writes = 0;
  override async append(id: string, offset: number, bytes: Uint8Array): Promise<void> {
    this.writes++;
    await super.append(id, offset, bytes);
  }
}

const PAYLOAD = new Uint8Array(100_000).fill(7);
const HEADER: UploadHeader = { roundId: new Uint8Array(32), leaf: sha256(PAYLOAD) };

let node: TlsIdentity;
let other: TlsIdentity;
let server: RunningServer;
let sink: CountingSink;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  const authority = await createAuthority('ours', new Date());
  node = await party(authority, 'eu-1', 'node');
  other = await party(authority, 'eu-2', 'node');
  sink = new CountingSink();
  const receive = receiveUpload<UploadHeader, UploadReceipt>(sink, {
    admit: async ({ leaf }, { peer }) => ({ id: peer.name, lengthBytes: PAYLOAD.length, hash: leaf }),
    complete: async () => ({ leafIndex: 7n }),
  });
  const absent = async (): Promise<never> => Promise.reject(new Error('not in this test'));
  const every = Object.fromEntries(Object.keys(AggregationService).map((name) => [name, absent]));
  const handlers = { ...every, upload: receive } as unknown as Handlers<typeof AggregationService>;
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    tls: await party(authority, 'aggregator-1', 'aggregator'),
    services: [implement(AggregationService, handlers)],
    idleMs: 500,
  });
});
afterEach(() => {
  without.idleLimit = false;
  without.shortest = false;
  for (const session of sessions.splice(0)) session.destroy();
});
afterAll(() => server.stop(0));

/** An upload's stream by a client of its own making, and how it ends. */
async function open(): Promise<{ stream: ClientHttp2Stream; ended: Promise<unknown> }> {
  const session = http2Connect(`https://${server.address}`, {
    createConnection: () =>
      tlsConnect({
        ...secureContextOptions(node),
        host: '127.0.0.1',
        port: server.port,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      }),
  });
  sessions.push(session);
  session.on('error', () => {});
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  const { path } = AggregationServiceService.upload;
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers, { endStream: false });
  let code: unknown;
  const take = (seen: Record<string, unknown>): void => {
    code = seen['veilsum-code'] ?? code;
  };
  stream
    .on('response', take)
    .on('trailers', take)
    .on('error', () => {});
  stream.resume();
  return { stream, ended: new Promise((resolve) => stream.once('close', () => resolve(code))) };
}

type Part = Parameters<typeof AggregationServiceService.upload.requestSerialize>[0]['part'];
function message(part: Part): Buffer {
  const bytes = AggregationServiceService.upload.requestSerialize({ part });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
const header = (): Buffer => message({ $case: 'header', value: HEADER });
const chunk = (from: number, to: number): Buffer => message({ $case: 'chunk', value: PAYLOAD.subarray(from, to) });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends one byte after the other until the stream is closed, or so many were sent. */
async function trickle(stream: ClientHttp2Stream, bytes: Uint8Array, most: number): Promise<number> {
  for (let i = 0; i < most; i++) {
    if (stream.closed || stream.destroyed) return i;
    stream.write(bytes.subarray(i, i + 1));
    await pause(20);
  }
  return most;
}

const honest = async (): Promise<unknown> => {
  const connection = new Connection({
    address: server.address,
    tls: other,
    expected: { pins: [server.identity.spkiSha256] },
  });
  try {
    return await upload([connection], AggregationService.upload, HEADER, sourceOf(PAYLOAD));
  } finally {
    connection.close();
  }
};

describe('a slow-loris upload', () => {
  it('of one byte of a message at a time is ended, though bytes come all the time; others are served', async () => {
    const { stream, ended } = await open();
    stream.write(header());
    const slow = trickle(stream, chunk(0, 50_000), 10_000);
    expect(await honest()).toEqual({ leafIndex: 7n });
    expect(await ended).toBe('IDLE');
    expect(await slow).toBeLessThan(10_000);
  });

  it('control: without the limit it goes on for as long as it likes', async () => {
    without.idleLimit = true;
    const { stream } = await open();
    stream.write(header());
    expect(await trickle(stream, chunk(0, 50_000), 60)).toBe(60);
    expect([stream.closed, stream.destroyed]).toEqual([false, false]);
  });

  it('of a message for every byte costs one durable write, and is refused at its second', async () => {
    const before = sink.writes;
    const { stream, ended } = await open();
    stream.write(header());
    for (let i = 0; i < 100; i++) stream.write(chunk(i, i + 1));
    expect(await ended).toBe('CHUNK_SIZE');
    expect(sink.writes - before).toBe(1);
  });

  it('control: without the rule every byte is a durable write', async () => {
    without.shortest = true;
    const before = sink.writes;
    const { stream } = await open();
    stream.write(header());
    for (let i = 0; i < 100; i++) stream.write(chunk(i, i + 1));
    await vi.waitFor(() => expect(sink.writes - before).toBe(100), 20_000);
  });
});
