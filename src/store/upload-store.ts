import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { type FileBlobStore, guarded } from './blob-store.ts';
import { digestFile, type FileDigest } from './digest-file.ts';
import type { Disk } from './disk.ts';
import { asStoreError, StoreError } from './errors.ts';
import type {
  BlobInfo,
  DeclaredUpload,
  RecordStore,
  StoreReader,
  Transaction,
  UploadStatus,
  UploadStore,
} from './port.ts';

const TABLE = 'store.upload';

/** What the folder admits. */
export interface UploadLimits {
  /** Largest declared upload, bytes. Default 1 GiB. */
  readonly uploadBytes: number;
  /** Declared bytes of all unfinished uploads together. Default 64 GiB. */
  readonly pendingBytes: number;
}

export const DEFAULT_UPLOAD_LIMITS: UploadLimits = { uploadBytes: 2 ** 30, pendingBytes: 2 ** 36 };

/** Sealed: complete, someone is turning it into a blob. Done: it is one, and the row answers repeated requests. */
const PHASES = ['receiving', 'sealed', 'done'] as const;

/** One row per upload: u64be length, u64be received, u8 phase, 32 bytes hash. */
interface UploadRow extends UploadStatus {
  readonly phase: (typeof PHASES)[number];
}

function encodeRow(row: UploadRow): Uint8Array {
  const head = Buffer.alloc(17);
  head.writeBigUInt64BE(BigInt(row.lengthBytes), 0);
  head.writeBigUInt64BE(BigInt(row.receivedBytes), 8);
  head.writeUInt8(PHASES.indexOf(row.phase), 16);
  return new Uint8Array(Buffer.concat([head, Buffer.from(row.hash, 'hex')]));
}

function decodeRow(bytes: Uint8Array): UploadRow {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const phase = PHASES[record[16] ?? PHASES.length];
  if (bytes.length !== 49 || phase === undefined) throw new StoreError('CORRUPT', 'the record of an upload is not one');
  return {
    lengthBytes: Number(record.readBigUInt64BE(0)),
    receivedBytes: Number(record.readBigUInt64BE(8)),
    phase,
    hash: record.toString('hex', 17),
  };
}

async function find(reader: StoreReader, id: string): Promise<UploadRow | undefined> {
  const row = await reader.get(TABLE, id);
  return row === undefined ? undefined : decodeRow(row);
}

async function require(reader: StoreReader, id: string): Promise<UploadRow> {
  const row = await find(reader, id);
  if (row === undefined) throw new StoreError('NOT_FOUND', 'no such upload');
  return row;
}

/**
 * Uploads as files in `partial/`, named by the hash of their id.
 *
 * A chunk is written and synced, then its row is committed, all under the store's lock: so a slow process can never write
 * into a file that another one has gone on with, and the bytes below `receivedBytes` are on the device.
 */
export class FileUploadStore implements UploadStore {
  readonly #folder: string;
  readonly #records: RecordStore;
  readonly #blobs: FileBlobStore;
  readonly #disk: Disk;
  readonly #limits: UploadLimits;

  constructor(folder: string, records: RecordStore, blobs: FileBlobStore, disk: Disk, limits: UploadLimits) {
    this.#folder = folder;
    this.#records = records;
    this.#blobs = blobs;
    this.#disk = disk;
    this.#limits = limits;
  }

