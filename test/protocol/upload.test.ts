import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type {
  UploadHeader,
  UploadReceipt,
  UploadRequest,
  UploadResponse,
} from '../../proto/gen/veilsum/v1/aggregation.ts';
import { Connection, type Duplex } from '../../src/grpc/connection.ts';
import { download, sendBlob } from '../../src/grpc/download.ts';
import { TransportError } from '../../src/grpc/errors.ts';
import { followLog } from '../../src/grpc/follow.ts';
import { type Handlers, type Implementation, implement } from '../../src/grpc/handlers.ts';
import { CHUNK_BYTES, MAX_MESSAGE_BYTES } from '../../src/grpc/limits.ts';
import { type ChunkSink, receiveUpload } from '../../src/grpc/receive-upload.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { AggregationService, LogService } from '../../src/grpc/services.ts';
import { type ByteSource, sourceOf } from '../../src/grpc/transfer.ts';
import { upload } from '../../src/grpc/upload.ts';
import { type Authority, createAuthority } from '../../src/tls/authority.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import { type CuttingProxy, cuttingProxy } from './cutting-proxy.ts';
import { codeOf, MemorySink, party, sha256 } from './parties.ts';

const CHUNK = 64 * 1024;
let authority: Authority;
let serverTls: TlsIdentity;
let node: TlsIdentity;
let recipient: TlsIdentity;
const cleanUp: (() => unknown)[] = [];

beforeAll(async () => {
  authority = await createAuthority('ours', new Date());
  serverTls = await party(authority, 'aggregator-1', 'aggregator');
  node = await party(authority, 'eu-1', 'node');
  recipient = await party(authority, 'owner', 'recipient');
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});
afterAll(() => node.key.wipe());

/** The leaf of these tests: length (4 bytes, big-endian) and SHA-256. Protocols sign theirs. */
function headerFor(payload: Uint8Array, lengthBytes = payload.length): UploadHeader {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(lengthBytes);
  return { roundId: new Uint8Array(32), leaf: Buffer.concat([length, sha256(payload)]) };
}

function aggregator(sink: ChunkSink, others: Partial<Handlers<typeof AggregationService>> = {}): Implementation {
  const receive = receiveUpload<UploadHeader, UploadReceipt>(sink, {
    admit: async ({ leaf }, { peer }) => ({
      id: peer.name,
      lengthBytes: Buffer.from(leaf).readUInt32BE(),
      hash: leaf.subarray(4),
    }),
    complete: async () => ({ leafIndex: 7n }),
  });
  const absent = async (): Promise<never> => Promise.reject(new TransportError('NO_SUCH_CALL', 'not in this test'));
  const every = Object.fromEntries(Object.keys(AggregationService).map((name) => [name, absent]));
  return implement(AggregationService, { ...every, upload: receive, ...others } as unknown as Handlers<
    typeof AggregationService
  >);
}

async function serve(services: Implementation[], options: { idleMs?: number } = {}): Promise<RunningServer> {
  const server = await startServer({ host: '127.0.0.1', port: 0, tls: serverTls, services, ...options });
  cleanUp.push(() => server.stop(0));
  return server;
}
function connect(server: RunningServer, address = server.address, tls = node): Connection {
  const connection = new Connection({ address, tls, expected: { pins: [server.identity.spkiSha256] } });
  cleanUp.push(() => connection.close());
  return connection;
}
async function proxyTo(server: RunningServer): Promise<CuttingProxy> {
  const proxy = await cuttingProxy(server.port);
  cleanUp.push(() => proxy.close());
  return proxy;
}

/** Deterministic bytes that look random. */
function payloadOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A source that counts how often a chunk has been read for sending. */
function counted(bytes: Uint8Array): ByteSource & { reads: number } {
  const source = sourceOf(bytes);
  return {
    lengthBytes: source.lengthBytes,
    reads: 0,
    read(offset, length) {
      this.reads++;
      return source.read(offset, length);
    },
  };
}

/** Uploads through a line that breaks after each of the given numbers of bytes. Chunks sent, and cuts that happened. */
async function uploadWithCuts(
  sink: ChunkSink,
  payload: Uint8Array,
  cuts: readonly number[],
): Promise<{ sent: number; breaks: number }> {
  const server = await serve([aggregator(sink)]);
  const proxy = await proxyTo(server);
  const source = counted(payload);
  let cut = 0;
  const arm = (): void => proxy.cutAfter(cuts[cut++] ?? null);
  arm();
  let connections = 1;
  const receipt = await upload(
    [connect(server, proxy.address)],
    AggregationService.upload,
    headerFor(payload),
    source,
    {
      chunkBytes: CHUNK,
      attempts: 30,
      onProgress: () => {
        if (proxy.connections === connections) return;
        connections = proxy.connections; // the line broke and was mended: break the new one
        arm();
      },
    },
  );
  expect(receipt).toEqual({ leafIndex: 7n });
  return { sent: source.reads, breaks: cut - 1 };
}

