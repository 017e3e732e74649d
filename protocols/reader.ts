import { openCheckpoint, type VerifiedCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual } from '../crypto/encoding.ts';
import { Frontier, leafHash } from '../crypto/merkle.ts';
import type { Policy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { type Rejection, reject } from './errors.ts';
import { emptyTranscript } from './patch.ts';
import { takeLeaf } from './rules.ts';
import type { Transcript } from './transcript.ts';

/** A reader of the log: nodes, members, recipients and the coordinator itself all are one. */
export interface Reader {
  readonly policy: Policy;
  readonly transcript: Transcript;
  readonly frontier: Frontier;
  /** The last cosigned head whose leaves were taken in; null before the first. */
  readonly head: { readonly size: number; readonly root: Uint8Array } | null;
}

export function newReader(p: Primitives, policy: Policy): Reader {
  return { policy, transcript: emptyTranscript(), frontier: new Frontier(p), head: null };
}

function readCheckpoint(p: Primitives, policy: Policy, note: Uint8Array): VerifiedCheckpoint | Rejection {
  try {
    return openCheckpoint(p, note, policy);
  } catch {
    return reject('BAD_CHECKPOINT', 'not a checkpoint signed by this log');
  }
}

/**
 * Takes in the leaves up to a new head. The tree is rebuilt from all leaves, so that the root alone proves consistency
 * with every head taken in before.
 *
 * Everybody acts only on a transcript that came through here: under w of W cosignatures (DESIGN 5).
 *
 * @param leaves - from `reader.transcript.size` on, exactly up to the checkpoint's size.
 * @param note - the checkpoint with its cosignatures.
 * @returns the next reader; the old one must not be used again. Or why the head is refused: BAD_CHECKPOINT, NOT_COSIGNED,
 * ROLLED_BACK, SPLIT_VIEW leave the old reader as it was; any other code means that the log itself holds a leaf that may
 * not stand there, and the reader must stop for good.
 */
export function advance(
  p: Primitives,
  reader: Reader,
  leaves: readonly Uint8Array[],
  note: Uint8Array,
): Reader | Rejection {
  const opened = readCheckpoint(p, reader.policy, note);
  if ('rejected' in opened) return opened;
  const { checkpoint } = opened;
  if (!opened.quorum) return reject('NOT_COSIGNED', 'fewer witnesses than the policy asks for');
  const taken = reader.transcript.size;
  if (checkpoint.size < taken) return reject('ROLLED_BACK', 'the head is older than one seen before');
  if (checkpoint.size !== taken + leaves.length)
    return reject('BAD_CHECKPOINT', 'leaves and head are of different sizes');
  const frontier = Frontier.restore(p, reader.frontier.snapshot());
  const hashes = leaves.map((bytes) => leafHash(p, bytes));
  for (const hash of hashes) frontier.append(hash);
  if (!bytesEqual(frontier.root(), checkpoint.root))
    return reject('SPLIT_VIEW', 'the head is not over the leaves seen');
  let { transcript } = reader;
  for (const [i, bytes] of leaves.entries()) {
    const next = takeLeaf(p, transcript, bytes, hashes[i]!);
    if (next.outcome === 'refused') return next.rejection;
    transcript = next.next;
  }
  return { policy: reader.policy, transcript, frontier, head: { size: checkpoint.size, root: checkpoint.root } };
}
