import { addSignatures, openCheckpoint, signCheckpoint, type VerifiedCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual, concat, toHex, u64be } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof, Frontier, type HashReader, leafHash } from '../../crypto/merkle.ts';
import { isBy, type NoteSignature, type Signer, verifySignature } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { bundleBytes, MAX_ENTRY_BYTES, parseTilePath, TILE_WIDTH, tileBytes, tileFits } from '../../crypto/tiles.ts';
import { StoreError } from '../store/errors.ts';
import type { RecordStore, StoreReader, Transaction } from '../store/port.ts';
import { rememberVerdicts } from './remembered-verdicts.ts';

const STREAM = 'log.entries';
const TABLE = 'log';
/** u64be size || root, written in the transaction that appends: what the entries must hash to when read again. */
const HEAD = 'head';
/** The signed checkpoint with its cosignatures, by size. */
const NOTES = 'log.checkpoints';
/** Entries read at once. */
const PAGE = 1024;
/** Newest entries that are also held in memory: every follower asks for them with each head. */
const RECENT = 256;
const sizeKey = (size: number): string => String(size).padStart(16, '0');

export interface LogOptions {
  readonly primitives: Primitives;
  readonly records: RecordStore;
  /** The log's own key; its name is the origin. */
  readonly signer: Signer;
  /** Which logs and witnesses; its quorum decides what is published. */
  readonly policy: Policy;
}

/** A checkpoint as it is served. */
export interface SignedCheckpoint extends VerifiedCheckpoint {
  readonly note: Uint8Array;
}

/**
 * The log: entries in the record store are the truth, hashes and tiles are derived from them and held in memory
 * (64 bytes per entry).
 *
 * Laws: an index is returned after its entry is durable and never changes; a checkpoint is durable before anyone is given
 * it, so that no two signed heads are ever inconsistent, also across kill -9; `published` never goes back.
 */
export class LogStore {
  readonly #options: LogOptions;
  readonly #tree: HashTree;
  readonly #edge: Frontier;
  /** Index of each entry by its leaf hash: an entry that is appended again is the same act. */
  readonly #indexOf = new Map<string, number>();
  /** The newest entries by index: durable, as everything in the tree is. */
  readonly #recent = new Map<number, Uint8Array>();
  #published: SignedCheckpoint | undefined;

  private constructor(options: LogOptions) {
    // A head is verified when it is signed, and again with each batch of its cosignatures.
    this.#options = { ...options, primitives: rememberVerdicts(options.primitives) };
    this.#tree = new HashTree(options.primitives);
    this.#edge = new Frontier(options.primitives);
  }

  /**
   * Reads all entries, recomputes the tree, and verifies every checkpoint that was ever signed against it.
   *
   * @throws StoreError CORRUPT when the entries do not hash to the stored head, or a checkpoint is not of this tree.
   */
  static async open(options: LogOptions): Promise<LogStore> {
    const log = new LogStore(options);
    // Checkpoints before entries: another process may append and sign meanwhile, and its head is not of our tree yet.
    const notes = await options.records.list(NOTES);
    await log.refresh();
    for (const { value } of notes) log.#publish(log.#verify(value));
    return log;
  }

  get origin(): string {
    return this.#options.signer.verifier.name;
  }

  get size(): number {
    return this.#tree.size;
  }

  /** Root of the first `size` entries, of all when left out. @throws CryptoError BAD_VALUE beyond the log's size */
  root(size = this.size): Uint8Array {
    return this.#tree.root(size);
  }

  /** Hashes of complete subtrees: for proofs and tiles. */
  get read(): HashReader {
    return this.#tree.read;
  }

