import { setTimeout as sleep } from 'node:timers/promises';
import { TransportError } from './errors.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Waits between attempts: exponential, with full jitter so that parties cut together do not come back together (Brooker,
 * "Exponential Backoff And Jitter", AWS 2015). `reset` after progress.
 */
export class Backoff {
  #attempt = 0;

  /** @throws TransportError CANCELLED when the signal aborts. */
  async pause(signal?: AbortSignal): Promise<void> {
    const ceilingMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempt++);
    const pauseMs = ceilingMs / 2 + Math.random() * (ceilingMs / 2); // not a secret: only spreads attempts
    try {
      await sleep(pauseMs, undefined, signal === undefined ? {} : { signal });
    } catch (cause) {
      throw new TransportError('CANCELLED', 'the caller gave up', { cause });
    }
  }

  reset(): void {
    this.#attempt = 0;
  }
}

export interface RetryOptions {
  /** Everything together, in ms, pauses included. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** How long a call and its repetitions may take together where the caller says nothing, in ms. */
const DEFAULT_DEADLINE_MS = 30_000;

/**
 * Repeats an attempt while it fails with a retryable error and time is left. Requests must be such that doing them
 * twice is doing them once.
 *
 * @param attempt - is given the time left, in ms, and the number of attempts before it.
 * @throws TransportError the last one.
 */
export async function retrying<T>(
  options: RetryOptions,
  attempt: (leftMs: number, before: number) => Promise<T>,
): Promise<T> {
  const end = performance.now() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS);
  const backoff = new Backoff();
  for (let before = 0; ; before++) {
    try {
      return await attempt(Math.max(1, end - performance.now()), before);
    } catch (error) {
      if (!(error instanceof TransportError && error.retryable)) throw error;
      await backoff.pause(options.signal);
      if (performance.now() >= end) throw error;
    }
  }
}
