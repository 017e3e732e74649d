import type { FollowResponse } from '../../proto/gen/veilsum/v1/log.ts';
import type { Connection } from './connection.ts';
import { TransportError } from './errors.ts';
import { Backoff } from './retry.ts';
import { LogService } from './services.ts';

/** A run of leaves without gaps, and the newest checkpoint where there is a new one. Nothing in it is verified. */
export interface LogRun {
  /** Index of the first leaf. */
  readonly firstIndex: number;
  readonly leaves: readonly Uint8Array[];
  /** Signed note; null when there is no newer one. */
  readonly checkpoint: Uint8Array | null;
}

export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Told why the stream broke, each time; the stream is opened again. */
  readonly onBreak?: (error: TransportError) => void;
}

/**
 * Every leaf from an index on, in order and without gaps, over any number of connections. Ends when the signal aborts.
 *
 * A run counts as taken when the loop asks for the next one; after a break the stream goes on behind the last taken run.
 *
 * @throws TransportError LOG_GAP when the log skips or repeats leaves, and refusals.
 */
export async function* followLog(
  connection: Connection,
  fromIndex: number,
  options: FollowOptions = {},
): AsyncGenerator<LogRun> {
  const backoff = new Backoff();
  const streamOptions = { idleMs: null, ...(options.signal === undefined ? {} : { signal: options.signal }) };
  let next = fromIndex;
  while (options.signal?.aborted !== true) {
    try {
      for await (const response of connection.stream(LogService.follow, { fromIndex: BigInt(next) }, streamOptions)) {
        const run = runOf(response, next);
        backoff.reset();
        yield run;
        next += run.leaves.length;
      }
    } catch (error) {
      if (options.signal?.aborted) return;
      if (!mayPass(error)) throw error;
      options.onBreak?.(error);
    }
    await backoff.pause(options.signal).catch(() => {}); // aborted: the loop's condition ends it
  }
}

/** Another key at the coordinator's address: nothing is read from it, and the coordinator may be back, or its new pin be known. */
function mayPass(error: unknown): error is TransportError {
  return error instanceof TransportError && (error.retryable || (error.code === 'PIN_MISMATCH' && !error.remote));
}

function runOf({ firstIndex, leaves, checkpoint }: FollowResponse, expected: number): LogRun {
  if (firstIndex !== BigInt(expected)) throw new TransportError('LOG_GAP', 'the log skipped or repeated leaves');
  return { firstIndex: expected, leaves, checkpoint: checkpoint.length === 0 ? null : checkpoint };
}