describe('a payload on a bad line', () => {
  const payload = payloadOf(20 * CHUNK + 1234);
  const chunks = 21;

  it('arrives whole, and a cut at any byte sends at most one chunk again', async () => {
    let breaks = 0;
    for (let run = 0; run < 4; run++) {
      const sink = new MemorySink();
      const cuts = Array.from({ length: 6 }, () => 1 + Math.floor(Math.random() * 3 * CHUNK));
      const result = await uploadWithCuts(sink, payload, cuts);
      expect(result.sent, `cuts after ${cuts}`).toBeLessThanOrEqual(chunks + result.breaks);
      expect(sink.appends).toBe(chunks);
      expect(Buffer.from(sink.blobs.get('eu-1')!).equals(payload)).toBe(true);
      breaks += result.breaks;
    }
    expect(breaks).toBeGreaterThan(8);
  });

  it('control: with a store that forgets at a break, the same cuts cost more', async () => {
    class Forgetful extends MemorySink {
      override async received(id: string): Promise<number> {
        this.partial.delete(id);
        return 0;
      }
    }
    const { sent, breaks } = await uploadWithCuts(new Forgetful(), payload, [5 * CHUNK + 99, 9 * CHUNK + 99]);
    expect(sent).toBeGreaterThan(chunks + breaks);
  });

  it('goes on at another replica when one is gone, from where the shared store is', async () => {
    const sink = new MemorySink();
    const first = await serve([aggregator(sink)]);
    const second = await serve([aggregator(sink)]);
    const source = counted(payload);
    let stopped: Promise<void> | null = null;
    await upload([connect(first), connect(second)], AggregationService.upload, headerFor(payload), source, {
      chunkBytes: CHUNK,
      onProgress: (received) => {
        if (received >= 10 * CHUNK) stopped ??= first.stop(0);
      },
    });
    await stopped;
    expect(source.reads).toBeLessThanOrEqual(chunks + 1);
    expect(sink.appends).toBe(chunks);
  });

  it('gives the same receipt when the whole upload is repeated, sending nothing', async () => {
    const sink = new MemorySink();
    const server = await serve([aggregator(sink)]);
    const source = counted(payload);
    const connection = connect(server);
    for (let time = 0; time < 2; time++) {
      expect(
        await upload([connection], AggregationService.upload, headerFor(payload), source, { chunkBytes: CHUNK }),
      ).toEqual({ leafIndex: 7n });
    }
    expect(source.reads).toBe(chunks);
  });

  it('ends in IDLE on both sides when the other one says nothing', async () => {
    const stuck = new MemorySink();
    stuck.append = () => new Promise(() => {});
    const server = await serve([aggregator(stuck)], { idleMs: 100 });
    const silent = connect(server).duplex(AggregationService.upload);
    expect(await codeOf(silent.read())).toBe('IDLE');
    const options = { idleMs: 100, attempts: 2 };
    expect(
      await codeOf(
        upload([connect(server)], AggregationService.upload, headerFor(payload), sourceOf(payload), options),
      ),
    ).toBe('IDLE');
  });

  it('fails by name when nobody is there, after the attempts it was given', async () => {
    const server = await serve([aggregator(new MemorySink())]);
    const connection = connect(server);
    await server.stop(0);
    const attempt = upload([connection], AggregationService.upload, headerFor(payload), sourceOf(payload), {
      attempts: 2,
    });
    expect(await codeOf(attempt)).toBe('UNREACHABLE');
  });
});

