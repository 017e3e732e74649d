import { ProtocolError } from '../../protocols/errors.ts';
import type { Connection } from '../grpc/connection.ts';
import { noteFailure } from '../grpc/replicas.ts';
import { askForKept, isReplicas, REPLICA_MS } from './fetch.ts';

/** What is asked of every replica: the hash of bytes that each can compute. */
export interface HashQuestion {
  /** @returns the hash, hexadecimal. */
  ask(replica: Connection, timeoutMs: number): Promise<string>;
  /** How long the first answer may take, in ms. */
  readonly firstMs: number;
  /** Told once when the answers differ: `address hash` of each. */
  onDispute(given: readonly string[]): void;
  /** Which of equally many answers to believe, modulo their number: another one each time. */
  readonly turn: number;
}

async function eachOf(replicas: Iterable<Connection>, question: HashQuestion, timeoutMs: number) {
  const given = new Map<Connection, string>();
  const ask = async (replica: Connection): Promise<void> => {
    try {
      given.set(replica, await question.ask(replica, timeoutMs));
    } catch (error) {
      if (!isReplicas(error)) throw error;
      noteFailure(replica);
    }
  };
  await Promise.all(Array.from(replicas, ask));
  return given;
}

/**
 * Asks every replica for a hash that the caller cannot check, and prefers what most of those say that do not change their
 * answer when they are asked again. A replica that does not answer in twice the time of the first one is left out. Of answers
 * that equally many keep to, one is taken by turns: nothing here tells which is right.
 *
 * @throws ProtocolError BLOB_LOST as `askForKept` does; SUM_MISMATCH where none keeps to its answer.
 */
export async function askAgreed(replicas: readonly Connection[], question: HashQuestion): Promise<string> {
  const began = performance.now();
  let first: Connection | undefined;
  const answer = await askForKept(replicas, async (replica) => {
    const hash = await question.ask(replica, question.firstMs);
    first = replica;
    return hash;
  });
  const patienceMs = REPLICA_MS + 2 * (performance.now() - began);
  const others = replicas.filter((replica) => replica !== first);
  const given = await eachOf(others, question, patienceMs);
  given.set(first!, answer);
  if (new Set(given.values()).size === 1) return answer;
  question.onDispute([...given].map(([{ address }, hash]) => `${address} ${hash}`));
  const again = await eachOf(given.keys(), question, patienceMs);
  const votes = new Map<string, number>();
  for (const [replica, hash] of given) {
    if (again.get(replica) === hash) votes.set(hash, (votes.get(hash) ?? 0) + 1);
    else noteFailure(replica);
  }
  const most = Math.max(...votes.values());
  const leading = [...votes.keys()].filter((hash) => votes.get(hash) === most).sort();
  if (leading.length > 0) return leading[question.turn % leading.length]!;
  throw new ProtocolError('SUM_MISMATCH', 'aggregators give different sums, and change them');
}
