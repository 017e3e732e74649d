import { fromUtf8, toHex } from '../../crypto/encoding.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { parseSignatures, type Signer } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import { isRejection, ProtocolError, type Rejection, reject } from '../../protocols/errors.ts';
import { applyPatch, emptyTranscript } from '../../protocols/patch.ts';
import { judge, takeLeaf, verifyNext } from '../../protocols/rules.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { WitnessService } from '../grpc/services.ts';
import { LogStore } from '../log/log-store.ts';
import type { Store } from '../store/port.ts';
import type { Say } from './events.ts';
import { primitives } from './party.ts';

/** How long a witness may take before the log goes on without it, in ms. */
const WITNESS_MS = 2000;

export interface Witness {
  readonly name: string;
  readonly connection: Connection;
}

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
  readonly #witnesses: readonly Witness[];
  readonly #known = new Map<string, number>();
  readonly #indexOf = new Map<string, number>();
  readonly #firstSeen = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  readonly #queue: Waiting[] = [];
  #transcript: Transcript = emptyTranscript();
  #appending = false;
  #cosigning = false;
  #stopped = false;
  #failure: Error | null = null;

  private constructor(log: LogStore, witnesses: readonly Witness[], say: Say) {
    this.log = log;
    this.#witnesses = witnesses;
    this.#say = say;
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
    const keeper = new LogKeeper(log, witnesses, say);
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
    void this.#cosign();
  }

  stop(): void {
    this.#stopped = true;
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
    const good: { waiting: Waiting; index: number }[] = [];
    for (const waiting of batch) {
      const verdict =
        this.#failure === null ? this.#judgeSafely(waiting) : reject('ROUND_RUNNING', 'the log cannot be written');
      if (verdict === null) continue;
      if (isRejection(verdict)) waiting.reject(new ProtocolError(verdict.rejected, verdict.why));
      else if (verdict.known) waiting.resolve(verdict.index);
      else good.push({ waiting, index: verdict.index });
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
    void this.#cosign();
  }

  /** A rule that throws has a fault of ours: its leaf is refused, and the log goes on with the others. */
  #judgeSafely(waiting: Waiting): { index: number; known: boolean } | Rejection | null {
    try {
      return this.#judge(waiting.bytes);
    } catch (error) {
      waiting.reject(error as Error);
      return null;
    }
  }

  #judge(bytes: Uint8Array): { index: number; known: boolean } | Rejection {
    const again = this.#indexOf.get(toHex(leafHash(primitives, bytes)));
    if (again !== undefined) return { index: again, known: true };
    const signed = verifyNext(primitives, this.#transcript, bytes);
    if (isRejection(signed)) return signed;
    const patch = judge(primitives, this.#transcript, signed);
    if (isRejection(patch)) return patch;
    const index = this.#transcript.size;
    this.#note(signed.hash, index);
    this.#transcript = applyPatch(this.#transcript, patch);
    return { index, known: false };
  }

  get failure(): Error | null {
    return this.#failure;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Has the newest head cosigned, again while the log grows. */
  async #cosign(): Promise<void> {
    if (this.#cosigning) return;
    this.#cosigning = true;
    try {
      while (!this.#stopped && (this.log.published?.checkpoint.size ?? -1) < this.log.size) {
        const { checkpoint, note } = await this.log.checkpoint();
        await this.#collect(checkpoint.size, note);
        if ((this.log.published?.checkpoint.size ?? -1) < checkpoint.size) {
          this.#say('too few cosignatures', { size: checkpoint.size });
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      }
    } catch (error) {
      this.#say('cosigning failed', { error: (error as Error).message });
    } finally {
      this.#cosigning = false;
    }
  }

  /** Asks every witness; resolves as soon as the policy's quorum is met, or when all have answered. */
  async #collect(size: number, note: Uint8Array): Promise<void> {
    let met: () => void;
    const enough = new Promise<void>((resolve) => {
      met = resolve;
    });
    const asked = this.#witnesses.map(async (witness) => {
      try {
        const lines = await this.#ask(witness, size, note);
        const before = this.log.published?.checkpoint.size ?? -1;
        if (before >= size && this.log.size > size) return;
        await this.log.addCosignatures(size, parseSignatures(fromUtf8(lines)));
        if ((this.log.published?.checkpoint.size ?? -1) > before) this.#changed();
        if ((this.log.published?.checkpoint.size ?? -1) >= size) met();
      } catch (error) {
        const { code, name } = error as Error & { code?: string };
        if (code !== 'NOT_FOUND') this.#say('no cosignature', { witness: witness.name, code: code ?? name });
      }
    });
    await Promise.race([enough, Promise.all(asked)]);
  }

  async #ask(witness: Witness, size: number, note: Uint8Array): Promise<Uint8Array> {
    for (let tries = 0; tries < 3; tries++) {
      const oldSize = Math.min(this.#known.get(witness.name) ?? 0, size);
      const request = {
        oldSize: BigInt(oldSize),
        consistencyProof: this.log.consistency(oldSize, size),
        checkpoint: note,
      };
      const answer = await witness.connection.callOnce(WitnessService.addCheckpoint, request, WITNESS_MS);
      this.#known.set(witness.name, Number(answer.knownSize));
      if (answer.cosignatures[0] !== undefined) return answer.cosignatures[0];
    }
    throw new ProtocolError('ROLLED_BACK', 'the witness holds another size each time');
  }
}
