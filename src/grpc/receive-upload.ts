import { TransportError } from './errors.ts';
import type { CallContext, DuplexHandler } from './handlers.ts';
import { CHUNK_BYTES, SHORT_CHUNK_BYTES } from './limits.ts';
import type { UploadPart, UploadProgress } from './transfer.ts';

/** Where uploaded bytes go. Shared by all replicas of a store, and the only state of an upload. */
export interface ChunkSink {
  /** Durable bytes of a transfer, from its start; 0 for an unknown one. */
  received(id: string): Promise<number>;
  /**
   * Adds bytes at the end. They are durable when the promise resolves, all or none.
   *
   * @throws TransportError OFFSET_MISMATCH when `offset` is not what `received` says: another writer was there.
   */
  append(id: string, offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Makes a complete transfer a blob under its hash. Doing it again changes nothing.
   *
   * @param hash - what the header's leaf states.
   * @returns false when the bytes hash to something else; they are dropped then.
   */
  finish(id: string, hash: Uint8Array): Promise<boolean>;
}

/** What a header announces, once it has been checked. */
export interface Announced {
  /** Names the transfer in the sink: the same for every attempt to send the same thing. */
  readonly id: string;
  readonly lengthBytes: number;
  readonly hash: Uint8Array;
}

/** The protocol's part of an upload. */
export interface UploadRules<Header, Receipt> {
  /** Checks signature, caller, round and size; throws the refusal. Called once per attempt, before any byte counts. */
  admit(header: Header, context: CallContext): Promise<Announced>;
  /** Logs the complete upload, durably. Called again when the receipt was lost: gives the same receipt. */
  complete(announced: Announced, header: Header, context: CallContext): Promise<Receipt>;
}

/**
 * Server side of a resumable upload.
 *
 * Laws: a chunk is acknowledged after it is durable; the number acknowledged never falls; nothing beyond the announced
 * length is stored; after a short chunk nothing more is, so that an upload is at most one durable write per
 * SHORT_CHUNK_BYTES and stream; a newer attempt for the same transfer ends the older one (its connection may be dead
 * without this side having noticed); after any refusal but WRONG_HASH the durable bytes stay, unless `rules` remove them.
 *
 * @returns a handler that throws TransportError NO_HEADER, HEADER_TWICE, CHUNK_SIZE, TRAILING_BYTES, TRUNCATED_STREAM,
 *   WRONG_HASH, SUPERSEDED, OFFSET_MISMATCH and whatever `rules` and `sink` throw.
 */
export function receiveUpload<Header, Receipt>(
  sink: ChunkSink,
  rules: UploadRules<Header, Receipt>,
): DuplexHandler<UploadPart<Header>, UploadProgress<Receipt>> {
  const writers = new Map<string, object>();

  return async function* (requests, context) {
    const iterator = requests[Symbol.asyncIterator]();
    const header = headerOf(await iterator.next());
    const announced = await rules.admit(header, context);
    const { id, lengthBytes } = announced;
    const me = {};
    writers.set(id, me);
    try {
      let received = await sink.received(id);
      let isShort = false;
      yield progress(received);
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        if (writers.get(id) !== me) throw new TransportError('SUPERSEDED', 'a newer attempt sends this payload');
        const chunk = chunkOf(next.value);
        if (isShort)
          throw new TransportError('CHUNK_SIZE', `only the last chunk is shorter than ${SHORT_CHUNK_BYTES} bytes`);
        isShort = chunk.length < SHORT_CHUNK_BYTES;
        if (received + chunk.length > lengthBytes)
          throw new TransportError('TRAILING_BYTES', 'more bytes than announced');
        await sink.append(id, received, chunk);
        received += chunk.length;
        yield progress(received);
      }
      if (received < lengthBytes) throw new TransportError('TRUNCATED_STREAM', 'fewer bytes than announced');
      if (!(await sink.finish(id, announced.hash))) {
        throw new TransportError('WRONG_HASH', 'the bytes do not have the announced hash');
      }
      yield { part: { $case: 'receipt', value: await rules.complete(announced, header, context) } };
    } finally {
      if (writers.get(id) === me) writers.delete(id);
    }
  };
}

function progress(received: number): { part: { $case: 'receivedBytes'; value: bigint } } {
  return { part: { $case: 'receivedBytes', value: BigInt(received) } };
}

function headerOf<Header>(first: IteratorResult<UploadPart<Header>>): Header {
  const part = first.done ? undefined : first.value.part;
  if (part?.$case !== 'header') throw new TransportError('NO_HEADER', 'a transfer starts with its header');
  return part.value;
}

function chunkOf<Header>({ part }: UploadPart<Header>): Uint8Array {
  if (part?.$case === 'header') throw new TransportError('HEADER_TWICE', 'a transfer has one header');
  if (part === undefined || part.value.length === 0 || part.value.length > CHUNK_BYTES) {
    throw new TransportError('CHUNK_SIZE', `a chunk has 1 to ${CHUNK_BYTES} bytes`);
  }
  return part.value;
}
