import { createHash, type Hash, hash } from 'node:crypto';
import { close, open as openDescriptor, read } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Disk } from './disk.ts';
import { asStoreError, StoreError } from './errors.ts';
import type { BlobHash, BlobReader } from './port.ts';

/** Bytes that are hashed on their own, so that a part of a large file can be read and still be checked. */
const CHUNK_BYTES = 1 << 20;
const HASH_BYTES = 32;

/** What is known of a file's content: its name-giving hash, its length, and SHA-256 of every MiB, one after the other. */
export interface FileDigest {
  readonly hash: BlobHash;
  readonly lengthBytes: number;
  readonly chunkHashes: Uint8Array;
}

/** Computes a FileDigest over bytes that come in any pieces. */
export class Digester {
  readonly #whole: Hash = createHash('sha256');
  #chunk: Hash = createHash('sha256');
  #chunkBytes = 0;
  #lengthBytes = 0;
  readonly #chunkHashes: Uint8Array[] = [];

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  update(bytes: Uint8Array): void {
    this.#whole.update(bytes);
    this.#lengthBytes += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#chunkBytes);
      this.#chunk.update(part);
      this.#chunkBytes += part.length;
      at += part.length;
      if (this.#chunkBytes === CHUNK_BYTES) this.#endChunk();
    }
  }

  finish(): FileDigest {
    if (this.#chunkBytes > 0) this.#endChunk();
    const chunkHashes = new Uint8Array(Buffer.concat(this.#chunkHashes));
    return { hash: this.#whole.digest('hex'), lengthBytes: this.#lengthBytes, chunkHashes };
  }

  #endChunk(): void {
    this.#chunkHashes.push(this.#chunk.digest());
    this.#chunk = createHash('sha256');
    this.#chunkBytes = 0;
  }
}

/** u64be length, 32 bytes hash, chunk hashes. */
export function encodeDigest(digest: FileDigest): Uint8Array {
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(digest.lengthBytes));
  return new Uint8Array(Buffer.concat([head, Buffer.from(digest.hash, 'hex'), digest.chunkHashes]));
}

/** @throws StoreError CORRUPT unless it is the encoding of a digest. */
export function decodeDigest(bytes: Uint8Array): FileDigest {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length >= 8 + HASH_BYTES) {
    const lengthBytes = Number(record.readBigUInt64BE(0));
    const chunkHashes = bytes.slice(8 + HASH_BYTES);
    if (chunkHashes.length === HASH_BYTES * Math.ceil(lengthBytes / CHUNK_BYTES)) {
      return { hash: record.toString('hex', 8, 8 + HASH_BYTES), lengthBytes, chunkHashes };
    }
  }
  throw new StoreError('CORRUPT', 'the record of a file is not one');
}

/** Writes a new file and makes its content durable; its name is not durable yet. */
export async function writeDigested(
  disk: Disk,
  path: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<FileDigest> {
  const file = await disk.openForWriting(path);
  try {
    const digester = new Digester();
    for await (const bytes of content) {
      await disk.write(file, bytes, digester.lengthBytes);
      digester.update(bytes);
    }
    await disk.sync(file);
    return digester.finish();
  } finally {
    await file.close();
  }
}

/** Digest of a file's first `lengthBytes` bytes. @throws StoreError CORRUPT when it is not that long, NOT_FOUND */
export async function digestFile(path: string, lengthBytes: number): Promise<FileDigest> {
  const file = await open(path, 'r');
  try {
    if ((await file.stat()).size !== lengthBytes) throw new StoreError('CORRUPT', 'a file of another length');
    const digester = new Digester();
    const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, lengthBytes));
    while (digester.lengthBytes < lengthBytes) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, digester.lengthBytes);
      if (bytesRead === 0) throw new StoreError('CORRUPT', 'a file that ends too early');
      digester.update(buffer.subarray(0, bytesRead));
    }
    return digester.finish();
  } finally {
    await file.close();
  }
}

/**
 * A file read against its digest. The last MiB read is kept, so sequential small reads hash each MiB once.
 *
 * Holds a bare descriptor: a FileHandle that a caller forgets to dispose would end the process when it is collected.
 */
export class DigestedFile implements BlobReader {
  readonly lengthBytes: number;
  readonly #digest: FileDigest;
  readonly #descriptor: number;
  #held: { readonly index: number; readonly bytes: Uint8Array } | undefined;
  #reading = 0;
  #disposed = false;
  #closed = false;

  private constructor(descriptor: number, digest: FileDigest) {
    this.#descriptor = descriptor;
    this.#digest = digest;
    this.lengthBytes = digest.lengthBytes;
  }

  /** @throws StoreError NOT_FOUND */
  static async open(path: string, digest: FileDigest): Promise<DigestedFile> {
    try {
      return new DigestedFile(await promisify(openDescriptor)(path, 'r'), digest);
    } catch (cause) {
      throw asStoreError(cause);
    }
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    const end = offset + lengthBytes;
    const integers = Number.isSafeInteger(offset) && Number.isSafeInteger(lengthBytes);
    if (!integers || offset < 0 || lengthBytes < 0 || end > this.lengthBytes) {
      throw new StoreError('LENGTH_MISMATCH', 'read outside a file');
    }
    const bytes = new Uint8Array(lengthBytes);
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CHUNK_BYTES);
      const chunk = await this.#chunk(index);
      const part = chunk.subarray(at - index * CHUNK_BYTES, end - index * CHUNK_BYTES);
      bytes.set(part, at - offset);
      at += part.length;
    }
    return bytes;
  }

  async #chunk(index: number): Promise<Uint8Array> {
    if (this.#held?.index === index) return this.#held.bytes;
    const start = index * CHUNK_BYTES;
    const bytes = new Uint8Array(Math.min(CHUNK_BYTES, this.lengthBytes - start));
    let at = 0;
    while (at < bytes.length) {
      const bytesRead = await this.#readAt(bytes.subarray(at), start + at);
      if (bytesRead === 0) throw new StoreError('CORRUPT', 'a file that ends too early');
      at += bytesRead;
    }
    const expected = this.#digest.chunkHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    if (!hash('sha256', bytes, 'buffer').equals(expected)) {
      throw new StoreError('CORRUPT', 'stored bytes have changed');
    }
    this.#held = { index, bytes };
    return bytes;
  }

  async #readAt(into: Uint8Array, position: number): Promise<number> {
    if (this.#disposed) throw new StoreError('CLOSED', 'the file was closed');
    this.#reading++;
    try {
      return (await promisify(read)(this.#descriptor, into, 0, into.length, position)).bytesRead;
    } catch (cause) {
      throw asStoreError(cause);
    } finally {
      this.#reading--;
      this.#closeWhenIdle();
    }
  }

  /** A read that is under way ends first: its descriptor must not become another file's meanwhile. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (!this.#disposed || this.#reading > 0 || this.#closed) return;
    this.#closed = true;
    // Nothing was written: a failing close loses nothing.
    close(this.#descriptor, () => undefined);
  }
}
