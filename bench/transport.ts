import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import type { FetchSumRequest, UploadHeader, UploadReceipt } from '../proto/gen/veilsum/v1/aggregation.ts';
import { Connection } from '../src/grpc/connection.ts';
import { download, sendBlob } from '../src/grpc/download.ts';
import { type Handlers, implement } from '../src/grpc/handlers.ts';
import { CHUNK_BYTES } from '../src/grpc/limits.ts';
import { type ChunkSink, receiveUpload } from '../src/grpc/receive-upload.ts';
import { startServer } from '../src/grpc/server.ts';
import { AggregationService } from '../src/grpc/services.ts';
import { sourceOf } from '../src/grpc/transfer.ts';
import { upload } from '../src/grpc/upload.ts';
import { createAuthority, issue } from '../src/tls/authority.ts';
import type { TlsIdentity } from '../src/tls/context.ts';
import type { TlsRole } from '../src/tls/identity.ts';
import { createTlsKey } from '../src/tls/keys.ts';
import type { BenchRow } from './row.ts';

const LOOPBACK_BYTES = 256 << 20;
const WAN_BYTES = 32 << 20;
const ONE_WAY_MS = 25;
const PLAIN_PATH = '/bench.Plain/Upload';

/**
 * Uploads and downloads over mutual TLS on this machine, and through a line with 50 ms of round trip. Baselines: the
 * same bytes over grpc-js as it comes (its own TLS credentials, its windows, no acknowledgements, nothing stored).
 */
export async function run(): Promise<BenchRow[]> {
  const authority = await createAuthority('bench', new Date());
  const party = async (name: string, role: TlsRole): Promise<TlsIdentity> => {
    const key = createTlsKey();
    const certificates = await issue(authority, key, { name, role, organisation: 'Bench' }, { now: new Date() });
    return { certificates, key: key.privateKey, authorities: authority.certificate };
  };
  const [serverTls, node, recipient] = [
    await party('a', 'aggregator'),
    await party('n', 'node'),
    await party('r', 'recipient'),
  ];
  const folder = await mkdtemp(join(tmpdir(), 'veilsum-bench-'));
  const payload = new Uint8Array(LOOPBACK_BYTES).fill(0xa5);
  const ours = await startServer({
    host: '127.0.0.1',
    port: 0,
    tls: serverTls,
    services: [aggregator(folder, payload)],
  });
  const plain = await plainServer(serverTls);
  const lines = [await slowLine(ours.port), await slowLine(plain.port)] as const;
  const expected = { pins: [ours.identity.spkiSha256] };

  const send = (port: number, bytes: number, name: string): Promise<number> =>
    timed(bytes, async () => {
      const connection = new Connection({ address: `127.0.0.1:${port}`, tls: node, expected });
      const header: UploadHeader = { roundId: new Uint8Array(32), leaf: Buffer.from(`${name} ${bytes}`) };
      await upload([connection], AggregationService.upload, header, sourceOf(payload.subarray(0, bytes)));
      connection.close();
    });
  const fetch = (port: number, bytes: number): Promise<number> =>
    timed(bytes, async () => {
      const connection = new Connection({ address: `127.0.0.1:${port}`, tls: recipient, expected });
      const request = (offsetBytes: bigint) => ({ sumHash: Buffer.from(String(bytes)), offsetBytes });
      await download([connection], AggregationService.fetchSum, request, () => {}, { maxBytes: LOOPBACK_BYTES });
      connection.close();
    });
  const sendPlain = (port: number, bytes: number): Promise<number> =>
    timed(bytes, () => plainUpload(port, node, payload.subarray(0, bytes)));

  try {
    const plainLoopback = await sendPlain(plain.port, LOOPBACK_BYTES);
    const plainWan = await sendPlain(lines[1].port, WAN_BYTES / 8);
    const row = (name: string, value: number, baseline: number): BenchRow => ({
      name,
      value,
      unit: 'MB/s',
      baseline: `grpc-js as it comes: ${baseline.toFixed(1)} MB/s`,
      ratio: value / baseline,
    });
    return [
      row('upload-memory', await send(ours.port, LOOPBACK_BYTES, 'memory'), plainLoopback),
      row('upload-durable', await send(ours.port, LOOPBACK_BYTES, 'durable'), plainLoopback),
      row('download', await fetch(ours.port, LOOPBACK_BYTES), plainLoopback),
      row('upload-50ms', await send(lines[0].port, WAN_BYTES, 'memory'), plainWan),
      row('download-50ms', await fetch(lines[0].port, WAN_BYTES), plainWan),
    ];
  } finally {
    for (const line of lines) line.close();
    plain.close();
    await ours.stop(0);
    await rm(folder, { recursive: true });
  }
}

