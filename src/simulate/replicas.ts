import { ProtocolError } from '../../protocols/errors.ts';
import type { Failures } from '../party/asking.ts';
import { CallFailed } from './network.ts';

/** An aggregator, as one process knows it: which of them failed it last is that process's own knowledge. */
export interface Replica {
  readonly name: string;
}

/** Codes that travel as gRPC's NOT_FOUND (src/grpc/status.ts). */
const NOT_THERE: ReadonlySet<string> = new Set([
  'NOT_FOUND',
  'UNKNOWN_ROUND',
  'UNKNOWN_CLOSE',
  'UNKNOWN_CONFIRM',
  'UNKNOWN_DECISION',
  'UNKNOWN_MODEL',
  'UNKNOWN_ANNOUNCE',
]);

/** What a failure says of a replica, as `REPLICA_FAILURES` of src/party/fetch.ts has it; the questions themselves are shared. */
export const FAILURES: Failures = {
  isReplicas: (error) => error instanceof CallFailed || error instanceof ProtocolError,
  isDown: (error) =>
    error instanceof CallFailed && !error.isRemote && (error.code === 'DEADLINE' || error.code === 'UNAVAILABLE'),
  isWithoutBytes: (error) =>
    error instanceof ProtocolError || (error instanceof CallFailed && error.isRemote && error.code === 'NOT_FOUND'),
  mayPass: (error) =>
    FAILURES.isDown(error) ||
    FAILURES.isWithoutBytes(error) ||
    (error instanceof CallFailed && error.isRemote && (error.code === 'UNAVAILABLE' || isNotThere(error))),
};

/** Whether a replica said that it does not know what was asked for. */
export function isNotThere(error: unknown): boolean {
  return error instanceof CallFailed && error.isRemote && NOT_THERE.has(error.code);
}
