import type { Connection } from '../grpc/connection.ts';
import { agreedAsking } from './agreeing.ts';
import { answered, REPLICA_FAILURES, REPLICA_MS } from './fetch.ts';

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

/** Asks every replica for a hash that the caller cannot check: `agreedAsking`. @throws ProtocolError BLOB_LOST, SUM_MISMATCH */
export function askAgreed(replicas: readonly Connection[], question: HashQuestion): Promise<string> {
  const { firstMs, turn } = question;
  const asking = agreedAsking(replicas, REPLICA_FAILURES, {
    firstMs,
    othersMs: REPLICA_MS,
    turn,
    now: () => performance.now(),
    onDispute: (given) => question.onDispute([...given].map(([{ address }, hash]) => `${address} ${hash}`)),
  });
  return answered(asking, (replica, timeoutMs) => question.ask(replica, timeoutMs));
}
