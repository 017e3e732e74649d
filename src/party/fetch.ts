import { fromHex, toHex } from '../../crypto/encoding.ts';
import { boxHashFor } from '../../protocols/disputes.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { type TransportCode, TransportError } from '../grpc/errors.ts';
import { AggregationService } from '../grpc/services.ts';
import { type Asking, type Failures, type Reply, turnAsking } from './asking.ts';
import { primitives } from './party.ts';

/** How long one replica may take for a small answer before the next one is asked, in ms. */
export const REPLICA_MS = 5000;

/**
 * Asks interchangeable replicas one after the other until one answers: `turnAsking`. One attempt each, so `ask` uses `callOnce`: a
 * replica that is down must not hold up the others. An answer that `ask` throws a ProtocolError over is passed by.
 *
 * @throws TransportError, ProtocolError when all have failed: what stood in the way of one that is down, else of one that
 *   failed or refused, else of one that has not got what was asked for. What `ask` throws otherwise, at once.
 */
export async function askReplicas<T>(
  replicas: readonly Connection[],
  ask: (replica: Connection) => Promise<T>,
): Promise<T> {
  const { answer } = await answered(turnAsking<Connection, T>(replicas, REPLICA_FAILURES, REPLICA_MS), ask);
  return answer;
}

/** Brings a question to its end: asks whom it names, all at once. */
export async function answered<R, S, T>(
  asking: Asking<R, S, T>,
  ask: (replica: R, timeoutMs: number) => Promise<S>,
): Promise<T> {
  const reply = async (replica: R, timeoutMs: number): Promise<Reply<S>> => {
    try {
      return { answer: await ask(replica, timeoutMs) };
    } catch (error) {
      return { error };
    }
  };
  let step = asking.next();
  while (step.done !== true) {
    const { replicas, timeoutMs } = step.value;
    step = asking.next(await Promise.all(replicas.map((replica) => reply(replica, timeoutMs))));
  }
  return step.value;
}

/** Whether an error is a replica's failure, and not this party's own. */
export function isReplicas(error: unknown): boolean {
  return error instanceof TransportError || error instanceof ProtocolError;
}

/** Whether a replica gave no answer at all: it is down, or the line is. */
export function isDown(error: unknown): boolean {
  if (!(error instanceof TransportError)) return false;
  return error.code === 'STOPPING' || (!error.remote && (error.retryable || error.code === 'DEADLINE'));
}

function mayPass(error: unknown): boolean {
  if (isDown(error) || isWithoutBytes(error)) return true;
  return error instanceof TransportError && (error.retryable || error.status === 'NOT_FOUND');
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

/** What a replica's failures say, here: the transport's errors, and this side's over an answer. */
export const REPLICA_FAILURES: Failures = { isReplicas, isDown, isWithoutBytes, mayPass };

/** What a full answer holds at least: boxes have 10 KB at most, and an answer goes on to a megabyte. */
const FEWEST_BOXES = 64;

/** A holder's boxes as one replica gives them, by node; each checked against the hash that the log has. */
async function takeBoxes(
  replica: Connection,
  attempt: Attempt,
  confirms: readonly Confirm[],
  holder: string,
): Promise<Map<string, Uint8Array>> {
  const nodes = confirms.map(({ node }) => node);
  const request = { closeHash: fromHex(attempt.close, 32), nodes, holder };
  const { boxes } = await replica.callOnce(AggregationService.fetchBoxes, request, REPLICA_MS);
  const sealed = new Map(boxes.map((box) => [box.node, box.sealed]));
  const isLogged = (confirm: Confirm): boolean => {
    const box = sealed.get(confirm.node);
    return box !== undefined && toHex(primitives.sha256(box)) === boxHashFor(attempt, confirm, holder);
  };
  const good = confirms.filter(isLogged).map(({ node }) => [node, sealed.get(node)!] as const);
  if (good.length === 0) throw new ProtocolError('PAYLOAD_HASH', 'not the boxes that the log names');
  return new Map(good);
}

/** One box, from whichever replica has it; null where none has. */
async function fetchBox(
  replicas: readonly Connection[],
  attempt: Attempt,
  confirm: Confirm,
  holder: string,
): Promise<Uint8Array | null> {
  try {
    const found = await askReplicas(replicas, (replica) => takeBoxes(replica, attempt, [confirm], holder));
    return found.get(confirm.node)!;
  } catch (error) {
    if (isWithoutBytes(error) || (error instanceof TransportError && error.status === 'NOT_FOUND')) return null;
    throw error;
  }
}

/**
 * A holder's boxes of an attempt, by node: one question for all of them as long as it brings many, then one for each that is still
 * missing, to every replica and all at once: a replica that gives them one by one, each late, holds nobody up for long.
 *
 * @returns null for a box that no replica has. @throws what stood in the way of a replica that is down and may have one.
 */
export async function fetchBoxes(
  replicas: readonly Connection[],
  attempt: Attempt,
  confirms: readonly Confirm[],
  holder: string,
): Promise<ReadonlyMap<string, Uint8Array | null>> {
  const found = new Map<string, Uint8Array | null>();
  const missing = (): Confirm[] => confirms.filter(({ node }) => !found.has(node));
  for (let brought = FEWEST_BOXES; brought >= FEWEST_BOXES && missing().length > 1; ) {
    const some = await askReplicas(replicas, (replica) => takeBoxes(replica, attempt, missing(), holder)).catch(
      (error: unknown) => {
        if (isReplicas(error)) return new Map<string, Uint8Array>();
        throw error;
      },
    );
    for (const [node, sealed] of some) found.set(node, sealed);
    brought = some.size;
  }
  const rest = missing().map(async (confirm) => {
    found.set(confirm.node, await fetchBox(replicas, attempt, confirm, holder));
  });
  await Promise.all(rest);
  return found;
}
