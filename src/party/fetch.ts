import { fromHex, toHex } from '../../crypto/encoding.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { boxHashFor } from '../../protocols/member.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { type TransportCode, TransportError } from '../grpc/errors.ts';
import { AggregationService } from '../grpc/services.ts';
import { primitives } from './party.ts';

/** How long one replica may take for a small answer before the next one is asked, in ms. */
export const REPLICA_MS = 5000;

/** The replica that answered last, by list: the next question goes there first. */
const lastGood = new WeakMap<readonly Connection[], number>();

/**
 * Asks interchangeable replicas one after the other, twice round. One attempt each: a replica that is down must not hold
 * up the others, so `ask` uses `callOnce`. One that does not answer in time counts as down, and one whose answer `ask`
 * throws a ProtocolError over is passed by.
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
        isWithoutBytes(error) ||
        (error instanceof TransportError &&
          (error.retryable || error.status === 'NOT_FOUND' || error.code === 'DEADLINE'));
      if (!elsewhere) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** How a replica's answer is refused on this side, whatever it was asked for. */
const WRONG_ANSWER: ReadonlySet<string> = new Set<TransportCode>([
  'WRONG_LENGTH',
  'BAD_PROGRESS',
  'NO_HEADER',
  'TRAILING_BYTES',
  'MESSAGE_TOO_LARGE',
  'MALFORMED_MESSAGE',
]);

/** Whether a replica answered, but not with the bytes asked for: it has none, rotten ones or others. */
export function isWithoutBytes(error: unknown): boolean {
  if (error instanceof ProtocolError) return true;
  if (!(error instanceof TransportError)) return false;
  return error.remote ? error.code === 'NOT_FOUND' || error.code === 'CORRUPT' : WRONG_ANSWER.has(error.code);
}

/**
 * Asks replicas for what is made from bytes that the log says they took.
 *
 * @throws ProtocolError BLOB_LOST as soon as every one of them says that it has not got them: nobody will ever have.
 */
export async function askForKept<T>(
  replicas: readonly Connection[],
  ask: (replica: Connection) => Promise<T>,
): Promise<T> {
  const lacking = new Set<Connection>();
  try {
    return await askReplicas(replicas, async (replica) => {
      try {
        return await ask(replica);
      } catch (error) {
        if (isWithoutBytes(error)) lacking.add(replica);
        throw error;
      }
    });
  } catch (cause) {
    if (lacking.size < replicas.length) throw cause;
    throw new ProtocolError('BLOB_LOST', 'every aggregator has lost bytes that it took', { cause });
  }
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
    return await askReplicas(replicas, async (replica) => {
      const { sealed } = await replica.callOnce(AggregationService.fetchBox, request, REPLICA_MS);
      if (toHex(primitives.sha256(sealed)) === hash) return sealed;
      throw new ProtocolError('PAYLOAD_HASH', 'not the box that the log names');
    });
  } catch (error) {
    if (isWithoutBytes(error) || (error instanceof TransportError && error.status === 'NOT_FOUND')) return null;
    throw error;
  }
}
