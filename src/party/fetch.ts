import { fromHex, toHex } from '../../crypto/encoding.ts';
import { boxHashFor } from '../../protocols/member.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { TransportError } from '../grpc/errors.ts';
import { AggregationService } from '../grpc/services.ts';
import { primitives } from './party.ts';

/** How long one replica may take for a small answer before the next one is asked, in ms. */
export const REPLICA_MS = 5000;

/** The replica that answered last, by list: the next question goes there first. */
const lastGood = new WeakMap<readonly Connection[], number>();

/**
 * Asks interchangeable replicas one after the other, twice round. One attempt each: a replica that is down must not hold
 * up the others, so `ask` uses `callOnce`. One that does not answer in time counts as down.
 *
 * @throws TransportError what the last one said.
 */
export async function askReplicas<T>(
  replicas: readonly Connection[],
  ask: (replica: Connection) => Promise<T>,
): Promise<T> {
  const first = lastGood.get(replicas) ?? 0;
  let failure: unknown;
  for (let i = 0; i < 2 * replicas.length; i++) {
    const place = (first + i) % replicas.length;
    try {
      const answer = await ask(replicas[place]!);
      lastGood.set(replicas, place);
      return answer;
    } catch (error) {
      const elsewhere =
        error instanceof TransportError &&
        (error.retryable || error.status === 'NOT_FOUND' || error.code === 'DEADLINE');
      if (!elsewhere) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** A holder's box of one node, checked against the hash that the log has; null where no replica has it. */
export async function fetchBox(
  replicas: readonly Connection[],
  attempt: Attempt,
  confirm: Confirm,
  holder: string,
): Promise<Uint8Array | null> {
  const hash = boxHashFor(attempt, confirm, holder);
  const request = { closeHash: fromHex(attempt.close, 32), node: confirm.node, holder };
  try {
    const { sealed } = await askReplicas(replicas, (r) => r.callOnce(AggregationService.fetchBox, request, REPLICA_MS));
    return toHex(primitives.sha256(sealed)) === hash ? sealed : null;
  } catch (error) {
    if (error instanceof TransportError && error.status === 'NOT_FOUND') return null;
    throw error;
  }
}
