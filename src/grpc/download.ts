import type { Connection } from './connection.ts';
import { TransportError } from './errors.ts';
import { CHUNK_BYTES } from './limits.ts';
import { Rotation } from './replicas.ts';
import { Backoff } from './retry.ts';
import type { ServerStreamMethod } from './services.ts';
import type { ByteSource, DownloadPart } from './transfer.ts';

/**
 * Server side: the length, then chunks from an offset on. Reads a chunk when there is room to send it.
 *
 * @param offset - of the request; refused when it is beyond the end.
 * @throws TransportError OFFSET_MISMATCH
 */
export async function* sendBlob(source: ByteSource, offset: bigint): AsyncGenerator<DownloadPart> {
  if (offset > BigInt(source.lengthBytes)) throw new TransportError('TRAILING_BYTES', 'the offset is beyond the end');
  yield { part: { $case: 'totalBytes', value: BigInt(source.lengthBytes) } };
  for (let at = Number(offset); at < source.lengthBytes; ) {
    const chunk = await source.read(at, Math.min(CHUNK_BYTES, source.lengthBytes - at));
    yield { part: { $case: 'chunk', value: chunk } };
    at += chunk.length;
  }
}

export interface DownloadOptions {
  /** What the log says the length is; checked before a byte is taken. */
  readonly expectedBytes?: number;
  /** Refused when longer, in bytes. */
  readonly maxBytes: number;
  readonly attempts?: number;
  readonly signal?: AbortSignal;
}

/**
 * Fetches a blob from the first replica that has it, going on at the next one where the one before stopped, whatever the
 * failure. Does not check the hash: the caller knows which one it wants, and checks what it has.
 *
 * @param request - made anew for the offset that the next attempt starts at.
 * @param take - is given the chunks in order, each once; awaited, so a slow disk slows the sender. Owns the buffer.
 * @returns the length in bytes.
 * @throws TransportError WRONG_LENGTH, MESSAGE_TOO_LARGE or a refusal when every replica has failed so, and the last failure
 *   after `attempts` in a row without a new byte. What `take` throws, at once.
 */
export async function download<Q>(
  peers: readonly Connection[],
  method: ServerStreamMethod<Q, DownloadPart>,
  request: (offset: bigint) => Q,
  take: (chunk: Uint8Array, offset: number) => Promise<void> | void,
  options: DownloadOptions,
): Promise<number> {
  const backoff = new Backoff();
  const peer = new Rotation(peers);
  const streamOptions = options.signal === undefined ? {} : { signal: options.signal };
  let received = 0;
  let fruitless = 0;
  for (;;) {
    try {
      const responses = peer.current.stream(method, request(BigInt(received)), streamOptions);
      let total: number | null = null;
      for await (const { part } of responses) {
        if (total === null) {
          total = lengthOf(part, options);
          continue;
        }
        const chunk = part?.$case === 'chunk' ? part.value : new Uint8Array(0);
        if (chunk.length === 0 || received + chunk.length > total) {
          throw new TransportError('WRONG_LENGTH', 'the party sent other bytes than it announced');
        }
        await take(chunk, received);
        received += chunk.length;
        fruitless = 0;
        backoff.reset();
      }
      if (total === null || received !== total)
        throw new TransportError('WRONG_LENGTH', 'the party sent too few bytes');
      peer.answered();
      return total;
    } catch (error) {
      if (!(error instanceof TransportError) || options.signal?.aborted) throw error;
      const isHopeless = !peer.failed(error.retryable || error.status === 'NOT_FOUND');
      if (isHopeless || ++fruitless >= (options.attempts ?? 8)) throw error;
      await backoff.pause(options.signal);
    }
  }
}

function lengthOf(part: DownloadPart['part'], options: DownloadOptions): number {
  if (part?.$case !== 'totalBytes') throw new TransportError('NO_HEADER', 'a transfer starts with its length');
  if (part.value > BigInt(options.maxBytes))
    throw new TransportError('MESSAGE_TOO_LARGE', 'longer than this party takes');
  const total = Number(part.value);
  if (options.expectedBytes !== undefined && total !== options.expectedBytes) {
    throw new TransportError('WRONG_LENGTH', 'another length than the log says');
  }
  return total;
}
