import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Round } from '../../protocols/transcript.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { type Handlers, implement } from '../../src/grpc/handlers.ts';
import type * as limits from '../../src/grpc/limits.ts';
import { startServer } from '../../src/grpc/server.ts';
import { AggregationService } from '../../src/grpc/services.ts';
import { EndedRounds } from '../../src/party/ended-rounds.ts';
import * as payloadSums from '../../src/party/payload-sums.ts';
import * as uploadSharing from '../../src/party/upload-sharing.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { createAuthority } from '../../src/tls/authority.ts';
import { codeOf, party } from '../protocol/parties.ts';
import { memorySetting, smallEngine } from '../reference/memory-round.ts';

// Sums that take long, are asked for again while they run, or are made for a close that never comes.

vi.mock('../../src/party/payload-sums.ts', async (original) => ({ ...(await original<typeof payloadSums>()) }));
vi.mock('../../src/party/upload-sharing.ts', async (original) => ({ ...(await original<typeof uploadSharing>()) }));
vi.mock('../../src/grpc/limits.ts', async (original) => ({ ...(await original<typeof limits>()), UNARY_MS: 200 }));

const folder = mkdtempSync(join(tmpdir(), 'veilsum-long-sums-'));
let federation: MemoryFederation;
let first: Round;
let store: Store;

beforeAll(async () => {
  federation = new MemoryFederation(memorySetting(await smallEngine(), { nodes: 4 }));
  const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i + 1)]));
  first = federation.runRound(1, updates);
  federation.nextModel(first as Extract<Round, { phase: 'released' }>);
  federation.runRound(2, updates);
  store = await openStore(folder);
  for (const { body } of first.uploads.values()) await store.blobs.put([federation.blobs.get(body.payloadHash)!]);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const hashes = (count: number): string[] => [...first.uploads.values()].slice(0, count).map((u) => u.body.payloadHash);

describe('a sum', () => {
  it('that is asked for while it is added up is added up once; control: another process’s is not shared', async () => {
    const put = vi.spyOn(store.blobs, 'put');
    const asked = [1, 2, 3].map(() => payloadSums.sumPayloads(store, first, hashes(3)));
    const [one, ...others] = await Promise.all(asked);
    expect(others).toEqual([one, one]);
    expect(put).toHaveBeenCalledTimes(1);
    await store.blobs.remove(one!.hash);
    const handles = [1, 2, 3].map(() => ({ ...store, blobs: store.blobs, records: store.records, sums: store.sums }));
    await Promise.all(handles.map((handle) => payloadSums.sumPayloads(handle as Store, first, hashes(3))));
    expect(put).toHaveBeenCalledTimes(4);
    put.mockRestore();
  });

  it('that failed is added up again when it is asked for again', async () => {
    const put = vi.spyOn(store.blobs, 'put').mockRejectedValueOnce(new Error('EIO'));
    await expect(payloadSums.sumPayloads(store, first, hashes(4))).rejects.toThrow('EIO');
    put.mockRestore();
    expect(await store.blobs.has((await payloadSums.sumPayloads(store, first, hashes(4))).hash)).toBe(true);
  });

  it('in no leaf goes with its round, also when it was ready only after that; control: by the leaves alone it stays', async () => {
    const { transcript } = federation.log;
    const ended = new EndedRounds(store);
    const { hash } = await payloadSums.sumPayloads(store, first, hashes(2));
    const made = vi.spyOn(payloadSums, 'madeSums').mockResolvedValue(new Map());
    const forget = vi.spyOn(payloadSums, 'forgetSums').mockResolvedValue();
    await ended.clear(transcript);
    expect(await store.blobs.has(hash)).toBe(true);
    made.mockRestore();
    forget.mockRestore();
    expect(await ended.clear(transcript)).toBe(true);
    expect(await store.blobs.list()).toEqual([]);
    expect(await store.records.list('payload-sums')).toEqual([]);
    expect(await ended.clear(transcript)).toBe(false);
  });
});

describe('what an upload shares its key with', () => {
  const part = (byte: number) => new Uint8Array(30_000).fill(byte);
  const sharing = (byte: number) => ({ correction: part(byte), boxes: [{ sealed: part(byte + 100) }] });
  const node = 'node-1';

  it('is kept once for each node, and goes with its round though the log refused its leaf', async () => {
    const place = { round: first.id, node };
    await uploadSharing.keepSharing(store, place, sharing(1));
    await uploadSharing.keepSharing(store, place, sharing(1));
    expect(await codeOf(uploadSharing.keepSharing(store, place, sharing(2)))).toBe('DUPLICATE_UPLOAD');
    expect(await store.blobs.list()).toHaveLength(2);
    await uploadSharing.keepSharing(store, { ...place, node: 'node-2' }, sharing(3));
    // Control: by the leaves alone it stays on the disk for good.
    const { transcript } = federation.log;
    const kept = vi.spyOn(uploadSharing, 'keptSharings').mockResolvedValue(new Map());
    const forget = vi.spyOn(uploadSharing, 'forgetSharings').mockResolvedValue();
    const ended = new EndedRounds(store);
    await ended.clear(transcript);
    expect(await store.blobs.list()).toHaveLength(4);
    kept.mockRestore();
    forget.mockRestore();
    expect(await ended.clear(transcript)).toBe(true);
    expect(await store.blobs.list()).toEqual([]);
    expect(await store.records.list('upload-sharings')).toEqual([]);
    expect(await ended.clear(transcript)).toBe(false);
  });
});

it('a call for a sum may take longer than other calls', async () => {
  const authority = await createAuthority('ours', new Date());
  const tls = await party(authority, 'aggregator-1', 'aggregator');
  let isSlow: () => void = () => {};
  const slow = new Promise<void>((resolve) => {
    isSlow = resolve;
  });
  const other = (): Promise<never> => new Promise(() => {});
  const handlers = Object.fromEntries(Object.keys(AggregationService).map((name) => [name, other]));
  const sum = async () => {
    await slow;
    return { sumHash: new Uint8Array(32), sumBytes: 1n };
  };
  const service = implement(AggregationService, { ...handlers, sum } as unknown as Handlers<typeof AggregationService>);
  const server = await startServer({ host: '127.0.0.1', port: 0, tls, services: [service] });
  const connection = new Connection({
    address: server.address,
    tls: await party(authority, 'hub', 'coordinator'),
    expected: { pins: [server.identity.spkiSha256] },
  });
  const summing = codeOf(
    connection.callOnce(AggregationService.sum, { roundId: new Uint8Array(32), attempt: 1, payloadHashes: [] }, 60_000),
  );
  const request = { closeHash: new Uint8Array(32) };
  // The control: the server ends it.
  expect(await codeOf(connection.callOnce(AggregationService.fetchMaskSum, request, 60_000))).toBe('DEADLINE');
  isSlow();
  expect(await summing).toBe('SUCCEEDED');
  connection.close();
  await server.stop(0);
});
