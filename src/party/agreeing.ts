import { ProtocolError } from '../../protocols/errors.ts';
import { noteFailure } from '../grpc/replicas.ts';
import { type Asking, type Failures, keptAsking } from './asking.ts';

/** How a hash is asked for that every replica can compute, and the caller cannot check. */
export interface Agreement<R> {
  /** How long the first answer may take, in ms. */
  readonly firstMs: number;
  /** How long any other one may take beyond twice the time of the first, in ms. */
  readonly othersMs: number;
  /** Told once when the answers differ: each replica and its hash. */
  onDispute(given: ReadonlyMap<R, string>): void;
  /** Which of equally many answers to believe, modulo their number: another one each time. */
  readonly turn: number;
  /** A monotonic clock, in ms. */
  now(): number;
}

/** Asks each of them at once; those that fail are left out. */
function* eachOf<R extends object>(
  replicas: readonly R[],
  failures: Failures,
  timeoutMs: number,
): Asking<R, string, Map<R, string>> {
  const given = new Map<R, string>();
  const replies = yield { replicas, timeoutMs };
  for (const [i, reply] of replies.entries()) {
    if ('answer' in reply) given.set(replicas[i]!, reply.answer);
    else if (failures.isReplicas(reply.error)) noteFailure(replicas[i]!);
    else throw reply.error;
  }
  return given;
}

/**
 * Every replica's hash, of which that one is preferred which most of those say that do not change their answer when they are asked
 * again. A replica that does not answer in twice the time of the first one is left out. Of answers that equally many keep to, one is
 * taken by turns: nothing here tells which is right.
 *
 * @throws ProtocolError BLOB_LOST as `keptAsking` does; SUM_MISMATCH where none keeps to its answer.
 */
export function* agreedAsking<R extends object>(
  replicas: readonly R[],
  failures: Failures,
  { firstMs, othersMs, onDispute, turn, now }: Agreement<R>,
): Asking<R, string, string> {
  const began = now();
  const first = yield* keptAsking<R, string>(replicas, failures, firstMs);
  const patienceMs = othersMs + 2 * (now() - began);
  const others = replicas.filter((replica) => replica !== first.replica);
  const given = others.length === 0 ? new Map<R, string>() : yield* eachOf(others, failures, patienceMs);
  given.set(first.replica, first.answer);
  if (new Set(given.values()).size === 1) return first.answer;
  onDispute(given);
  const again = yield* eachOf([...given.keys()], failures, patienceMs);
  const votes = new Map<string, number>();
  for (const [replica, hash] of given) {
    if (again.get(replica) === hash) votes.set(hash, (votes.get(hash) ?? 0) + 1);
    else noteFailure(replica);
  }
  const most = Math.max(...votes.values());
  const leading = [...votes.keys()].filter((hash) => votes.get(hash) === most).sort();
  if (leading.length > 0) return leading[turn % leading.length]!;
  throw new ProtocolError('SUM_MISMATCH', 'aggregators give different sums, and change them');
}
