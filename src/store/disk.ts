import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { makeFolders } from '../platform/make-folders.ts';

/**
 * The steps between bytes in memory and bytes on the device. An argument of the stores, so that tests can make each step
 * fail or be the last one before a crash.
 */
export interface Disk {
  /** Opens for writing at any position; made if missing, not truncated, readable by the owner only. */
  openForWriting(path: string): Promise<FileHandle>;
  write(file: FileHandle, bytes: Uint8Array, position: number): Promise<void>;
  sync(file: FileHandle): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes names in a folder durable: files created in it, renamed into it or removed from it. */
  syncFolder(folder: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export const nodeDisk: Disk = {
  async openForWriting(path) {
    // 'r+' keeps the content and 'a' would ignore positions: try the one that exists, else create it.
    return open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return open(path, 'wx+', 0o600);
      throw error;
    });
  },
  async write(file, bytes, position) {
    let written = 0;
    while (written < bytes.length) {
      written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
    }
  },
  sync: (file) => file.sync(),
  rename,
  async syncFolder(folder) {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  remove: unlink,
};

/**
 * Makes a folder and its missing parents, owner only. The folder's own name is made durable even where it exists: a
 * process that died may have made it without syncing.
 */
export async function makeFolder(disk: Disk, folder: string): Promise<void> {
  const first = makeFolders(folder, 0o700)[0] ?? folder;
  for (let made = resolve(folder); made !== dirname(made); made = dirname(made)) {
    await disk.syncFolder(dirname(made));
    if (made === resolve(first)) return;
  }
}
