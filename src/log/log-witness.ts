import { bytesEqual, toHex, utf8 } from '../../crypto/encoding.ts';
import { formatNote, type NoteSignature, parseNote, type Signer, signText, type Verifier } from '../../crypto/note.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { parseWitnessRequest, type WitnessRequest } from '../../crypto/witness-request.ts';
import { isRejection, type Rejection, reject } from '../../protocols/errors.ts';
import { extendHead, openHead, type SignedHead } from '../../protocols/witness.ts';
import type { RecordStore } from '../store/port.ts';
import { type HeldHead, WitnessHeads } from './witness-heads.ts';

/** Requests of one log that wait for its turn. More are sent away: a log has one head to be cosigned at a time. */
const MAX_WAITING = 8;

export interface LogWitnessOptions {
  readonly primitives: Primitives;
  readonly records: RecordStore;
  /** The witness's cosignature key. */
  readonly signer: Signer;
  /** Keys of the logs it witnesses; the name of each is its log's origin. */
  readonly logs: readonly Verifier[];
  /** POSIX seconds. */
  readonly now: () => number;
  /** Told of heads that contradict what was cosigned before, with both notes: evidence against that log. */
  readonly onSplitView?: (held: Uint8Array, offered: Uint8Array) => void;
}

/** The answer to a request: a cosignature, or why not. `knownSize` is the size held. */
export type WitnessAnswer =
  | { readonly line: NoteSignature }
  | { readonly refusal: Rejection; readonly knownSize: number }
  | { readonly busy: true };

/**
 * A witness of anybody's logs (C2SP tlog-witness): it cosigns heads that extend the last one it cosigned of the same log.
 *
 * What a stranger can send costs parsing and one signature's verification. Requests that could be cosigned wait in turn,
 * each log in a queue of its own of which one is in the store at a time, so that no log waits for another's flood.
 */
export class LogWitness {
  readonly #options: LogWitnessOptions;
  readonly #heads: WitnessHeads;
  /** By origin: the last in turn, and how many wait. */
  readonly #turns = new Map<string, { last: Promise<unknown>; waiting: number }>();

  constructor(options: LogWitnessOptions) {
    this.#options = options;
    this.#heads = new WitnessHeads(options.primitives, options.records);
  }

  /** @param body - as C2SP tlog-witness says for `add-checkpoint`. */
  async addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    const { primitives: p, logs } = this.#options;
    let request: WitnessRequest;
    try {
      request = parseWitnessRequest(body);
    } catch {
      return { refusal: reject('MALFORMED', 'not a request to a witness'), knownSize: 0 };
    }
    const head = openHead(p, logs, request.note);
    if (isRejection(head)) return { refusal: head, knownSize: 0 };
    // Most of what cannot be cosigned is seen without waiting; what is held only ever grows.
    const held = await this.#heads.held(head.origin);
    const early = extendHead(p, held.state, request, head);
    if (isRejection(early)) return this.#refuse(early, head, held);
    return this.#inTurn(head.origin, () => this.#cosign(request, head));
  }

  /** The last head cosigned of a log, as a note with its cosignature. @param originHash - SHA-256, hexadecimal. */
  async checkpointOf(originHash: string): Promise<Uint8Array | undefined> {
    const { primitives: p, logs, signer } = this.#options;
    const log = logs.find(({ name }) => toHex(p.sha256(utf8(name))) === originHash);
    if (log === undefined) return undefined;
    const { note, timestamp } = await this.#heads.held(log.name);
    if (note.length === 0) return undefined;
    // Ed25519 is deterministic: the cosignature is the one that was given for this time.
    const { text, signatures } = parseNote(note);
    return formatNote({ text, signatures: [...signatures, signText(p, signer, text, timestamp)] });
  }

  async #cosign(request: WitnessRequest, head: SignedHead): Promise<WitnessAnswer> {
    const { primitives: p, signer, now } = this.#options;
    const note = formatNote(head);
    const { held, refusal } = await this.#heads.advance(
      head.origin,
      (state) => extendHead(p, state, request, head),
      // A clock that was set back never makes a later cosignature look older.
      (before) => ({ timestamp: Math.max(now(), before.timestamp), note }),
    );
    if (refusal !== null) return this.#refuse(refusal, head, held);
    return { line: signText(p, signer, head.text, held.timestamp) };
  }

  #refuse(refusal: Rejection, head: SignedHead, held: HeldHead): WitnessAnswer {
    // Anybody can send a wrong proof with a good head: only another root for the same size is evidence in itself.
    const isFork = head.size === held.state.size && !bytesEqual(head.root, held.state.root);
    if (isFork && held.note.length > 0) this.#options.onSplitView?.(held.note, formatNote(head));
    return { refusal, knownSize: held.state.size };
  }

  async #inTurn(origin: string, step: () => Promise<WitnessAnswer>): Promise<WitnessAnswer> {
    const turn = this.#turns.get(origin) ?? { last: Promise.resolve(), waiting: 0 };
    if (turn.waiting >= MAX_WAITING) return { busy: true };
    this.#turns.set(origin, turn);
    turn.waiting++;
    const mine = turn.last.then(step, step);
    turn.last = mine;
    try {
      return await mine;
    } finally {
      turn.waiting--;
    }
  }
}
