import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { CallContext } from '../../src/grpc/handlers.ts';
import type { LogKeeper } from '../../src/party/log-keeper.ts';
import { logService } from '../../src/party/log-service.ts';

it('follows a log that has no cosigned head yet without holding up everybody else', async () => {
  // Nothing but what `follow` asks of a keeper: the real one publishes as soon as its witnesses answer.
  const listeners = new Set<() => void>();
  const leaf = new Uint8Array([1]);
  const keeper = {
    stopped: false,
    log: { published: undefined as unknown, entries: async () => [leaf] },
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const { follow } = logService(keeper as unknown as LogKeeper).handlers as unknown as {
    follow(
      request: { fromIndex: bigint },
      context: Pick<CallContext, 'signal'>,
    ): AsyncGenerator<{ leaves: Uint8Array[] }>;
  };
  const runs = follow({ fromIndex: 0n }, { signal: new AbortController().signal });
  let first: { leaves: Uint8Array[] } | null = null;
  const reading = runs.next().then(({ value }) => {
    first = value;
  });
  await turn(); // never comes when the loop spins
  expect(first).toBeNull();
  keeper.log.published = { checkpoint: { size: 1 }, note: new Uint8Array(0) };
  for (const listener of [...listeners]) listener();
  await reading;
  expect(first!.leaves).toEqual([leaf]);
  await runs.return(undefined);
});
