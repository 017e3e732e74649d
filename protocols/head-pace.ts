import type { Transcript } from './transcript.ts';
import { isKind, type SignedLeaf, type Verified } from './verified.ts';

/**
 * Whether a party may be waiting for a head over this leaf, so that the head should be cosigned at once. A head costs every
 * witness a signature and every reader as many verifications as the quorum has witnesses; most leaves of a round only
 * matter together with others of their kind. The answer decides when a leaf is cosigned, never whether.
 *
 * @param t - the state after the leaf.
 */
export function isAwaited(t: Transcript, signed: Verified<SignedLeaf>): boolean {
  // The coordinator counts round keys, uploads and ready members in its own log, cosigned or not.
  if (isKind(signed, 'round-key') || isKind(signed, 'upload') || isKind(signed, 'one-shot')) return false;
  if (isKind(signed, 'ready')) return false;
  // Members look into boxes when all of U have confirmed.
  if (isKind(signed, 'confirm')) {
    const attempt = t.rounds.get(t.roundOfClose.get(signed.leaf.body.close) ?? '')?.attempts.at(-1);
    return attempt === undefined || attempt.confirms.size === attempt.cohort.length;
  }
  // Recipients could open with t answers, but wait a moment for all of them: more answers than t name a liar.
  if (isKind(signed, 'answer')) {
    const round = t.rounds.get(t.roundOfDecide.get(signed.leaf.body.decide) ?? '');
    return round?.phase !== 'decided' || round.decision.answers.size >= round.decision.attempt.ready.size;
  }
  return true;
}
