import { fromHex, toHex } from '../../crypto/encoding.ts';
import { boxHashFor } from '../../protocols/member.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { TransportError } from '../grpc/errors.ts';
import { AggregationService } from '../grpc/services.ts';
import { primitives } from './party.ts';

/** How long one replica may take before the next one is asked, in ms. */
const REPLICA_MS = 5000;

/**
 * Asks interchangeable replicas one after the other, twice round.
 *
 * @throws TransportError what the last one said.
 */
export async function askReplicas<T>(
  replicas: readonly Connection[],
  ask: (replica: Connection) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const replica of [...replicas, ...replicas]) {
    try {
      return await ask(replica);
    } catch (error) {
      const elsewhere = error instanceof TransportError && (error.retryable || error.status === 'NOT_FOUND');
      if (!elsewhere) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** One call to whichever replica answers. */
export const REPLICA_OPTIONS = { deadlineMs: REPLICA_MS } as const;

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
    const { sealed } = await askReplicas(replicas, (r) =>
      r.call(AggregationService.fetchBox, request, REPLICA_OPTIONS),
    );
    return toHex(primitives.sha256(sealed)) === hash ? sealed : null;
  } catch (error) {
    if (error instanceof TransportError && error.status === 'NOT_FOUND') return null;
    throw error;
  }
}
