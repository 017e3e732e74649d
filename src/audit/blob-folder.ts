import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditBlob, AuditBlobs } from '../../protocols/audit-blobs.ts';

/** Bytes read at once while a blob is hashed. */
const CHUNK_BYTES = 1 << 20;

function readFully(descriptor: number, at: number, bytes: number): Uint8Array {
  const buffer = new Uint8Array(bytes);
  for (let filled = 0; filled < bytes; ) {
    const read = readSync(descriptor, buffer, filled, bytes - filled, at + filled);
    if (read === 0) return buffer.subarray(0, filled); // shorter than it was: nothing will fit
    filled += read;
  }
  return buffer;
}

function openFile(path: string): number | null {
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
    return null;
  } catch {
    return null;
  }
}

/**
 * A folder of blobs that a stranger gave, one file per blob, named by its SHA-256 in lower-case hexadecimal. Regular files
 * only, no symlinks; a name is only ever a hash from the log, so no path leads out of the folder.
 *
 * A blob is hashed by parts; a file that changes afterwards shows in the sums.
 */
export function blobFolder(folder: string): AuditBlobs {
  const hashOf = (descriptor: number, lengthBytes: number): string => {
    const hash = createHash('sha256');
    for (let at = 0; at < lengthBytes; at += CHUNK_BYTES) {
      hash.update(readFully(descriptor, at, Math.min(CHUNK_BYTES, lengthBytes - at)));
    }
    return hash.digest('hex');
  };
  return {
    open(name): AuditBlob | null {
      if (!/^[0-9a-f]{64}$/.test(name)) return null;
      const descriptor = openFile(join(folder, name));
      if (descriptor === null) return null;
      const lengthBytes = fstatSync(descriptor).size;
      return {
        get sha256() {
          return hashOf(descriptor, lengthBytes);
        },
        lengthBytes,
        read: (at, bytes) => readFully(descriptor, at, bytes),
        [Symbol.dispose]: () => closeSync(descriptor),
      };
    },
  };
}
