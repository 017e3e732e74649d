import { type Checkpoint, openCheckpoint, parseCheckpoint, type VerifiedCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof, Frontier, leafHash } from '../../crypto/merkle.ts';
import { parseNote } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import { advance, newReader, type Reader } from '../../protocols/reader.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { followLog } from '../grpc/follow.ts';
import type { RecordStore } from '../store/port.ts';
import type { Say } from './events.ts';

const TABLE = 'log-reader';
const HEAD = 'head';
/**
 * Heads are kept at most this often, in ms. What a party acts on is protected by its cosignatures; the kept head only
 * adds that a log which goes back further than this across the party's own restart is noticed.
 */
const KEEP_EVERY_MS = 1000;

/** Two heads of one log, both signed and cosigned as the policy asks, that cannot both be true. */
export interface Contradiction {
  /** Notes; `smaller` has at most as many leaves as `larger`. */
  readonly smaller: Uint8Array;
  readonly larger: Uint8Array;
  /** Leaves under the smaller one. */
  readonly size: number;
  /** Proves that the larger one's tree has another root at that size. Empty where both have as many leaves. */
  readonly proof: readonly Uint8Array[];
}

export interface LogReaderOptions {
  readonly primitives: Primitives;
  readonly policy: Policy;
  readonly genesisHash: string;
  readonly coordinator: Connection;
  /** Where the last head is kept: a log that is shorter or another one after a restart is refused. Null keeps none. */
  readonly records: RecordStore | null;
  readonly say: Say;
  /** Told when the log contradicts itself, before the reader stops. @param later - which of both was shown last. */
  readonly onContradiction?: (heads: Contradiction, later: 'smaller' | 'larger') => Promise<void> | void;
  /** Told a signed head that the leaves sent with it do not hash to, and what they hash to (32 bytes). */
  readonly onOtherLeaves?: (head: Uint8Array, root: Uint8Array) => void;
}

