import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Round } from '../../protocols/transcript.ts';
import type { Connection } from '../../src/grpc/connection.ts';
import { OpeningInput } from '../../src/party/opening-input.ts';
import type { Party } from '../../src/party/party.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { BlobStore, Store } from '../../src/store/port.ts';
import { codeOf } from '../protocol/parties.ts';

// What a recipient's store holds of summed payloads: no answer takes one away, and none stays after its round.

/** The control: what came is looked at only after it was kept. */
const late = vi.hoisted(() => ({ wanted: null as string | null }));
vi.mock('node:crypto', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:crypto')>();
  const blind: typeof original.createHash = (...args) => {
    const { wanted } = late;
    const hash = original.createHash(...args);
    const [, , caller] = new Error().stack!.split('\n');
    if (wanted === null || caller?.includes('party/opening-input') !== true) return hash;
    return Object.assign(hash, { digest: () => wanted });
  };
  return { ...original, createHash: blind };
});

const BYTES = 1000;
const sums = { own: Buffer.alloc(BYTES, 1), other: Buffer.alloc(BYTES, 2) };
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'veilsum-sums-'));
  store = await openStore(folder);
  late.wanted = null;
});
afterEach(async () => {
  vi.restoreAllMocks();
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const round = (...sumHashes: string[]): Round =>
  ({
    record: { parameters: { payloadBytes: BYTES } },
    attempts: sumHashes.map((sumHash) => ({ sumHash })),
  }) as unknown as Round;

/** A recipient whose one aggregator sends these bytes, whatever it is asked for, once it may. */
function recipient(sent: Uint8Array, may: Promise<void> = Promise.resolve(), blobs: BlobStore = store.blobs) {
  const stream = async function* () {
    await may;
    yield { part: { $case: 'totalBytes', value: BigInt(sent.length) } };
    yield { part: { $case: 'chunk', value: Uint8Array.from(sent) } };
  };
  const aggregators = [{ address: 'liar:1', stream } as unknown as Connection];
  return new OpeningInput({ store: { ...store, blobs }, aggregators } as unknown as Party, 'kernel');
}

/** Asks for a sum, and is sent another one that is there already. @returns the refusal, and what is there afterwards. */
async function sentAnother(blobs?: BlobStore): Promise<{ code: string; own: boolean; other: boolean }> {
  await store.blobs.put([sums.other]);
  const own = hashOf(sums.own);
  const code = await codeOf(recipient(sums.other, undefined, blobs).sum(round(own), own));
  return { code, own: await store.blobs.has(own), other: await store.blobs.has(hashOf(sums.other)) };
}

it('an aggregator that sends the sum of another round: it is refused, and that sum stays', async () => {
  expect(await sentAnother()).toEqual({ code: 'SUM_MISMATCH', own: false, other: true });
});

it('control: looked at only after it was kept, the wrong answer takes the other sum away', async () => {
  late.wanted = hashOf(sums.own);
  const put = async (chunks: Parameters<BlobStore['put']>[0]) => {
    const info = await store.blobs.put(chunks);
    if (info.hash === late.wanted) return info;
    await store.blobs.removeAll([info.hash]);
    throw new ProtocolError('SUM_MISMATCH', 'not the sum that was asked for');
  };
  const keepFirst = new Proxy(store.blobs, {
    get: (blobs, name) => {
      const value: unknown = Reflect.get(blobs, name, blobs);
      return name === 'put' ? put : typeof value === 'function' ? value.bind(blobs) : value;
    },
  });
  expect(await sentAnother(keepFirst)).toEqual({ code: 'SUM_MISMATCH', own: false, other: false });
});

/** A round ends while its sum is on the way. @returns its hash, once the sum has come. */
async function comesLate(): Promise<string> {
  const hash = hashOf(sums.own);
  const may = Promise.withResolvers<void>();
  const input = recipient(sums.own, may.promise);
  const coming = input.sum(round(hash), hash);
  await input.forget(round(hash));
  may.resolve();
  await coming;
  return hash;
}

it("a sum that comes after its round's end goes when it is there", async () => {
  const hash = await comesLate();
  await vi.waitFor(async () => expect(await store.blobs.has(hash)).toBe(false), 10_000);
});

it('control: where only what is there at the end is removed, it stays for ever', async () => {
  vi.spyOn(OpeningInput.prototype, 'forget').mockImplementation(({ attempts }) =>
    store.blobs.removeAll(attempts.map(({ sumHash }) => sumHash)),
  );
  expect(await store.blobs.has(await comesLate())).toBe(true);
});

it('sums of every attempt of an ended round go, those of other rounds stay', async () => {
  for (const sum of Object.values(sums)) await store.blobs.put([sum]);
  const third = Buffer.alloc(BYTES, 3);
  await store.blobs.put([third]);
  await recipient(third).forget(round(hashOf(sums.own), hashOf(sums.other)));
  const held = [sums.own, sums.other, third].map((sum) => store.blobs.has(hashOf(sum)));
  expect(await Promise.all(held)).toEqual([false, false, true]);
});
