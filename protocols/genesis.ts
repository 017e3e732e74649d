import type { Primitives } from '../crypto/primitives.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { emptyTranscript } from './patch.ts';
import { takeLeaf } from './rules.ts';

/** Reads a genesis leaf on its own, by the same rule as a log's first leaf. @returns its body, or why no log takes it. */
export function parseVerifiedGenesis(p: Primitives, bytes: Uint8Array): Body<'genesis'> | Rejection {
  const taken = takeLeaf(p, emptyTranscript(), bytes);
  if (taken.outcome !== 'counted') return taken.rejection;
  return taken.next.genesis ?? reject('GENESIS_INVALID', 'not a genesis leaf');
}
