import { dirname, join } from 'node:path';
import { openCheckpoint, type VerifiedCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof, Frontier, HASH_BYTES, leafHash, rootOf, verifyConsistency } from '../../crypto/merkle.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { parseBundle, TILE_WIDTH, type TileRef, tileBytes, tileFits, tilePath, tilesOf } from '../../crypto/tiles.ts';
import { makeFolders } from '../platform/make-folders.ts';
import { nodeDisk } from '../store/disk.ts';
import { LogError } from './errors.ts';
import { folderReader, removePartial, syncUpTo, writeWhole } from './log-folder.ts';
import { fromTiles, type LogSource, readRequired, readTile } from './log-source.ts';
import { keepHeads } from './mirror-evidence.ts';

export interface MirrorOptions {
  readonly primitives: Primitives;
  readonly source: LogSource;
  readonly policy: Policy;
  /** The copy, a tlog-tiles folder: what `veilsum audit` reads. One process at a time. */
  readonly folder: string;
  /** Files that are there and verified, of all that the new head asks for. */
  readonly progress?: (done: number, total: number) => void;
}

/** A step's outcome. */
export interface Mirrored {
  readonly size: number;
  /** Leaves more than the step before had. */
  readonly added: number;
  /** Files written, tiles and bundles. */
  readonly written: number;
}

interface Head extends VerifiedCheckpoint {
  readonly note: Uint8Array;
}

/**
 * A full copy of somebody's log, verified as it comes.
 *
 * Laws: the folder's `checkpoint` is signed and cosigned as the policy asks, extends every one that was there before, and
 * has all its files, at every moment and after a crash at any; nothing is written that is not in the tree of such a head.
 * A head that contradicts the one held, or is older, ends with both in `evidence/`, and the copy stays as it was.
 */
export class Mirror {
  readonly #options: MirrorOptions;
  readonly #read: (path: string) => Uint8Array | undefined;
  /** Of the head's leaves; empty while a damaged copy is being mended. */
  #tree: HashTree;
  #edge: Frontier;
  #head: Head | null = null;
  /** Size whose files are all known to be there and right. */
  #whole = 0;

  private constructor(options: MirrorOptions) {
    this.#options = options;
    this.#read = folderReader(options.folder);
    this.#tree = new HashTree(options.primitives);
    this.#edge = new Frontier(options.primitives);
  }

  /**
   * Opens a copy, or begins one. All its files are read and verified; those that are missing or damaged are fetched again
   * by the next step.
   *
   * @throws LogError BAD_CHECKPOINT, NOT_COSIGNED when the checkpoint that is there is not one that the policy takes.
   */
  static async open(options: MirrorOptions): Promise<Mirror> {
    const mirror = new Mirror(options);
    makeFolders(options.folder);
    const note = mirror.#read('checkpoint');
    if (note !== undefined) mirror.#take(mirror.#verified(note, 'the copy'));
    return mirror;
  }

  /** Leaves of the head that the copy has, or is being brought up to. */
  get size(): number {
    return this.#head?.checkpoint.size ?? 0;
  }

  /**
   * Follows the log to the head that it shows now. After an error the copy is what it was, perhaps with files more that
   * the next step does not fetch again.
   *
   * @throws LogError SPLIT_VIEW, ROLLED_BACK with both heads kept; WRONG_ORIGIN; BAD_CHECKPOINT, NOT_COSIGNED; BAD_FILES when
   *   the log's files are not those of its head; NOT_FOUND, UNREACHABLE, TOO_LARGE.
   */
  async step(): Promise<Mirrored> {
    const { source } = this.#options;
    const offered = this.#verified(await readRequired(source, 'checkpoint'), source.name);
    if (this.#head !== null) await this.#requireExtension(this.#head, offered);
    const before = this.size;
    await this.#grow(offered);
    const written = await this.#complete(offered);
    return { size: this.size, added: this.size - before, written };
  }

  #verified(note: Uint8Array, whose: string): Head {
    const { primitives, policy } = this.#options;
    let opened: VerifiedCheckpoint;
    try {
      opened = openCheckpoint(primitives, note, policy);
    } catch (cause) {
      throw new LogError('BAD_CHECKPOINT', `the checkpoint of ${whose} is not signed by a log of the policy`, {
        cause,
      });
    }
    if (opened.quorum) return { ...opened, note };
    throw new LogError('NOT_COSIGNED', `too few witnesses have cosigned the checkpoint of ${whose}`);
  }

