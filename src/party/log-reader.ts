import { parseCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual } from '../../crypto/encoding.ts';
import { Frontier, leafHash } from '../../crypto/merkle.ts';
import { parseNote } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
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

export interface LogReaderOptions {
  readonly primitives: Primitives;
  readonly policy: Policy;
  readonly genesisHash: string;
  readonly coordinator: Connection;
  /** Where the last head is kept: a log that is shorter or another one after a restart is refused. Null keeps none. */
  readonly records: RecordStore | null;
  readonly say: Say;
  /** Told both heads, with their signatures, when the log contradicts itself. */
  readonly onContradiction?: (earlier: Uint8Array, later: Uint8Array) => void;
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
      try {
        pending = await this.#take(pending, run.checkpoint);
      } catch (error) {
        this.#contradicted(error as Error & { code?: string }, run.checkpoint);
        throw error;
      }
    }
  }

  #contradicted({ code }: { code?: string }, shown: Uint8Array): void {
    const earlier = this.#note ?? this.#seen?.note;
    if (earlier !== undefined && (code === 'SPLIT_VIEW' || code === 'ROLLED_BACK'))
      this.#options.onContradiction?.(earlier, shown);
  }

  /** @returns leaves that the checkpoint does not cover yet. */
  async #take(pending: Uint8Array[], note: Uint8Array): Promise<Uint8Array[]> {
    const { primitives: p, genesisHash } = this.#options;
    const before = this.#reader.transcript.size;
    const count = sizeOf(note) - before;
    if (count > pending.length) return pending; // its leaves are still on the way
    if (count < 0) throw new ProtocolError('ROLLED_BACK', 'the log offered a head older than one seen before');
    const leaves = pending.slice(0, count);
    this.#checkSeen(leaves);
    const next = advance(p, this.#reader, leaves, note);
    if (isRejection(next)) throw new ProtocolError(next.rejected, next.why);
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

  /** While catching up: the head kept from before the restart must be one that these leaves pass through. */
  #checkSeen(leaves: readonly Uint8Array[]): void {
    const { primitives: p } = this.#options;
    const before = this.#reader.transcript.size;
    if (this.#seen === null || before >= this.#seen.size || before + leaves.length < this.#seen.size) return;
    const frontier = Frontier.restore(p, this.#reader.frontier.snapshot());
    for (const bytes of leaves.slice(0, this.#seen.size - before)) frontier.append(leafHash(p, bytes));
    if (!bytesEqual(frontier.root(), this.#seen.root)) {
      throw new ProtocolError('SPLIT_VIEW', 'the log shows another head than the one seen before the restart');
    }
  }
}

function sizeOf(note: Uint8Array): number {
  const line = new TextDecoder().decode(note.subarray(0, 512)).split('\n')[1] ?? '';
  if (!/^(0|[1-9][0-9]{0,15})$/.test(line)) throw new ProtocolError('BAD_CHECKPOINT', 'not a checkpoint');
  return Number(line);
}
