import { cosign, openCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual } from '../crypto/encoding.ts';
import { emptyRoot, verifyConsistency } from '../crypto/merkle.ts';
import type { NoteSignature, Signer } from '../crypto/note.ts';
import type { Policy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
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

export interface AddCheckpoint {
  readonly oldSize: number;
  readonly proof: readonly Uint8Array[];
  readonly note: Uint8Array;
}

/**
 * One request of C2SP tlog-witness: checks that the head extends the last one cosigned.
 *
 * @returns the state to make durable *before* `cosignHead` is called and its line sent; or BAD_CHECKPOINT, WRONG_ORIGIN,
 * STALE_ATTEMPT (the caller's old size is not ours: ask again from `size`), SPLIT_VIEW.
 */
export function checkHead(
  p: Primitives,
  policy: Policy,
  state: WitnessState,
  request: AddCheckpoint,
): WitnessState | Rejection {
  let head: { size: number; root: Uint8Array };
  try {
    head = openCheckpoint(p, request.note, policy).checkpoint;
  } catch {
    return reject('BAD_CHECKPOINT', 'not a checkpoint signed by this log');
  }
  if (request.oldSize !== state.size) return reject('STALE_ATTEMPT', 'the old size is not the last one cosigned here');
  if (head.size < state.size) return reject('ROLLED_BACK', 'the head is older than the last one cosigned here');
  if (head.size === state.size && !bytesEqual(head.root, state.root)) {
    return reject('SPLIT_VIEW', 'another root for a size that was cosigned here');
  }
  const claim = { from: state.size, to: head.size, fromRoot: state.root, toRoot: head.root };
  if (!verifyConsistency(p, claim, request.proof)) return reject('SPLIT_VIEW', 'the head does not extend the last one');
  return { size: head.size, root: head.root };
}

/** @param timestamp - POSIX seconds. */
export function cosignHead(p: Primitives, signer: Signer, note: Uint8Array, timestamp: number): NoteSignature {
  return cosign(p, signer, note, timestamp);
}
