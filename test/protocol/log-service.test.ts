import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { CallContext } from '../../src/grpc/handlers.ts';
import type { LogKeeper } from '../../src/party/log-keeper.ts';
import { logService } from '../../src/party/log-service.ts';
import { PaperLog } from '../reference/paper-log.ts';
import { codeOf } from './parties.ts';

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

it('takes TLS keys of a party until it has named many within the hour: no party makes the log grow by itself', async () => {
  const paper = PaperLog.founded();
  let now = 0;
  const keeper = {
    append: async (leaf: Uint8Array) => {
      paper.take(leaf);
      return paper.leaves.length - 1;
    },
  };
  const { append } = logService(keeper as unknown as LogKeeper, () => now).handlers as unknown as {
    append(request: { leaf: Uint8Array }, context: { peer: { name: string; role: string } }): Promise<unknown>;
  };
  const name = (node: string, i: number): Promise<string> => {
    const leaf = paper.leaf(node, 'tls-key', paper.tlsKey(node, `${i} ${now}`));
    return codeOf(append({ leaf }, { peer: { name: node, role: 'node' } }));
  };
  const inTurn = async (node: string, times: number): Promise<string[]> => {
    const codes: string[] = [];
    for (let i = 0; i < times; i++) codes.push(await name(node, i));
    return codes;
  };
  const codes = await inTurn('node-1', 40);
  expect(codes.slice(0, 16)).toEqual(new Array(16).fill('SUCCEEDED'));
  expect(new Set(codes.slice(16))).toEqual(new Set(['TOO_MANY_CALLS']));
  expect(await inTurn('node-2', 1)).toEqual(['SUCCEEDED']);
  now = 3_600_000;
  expect(await inTurn('node-1', 1)).toEqual(['SUCCEEDED']);
  // Control: the rules alone take as many as come.
  for (let i = 0; i < 40; i++)
    expect(paper.offer(paper.leaf('node-3', 'tls-key', paper.tlsKey('node-3', `${i}`)))).toBe('counted');
});