  consistency(from: number, to: number): Uint8Array[] {
    return consistencyProof(this.#options.primitives, this.read, from, to);
  }

  /** Entries with indices in [from, to), clipped to the log's size. @throws StoreError CORRUPT */
  async entries(from: number, to: number): Promise<readonly Uint8Array[]> {
    const end = Math.min(to, this.size);
    const entries = this.#recentEntries(from, end) ?? (await this.#options.records.readStream(STREAM, from, end));
    for (const [i, entry] of entries.entries()) {
      if (!bytesEqual(leafHash(this.#options.primitives, entry), this.read(0, from + i))) {
        throw new StoreError('CORRUPT', 'an entry that is not the one in the tree');
      }
    }
    return entries;
  }

  /**
   * Appends entries in one durable step. An entry that is in the log already keeps its index and is not appended again:
   * a caller that missed the answer asks again.
   *
   * @param also - writes that become durable with the entries, or not at all: the state that goes with the act.
   * @param expectedSize - where given, the log must not have moved since the caller looked.
   * @returns an index per entry.
   * @throws StoreError CONFLICT, TOO_LARGE above 65,535 bytes, and whatever the store throws; then nothing was appended.
   */
  async append(
    entries: readonly Uint8Array[],
    options: { readonly expectedSize?: number; readonly also?: (tx: Transaction) => Promise<void> } = {},
  ): Promise<number[]> {
    const { primitives, records } = this.#options;
    if (entries.some((entry) => entry.length > MAX_ENTRY_BYTES)) {
      throw new StoreError('TOO_LARGE', 'a log entry has at most 65535 bytes');
    }
    const hashes = entries.map((entry) => leafHash(primitives, entry));
    const { indices, fresh } = await records.transact(async (tx) => {
      // Another process may have appended; and a commit of ours whose answer was lost is found here too.
      await this.#catchUp(tx);
      if (options.expectedSize !== undefined && options.expectedSize !== this.size) {
        throw new StoreError('CONFLICT', 'the log has moved on');
      }
      const fresh = new Map<
        string,
        { readonly hash: Uint8Array; readonly index: number; readonly entry: Uint8Array }
      >();
      const edge = Frontier.restore(primitives, this.#edge.snapshot());
      const indices: number[] = [];
      for (const [i, hash] of hashes.entries()) {
        const name = toHex(hash);
        const known = this.#indexOf.get(name) ?? fresh.get(name)?.index;
        indices.push(known ?? edge.size);
        if (known !== undefined) continue;
        fresh.set(name, { hash, index: edge.size, entry: entries[i]! });
        await tx.append(STREAM, entries[i]!);
        edge.append(hash);
      }
      await tx.put(TABLE, HEAD, concat(u64be(edge.size), edge.root()));
      await options.also?.(tx);
      return { indices, fresh: [...fresh.values()] };
    });
    // The next transaction may have read these entries back already.
    for (const { hash, index, entry } of fresh) if (index === this.size) this.#take(hash, entry);
    return indices;
  }

  /** Follows what other processes have appended. @throws StoreError CORRUPT */
  async refresh(): Promise<void> {
    await this.#catchUp(this.#options.records);
  }

  /**
   * Signs the log's present head, or gives the checkpoint of this size that was signed before, with its cosignatures.
   * Durable before it is returned.
   */
  async checkpoint(): Promise<SignedCheckpoint> {
    const { primitives, records, signer } = this.#options;
    const note = await records.transact(async (tx) => {
      await this.#catchUp(tx);
      const key = sizeKey(this.size);
      const earlier = await tx.get(NOTES, key);
      if (earlier !== undefined) return earlier;
      const head = { origin: this.origin, size: this.size, root: this.root() };
      const signed = signCheckpoint(primitives, signer, head);
      await tx.put(NOTES, key, signed);
      return signed;
    });
    return this.#publish(this.#verify(note));
  }

  /**
   * Adds cosignatures to a checkpoint of this log; a witness's first one stands. When the policy's quorum is met, the
   * checkpoint is published and smaller ones are forgotten.
   *
   * @throws StoreError NOT_FOUND when no checkpoint of this size waits for cosignatures (a larger one may be published);
   *   CryptoError BAD_SIGNATURE when a line is not of a witness of the policy or does not verify, and nothing is added.
   */
  async addCosignatures(size: number, lines: readonly NoteSignature[]): Promise<SignedCheckpoint> {
    const { records } = this.#options;
    const opened = await records.transact(async (tx) => {
      await this.#catchUp(tx);
      const note = await tx.get(NOTES, sizeKey(size));
      if (note === undefined) throw new StoreError('NOT_FOUND', 'no checkpoint of this size waits for cosignatures');
      const { text } = this.#verify(note);
      for (const line of lines) this.#requireCosignature(text, line);
      const merged = this.#verify(addSignatures(note, lines));
      await tx.put(NOTES, sizeKey(size), merged.note);
      if (!merged.quorum) return merged;
      for (const { key } of await tx.list(NOTES)) if (key < sizeKey(size)) await tx.delete(NOTES, key);
      return merged;
    });
    return this.#publish(opened);
  }

  /** The largest checkpoint that the policy's quorum has cosigned: what the log shows. */
  get published(): SignedCheckpoint | undefined {
    return this.#published;
  }

  /**
   * A file of the published log by its path (C2SP tlog-tiles). Undefined for anything beyond the published checkpoint and
   * for paths that are none.
   */
  async file(path: string): Promise<Uint8Array | undefined> {
    const published = this.#published;
    if (published === undefined) return undefined;
    if (path === 'checkpoint') return published.note;
    const ref = parseTilePath(path);
    if (ref === undefined || !tileFits(ref, published.checkpoint.size)) return undefined;
    if (ref.kind === 'hashes') return tileBytes(this.read, ref);
    const first = ref.index * TILE_WIDTH;
    return bundleBytes(await this.entries(first, first + ref.width));
  }

  /**
   * Reads entries up to the stored head and checks that they hash to it. Others may run meanwhile, in this process and
   * elsewhere: an entry is taken only at its own index, and roots are compared at the size that was read.
   */
  async #catchUp(reader: StoreReader): Promise<void> {
    let head = await reader.get(TABLE, HEAD);
    if (head === undefined && (await reader.streamLength(STREAM)) > 0) {
      // The first entry may have come between the two reads; entries without any head are not ours.
      head = await reader.get(TABLE, HEAD);
      if (head === undefined) throw new StoreError('CORRUPT', 'entries without a head');
    }
    if (head === undefined) return;
    const size = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0));
    while (this.size < size) {
      const from = this.size;
      const entries = await reader.readStream(STREAM, from, Math.min(from + PAGE, size));
      if (entries.length === 0) throw new StoreError('CORRUPT', 'entries of the log are missing');
      for (const [i, entry] of entries.entries()) {
        if (from + i === this.size) this.#take(leafHash(this.#options.primitives, entry), entry);
      }
    }
    if (!bytesEqual(this.root(size), head.subarray(8))) {
      throw new StoreError('CORRUPT', 'the entries are not those of the stored head');
    }
  }

  #take(hash: Uint8Array, entry: Uint8Array): void {
    this.#recent.set(this.size, entry.slice()); // the caller's buffer may be a piece of a larger one, or used again
    this.#recent.delete(this.size - RECENT);
    this.#indexOf.set(toHex(hash), this.size);
    this.#tree.append(hash);
    this.#edge.append(hash);
  }

