import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DigestedFile, decodeDigest, digestFile, encodeDigest, type FileDigest, writeDigested } from './digest-file.ts';
import type { Disk } from './disk.ts';
import { asStoreError, StoreError } from './errors.ts';
import type { BlobHash, BlobInfo, BlobReader, BlobStore, RecordStore, Transaction } from './port.ts';

const TABLE = 'store.blob';
/** Blobs that go in one transaction: others wait for the lock meanwhile. */
const REMOVED_AT_ONCE = 256;

/** Passes results through and turns whatever the file system threw into a StoreError. */
export async function guarded<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    // Errors of a step that are no I/O (they carry no code) are the caller's own.
    throw (cause as { code?: unknown } | null)?.code === undefined ? cause : asStoreError(cause);
  }
}

/** A path for a file in the making. Carries the process id, so that others can tell whether its writer lives. */
export function temporaryPath(folder: string): string {
  return join(folder, 'tmp', `${process.pid}.${randomBytes(8).toString('hex')}`);
}

/** Removes what dead processes left in `tmp/`. A writer in another pid namespace is told apart by a failed rename only. */
export async function sweepTemporary(disk: Disk, folder: string): Promise<void> {
  for (const name of await readdir(join(folder, 'tmp'))) {
    const pid = Number(name.split('.')[0]);
    if (pid === process.pid || isAlive(pid)) continue;
    // Two processes may sweep at once: gone is gone.
    await disk.remove(join(folder, 'tmp', name)).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Blobs as plain files, `blobs/<hash>`: an auditor reads them without this program. A row per blob
 * holds its digest. Written under another name, synced, renamed, the folder synced, then the row: a blob that has a row
 * has its bytes.
 */
export class FileBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #blobs: string;
  readonly #records: RecordStore;
  readonly #disk: Disk;

  constructor(folder: string, records: RecordStore, disk: Disk) {
    this.#folder = folder;
    this.#blobs = join(folder, 'blobs');
    this.#records = records;
    this.#disk = disk;
  }

  async put(content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<BlobInfo> {
    const temporary = temporaryPath(this.#folder);
    return guarded(async () => {
      try {
        const digest = await writeDigested(this.#disk, temporary, content);
        return await this.#records.transact((tx) => guarded(() => this.adopt(tx, temporary, digest)));
      } catch (cause) {
        await this.#disk.remove(temporary).catch(() => undefined);
        throw cause;
      }
    });
  }

  async putAll(contents: readonly Uint8Array[]): Promise<readonly BlobInfo[]> {
    const paths = contents.map(() => temporaryPath(this.#folder));
    return guarded(async () => {
      try {
        const written = contents.map((content, i) => writeDigested(this.#disk, paths[i]!, [content]));
        const digests = await Promise.all(written);
        await this.#records.transact((tx) =>
          guarded(async () => {
            for (const [i, { hash }] of digests.entries()) await this.#disk.rename(paths[i]!, this.path(hash));
            await this.#disk.syncFolder(this.#blobs);
            for (const digest of digests) await tx.put(TABLE, digest.hash, encodeDigest(digest));
          }),
        );
        return digests.map(({ hash, lengthBytes }) => ({ hash, lengthBytes }));
      } catch (cause) {
        for (const path of paths) await this.#disk.remove(path).catch(() => undefined);
        throw cause;
      }
    });
  }

  /**
   * Makes a finished file a blob, inside the caller's transaction. What the disk does twice is harmless: a crash between
   * the rename and the commit leaves a file without a row, which the next attempt finds.
   */
  async adopt(tx: Transaction, from: string, digest: FileDigest): Promise<BlobInfo> {
    const { hash, lengthBytes } = digest;
    // Also where the blob exists: the same content, and it mends a file that has rotted or gone.
    await this.#disk.rename(from, this.path(hash));
    await this.#disk.syncFolder(this.#blobs);
    await tx.put(TABLE, hash, encodeDigest(digest));
    return { hash, lengthBytes };
  }

  async has(hash: BlobHash): Promise<boolean> {
    return (await this.#records.get(TABLE, hash)) !== undefined;
  }

  async get(hash: BlobHash): Promise<Uint8Array> {
    using blob = await this.open(hash);
    return await blob.read(0, blob.lengthBytes);
  }

  async open(hash: BlobHash): Promise<BlobReader> {
    const row = await this.#records.get(TABLE, hash);
    if (row === undefined) throw new StoreError('NOT_FOUND', 'no such blob');
    const digest = decodeDigest(row);
    if (digest.hash !== hash) throw new StoreError('CORRUPT', 'the record of another blob');
    try {
      return await DigestedFile.open(this.path(hash), digest);
    } catch (cause) {
      const error = asStoreError(cause);
      if (error.code !== 'NOT_FOUND' || !(await this.has(hash))) throw error;
      throw new StoreError('CORRUPT', 'the file of a blob is missing', { cause });
    }
  }

  async list(): Promise<readonly BlobInfo[]> {
    const rows = await this.#records.list(TABLE);
    return rows.map(({ key, value }) => ({ hash: key, lengthBytes: decodeDigest(value).lengthBytes }));
  }

  async remove(hash: BlobHash): Promise<boolean> {
    return (await this.#removeSome([hash])) > 0;
  }

  async removeAll(hashes: readonly BlobHash[]): Promise<void> {
    for (let at = 0; at < hashes.length; at += REMOVED_AT_ONCE) {
      await this.#removeSome(hashes.slice(at, at + REMOVED_AT_ONCE));
    }
  }

  /** @returns how many were there. */
  #removeSome(hashes: readonly BlobHash[]): Promise<number> {
    return this.#records.transact((tx) => {
      return guarded(async () => {
        let removed = 0;
        for (const hash of hashes) {
          if (!(await tx.delete(TABLE, hash))) continue;
          removed++;
          // Before the commit: a crash here leaves a row without a file, which is seen; after it, bytes nobody can find.
          await this.#disk.remove(this.path(hash)).catch((error: NodeJS.ErrnoException) => {
            if (error.code !== 'ENOENT') throw error;
          });
        }
        if (removed > 0) await this.#disk.syncFolder(this.#blobs);
        return removed;
      });
    });
  }

  /** Where a blob's bytes are. Only hashes the store itself computed come here, never a peer's text. */
  path(hash: BlobHash): string {
    if (!/^[0-9a-f]{64}$/.test(hash)) throw new StoreError('NOT_FOUND', 'no such blob');
    return join(this.#blobs, hash);
  }

  /** Digest of a file that has a blob's name but perhaps no row. @throws StoreError NOT_FOUND, CORRUPT */
  async digestOf(hash: BlobHash, lengthBytes: number): Promise<FileDigest> {
    const digest = await guarded(() => digestFile(this.path(hash), lengthBytes));
    if (digest.hash !== hash) throw new StoreError('CORRUPT', 'a file that is not its name');
    return digest;
  }
}
