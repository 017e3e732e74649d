import { bytesEqual } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HASH_BYTES, leafHash } from './merkle.ts';
import type { Primitives } from './primitives.ts';
import { TileTree } from './tile-tree.ts';
import { parseBundle, TILE_WIDTH, type TileRef, tilePath, tilesOf } from './tiles.ts';

/** What is wrong with one file of a log. */
export interface FileFinding {
  readonly path: string;
  /** MISSING; MALFORMED: not a bundle of its width; MISMATCH: other hashes than the entries give. */
  readonly reason: 'MISSING' | 'MALFORMED' | 'MISMATCH';
}

/** Entries of one file, in order. */
export interface Bundle {
  /** Index of the first. */
  readonly first: number;
  readonly entries: readonly Uint8Array[];
  /** Their RFC 6962 leaf hashes. */
  readonly hashes: readonly Uint8Array[];
}

/** Bytes of a path as `tilePath` writes it; undefined where there is none. */
export type FileReader = (path: string) => Uint8Array | undefined;

/**
 * Reads every file of a log once, in the order of its entries, and recomputes it: entries give the leaf hashes, those every
 * tile and the root. Memory does not grow with the log. The root is still to be compared with a checkpoint. A change of any
 * one byte of any of these files is a finding or another root (a changed entry changes a tile that is compared too).
 */
export class LogWalk {
  readonly #p: Primitives;
  readonly #size: number;
  readonly #readFile: FileReader;
  readonly #tree: TileTree;
  /** By path. */
  readonly #tileFindings = new Map<string, { readonly ref: TileRef; readonly reason: FileFinding['reason'] }>();
  #entryFinding: FileFinding | null = null;
  /** The tile that was asked for last, of those that are read again. */
  #asked: TileRef | null = null;

  /**
   * @param size - leaves, from a verified checkpoint.
   * @param readFile - a log keeps the partial tiles of its current checkpoint; a reader of an older one may cut the full tile
   *   to the width.
   */
  constructor(p: Primitives, size: number, readFile: FileReader) {
    if (!Number.isSafeInteger(size) || size < 0) throw new CryptoError('BAD_VALUE', 'a tree size is a safe integer');
    this.#p = p;
    this.#size = size;
    this.#readFile = readFile;
    this.#tree = new TileTree(p, (level, index) => {
      this.#asked = { kind: 'hashes', level, index, width: TILE_WIDTH };
      return readFile(tilePath(this.#asked));
    });
  }

  /** To be read through, once. What it gives is not yet known to be in the tree of the checkpoint. */
  *bundles(): Generator<Bundle, void> {
    for (const ref of tilesOf(this.#size)) {
      if (ref.kind !== 'entries') break;
      const path = tilePath(ref);
      const file = this.#readFile(path);
      const entries = file && bundleOf(file, ref.width);
      if (!entries) {
        // Without all the entries there is nothing to compare the tiles with: this finding stands for them.
        this.#entryFinding = { path, reason: file === undefined ? 'MISSING' : 'MALFORMED' };
        return;
      }
      const hashes = entries.map((entry) => leafHash(this.#p, entry));
      for (const hash of hashes) {
        this.#tree.append(hash, (level, index, bytes) => {
          return this.#compare({ kind: 'hashes', level, index, width: TILE_WIDTH }, bytes);
        });
      }
      yield { first: this.#tree.size - entries.length, entries, hashes };
    }
    for (let level = 0; ; level++) {
      const edge = this.#tree.edge(level);
      if (edge === undefined) return;
      const width = edge.bytes.length / HASH_BYTES;
      if (width > 0) this.#compare({ kind: 'hashes', level, index: edge.index, width }, edge.bytes);
    }
  }

  /** Complete only where `findings` is empty once all bundles were read. */
  get root(): Uint8Array {
    return this.#tree.root();
  }

  /**
   * Root of the first `size` leaves, of those in the bundles so far.
   *
   * @returns null where a tile that was there is gone or another one now: that is a finding.
   */
  rootAt(size: number): Uint8Array | null {
    if (size > this.#tree.size) throw new CryptoError('BAD_VALUE', 'the tree is not that large');
    try {
      return this.#tree.root(size);
    } catch (error) {
      if (!(error instanceof CryptoError) || this.#asked === null) throw error;
      this.#find(this.#asked, 'MISMATCH');
      return null;
    }
  }

  /** In the order of the log's files. */
  get findings(): FileFinding[] {
    if (this.#entryFinding !== null) return [this.#entryFinding];
    return [...this.#tileFindings]
      .sort(([, a], [, b]) => a.ref.level - b.ref.level || a.ref.index - b.ref.index)
      .map(([path, { reason }]) => ({ path, reason }));
  }

  #compare(ref: TileRef, bytes: Uint8Array): boolean {
    const file = this.#readFile(tilePath(ref));
    if (file !== undefined && bytesEqual(file, bytes)) return true;
    this.#find(ref, file === undefined ? 'MISSING' : 'MISMATCH');
    return false;
  }

  #find(ref: TileRef, reason: FileFinding['reason']): void {
    this.#tileFindings.set(tilePath(ref), { ref, reason });
  }
}

function bundleOf(file: Uint8Array, width: number): Uint8Array[] | null {
  try {
    return parseBundle(file, width);
  } catch {
    return null;
  }
}