  /** Entries in [from, end) when all of them are held in memory. */
  #recentEntries(from: number, end: number): Uint8Array[] | null {
    const entries: Uint8Array[] = [];
    for (let i = from; i < end; i++) {
      const entry = this.#recent.get(i);
      if (entry === undefined) return null;
      entries.push(entry);
    }
    return entries;
  }

  #verify(note: Uint8Array): SignedCheckpoint {
    const opened = openCheckpoint(this.#options.primitives, note, this.#options.policy);
    const { origin, size, root } = opened.checkpoint;
    if (origin !== this.origin || size > this.size || !bytesEqual(root, this.root(size))) {
      throw new StoreError('CORRUPT', 'a signed checkpoint that is not of this tree');
    }
    return { ...opened, note };
  }

  #requireCosignature(text: string, line: NoteSignature): void {
    const { policy, primitives } = this.#options;
    const witness = policy.witnesses.find(({ verifier }) => isBy(verifier, line));
    if (witness === undefined || verifySignature(primitives, witness.verifier, text, line) === undefined) {
      throw new CryptoError('BAD_SIGNATURE', 'not a cosignature of a witness of the policy');
    }
  }

  #publish(opened: SignedCheckpoint): SignedCheckpoint {
    const current = this.#published?.checkpoint.size ?? -1;
    if (opened.quorum && opened.checkpoint.size >= current) this.#published = opened;
    return opened;
  }
}
