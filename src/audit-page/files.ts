import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../../crypto/encoding.ts';
import { TILE_WIDTH } from '../../crypto/tiles.ts';
import type { AuditBlob, AuditBlobs } from '../../protocols/audit-blobs.ts';

/** Of the worker's library, which the compiler's DOM library lacks: reads a file without waiting. */
interface FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
declare const FileReaderSync: new () => FileReaderSync;

/** Largest file of a log: a full bundle of the longest entries. */
const MAX_FILE_BYTES = TILE_WIDTH * (2 + 65_535);
/** Bytes read at once while a blob is hashed. */
const CHUNK_BYTES = 1 << 20;

/** Bytes of a file or a part of one. A file that vanished since it was chosen reads as empty, which fits nothing. */
function read(blob: Blob): Uint8Array {
  try {
    return new Uint8Array(new FileReaderSync().readAsArrayBuffer(blob));
  } catch {
    return new Uint8Array(0);
  }
}

/** A small file: checkpoint, policy, tile. Undefined where it is larger than any file of a log. */
export function readSmall(file: File | undefined): Uint8Array | undefined {
  return file === undefined || file.size > MAX_FILE_BYTES ? undefined : read(file);
}

/** Blobs by their names, which are hashes. They are hashed by parts. */
export function chosenBlobs(files: ReadonlyMap<string, File>, onOpen: () => void): AuditBlobs {
  const hashOf = (file: File): string => {
    const hash = sha256.create();
    for (let at = 0; at < file.size; at += CHUNK_BYTES) hash.update(read(file.slice(at, at + CHUNK_BYTES)));
    return toHex(hash.digest());
  };
  return {
    open(name): AuditBlob | null {
      const file = files.get(name);
      if (file === undefined) return null;
      onOpen();
      return {
        get sha256() {
          return hashOf(file);
        },
        lengthBytes: file.size,
        read: (at, bytes) => read(file.slice(at, at + bytes)),
        [Symbol.dispose]: () => {},
      };
    },
  };
}