  /** Reads the copy through. What is damaged is left to the next step: the held head stays what it must extend. */
  #take(head: Head): void {
    const { primitives: p } = this.#options;
    const { size, root } = head.checkpoint;
    this.#head = head;
    for (const ref of tilesOf(size)) {
      if (ref.kind !== 'entries') break;
      const leaves = this.#leavesOf(this.#read(tilePath(ref)), ref);
      if (leaves === null) break;
      for (const hash of leaves) this.#append(hash);
    }
    if (this.#tree.size !== size || !bytesEqual(this.#tree.root(), root)) {
      this.#tree = new HashTree(p);
      this.#edge = new Frontier(p);
      return;
    }
    const isRight = (ref: TileRef): boolean => this.#isFile(ref, this.#read(tilePath(ref)));
    if ([...tilesOf(size)].every((ref) => ref.kind === 'entries' || isRight(ref))) this.#whole = size;
  }

  #append(hash: Uint8Array): void {
    this.#tree.append(hash);
    this.#edge.append(hash);
  }

  #leavesOf(bundle: Uint8Array | undefined, ref: TileRef): Uint8Array[] | null {
    if (bundle === undefined) return null;
    try {
      return parseBundle(bundle, ref.width).map((entry) => leafHash(this.#options.primitives, entry));
    } catch {
      return null;
    }
  }

  /** Whether these bytes are the file of the tree that has been verified. */
  #isFile(ref: TileRef, bytes: Uint8Array | undefined): boolean {
    if (bytes === undefined) return false;
    if (ref.kind === 'hashes') return bytesEqual(bytes, tileBytes(this.#tree.read, ref));
    const leaves = this.#leavesOf(bytes, ref);
    const first = ref.index * TILE_WIDTH;
    return leaves?.every((hash, i) => bytesEqual(hash, this.#tree.read(0, first + i))) ?? false;
  }

  /** @throws LogError ROLLED_BACK, SPLIT_VIEW, WRONG_ORIGIN; BAD_FILES where the log's tiles prove neither. */
  async #requireExtension(held: Head, offered: Head): Promise<void> {
    const { primitives: p, source, folder } = this.#options;
    const [from, to] = [held.checkpoint, offered.checkpoint];
    if (from.origin !== to.origin) throw new LogError('WRONG_ORIGIN', 'the copy is of another log of the policy');
    const contradicted = async (code: 'ROLLED_BACK' | 'SPLIT_VIEW', why: string, proof: Uint8Array[] = []) => {
      const kept = await keepHeads(folder, held.note, offered.note, from.size, proof);
      throw new LogError(code, `${why} (held ${from.size} leaves, offered ${to.size}): both heads are in ${kept}`);
    };
    if (to.size < from.size) {
      const isOurs = to.size > this.#tree.size || bytesEqual(this.#tree.root(to.size), to.root);
      if (isOurs) await contradicted('ROLLED_BACK', 'the log shows an older head than the one held');
      await contradicted('SPLIT_VIEW', 'the log shows another history');
    }
    if (to.size === from.size) {
      if (!bytesEqual(from.root, to.root)) await contradicted('SPLIT_VIEW', 'the log shows another history');
      return;
    }
    const { proof, rootThen } = await fromTiles(p, source, to.size, (read) => ({
      proof: consistencyProof(p, read, from.size, to.size),
      rootThen: rootOf(p, read, from.size),
    }));
    const claim = { from: from.size, to: to.size, fromRoot: from.root, toRoot: to.root };
    if (verifyConsistency(p, claim, proof)) return;
    // A proof that the offered head has another history: only then is it the log's own signature that says so.
    if (verifyConsistency(p, { ...claim, fromRoot: rootThen }, proof)) {
      await contradicted('SPLIT_VIEW', 'the log shows another history', proof);
    }
    throw new LogError('BAD_FILES', `the tiles of ${source.name} are not those of its checkpoint`);
  }

  /** Fetches the hashes of the new leaves and takes them in, if they lead to the head's root. */
  async #grow(offered: Head): Promise<void> {
    const { primitives: p, source } = this.#options;
    const { size, root } = offered.checkpoint;
    const edge = Frontier.restore(p, this.#edge.snapshot());
    const fresh: Uint8Array[] = [];
    for (let index = Math.floor(edge.size / TILE_WIDTH); index * TILE_WIDTH < size; index++) {
      const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
      const tile = await readTile(source, { kind: 'hashes', level: 0, index, width });
      for (let i = edge.size - index * TILE_WIDTH; i < width; i++) {
        const hash = tile.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES);
        edge.append(hash);
        fresh.push(hash);
      }
    }
    if (!bytesEqual(edge.root(), root)) {
      throw new LogError('BAD_FILES', `the tiles of ${source.name} are not those of its checkpoint`);
    }
    for (const hash of fresh) this.#append(hash);
    this.#head = offered;
  }

  /** Brings every file of the head into the folder, then the head itself. @returns files written. */
  async #complete(head: Head): Promise<number> {
    const { folder, source, progress } = this.#options;
    const { size } = head.checkpoint;
    const wanted = [...tilesOf(size)].filter((ref) => !tileFits(ref, this.#whole));
    const made = new Set<string>();
    let written = 0;
    for (const [done, ref] of wanted.entries()) {
      progress?.(done, wanted.length);
      const path = join(folder, tilePath(ref));
      if (!this.#isFile(ref, this.#read(tilePath(ref)))) {
        const bytes = await readTile(source, ref);
        if (!this.#isFile(ref, bytes)) {
          throw new LogError('BAD_FILES', `${source.name}: ${tilePath(ref)} is not the one of its checkpoint`);
        }
        makeFolders(dirname(path));
        await writeWhole(path, bytes);
        written++;
      }
      // Also where it was there: a process that died may have written it without syncing its name.
      made.add(dirname(path));
    }
    for (const each of made) await syncUpTo(each, folder);
    await nodeDisk.syncFolder(folder);
    const there = this.#read('checkpoint');
    if (there === undefined || !bytesEqual(there, head.note)) {
      await writeWhole(join(folder, 'checkpoint'), head.note);
      await nodeDisk.syncFolder(folder);
    }
    // Only now: the head before may have asked for them.
    for (const ref of wanted) await removePartial(folder, ref);
    this.#whole = size;
    progress?.(wanted.length, wanted.length);
    return written;
  }
}
