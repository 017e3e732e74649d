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
  readonly entries: Uint8Array[];
  readonly root: Uint8Array;
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
 */
export function readLogFiles(
  p: Primitives,
  size: number,
  readFile: (path: string) => Uint8Array | undefined,
): LogFiles {
  if (!Number.isSafeInteger(size) || size < 0) throw new CryptoError('BAD_VALUE', 'a tree size is a safe integer');
  const tree = new HashTree(p);
  const entries: Uint8Array[] = [];
  const findings: FileFinding[] = [];
  const takeBundle = (file: Uint8Array, ref: TileRef): 'MALFORMED' | undefined => {
    try {
      const bundle = parseBundle(file, ref.width);
      for (const entry of bundle) tree.append(leafHash(p, entry));
      entries.push(...bundle);
      return undefined;
    } catch {
      return 'MALFORMED';
    }
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
  return { entries, root: tree.root(), findings };
}