describe('what a bad upload gets', () => {
  const payload = payloadOf(3 * CHUNK);
  type Stream = Duplex<UploadRequest, UploadResponse>;
  const header = (value = headerFor(payload)): UploadRequest => ({ part: { $case: 'header', value } });
  const chunk = (value: Uint8Array): UploadRequest => ({ part: { $case: 'chunk', value } });

  async function refusal(
    messages: UploadRequest[],
    sink = new MemorySink(),
  ): Promise<{ code: string; sink: MemorySink }> {
    const connection = connect(await serve([aggregator(sink)]));
    const stream: Stream = connection.duplex(AggregationService.upload);
    for (const message of messages) await stream.write(message);
    stream.finish();
    const drain = async (): Promise<void> => {
      while ((await stream.read()) !== null);
    };
    const code = await codeOf(drain());
    // The next caller is served all the same.
    expect(
      await upload([connection], AggregationService.upload, headerFor(payload), sourceOf(payload), {
        chunkBytes: CHUNK,
      }),
    ).toEqual({ leafIndex: 7n });
    expect(Buffer.from(sink.blobs.get('eu-1')!).equals(payload)).toBe(true);
    return { code, sink };
  }

  it.each<[string, () => UploadRequest[]]>([
    ['NO_HEADER', () => []],
    ['NO_HEADER', () => [chunk(payload)]],
    ['HEADER_TWICE', () => [header(), chunk(payload.subarray(0, CHUNK)), header()]],
    ['CHUNK_SIZE', () => [header(), chunk(new Uint8Array(0))]],
    ['CHUNK_SIZE', () => [header(), chunk(new Uint8Array(CHUNK_BYTES + 1))]],
    ['CHUNK_SIZE', () => [header(), chunk(payload.subarray(0, 9)), chunk(payload.subarray(9))]],
    ['TRAILING_BYTES', () => [header(), chunk(payload), chunk(new Uint8Array(1))]],
    ['TRUNCATED_STREAM', () => [header(), chunk(payload.subarray(0, CHUNK))]],
    ['TRUNCATED_STREAM', () => [header()]],
    ['WRONG_HASH', () => [header(), chunk(payload.with(1000, payload[1000]! ^ 1))]],
    ['SUCCEEDED', () => [header(), chunk(payload)]], // control
  ])('%s', async (code, messages) => {
    expect((await refusal(messages())).code).toBe(code);
  });

  it('MESSAGE_TOO_LARGE, before it is in memory', async () => {
    const large = { ...AggregationService.upload, requestSerialize: () => Buffer.alloc(MAX_MESSAGE_BYTES + 1) };
    const connection = connect(await serve([aggregator(new MemorySink())]));
    const stream = connection.duplex(large);
    await stream.write(header());
    expect(await codeOf(stream.read())).toBe('MESSAGE_TOO_LARGE');
  });

  it.each<[string, number[]]>([
    ['an unknown field', [0x22, 0x01, 0x00]],
    ['trailing bytes', [0x12, 0x01, 0xaa, 0x00]],
    ['a length beyond the end', [0x12, 0x05, 0xaa]],
    ['a longer spelling of the length', [0x12, 0x81, 0x00, 0xaa]],
    ['both parts', [0x12, 0x01, 0xaa, 0x0a, 0x00]],
    ['no protobuf at all', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('MALFORMED_MESSAGE: %s', async (_what, bytes) => {
    const sink = new MemorySink();
    const connection = connect(await serve([aggregator(sink)]));
    const stream = connection.duplex({ ...AggregationService.upload, requestSerialize: () => Buffer.from(bytes) });
    await stream.write(header());
    expect(await codeOf(stream.read())).toBe('MALFORMED_MESSAGE');
    expect(sink.appends).toBe(0);
  });

  it('an impatient sender is read one chunk at a time', async () => {
    const sink = new MemorySink();
    sink.delayMs = 5;
    const large = payloadOf(40 * CHUNK);
    const connection = connect(await serve([aggregator(sink)]));
    const stream: Stream = connection.duplex(AggregationService.upload);
    await stream.write(header(headerFor(large)));
    for (let at = 0; at < large.length; at += CHUNK) await stream.write(chunk(large.subarray(at, at + CHUNK)));
    stream.finish();
    let last: UploadResponse | null = null;
    for (let next = await stream.read(); next !== null; next = await stream.read()) last = next;
    expect(last?.part?.$case).toBe('receipt');
    expect(sink.mostRunning).toBe(1);
    expect(Buffer.from(sink.blobs.get('eu-1')!).equals(large)).toBe(true);
  });

  it('a newer attempt ends the older one: SUPERSEDED, and nothing is stored twice', async () => {
    const sink = new MemorySink();
    const connection = connect(await serve([aggregator(sink)]));
    const older: Stream = connection.duplex(AggregationService.upload);
    await older.write(header());
    await older.read();
    const newer: Stream = connection.duplex(AggregationService.upload);
    await newer.write(header());
    await newer.read();
    await older.write(chunk(payload.subarray(0, CHUNK)));
    expect(await codeOf(older.read())).toBe('SUPERSEDED');
    await newer.write(chunk(payload));
    newer.finish();
    expect((await newer.read())?.part).toEqual({ $case: 'receivedBytes', value: BigInt(payload.length) });
    expect((await newer.read())?.part?.$case).toBe('receipt');
  });
});

describe('a download', () => {
  const sum = payloadOf(3 * CHUNK_BYTES + 77);

  async function fetchSum(
    lying: Partial<ByteSource> = {},
    cuts = false,
  ): Promise<{ bytes: Uint8Array; code: string; requests: number }> {
    let requests = 0;
    const source = { ...sourceOf(sum), ...lying };
    const server = await serve([
      aggregator(new MemorySink(), {
        fetchSum: async function* (request) {
          requests++;
          let sent = 0;
          for await (const part of sendBlob(source, request.offsetBytes)) {
            if (cuts && requests < 3 && sent++ === 2) throw new TransportError('CONNECTION_LOST', 'cut');
            yield part;
          }
        },
      }),
    ]);
    const received: Uint8Array[] = [];
    const request = (offsetBytes: bigint): { sumHash: Uint8Array; offsetBytes: bigint } => ({
      sumHash: new Uint8Array(32),
      offsetBytes,
    });
    const code = await codeOf(
      download(
        [connect(server, server.address, recipient)],
        AggregationService.fetchSum,
        request,
        (chunk) => void received.push(chunk),
        {
          maxBytes: 1 << 26,
          expectedBytes: sum.length,
          attempts: 3,
        },
      ),
    );
    return { bytes: Buffer.concat(received), code, requests };
  }

  it('arrives whole, going on after cuts where it stopped', async () => {
    const { bytes, code, requests } = await fetchSum({}, true);
    expect([code, requests]).toEqual(['SUCCEEDED', 3]);
    expect(Buffer.from(bytes).equals(sum)).toBe(true);
  });

  it('of another length than the log says is refused', async () => {
    expect((await fetchSum({ lengthBytes: sum.length - 1 })).code).toBe('WRONG_LENGTH');
    expect((await fetchSum({ read: () => new Uint8Array(sum.length + 1).subarray(0, CHUNK_BYTES + 1) })).code).toBe(
      'WRONG_LENGTH',
    );
  });
});

describe('following the log', () => {
  const leaves = Array.from({ length: 10 }, (_, index) => Uint8Array.of(index));
  const logOf = (
    runs: (from: number) => { firstIndex: number; leaves: Uint8Array[] }[],
    breakAfter = true,
  ): Implementation =>
    implement(LogService, {
      append: async () => ({ leafIndex: 0n }),
      getCheckpoint: async () => ({ checkpoint: new Uint8Array(0) }),
      follow: async function* ({ fromIndex }, { signal }) {
        for (const run of runs(Number(fromIndex))) {
          yield { firstIndex: BigInt(run.firstIndex), leaves: run.leaves, checkpoint: new Uint8Array(0) };
        }
        if (breakAfter) throw new TransportError('CONNECTION_LOST', 'cut');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });

  it('gets every leaf once over many breaks', async () => {
    const twoEach = logOf((from) => [{ firstIndex: from, leaves: leaves.slice(from, from + 2) }]);
    const seen: number[] = [];
    let breaks = 0;
    const stop = new AbortController();
    for await (const run of followLog(connect(await serve([twoEach])), 1, {
      signal: stop.signal,
      onBreak: () => breaks++,
    })) {
      seen.push(...run.leaves.map((leaf) => leaf[0]!));
      if (seen.length === 9) stop.abort();
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(breaks).toBeGreaterThanOrEqual(4);
  });

  it('refuses a log that skips or repeats leaves', async () => {
    for (const second of [1, 3]) {
      const broken = logOf(() =>
        [0, second].map((firstIndex) => ({ firstIndex, leaves: leaves.slice(firstIndex, firstIndex + 2) })),
      );
      const read = async (): Promise<void> => {
        for await (const _run of followLog(connect(await serve([broken])), 0));
      };
      expect(await codeOf(read())).toBe('LOG_GAP');
    }
  });

  it('ends when it is told to, also while nothing happens', async () => {
    const stop = new AbortController();
    const quiet = connect(await serve([logOf(() => [], false)]));
    setTimeout(() => stop.abort(), 50);
    for await (const _run of followLog(quiet, 0, { signal: stop.signal })) expect.unreachable();
  });
});
