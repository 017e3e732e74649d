import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { makeSigner } from '../../crypto/note.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { LogKeeper } from '../../src/party/log-keeper.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { RecordStore, Store } from '../../src/store/port.ts';
import { ORIGIN, PaperLog, p } from '../reference/paper-log.ts';

it('P28 a leaf that comes twice at once is acknowledged twice or not at all: when it is durable', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-batch-'));
  await using store = await openStore(folder);
  let writesLeft = Number.POSITIVE_INFINITY;
  const records = new Proxy(store.records, {
    get(target, name: keyof RecordStore) {
      if (name === 'transact' && writesLeft-- <= 0) return () => Promise.reject(new Error('the disk is gone'));
      const value = target[name] as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const broken = new Proxy(store, {
    get: (target, name: keyof Store) => (name === 'records' ? records : target[name]),
  });
  const paper = PaperLog.founded();
  const [genesis, ...rest] = paper.leaves;
  const signer = makeSigner(p, 'ed25519', ORIGIN, paper.seed('log'));
  const keeper = await LogKeeper.open(broken, signer, policyOf(p, paper.genesis()), genesis!, [], () => {});
  const last = rest.pop()!;
  const first = rest.pop()!;
  for (const leaf of rest) await keeper.append(leaf);
  await turn(); // nothing is being written
  writesLeft = 1;
  // The first one is on its way to the disk; the twins wait for it, and are one batch then.
  const [written, ...twins] = await Promise.allSettled([first, last, last].map((leaf) => keeper.append(leaf)));
  expect(written!.status).toBe('fulfilled');
  expect(twins.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  keeper.stop();
  rmSync(folder, { recursive: true, force: true });
});
