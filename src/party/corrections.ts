import { fromHex, toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { addCorrections } from '../../protocols/aggregator.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Confirm, Decision, Round } from '../../protocols/transcript.ts';
import { AggregationService } from '../grpc/services.ts';
import { askReplicas, isReplicas, isWithoutBytes, REPLICA_MS } from './fetch.ts';
import { type Party, primitives } from './party.ts';

const isDecided = (sum: Uint8Array, { body }: Decision): boolean =>
  toHex(primitives.sha256(sum)) === body.correctionSumHash;

/** The corrections added up by the recipient itself, each checked against its node's leaf. @throws what `askReplicas` throws */
async function addUp(party: Party, round: Round, decision: Decision): Promise<Uint8Array> {
  const { close, confirms } = decision.attempt;
  const fetchOne = ({ node, body }: Confirm): Promise<Uint8Array> =>
    askReplicas(party.aggregators, async (replica) => {
      const request = { closeHash: fromHex(close, 32), node };
      const { correction } = await replica.callOnce(AggregationService.fetchCorrection, request, REPLICA_MS);
      if (toHex(primitives.sha256(correction)) === body.correctionHash) return correction;
      throw new ProtocolError('PAYLOAD_HASH', 'not the correction that the log names');
    });
  return addCorrections(round.record, await Promise.all([...confirms.values()].map(fetchOne)));
}

/**
 * What an aggregator added wrongly, and the coordinator decided over, added up by the recipient itself: it then still opens.
 *
 * @returns null where it comes to what was decided over, or where a correction is nowhere to be had.
 */
export async function addUpAgain(party: Party, round: Round, decision: Decision): Promise<Uint8Array | null> {
  try {
    const sum = await addUp(party, round, decision);
    return isDecided(sum, decision) ? null : sum;
  } catch (error) {
    if (isWithoutBytes(error) || error instanceof CryptoError) return null;
    throw error;
  }
}

/**
 * The recipient's own sum of the corrections, where no replica gives the one that was decided over.
 *
 * @throws `cause` where that cannot be had either.
 */
export async function addUpInstead(
  party: Party,
  round: Round,
  decision: Decision,
  cause: unknown,
): Promise<Uint8Array> {
  let sum: Uint8Array;
  try {
    sum = await addUp(party, round, decision);
  } catch (error) {
    throw isReplicas(error) || error instanceof CryptoError ? cause : error;
  }
  if (!isDecided(sum, decision)) party.say('corrections were added up wrongly', { round: round.record.number });
  return sum;
}
