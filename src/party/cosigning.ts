import { isBy, type NoteSignature } from '../../crypto/note.ts';
import { type Policy, satisfies } from '../../crypto/policy.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { LogStore } from '../log/log-store.ts';
import type { Witness } from './ask-witness.ts';
import type { Say } from './events.ts';

/** How long a leaf that nobody waits for may stay without a head, in ms: others that come meanwhile share one. */
const SHARED_MS = 500;
/** Pause after a head that too few witnesses cosigned, in ms. */
const AGAIN_MS = 200;

/**
 * Has the heads of a log cosigned, one after the other: a new head is signed when the one before has its quorum. A head
 * costs seven calls and signatures and every reader's checks, so leaves share heads where nobody waits.
 */
export class Cosigning {
  readonly #log: LogStore;
  readonly #policy: Policy;
  readonly #witnesses: readonly Witness[];
  readonly #say: Say;
  readonly #published: () => void;
  /** Size that each witness said it holds. */
  readonly #known = new Map<string, number>();
  /** Calls under way: a witness that is slow is not asked twice at once. */
  readonly #asked = new Map<string, Promise<void>>();
  /** Size that the next heads must reach. */
  #wanted = 0;
  #later: NodeJS.Timeout | null = null;
  #running = false;
  #stopped = false;

  /** @param published - called after every publication. */
  constructor(log: LogStore, policy: Policy, witnesses: readonly Witness[], say: Say, published: () => void) {
    this.#log = log;
    this.#policy = policy;
    this.#witnesses = witnesses;
    this.#say = say;
    this.#published = published;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#later !== null) clearTimeout(this.#later);
  }

  get #size(): number {
    return this.#log.published?.checkpoint.size ?? -1;
  }

  /** Somebody waits for a head over all leaves so far. */
  now(): void {
    this.#wanted = this.#log.size;
    void this.#run();
  }

  /** Nobody waits: within a moment, and with whatever is appended until then. */
  soon(): void {
    this.#later ??= setTimeout(() => {
      this.#later = null;
      this.now();
    }, SHARED_MS);
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (!this.#stopped && this.#size < this.#wanted) {
        if (this.#later !== null) clearTimeout(this.#later);
        this.#later = null;
        const { checkpoint, note } = await this.#log.checkpoint();
        await this.#collect(checkpoint.size, note);
        if (this.#size < checkpoint.size) {
          this.#say('too few cosignatures', { size: checkpoint.size });
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        }
      }
    } catch (error) {
      this.#say('cosigning failed', { error: (error as Error).message });
    } finally {
      this.#running = false;
    }
  }

  /** Asks every witness; resolves as soon as the policy's quorum is met, or when all have answered. */
  async #collect(size: number, note: Uint8Array): Promise<void> {
    let met: () => void;
    const enough = new Promise<void>((resolve) => {
      met = resolve;
    });
    const lines: NoteSignature[] = [];
    const asked = this.#witnesses.map(async (witness) => {
      await this.#asked.get(witness.name);
      if (this.#size >= size) return;
      const call = this.#askFor(witness, size, note, lines);
      this.#asked.set(witness.name, call);
      await call;
      if (this.#size >= size) met();
    });
    await Promise.race([enough, Promise.all(asked)]);
  }

  /** Never rejects: a witness that fails is one that is missing. */
  async #askFor(witness: Witness, size: number, note: Uint8Array, lines: NoteSignature[]): Promise<void> {
    try {
      lines.push(...(await this.#ask(witness, size, note)));
      if (this.#size < size) await this.#add(size, lines);
    } catch (error) {
      const { code, name } = error as Error & { code?: string };
      if (code !== 'NOT_FOUND') this.#say('no cosignature', { witness: witness.name, code: code ?? name });
    }
  }

  /**
   * Keeps lines until they can be a quorum, then verifies them and makes them durable in one step. Where one does not
   * verify, each is tried alone and only the bad one is left out.
   */
  async #add(size: number, lines: NoteSignature[]): Promise<void> {
    const named = this.#policy.witnesses.filter(({ verifier }) => lines.some((line) => isBy(verifier, line)));
    const names = named.map(({ name }) => name);
    if (!satisfies(this.#policy, names)) return;
    const taken = lines.splice(0);
    try {
      await this.#log.addCosignatures(size, taken);
      lines.push(...taken);
    } catch (error) {
      if ((error as { code?: string }).code !== 'BAD_SIGNATURE') throw error;
      for (const line of taken) {
        const added = await this.#log.addCosignatures(size, [line]).then(
          () => true,
          () => false,
        );
        if (added) lines.push(line);
        else this.#say('bad cosignature', { witness: line.name });
      }
    }
    if (this.#size >= size) this.#published();
  }

  async #ask(witness: Witness, size: number, note: Uint8Array): Promise<readonly NoteSignature[]> {
    for (let tries = 0; tries < 3; tries++) {
      const oldSize = Math.min(this.#known.get(witness.name) ?? 0, size);
      const { knownSize, lines } = await witness.ask({ oldSize, proof: this.#log.consistency(oldSize, size), note });
      this.#known.set(witness.name, knownSize);
      if (lines.length > 0) return lines;
    }
    throw new ProtocolError('ROLLED_BACK', 'the witness holds another size each time');
  }
}
