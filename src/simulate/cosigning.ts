import { addSignatures, openCheckpoint, signCheckpoint } from '../../crypto/checkpoint.ts';
import type { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof } from '../../crypto/merkle.ts';
import { isBy, type NoteSignature, parseSignatures } from '../../crypto/note.ts';
import { satisfies } from '../../crypto/policy.ts';
import { asFailure, Latch, type Process, type Task } from './process.ts';
import type { Setting } from './reader-process.ts';

const SHARED_MS = 500;
const AGAIN_MS = 200;
const WITNESS_MS = 2000;

/** A head with its cosignatures. */
export interface Published {
  readonly size: number;
  readonly note: Uint8Array;
}

/** A log whose heads are to be cosigned. */
export interface CosignedLog {
  /** Of durable leaves. */
  readonly tree: HashTree;
  published: Published | null;
  /** Where heads are kept on the disk. */
  readonly keys: string;
  /** Called after every publication. */
  changed(): void;
}

/** The last head of a log that was published before a crash. */
export function publishedOn(process: Process, keys: string): Published | null {
  return process.disk.get<Published>(`${keys}/published`) ?? null;
}

/**
 * Has the heads of a log cosigned, one after the other. Mirrors src/party/cosigning.ts and the heads of src/log/log-store.ts:
 * a head is durable before any witness sees it, its cosignatures before anybody reads it.
 */
export class Cosigning {
  readonly #process: Process;
  readonly #setting: Setting;
  readonly #log: CosignedLog;
  readonly #witnesses: readonly string[];
  readonly #isEager: boolean;
  #isRunning = false;
  #isSoon = false;
  #wanted = 0;
  readonly #known = new Map<string, number>();
  readonly #asked = new Set<string>();

  constructor(process: Process, setting: Setting, log: CosignedLog, witnesses: readonly string[], isEager: boolean) {
    this.#process = process;
    this.#setting = setting;
    this.#log = log;
    this.#witnesses = witnesses;
    this.#isEager = isEager;
  }

  get #size(): number {
    return this.#log.published?.size ?? -1;
  }

  now(): void {
    this.#wanted = this.#log.tree.size;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#process.spawn(this.#run());
  }

  soon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#process.spawn(this.#later());
  }

  *#later(): Task {
    yield* this.#process.sleep(SHARED_MS);
    this.#isSoon = false;
    this.now();
  }

  *#run(): Task {
    const { founding } = this.#setting;
    const p = founding.kit.primitives;
    while (this.#size < this.#wanted) {
      const { size } = this.#log.tree;
      const key = `${this.#log.keys}/note/${size}`;
      let note = this.#process.disk.get<Uint8Array>(key);
      if (note === undefined) {
        const { name: origin } = founding.logSigner.verifier;
        note = signCheckpoint(p, founding.logSigner, { origin, size, root: this.#log.tree.root(size) });
        yield* this.#process.write([[key, note]]);
      }
      const enough = new Latch();
      const lines: NoteSignature[] = [];
      let asking = 0;
      const answered = (): void => {
        if (--asking === 0) enough.open();
      };
      for (const name of this.#witnesses) {
        if (this.#asked.has(name)) continue;
        asking++;
        this.#asked.add(name);
        this.#process.spawn(this.#ask(name, size, note, lines, enough), answered);
      }
      if (asking > 0) yield* this.#process.waitFor(enough);
      if (this.#size < size && this.#isEager) yield* this.#show(size, addSignatures(note, lines));
      if (this.#size < size) yield* this.#process.sleep(AGAIN_MS);
    }
    this.#isRunning = false;
  }

  /** Never fails: a witness that does is one that is missing. */
  *#ask(witness: string, size: number, note: Uint8Array, lines: NoteSignature[], enough: Latch): Task {
    const p = this.#setting.founding.kit.primitives;
    try {
      for (let tries = 0; tries < 3; tries++) {
        const oldSize = Math.min(this.#known.get(witness) ?? 0, size);
        const proof = consistencyProof(p, this.#log.tree.read, oldSize, size);
        const request = { oldSize, proof, note };
        const answer = yield* this.#process.call(witness, 'addCheckpoint', request, WITNESS_MS);
        this.#known.set(witness, answer.knownSize);
        if (answer.line === null) continue;
        lines.push(...parseSignatures(answer.line));
        if (this.#size < size) yield* this.#publish(size, note, lines);
        if (this.#size >= size) enough.open();
        return;
      }
    } catch (error) {
      asFailure(error);
    } finally {
      this.#asked.delete(witness);
    }
  }

  *#publish(size: number, note: Uint8Array, lines: readonly NoteSignature[]): Task {
    const { founding } = this.#setting;
    const { policy } = founding;
    const signed = policy.witnesses.filter(({ verifier }) => lines.some((line) => isBy(verifier, line)));
    const names = signed.map(({ name }) => name);
    if (!satisfies(policy, names)) return;
    const merged = addSignatures(note, lines);
    if (!openCheckpoint(founding.kit.primitives, merged, policy).quorum) return;
    yield* this.#show(size, merged);
  }

  *#show(size: number, note: Uint8Array): Task {
    const published: Published = { size, note };
    yield* this.#process.write([[`${this.#log.keys}/published`, published]]);
    if (this.#size >= size) return;
    this.#log.published = published;
    this.#log.changed();
  }
}
