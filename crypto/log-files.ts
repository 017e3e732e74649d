import { bytesEqual } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HashTree } from './hash-tree.ts';
import { leafHash } from './merkle.ts';
import type { Primitives } from './primitives.ts';
import { parseBundle, type TileRef, tileBytes, tilePath, tilesOf } from './tiles.ts';

/** What is wrong with one file of a log. */
export interface FileFinding {
  readonly path: string;
  /** MISSING; MALFORMED: not a bundle of its width; MISMATCH: other hashes than the entries give. */
  readonly reason: 'MISSING' | 'MALFORMED' | 'MISMATCH';
}

/** A log's files, read through. `root` and `entries` are complete only where `findings` is empty. */
export interface LogFiles {
  /** Empty where the entries were handed to `take` one by one. */
  readonly entries: Uint8Array[];
  readonly root: Uint8Array;
  /** Root of the first `size` leaves, of those that were read. */
  readonly rootAt: (size: number) => Uint8Array;
  readonly findings: FileFinding[];
}

/**
 * Reads every file of a log and recomputes it: entries give the leaf hashes, those every tile and the root.
 * The root is still to be compared with a checkpoint. A change of any one byte of any of these files is a finding or
 * another root (a changed entry changes a tile that is compared too).
 *
 * @param size - leaves, from a verified checkpoint.
 * @param readFile - bytes of a path as `tilePath` writes it; undefined where there is none. (A log
 *   keeps the partial tiles of its current checkpoint; a reader of an older one may cut the full tile to the width.)
 * @param take - where given, sees every entry in order, at most one bundle after it was read, and nothing is kept: memory
 *   is then 64 bytes per leaf. `rootAt` answers for every size up to and including that entry. What it sees is not yet
 *   known to be in the tree of the checkpoint. `hash` is the entry's leaf hash.
 */
export function readLogFiles(
  p: Primitives,
  size: number,
  readFile: (path: string) => Uint8Array | undefined,
  take?: (entry: Uint8Array, index: number, rootAt: (size: number) => Uint8Array, hash: Uint8Array) => void,
): LogFiles {
  if (!Number.isSafeInteger(size) || size < 0) throw new CryptoError('BAD_VALUE', 'a tree size is a safe integer');
  const tree = new HashTree(p);
  const entries: Uint8Array[] = [];
  const findings: FileFinding[] = [];
  const rootAt = (leaves: number): Uint8Array => tree.root(leaves);
  const takeBundle = (file: Uint8Array, ref: TileRef): 'MALFORMED' | undefined => {
    let bundle: Uint8Array[];
    try {
      bundle = parseBundle(file, ref.width);
    } catch {
      return 'MALFORMED';
    }
    const first = tree.size;
    const hashes = bundle.map((entry) => leafHash(p, entry));
    for (const hash of hashes) tree.append(hash);
    if (take === undefined) entries.push(...bundle);
    else for (const [i, entry] of bundle.entries()) take(entry, first + i, rootAt, hashes[i]!);
    return undefined;
  };
  const compare = (file: Uint8Array, ref: TileRef): 'MISMATCH' | undefined => {
    return bytesEqual(file, tileBytes(tree.read, ref)) ? undefined : 'MISMATCH';
  };
  for (const ref of tilesOf(size)) {
    const path = tilePath(ref);
    const file = readFile(path);
    const reason = file === undefined ? 'MISSING' : ref.kind === 'entries' ? takeBundle(file, ref) : compare(file, ref);
    if (reason === undefined) continue;
    findings.push({ path, reason });
    // Without all the entries there is nothing to compare the tiles with: this finding stands for them.
    if (ref.kind === 'entries') break;
  }
  return { entries, root: tree.root(), rootAt, findings };
}