/**
 * Follows the log and keeps a party's transcript. Only leaves under a cosigned head are in it; a head that contradicts
 * an earlier one, or a leaf that may not stand where it stands, stops the reader for good.
 */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #reader: Reader;
  /** Over the transcript's leaves: what a head of any size before is compared with. */
  readonly #tree: HashTree;
  #following: Promise<void> = Promise.resolve();
  #failure: Error | null = null;
  #keptAt = Number.NEGATIVE_INFINITY;
  /** The head kept from before the restart. */
  #seen: { readonly size: number; readonly root: Uint8Array; readonly note: Uint8Array } | null = null;
  /** The newest head taken in, with its signatures. */
  #note: Uint8Array | null = null;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#reader = newReader(options.primitives, options.policy);
    this.#tree = new HashTree(options.primitives);
  }

  get transcript(): Transcript {
    return this.#reader.transcript;
  }

  get head(): Reader['head'] {
    return this.#reader.head;
  }

  /** False while the log is still shorter than what was seen before a restart: nothing is done until then. */
  get isCaughtUp(): boolean {
    return this.#reader.head !== null && this.#reader.head.size >= (this.#seen?.size ?? 0);
  }

  /** Why the reader stopped; null while it runs. */
  get failure(): Error | null {
    return this.#failure;
  }

  onHead(listener: () => void): void {
    this.#listeners.add(listener);
  }

  start(): void {
    this.#following = this.#follow().catch((error: Error & { code?: string }) => {
      this.#failure = error;
      this.#options.say('log refused', { code: error.code ?? '', error: error.message });
      for (const listener of this.#listeners) listener();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    if (this.isCaughtUp) await this.#keep();
  }

  /** Resolves once the transcript satisfies a condition. @throws what stopped the reader, or the signal's reason. */
  async until<T>(condition: (t: Transcript) => T | null | false | undefined, signal?: AbortSignal): Promise<T> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      signal?.throwIfAborted();
      const found = condition(this.transcript);
      if (found !== null && found !== false && found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const once = (): void => {
          this.#listeners.delete(once);
          signal?.removeEventListener('abort', once);
          resolve();
        };
        this.#listeners.add(once);
        signal?.addEventListener('abort', once);
      });
    }
  }

  async #follow(): Promise<void> {
    const { coordinator, say, records } = this.#options;
    const kept = await records?.get(TABLE, HEAD);
    if (kept !== undefined) this.#seen = { ...parseCheckpoint(parseNote(kept).text), note: kept };
    let pending: Uint8Array[] = [];
    const onBreak = (error: Error & { code?: string }): void => say('log connection lost', { code: error.code ?? '' });
    for await (const run of followLog(coordinator, 0, { signal: this.#stop.signal, onBreak })) {
      pending.push(...run.leaves);
      if (run.checkpoint === null) continue;
      pending = await this.#take(pending, run.checkpoint);
    }
  }

  /** @returns leaves that the checkpoint does not cover yet. */
  async #take(pending: Uint8Array[], note: Uint8Array): Promise<Uint8Array[]> {
    const { primitives: p, genesisHash } = this.#options;
    const before = this.#reader.transcript.size;
    const count = sizeOf(note) - before;
    if (count > pending.length) return pending; // its leaves are still on the way
    if (count < 0) {
      await this.#checkOlder(note);
      return pending;
    }
    const leaves = pending.slice(0, count);
    const next = advance(p, this.#reader, leaves, note);
    const code = isRejection(next) ? next.rejected : null;
    if (isRejection(next) && (code === 'BAD_CHECKPOINT' || code === 'NOT_COSIGNED')) throw refused(next);
    // From here on the head is signed and cosigned; it is the log's own word.
    if (code === 'SPLIT_VIEW') await this.#refuseLeaves(leaves, note);
    for (const bytes of leaves) this.#tree.append(leafHash(p, bytes));
    await this.#checkSeen(before, note);
    if (isRejection(next)) throw refused(next);
    if (next.transcript.size > 0 && next.transcript.logId !== genesisHash) {
      throw new ProtocolError('WRONG_ORIGIN', 'this is not the log of the federation that this party belongs to');
    }
    this.#reader = next;
    this.#note = note;
    if (!this.isCaughtUp && before === 0)
      this.#options.say('log is behind', { size: next.head?.size ?? 0, seen: this.#seen?.size ?? 0 });
    if (this.isCaughtUp && performance.now() - this.#keptAt >= KEEP_EVERY_MS) await this.#keep();
    for (const listener of [...this.#listeners]) listener();
    return pending.slice(count);
  }

  async #keep(): Promise<void> {
    const note = this.#note;
    if (note === null) return;
    this.#keptAt = performance.now();
    await this.#options.records?.transact((tx) => tx.put(TABLE, HEAD, note));
  }

  /** A head that is older than what was read: true, the log is only behind; else it is a contradiction. */
  async #checkOlder(note: Uint8Array): Promise<void> {
    const { size, root } = this.#verified(note);
    if (!bytesEqual(this.#tree.root(size), root)) await this.#contradicted(note, size, this.#note!, 'smaller');
    this.#options.say('log is behind', { size, seen: this.#tree.size });
  }

  /** While catching up: the head kept from before the restart must be one that the leaves pass through. */
  async #checkSeen(before: number, note: Uint8Array): Promise<void> {
    const seen = this.#seen;
    if (seen === null || before >= seen.size || this.#tree.size < seen.size) return;
    if (bytesEqual(this.#tree.root(seen.size), seen.root)) return;
    this.#verified(seen.note);
    await this.#contradicted(seen.note, seen.size, note, 'larger');
  }

  /** Leaves that a signed head is not over. Without any, it is this reader's own leaves, under another signed head. */
  async #refuseLeaves(leaves: readonly Uint8Array[], note: Uint8Array): Promise<never> {
    const { primitives: p, onOtherLeaves } = this.#options;
    if (leaves.length === 0 && this.#note !== null)
      await this.#contradicted(this.#note, this.#tree.size, note, 'larger');
    const frontier = Frontier.restore(p, this.#reader.frontier.snapshot());
    for (const bytes of leaves) frontier.append(leafHash(p, bytes));
    onOtherLeaves?.(note, frontier.root());
    throw new ProtocolError('BAD_CHECKPOINT', 'the leaves that were sent do not hash to the signed head');
  }

  /** @param smaller - verified, as is the larger one, which is over this reader's tree or as large as it. */
  async #contradicted(
    smaller: Uint8Array,
    size: number,
    larger: Uint8Array,
    later: 'smaller' | 'larger',
  ): Promise<never> {
    const { primitives: p, onContradiction } = this.#options;
    const proof =
      size === 0 || size === this.#tree.size ? [] : consistencyProof(p, this.#tree.read, size, this.#tree.size);
    await onContradiction?.({ smaller, larger, size, proof }, later);
    throw new ProtocolError('SPLIT_VIEW', 'the log has signed two heads that cannot both be true');
  }

  /** @throws ProtocolError BAD_CHECKPOINT, NOT_COSIGNED */
  #verified(note: Uint8Array): Checkpoint {
    const { primitives: p, policy } = this.#options;
    let opened: VerifiedCheckpoint;
    try {
      opened = openCheckpoint(p, note, policy);
    } catch (cause) {
      throw new ProtocolError('BAD_CHECKPOINT', 'not a checkpoint signed by this log', { cause });
    }
    if (!opened.quorum) throw new ProtocolError('NOT_COSIGNED', 'fewer witnesses than the policy asks for');
    return opened.checkpoint;
  }
}

function refused({ rejected, why }: Rejection): ProtocolError {
  return new ProtocolError(rejected, why);
}

function sizeOf(note: Uint8Array): number {
  const line = new TextDecoder().decode(note.subarray(0, 512)).split('\n')[1] ?? '';
  if (!/^(0|[1-9][0-9]{0,15})$/.test(line)) throw new ProtocolError('BAD_CHECKPOINT', 'not a checkpoint');
  return Number(line);
}
