import { type Checkpoint, cosign, openCheckpoint, parseCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual } from '../crypto/encoding.ts';
import { emptyRoot, verifyConsistency } from '../crypto/merkle.ts';
import {
  isBy,
  type Note,
  type NoteSignature,
  parseNote,
  type Signer,
  type Verifier,
  verifySignature,
} from '../crypto/note.ts';
import type { Policy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { WitnessRequest } from '../crypto/witness-request.ts';
import { type Rejection, reject } from './errors.ts';

/** All that a witness remembers of a log: the largest head it cosigned. */
export interface WitnessState {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

export function newWitness(p: Primitives): WitnessState {
  return { size: 0, root: emptyRoot(p) };
}

/**
 * Checks that a head, whose signature is verified, extends the last one cosigned (C2SP tlog-witness, in its order).
 *
 * @returns the state to make durable *before* the head is cosigned; or ROLLED_BACK, STALE_ATTEMPT (the caller's old size
 * is not ours: ask again from `size`), SPLIT_VIEW.
 */
export function extendHead(
  p: Primitives,
  state: WitnessState,
  { oldSize, proof }: Pick<WitnessRequest, 'oldSize' | 'proof'>,
  head: WitnessState,
): WitnessState | Rejection {
  if (oldSize > head.size) return reject('ROLLED_BACK', 'the head is older than the old size');
  if (oldSize !== state.size) return reject('STALE_ATTEMPT', 'the old size is not the last one cosigned here');
  if (head.size === state.size && !bytesEqual(head.root, state.root)) {
    return reject('SPLIT_VIEW', 'another root for a size that was cosigned here');
  }
  const claim = { from: state.size, to: head.size, fromRoot: state.root, toRoot: head.root };
  if (!verifyConsistency(p, claim, proof)) return reject('SPLIT_VIEW', 'the head does not extend the last one');
  return { size: head.size, root: head.root };
}

/**
 * The witness of our own log: the head is one that the federation's policy takes.
 *
 * @returns as `extendHead`, or BAD_CHECKPOINT.
 */
export function checkHead(
  p: Primitives,
  policy: Policy,
  state: WitnessState,
  request: WitnessRequest,
): WitnessState | Rejection {
  let head: WitnessState;
  try {
    head = openCheckpoint(p, request.note, policy).checkpoint;
  } catch {
    return reject('BAD_CHECKPOINT', 'not a checkpoint signed by this log');
  }
  return extendHead(p, state, request, head);
}

/** @param timestamp - POSIX seconds. */
export function cosignHead(p: Primitives, signer: Signer, note: Uint8Array, timestamp: number): NoteSignature {
  return cosign(p, signer, note, timestamp);
}

/** A head of somebody's log, signed by a key that is known for its origin. */
export interface SignedHead extends Checkpoint {
  /** What was signed and is to be cosigned: with the extension lines that other people's checkpoints may have. */
  readonly text: string;
  /** The lines that verified. */
  readonly signatures: readonly NoteSignature[];
}

/**
 * Opens a head of any log that a witness knows. Unlike our own, other people's checkpoints may have extension lines:
 * a cosignature covers them and says nothing about them (C2SP tlog-cosignature).
 *
 * @param logs - keys; the name of each is its log's origin.
 * @returns the head; or MALFORMED, WRONG_ORIGIN (no key for it), BAD_SIGNATURE (none of its keys has signed, or a line that
 * names one does not verify). Lines of other keys are ignored.
 */
export function openHead(p: Primitives, logs: readonly Verifier[], note: Uint8Array): SignedHead | Rejection {
  let parsed: Note;
  let checkpoint: Checkpoint;
  try {
    parsed = parseNote(note);
    const lines = parsed.text.split('\n').slice(0, -1);
    checkpoint = parseCheckpoint(
      lines
        .slice(0, 3)
        .map((line) => `${line}\n`)
        .join(''),
    );
    if (lines.includes('')) return reject('MALFORMED', 'an empty line in a checkpoint');
  } catch {
    return reject('MALFORMED', 'not a checkpoint');
  }
  const keys = logs.filter(({ name }) => name === checkpoint.origin);
  if (keys.length === 0) return reject('WRONG_ORIGIN', 'not a log that is witnessed here');
  const signatures: NoteSignature[] = [];
  for (const line of parsed.signatures) {
    const key = keys.find((verifier) => isBy(verifier, line));
    if (key === undefined) continue;
    const genuine = verifySignature(p, key, parsed.text, line) !== undefined;
    if (!genuine) return reject('BAD_SIGNATURE', 'a key of this log has not signed this checkpoint');
    signatures.push(line);
  }
  if (signatures.length === 0) return reject('BAD_SIGNATURE', 'no key of this log has signed this checkpoint');
  return { ...checkpoint, text: parsed.text, signatures };
}
