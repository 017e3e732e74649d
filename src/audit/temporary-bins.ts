import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bins } from '../../protocols/repeats.ts';
import { asStoreError } from '../store/errors.ts';

/** Before each piece: where the piece before it of the same bin begins, and its own length. */
const HEADER_BYTES = 16;
/** Where the first piece of a bin points to. */
const NONE = -1;

/** Bins in a file that nobody else can open and that is gone with the process, however it ends. */
export interface TemporaryBins extends Bins, Disposable {}

/**
 * Pieces of all bins one after the other in one file, each pointing to the one before it of its bin: memory is one offset
 * per bin. The file is made when the first piece comes, below the system's folder for temporary files (TMPDIR).
 *
 * @throws StoreError FULL, IO_FAILED from `append` and `read`.
 */
export function temporaryBins(): TemporaryBins {
  const last = new Map<number, number>();
  let end = 0;
  let file: TemporaryFile | undefined;
  return {
    append(bin, bytes) {
      file ??= temporaryFile();
      const piece = Buffer.alloc(HEADER_BYTES + bytes.length);
      piece.writeDoubleBE(last.get(bin) ?? NONE, 0);
      piece.writeUInt32BE(bytes.length, 8);
      piece.set(bytes, HEADER_BYTES);
      file.write(piece, end);
      last.set(bin, end);
      end += piece.length;
    },
    read(bin) {
      const pieces: Buffer[] = [];
      for (let at = last.get(bin) ?? NONE; at !== NONE; ) {
        const header = file!.read(at, HEADER_BYTES);
        pieces.push(file!.read(at + HEADER_BYTES, header.readUInt32BE(8)));
        at = header.readDoubleBE(0);
      }
      return Buffer.concat(pieces);
    },
    [Symbol.dispose]: () => file?.close(),
  };
}

interface TemporaryFile {
  write(bytes: Buffer, at: number): void;
  read(at: number, bytes: number): Buffer;
  close(): void;
}

function temporaryFile(): TemporaryFile {
  const whole = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw asStoreError(cause);
    }
  };
  const folder = whole(() => mkdtempSync(join(tmpdir(), 'veilsum-audit-')));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const descriptor = whole(() => openSync(join(folder, 'values'), 'wx+', 0o600));
  // An open file needs no name. Where the system sees that otherwise (Windows), it goes when it is closed.
  if (process.platform !== 'win32') remove();
  return {
    write: (bytes, at) =>
      whole(() => {
        for (let done = 0; done < bytes.length; ) {
          done += writeSync(descriptor, bytes, done, bytes.length - done, at + done);
        }
      }),
    read: (at, bytes) =>
      whole(() => {
        const buffer = Buffer.alloc(bytes);
        for (let done = 0; done < bytes; ) {
          const read = readSync(descriptor, buffer, done, bytes - done, at + done);
          if (read === 0) throw new Error('a temporary file is shorter than what was written');
          done += read;
        }
        return buffer;
      }),
    close() {
      closeSync(descriptor);
      if (process.platform === 'win32') remove();
    },
  };
}
