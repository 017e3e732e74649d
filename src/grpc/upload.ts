import type { Connection, Duplex } from './connection.ts';
import { TransportError } from './errors.ts';
import { CHUNK_BYTES } from './limits.ts';
import { Rotation } from './replicas.ts';
import { Backoff } from './retry.ts';
import type { DuplexMethod } from './services.ts';
import type { ByteSource, UploadPart, UploadProgress } from './transfer.ts';

export interface UploadOptions {
  /** Bytes of a chunk, at most CHUNK_BYTES. */
  readonly chunkBytes?: number;
  /** Attempts in a row that may bring no new byte. */
  readonly attempts?: number;
  readonly signal?: AbortSignal;
  /** Longest wait for one acknowledgement, in ms. */
  readonly idleMs?: number;
  /** Told the durable bytes after the header and after every chunk. */
  readonly onProgress?: (receivedBytes: number) => void;
  /** Told who gave the receipt. */
  readonly onReceipt?: (peer: Connection) => void;
}

const ATTEMPTS = 8;

/**
 * Sends a payload or a model, however often the connection is cut.
 *
 * One chunk at a time is unacknowledged: a cut at any byte sends at most that chunk again, at the price of one round
 * trip per chunk. After a failed attempt, whatever the failure, the next of `peers` is tried; replicas share what is durable.
 *
 * @param peers - replicas; at least one.
 * @param header - sent at every attempt.
 * @returns the receipt: the payload is durable and logged.
 * @throws TransportError a refusal when every one has refused; a retryable failure after `attempts` attempts without
 *   progress. What `source` throws, at once.
 */
export async function upload<Header, Receipt>(
  peers: readonly Connection[],
  method: DuplexMethod<UploadPart<Header>, UploadProgress<Receipt>>,
  header: Header,
  source: ByteSource,
  options: UploadOptions = {},
): Promise<Receipt> {
  const backoff = new Backoff();
  const peer = new Rotation(peers);
  let furthest = -1;
  let fruitless = 0;
  const advanced = (received: number): void => {
    if (received > furthest) {
      furthest = received;
      fruitless = 0;
      backoff.reset();
    }
    options.onProgress?.(received);
  };
  for (;;) {
    if (options.signal?.aborted) throw new TransportError('CANCELLED', 'the caller gave up');
    const stream = peer.current.duplex(method, options.idleMs);
    const stop = (): void => stream.cancel();
    options.signal?.addEventListener('abort', stop, { once: true });
    try {
      const receipt = await sendOnce(stream, header, source, options.chunkBytes ?? CHUNK_BYTES, advanced);
      peer.answered();
      options.onReceipt?.(peer.current);
      return receipt;
    } catch (error) {
      if (!(error instanceof TransportError) || options.signal?.aborted) throw error;
      const isHopeless = !peer.failed(error.retryable);
      if (isHopeless || ++fruitless >= (options.attempts ?? ATTEMPTS)) throw error;
      await backoff.pause(options.signal);
    } finally {
      options.signal?.removeEventListener('abort', stop);
      stream.cancel();
    }
  }
}

async function sendOnce<Header, Receipt>(
  stream: Duplex<UploadPart<Header>, UploadProgress<Receipt>>,
  header: Header,
  source: ByteSource,
  chunkBytes: number,
  advanced: (received: number) => void,
): Promise<Receipt> {
  await stream.write({ part: { $case: 'header', value: header } });
  let received = await readProgress(stream);
  if (received > source.lengthBytes)
    throw new TransportError('BAD_PROGRESS', 'the party holds more bytes than there are');
  advanced(received);
  while (received < source.lengthBytes) {
    const chunk = await source.read(received, Math.min(chunkBytes, source.lengthBytes - received));
    await stream.write({ part: { $case: 'chunk', value: chunk } });
    const acknowledged = await readProgress(stream);
    if (acknowledged !== received + chunk.length) {
      throw new TransportError('BAD_PROGRESS', 'the party acknowledged another number of bytes than was sent');
    }
    received = acknowledged;
    advanced(received);
  }
  stream.finish();
  const last = await stream.read();
  if (last?.part?.$case !== 'receipt') throw new TransportError('BAD_PROGRESS', 'the party gave no receipt');
  // The status: a receipt counts only when the call ended well.
  if ((await stream.read()) !== null) throw new TransportError('BAD_PROGRESS', 'the party went on after the receipt');
  return last.part.value;
}

async function readProgress<Q, Receipt>(stream: Duplex<Q, UploadProgress<Receipt>>): Promise<number> {
  const answer = await stream.read();
  if (answer?.part?.$case !== 'receivedBytes')
    throw new TransportError('BAD_PROGRESS', 'the party did not say how far it is');
  return Number(answer.part.value);
}