  async begin(id: string, { lengthBytes, hash }: DeclaredUpload): Promise<UploadStatus> {
    if (!/^[0-9a-f]{64}$/.test(hash)) throw new StoreError('HASH_MISMATCH', 'a declared hash is 64 hex digits');
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > this.#limits.uploadBytes) {
      throw new StoreError('TOO_LARGE', 'an upload declares 1 byte up to the limit');
    }
    return this.#records.transact(async (tx) => {
      const earlier = await find(tx, id);
      if (earlier !== undefined) {
        if (earlier.lengthBytes === lengthBytes && earlier.hash === hash) return status(earlier);
        throw new StoreError('CONFLICT', 'this upload was declared otherwise');
      }
      const unfinished = (await tx.list(TABLE))
        .map((row) => decodeRow(row.value))
        .filter((row) => row.phase !== 'done');
      const pending = unfinished.reduce((total, row) => total + row.lengthBytes, 0);
      if (pending + lengthBytes > this.#limits.pendingBytes) throw new StoreError('FULL', 'too much is being uploaded');
      const row: UploadRow = { lengthBytes, hash, receivedBytes: 0, phase: 'receiving' };
      await tx.put(TABLE, id, encodeRow(row));
      return status(row);
    });
  }

  async status(id: string): Promise<UploadStatus> {
    return status(await require(this.#records, id));
  }

  async append(id: string, offset: number, chunk: Uint8Array): Promise<number> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new StoreError('OFFSET_MISMATCH', 'an offset is a position');
    return this.#records.transact(async (tx) => {
      const row = await require(tx, id);
      const { receivedBytes, lengthBytes } = row;
      if (offset > receivedBytes) throw new StoreError('OFFSET_MISMATCH', 'bytes before this chunk are missing');
      if (offset + chunk.length > lengthBytes) throw new StoreError('LENGTH_MISMATCH', 'more than was declared');
      const fresh = chunk.subarray(receivedBytes - offset);
      if (fresh.length === 0) return receivedBytes;
      await guarded(() => this.#write(id, receivedBytes, fresh));
      await tx.put(TABLE, id, encodeRow({ ...row, receivedBytes: receivedBytes + fresh.length }));
      return receivedBytes + fresh.length;
    });
  }

  async finalise(id: string): Promise<BlobInfo> {
    const declared = await this.#records.transact(async (tx) => {
      const row = await require(tx, id);
      if (row.receivedBytes !== row.lengthBytes) throw new StoreError('LENGTH_MISMATCH', 'the upload is not complete');
      if (row.phase === 'receiving') await tx.put(TABLE, id, encodeRow({ ...row, phase: 'sealed' }));
      return row;
    });
    if (declared.phase === 'done') return this.#finished(declared);
    // Outside the lock, since it takes long: a sealed upload's bytes change no more.
    const digest = await this.#digest(id, declared);
    const matches = await this.#records.transact(async (tx) => {
      const row = await require(tx, id);
      // Another process has finished it meanwhile.
      if (row.phase === 'done') return true;
      if (digest?.hash === row.hash) {
        await guarded(() => this.#adopt(tx, id, digest));
        await tx.put(TABLE, id, encodeRow({ ...row, phase: 'done' }));
        return true;
      }
      await tx.delete(TABLE, id);
      await guarded(() => this.#removeFile(id));
      return false;
    });
    if (matches) return this.#finished(declared);
    if (digest === undefined) throw new StoreError('CORRUPT', 'the bytes of an upload are missing: send it again');
    throw new StoreError('HASH_MISMATCH', 'the bytes received do not have the declared hash');
  }

  async abandon(id: string): Promise<boolean> {
    return this.#records.transact(async (tx) => {
      const there = await tx.delete(TABLE, id);
      if (there) await guarded(() => this.#removeFile(id));
      return there;
    });
  }

  async list(): Promise<readonly (UploadStatus & { readonly id: string })[]> {
    const rows = await this.#records.list(TABLE);
    return rows.map(({ key, value }) => ({ id: key, ...status(decodeRow(value)) }));
  }

  async #finished({ hash, lengthBytes }: DeclaredUpload): Promise<BlobInfo> {
    if (await this.#blobs.has(hash)) return { hash, lengthBytes };
    throw new StoreError('NOT_FOUND', 'the blob of this upload was removed');
  }

  #path(id: string): string {
    return join(this.#folder, 'partial', createHash('sha256').update(id).digest('hex'));
  }

  async #write(id: string, position: number, bytes: Uint8Array): Promise<void> {
    const path = this.#path(id);
    const file = await this.#disk.openForWriting(path);
    try {
      // Nothing beyond the durable bytes survives: they may be a dead writer's.
      await file.truncate(position);
      await this.#disk.write(file, bytes, position);
      await this.#disk.sync(file);
    } finally {
      await file.close();
    }
    if (position === 0) await this.#disk.syncFolder(dirname(path));
  }

  /** Undefined when the file is gone: then another process has made it a blob, or it has rotted away. */
  async #digest(id: string, declared: DeclaredUpload): Promise<FileDigest | undefined> {
    try {
      return await digestFile(this.#path(id), declared.lengthBytes);
    } catch (cause) {
      if (asStoreError(cause).code !== 'NOT_FOUND') throw asStoreError(cause);
    }
    // A crash after the rename and before the commit left the file under its blob's name.
    return this.#blobs.digestOf(declared.hash, declared.lengthBytes).catch(() => undefined);
  }

  async #adopt(tx: Transaction, id: string, digest: FileDigest): Promise<BlobInfo> {
    try {
      return await this.#blobs.adopt(tx, this.#path(id), digest);
    } catch (cause) {
      if (asStoreError(cause).code !== 'NOT_FOUND') throw cause;
      return this.#blobs.adopt(tx, this.#blobs.path(digest.hash), digest);
    }
  }

  async #removeFile(id: string): Promise<void> {
    await this.#disk.remove(this.#path(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

function status({ lengthBytes, hash, receivedBytes }: UploadRow): UploadStatus {
  return { lengthBytes, hash, receivedBytes };
}
