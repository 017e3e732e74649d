import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSigner } from '../../crypto/note.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { LogKeeper } from '../../src/party/log-keeper.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { ORIGIN, PaperLog, p, paperHash } from '../reference/paper-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-keeper-'));
let store: Store;
let paper: PaperLog;
let keeper: LogKeeper;

beforeAll(async () => {
  store = await openStore(folder);
  paper = PaperLog.founded();
  paper.open(paper.announced(1));
  const [genesis, ...rest] = paper.leaves;
  const signer = makeSigner(p, 'ed25519', ORIGIN, paper.seed('log'));
  keeper = await LogKeeper.open(store, signer, policyOf(p, paper.genesis()), genesis!, [], () => {});
  for (const leaf of rest) await keeper.append(leaf);
});

afterAll(async () => {
  keeper.stop();
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe('P3 a node that was shown another log', () => {
  const offered = (seen: { size: number; root: string }) => {
    const body = { ...paper.upload('node-1'), seen };
    return keeper.append(paper.leaf('node-1', 'upload', body));
  };

  it('is told so, and nothing is logged', async () => {
    const { seen } = paper.upload('node-1');
    const before = keeper.log.size;
    for (const other of [
      { ...seen, root: paperHash('a fork') },
      { ...seen, size: seen.size - 1 },
      { ...seen, size: seen.size + 1 },
    ])
      await expect(offered(other)).rejects.toMatchObject({ code: 'SPLIT_VIEW' });
    expect(keeper.log.size).toBe(before);
  });

  it('control: the rules alone would take it, and every later audit would find a fork in this log', () => {
    const fork = { ...paper.upload('node-2'), seen: { size: 3, root: paperHash('a fork') } };
    expect(paper.offer(paper.leaf('node-2', 'upload', fork))).toBe('counted');
  });

  it('goes on where the head is one of this log, the newest or an earlier one', async () => {
    const early = { size: 2, root: Buffer.from(keeper.log.root(2)).toString('hex') };
    expect(await offered(early)).toBe(keeper.log.size - 1);
  });
});
