import { toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { blockBytes, createSum, type PayloadContext } from '../../crypto/payload.ts';
import type { Round } from '../../protocols/transcript.ts';
import { StoreError } from '../store/errors.ts';
import type { BlobInfo, BlobReader, Store, StoredSum } from '../store/port.ts';
import { payloadContext } from './engines.ts';
import { primitives } from './party.ts';

/** By round and name: hashes of the blobs that sums are in. A close that was refused names its sum in no leaf. */
const KNOWN_SUMS = 'payload-sums';
/** Sums being added up by this process, by name. */
const adding = new WeakMap<Store, Map<string, Promise<PayloadSumBlob>>>();

/** A sum of payloads in the store. */
export interface PayloadSumBlob {
  /** SHA-256, hexadecimal. */
  readonly hash: string;
  readonly bytes: number;
}

/** Keeps blocks as they are computed. @throws what computing them threw, by its own name and not as the disk's fault. */
export async function putBlocks(
  store: Store,
  blocks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<BlobInfo> {
  try {
    return await store.blobs.put(blocks);
  } catch (error) {
    throw error instanceof StoreError && error.cause instanceof CryptoError ? error.cause : error;
  }
}

/** Adds block by block over open payloads: memory is that of one block, whatever the number of nodes. */
async function* addBlocks(context: PayloadContext, payloads: readonly BlobReader[]): AsyncGenerator<Uint8Array> {
  using sum = createSum(context);
  for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
    const bytes = blockBytes(context.parameters, block);
    for (const payload of payloads) sum.add(block, await payload.read(at, bytes));
    yield sum.block(block);
    sum.release(block);
    at += bytes;
  }
}

/** Uploads that are folded into a running sum at once: each fold writes the whole sum anew. */
const FOLD = 8;
/** How long one replica may fold before another one may take over, in ms. */
const FOLD_MS = 60_000;

/** Opens payloads, and a running sum as if it were one more; closes all of them afterwards. */
async function withOpen<T>(
  store: Store,
  running: StoredSum | undefined,
  hashes: readonly string[],
  use: (open: readonly BlobReader[]) => Promise<T>,
): Promise<T> {
  const open: BlobReader[] = running === undefined ? [] : [running];
  try {
    for (const hash of hashes) open.push(await store.blobs.open(hash));
    return await use(open);
  } finally {
    for (const reader of open) reader[Symbol.dispose]();
  }
}

/** Payload hashes that a running sum holds. */
function foldedInto(running: StoredSum | undefined): string[] {
  return running === undefined ? [] : new TextDecoder().decode(running.meta).split(' ');
}

/**
 * Adds uploads to the round's running sum while others still arrive, eight at a time, so that a close over many nodes reads
 * few payloads. Saves work only: the close adds whatever is not in it, and starts anew when it holds more than U.
 *
 * @param holder - names this replica; another one that folds the same round is left alone.
 * @returns whether anything was folded.
 */
export async function foldUploads(store: Store, round: Round, holder: string): Promise<boolean> {
  const running = await store.sums.open(round.id);
  const before = foldedInto(running);
  const waiting = [...round.uploads.values()]
    .map((upload) => upload.body.payloadHash)
    .filter((hash) => !before.includes(hash));
  const now = Date.now();
  if (waiting.length < FOLD || !(await store.sums.claim(round.id, holder, now, now + FOLD_MS))) {
    running?.[Symbol.dispose]();
    return false;
  }
  const context = await payloadContext(round.record, 'kernel');
  const meta = new TextEncoder().encode([...before, ...waiting].join(' '));
  try {
    await withOpen(store, running, waiting, (open) =>
      store.sums.replace(round.id, running?.version ?? 0, meta, addBlocks(context, open)),
    );
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'CONFLICT') return false;
    throw error;
  }
}

/**
 * Sums the payloads of U into a blob. Every replica gives the same bytes; doing it twice is doing it once, also at once: who
 * asks again while it is added up gets the same sum.
 *
 * @param hashes - of the payloads, SHA-256. Whether they are the round's is for the log to say: the sum of anything else
 *   has no close leaf, and no node's checksum.
 * @throws StoreError NOT_FOUND for a payload that no replica has taken.
 */
export async function sumPayloads(store: Store, round: Round, hashes: readonly string[]): Promise<PayloadSumBlob> {
  const name = sumName(round, hashes);
  const running = adding.get(store) ?? new Map<string, Promise<PayloadSumBlob>>();
  adding.set(store, running);
  const same = running.get(name);
  if (same !== undefined) return same;
  const sum = addUp(store, round, name, hashes).finally(() => running.delete(name));
  running.set(name, sum);
  return sum;
}

async function addUp(store: Store, round: Round, name: string, hashes: readonly string[]): Promise<PayloadSumBlob> {
  const known = await store.records.get(KNOWN_SUMS, name);
  if (known !== undefined) {
    const hash = new TextDecoder().decode(known);
    if (await store.blobs.has(hash)) return { hash, bytes: round.record.parameters.payloadBytes };
  }
  const context = await payloadContext(round.record, 'kernel');
  const wanted = new Set(hashes);
  const stored = await store.sums.open(round.id);
  const folded = foldedInto(stored);
  const usable = folded.every((hash) => wanted.has(hash));
  if (!usable) stored?.[Symbol.dispose]();
  for (const hash of usable ? folded : []) wanted.delete(hash);
  const { hash, lengthBytes } = await withOpen(store, usable ? stored : undefined, [...wanted], (open) =>
    putBlocks(store, addBlocks(context, open)),
  );
  await store.records.transact((tx) => tx.put(KNOWN_SUMS, name, new TextEncoder().encode(hash)));
  await store.sums.remove(round.id);
  return { hash, bytes: lengthBytes };
}

function sumName(round: Round, hashes: readonly string[]): string {
  return `${round.id}/${toHex(primitives.sha256(new TextEncoder().encode(hashes.join())))}`;
}

/** Every sum that was ever made and is not forgotten, by round: hashes of blobs. */
export async function madeSums(store: Store): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await store.records.list(KNOWN_SUMS);
  const byRound = Map.groupBy(rows, ({ key }) => key.split('/')[0]!);
  return new Map([...byRound].map(([round, own]) => [round, own.map(({ value }) => new TextDecoder().decode(value))]));
}

/** Forgets which blobs the round's sums are. The blobs stay: they are removed before. */
export async function forgetSums(store: Store, round: Round): Promise<void> {
  const rows = await store.records.list(KNOWN_SUMS, `${round.id}/`);
  await store.records.transact(async (tx) => {
    for (const { key } of rows) await tx.delete(KNOWN_SUMS, key);
  });
}

/** Reads a payload once and checks that every residue is below its prime. @throws CryptoError RESIDUE_OUT_OF_RANGE */
export async function checkPayload(store: Store, round: Round, hash: string): Promise<void> {
  const context = await payloadContext(round.record, 'kernel');
  using payload = await store.blobs.open(hash);
  for await (const _ of addBlocks(context, [payload])) void _;
}
