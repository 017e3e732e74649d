import { join } from 'node:path';
import { FileBlobStore, guarded, sweepTemporary } from './blob-store.ts';
import { type Disk, makeFolder, nodeDisk } from './disk.ts';
import type { Store } from './port.ts';
import { type SqliteOptions, SqliteStore } from './sqlite-store.ts';
import { FileSumStore } from './sum-store.ts';
import { DEFAULT_UPLOAD_LIMITS, FileUploadStore, type UploadLimits } from './upload-store.ts';

export interface StoreOptions extends SqliteOptions {
  readonly limits?: Partial<UploadLimits>;
  /** The steps that reach the device. Default: node:fs. */
  readonly disk?: Disk;
}

/**
 * Opens or makes the store of one folder, `store.sqlite` and files beside it, and clears away what dead processes left.
 * Several processes may have it open at once.
 *
 * @throws StoreError CORRUPT, BUSY, FULL, READ_ONLY, IO_FAILED
 */
export async function openStore(folder: string, options: StoreOptions = {}): Promise<Store> {
  const disk = options.disk ?? nodeDisk;
  await guarded(async () => {
    await makeFolder(disk, folder);
    for (const name of ['blobs', 'partial', 'sums', 'tmp']) await makeFolder(disk, join(folder, name));
  });
  const records = await SqliteStore.open(join(folder, 'store.sqlite'), options);
  try {
    await guarded(() => disk.syncFolder(folder));
    await guarded(() => sweepTemporary(disk, folder));
    const blobs = new FileBlobStore(folder, records, disk);
    const limits = { ...DEFAULT_UPLOAD_LIMITS, ...options.limits };
    const uploads = new FileUploadStore(folder, records, blobs, disk, limits);
    const sums = new FileSumStore(folder, records, disk);
    await sums.sweep();
    return { folder, records, blobs, uploads, sums, [Symbol.asyncDispose]: () => records[Symbol.asyncDispose]() };
  } catch (cause) {
    await records[Symbol.asyncDispose]();
    throw cause;
  }
}
