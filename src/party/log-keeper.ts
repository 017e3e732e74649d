import { toHex } from '../../crypto/encoding.ts';
import { leafHash } from '../../crypto/merkle.ts';
import type { Signer } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import { isRejection, ProtocolError, type Rejection, reject } from '../../protocols/errors.ts';
import { isAwaited } from '../../protocols/head-pace.ts';
import { applyPatch, emptyTranscript } from '../../protocols/patch.ts';
import { judge, takeLeaf, verifyNext } from '../../protocols/rules.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { isKind } from '../../protocols/verified.ts';
import { LogStore } from '../log/log-store.ts';
import type { Store } from '../store/port.ts';
import type { Witness } from './ask-witness.ts';
import { Cosigning } from './cosigning.ts';
import type { Say } from './events.ts';
import { primitives } from './party.ts';

interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: (index: number) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Keeps the log: takes leaves one after the other if they count, makes them durable, and has every new head cosigned.
 * A leaf is acknowledged when it is durable; it is published when w witnesses have cosigned a head over it.
 */
export class LogKeeper {
  readonly log: LogStore;
  readonly #say: Say;
  readonly #cosigning: Cosigning;
  readonly #indexOf = new Map<string, number>();
  readonly #firstSeen = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  readonly #queue: Waiting[] = [];
  #transcript: Transcript = emptyTranscript();
  #appending = false;
  #stopped = false;
  #failure: Error | null = null;

  private constructor(log: LogStore, policy: Policy, witnesses: readonly Witness[], say: Say) {
    this.log = log;
    this.#say = say;
    this.#cosigning = new Cosigning(log, policy, witnesses, say, () => this.#changed());
  }

  /** Opens the log and reads it through; an empty one begins with the genesis leaf. */
  static async open(
    store: Store,
    signer: Signer,
    policy: Policy,
    genesis: Uint8Array,
    witnesses: readonly Witness[],
    say: Say,
  ): Promise<LogKeeper> {
    const log = await LogStore.open({ primitives, records: store.records, signer, policy });
    const keeper = new LogKeeper(log, policy, witnesses, say);
    for (let from = 0; from < log.size; from += 1024) {
      for (const bytes of await log.entries(from, from + 1024)) keeper.#replay(bytes);
    }
    if (log.size === 0) await keeper.append(genesis);
    return keeper;
  }

  /** The state after every durable leaf, cosigned or not: what the coordinator itself acts on. */
  get transcript(): Transcript {
    return this.#transcript;
  }

  /** When this process first saw a leaf, in ms of its monotonic clock. */
  firstSeen(hash: string): number {
    return this.#firstSeen.get(hash) ?? 0;
  }

  /** Called after every append and every publication. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Goes on with cosigning where an earlier process stopped. */
  startCosigning(): void {
    this.#cosigning.now();
  }

  stop(): void {
    this.#stopped = true;
    this.#cosigning.stop();
    this.#changed();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Appends a leaf if it counts where it would stand. The same leaf again gives its old index.
   *
   * @throws ProtocolError with the rule's code: nothing has changed then.
   */
  append(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, refuse) => {
      this.#queue.push({ bytes, resolve, reject: refuse });
      void this.#drain();
    });
  }

  #replay(bytes: Uint8Array): void {
    const taken = takeLeaf(primitives, this.#transcript, bytes);
    if (taken.outcome === 'refused')
      throw new ProtocolError(
        taken.rejection.rejected,
        `the log itself holds a leaf that may not stand there: ${taken.rejection.why}`,
      );
    this.#note(taken.signed.hash, this.#transcript.size);
    this.#transcript = taken.next;
  }

  #note(hash: string, index: number): void {
    this.#indexOf.set(hash, index);
    this.#firstSeen.set(hash, performance.now());
  }

  /** Judges what is waiting in order, then makes all of it durable in one step. */
  async #drain(): Promise<void> {
    if (this.#appending) return;
    this.#appending = true;
    try {
      while (this.#queue.length > 0) await this.#appendBatch(this.#queue.splice(0, 64));
    } finally {
      this.#appending = false;
    }
  }

  async #appendBatch(batch: readonly Waiting[]): Promise<void> {
    const good: { waiting: Waiting; index: number; awaited: boolean }[] = [];
    for (const waiting of batch) {
      const verdict =
        this.#failure === null ? this.#judgeSafely(waiting) : reject('ROUND_RUNNING', 'the log cannot be written');
      if (verdict === null) continue;
      if (isRejection(verdict)) waiting.reject(new ProtocolError(verdict.rejected, verdict.why));
      // Known, but perhaps from this very batch: it is acknowledged when the batch is durable, like its twin.
      else if (verdict.known && verdict.index < this.log.size) waiting.resolve(verdict.index);
      else good.push({ waiting, index: verdict.index, awaited: verdict.awaited });
    }
    if (good.length === 0) return;
    try {
      await this.log.append(good.map(({ waiting }) => waiting.bytes));
    } catch (error) {
      // What was judged is in the transcript but perhaps not on disk: only reading the log again can tell.
      this.#failure = error as Error;
      this.#say('log failed', { error: (error as Error).message });
      for (const { waiting } of good) waiting.reject(error as Error);
      return;
    }
    for (const { waiting, index } of good) waiting.resolve(index);
    this.#changed();
    if (good.some(({ awaited }) => awaited)) this.#cosigning.now();
    else this.#cosigning.soon();
  }

  /** A rule that throws has a fault of ours: its leaf is refused, and the log goes on with the others. */
  #judgeSafely(waiting: Waiting): { index: number; known: boolean; awaited: boolean } | Rejection | null {
    try {
      return this.#judge(waiting.bytes);
    } catch (error) {
      waiting.reject(error as Error);
      return null;
    }
  }

  #judge(bytes: Uint8Array): { index: number; known: boolean; awaited: boolean } | Rejection {
    const again = this.#indexOf.get(toHex(leafHash(primitives, bytes)));
    if (again !== undefined) return { index: again, known: true, awaited: false };
    const signed = verifyNext(primitives, this.#transcript, bytes);
    if (isRejection(signed)) return signed;
    const isUpload = isKind(signed, 'upload') || isKind(signed, 'one-shot');
    if (isUpload && !this.#holds(signed.leaf.body.seen)) {
      // Logged, it would stand as evidence against this log for ever; a node on a fork must learn of it instead.
      return reject('SPLIT_VIEW', 'the head that the node has seen is not one of this log');
    }
    const patch = judge(primitives, this.#transcript, signed);
    if (isRejection(patch)) return patch;
    const index = this.#transcript.size;
    this.#note(signed.hash, index);
    this.#transcript = applyPatch(this.#transcript, patch);
    return { index, known: false, awaited: isAwaited(this.#transcript, signed) };
  }

  #holds(head: { readonly size: number; readonly root: string }): boolean {
    return head.size <= this.log.size && toHex(this.log.root(head.size)) === head.root;
  }

  get failure(): Error | null {
    return this.#failure;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