async function timed(bytes: number, act: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await act();
  return bytes / 1000 / (performance.now() - start);
}

/** Leaves say `memory LENGTH` or `durable LENGTH`: the latter go to a file, synced per chunk. Hashes of sums are lengths. */
function aggregator(folder: string, sum: Uint8Array): ReturnType<typeof implement> {
  const received = new Map<string, number>();
  const files = new Map<string, Awaited<ReturnType<typeof open>>>();
  const sink: ChunkSink = {
    received: async (id) => received.get(id) ?? 0,
    append: async (id, offset, bytes) => {
      if (id.startsWith('durable')) {
        const file = files.get(id) ?? (await open(join(folder, 'payload'), 'w'));
        files.set(id, file);
        await file.write(bytes, 0, bytes.length, offset);
        await file.datasync();
      }
      received.set(id, offset + bytes.length);
    },
    finish: async (id) => {
      await files.get(id)?.close();
      return true;
    },
  };
  const rules = {
    admit: async ({ leaf }: UploadHeader) => {
      const id = Buffer.from(leaf).toString();
      return { id, lengthBytes: Number(id.split(' ')[1]), hash: createHash('sha256').digest() };
    },
    complete: async () => ({ leafIndex: 0n }),
  };
  const absent = async (): Promise<never> => Promise.reject(new Error('not in this bench'));
  const handlers = {
    ...Object.fromEntries(Object.keys(AggregationService).map((name) => [name, absent])),
    upload: receiveUpload<UploadHeader, UploadReceipt>(sink, rules),
    fetchSum: ({ sumHash, offsetBytes }: FetchSumRequest) =>
      sendBlob(sourceOf(sum.subarray(0, Number(Buffer.from(sumHash).toString()))), offsetBytes),
  };
  return implement(AggregationService, handlers as unknown as Handlers<typeof AggregationService>);
}

const bytesAsTheyAre = (bytes: Buffer): Buffer => bytes;

async function plainServer(tls: TlsIdentity): Promise<{ port: number; close: () => void }> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 8 << 20 });
  const definition = {
    upload: {
      path: PLAIN_PATH,
      requestStream: true,
      responseStream: false,
      requestSerialize: bytesAsTheyAre,
      requestDeserialize: bytesAsTheyAre,
      responseSerialize: bytesAsTheyAre,
      responseDeserialize: bytesAsTheyAre,
    },
  };
  server.addService(definition, {
    upload: (call: grpc.ServerReadableStream<Buffer, Buffer>, respond: grpc.sendUnaryData<Buffer>) => {
      call.on('data', () => {});
      call.on('end', () => respond(null, Buffer.alloc(0)));
    },
  });
  const pair = { private_key: Buffer.from(tls.key.bytes), cert_chain: Buffer.from(tls.certificates) };
  const credentials = grpc.ServerCredentials.createSsl(Buffer.from(tls.authorities), [pair], true);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { port, close: () => server.forceShutdown() };
}

async function plainUpload(port: number, tls: TlsIdentity, payload: Uint8Array): Promise<void> {
  const credentials = grpc.credentials.createSsl(
    Buffer.from(tls.authorities),
    Buffer.from(tls.key.bytes),
    Buffer.from(tls.certificates),
  );
  const client = new grpc.Client(`localhost:${port}`, credentials);
  await new Promise<void>((resolve, reject) => {
    const call = client.makeClientStreamRequest(PLAIN_PATH, bytesAsTheyAre, bytesAsTheyAre, (error) =>
      error ? reject(error) : resolve(),
    );
    void (async () => {
      for (let at = 0; at < payload.length; at += CHUNK_BYTES) {
        const chunk = payload.subarray(at, at + CHUNK_BYTES);
        if (!call.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))) await once(call, 'drain');
      }
      call.end();
    })();
  });
  client.close();
}

/** A line with ONE_WAY_MS of delay each way and no limit of bandwidth. */
async function slowLine(port: number): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (left) => {
    const right = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => setTimeout(() => to.writable && to.write(data), ONE_WAY_MS));
      from.on('close', () => setTimeout(() => to.destroy(), ONE_WAY_MS));
      from.on('error', () => {});
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, close };
}
