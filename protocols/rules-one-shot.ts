import { type Rejection, reject } from './errors.ts';
import { GrowingMap } from './growing-map.ts';
import { checkBase } from './one-shot.ts';
import type { Patch } from './patch.ts';
import { checkSharing } from './rules-quorum.ts';
import { checkHolders, uploadedTo } from './rules-round.ts';
import type { Transcript, Upload } from './transcript.ts';
import type { Signed } from './verified.ts';

/** An upload of a round without masks: with its sharing, and from a model that is not too far behind. It counts in this round alone. */
export function oneShotRule(t: Transcript, { leaf, hash }: Signed<'one-shot'>): Patch | Rejection {
  const { body } = leaf;
  const round = uploadedTo(t, leaf);
  if ('rejected' in round) return round;
  const { record } = round;
  if (record.masking !== 'none')
    return reject('MASKING_MISMATCH', 'in a round with masks a key is shared once U is known, and not before');
  const problem = checkHolders(t, record) ?? checkBase(t, record, body.model) ?? checkSharing(t, record, body);
  if (problem !== null) return problem;
  const { nonce, payloadHash, payloadBytes, seen, seeds } = body;
  const common = { round: body.round, key: '', nonce, payloadHash, payloadBytes, seen };
  const upload: Upload = { index: t.size, hash, node: leaf.actor, body: common, shared: body };
  return {
    round: { ...round, uploads: GrowingMap.extend(round.uploads, leaf.actor, upload) },
    nonces: [nonce, payloadHash, ...seeds],
  };
}
