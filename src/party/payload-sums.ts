import { toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { blockBytes, createSum, type PayloadContext } from '../../crypto/payload.ts';
import type { Round, Upload } from '../../protocols/transcript.ts';
import { StoreError } from '../store/errors.ts';
import type { BlobInfo, BlobReader, Store } from '../store/port.ts';
import { payloadContext } from './engines.ts';
import { primitives } from './party.ts';

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

/** Sums the payloads of U into a blob. Every replica gives the same bytes; doing it twice is doing it once. */
export async function sumPayloads(store: Store, round: Round, cohort: readonly Upload[]): Promise<PayloadSumBlob> {
  const name = toHex(primitives.sha256(new TextEncoder().encode(`${round.id} ${cohort.map((u) => u.index).join()}`)));
  const known = await store.records.get('sums', name);
  if (known !== undefined) {
    const hash = new TextDecoder().decode(known);
    if (await store.blobs.has(hash)) return { hash, bytes: round.record.parameters.payloadBytes };
  }
  const context = await payloadContext(round.record, 'kernel');
  const payloads: BlobReader[] = [];
  try {
    for (const upload of cohort) payloads.push(await store.blobs.open(upload.body.payloadHash));
    const { hash, lengthBytes } = await putBlocks(store, addBlocks(context, payloads));
    await store.records.transact((tx) => tx.put('sums', name, new TextEncoder().encode(hash)));
    return { hash, bytes: lengthBytes };
  } finally {
    for (const payload of payloads) payload[Symbol.dispose]();
  }
}

/** Reads a payload once and checks that every residue is below its prime. @throws CryptoError RESIDUE_OUT_OF_RANGE */
export async function checkPayload(store: Store, round: Round, hash: string): Promise<void> {
  const context = await payloadContext(round.record, 'kernel');
  using payload = await store.blobs.open(hash);
  for await (const _ of addBlocks(context, [payload])) void _;
}
