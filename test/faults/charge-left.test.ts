import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { FederationLab } from '../e2e/federation-lab.ts';

// P18 A disk fault while a round that was never decided is forgotten: the site must not carry its charge for ever.

const fault = vi.hoisted(() => ({ armed: false }));
vi.mock('../../src/store/open-store.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/store/open-store.ts')>();
  const open: typeof original.openStore = async (...args) => {
    const store = await original.openStore(...args);
    if (!args[0].includes('/one/')) return store;
    const list = store.blobs.list.bind(store.blobs);
    store.blobs.list = async () => {
      if (!fault.armed) return list();
      fault.armed = false;
      throw new Error('EIO, once');
    };
    return store;
  };
  return { ...original, openStore: open };
});

let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['one', 'two', 'three'], coordinator: { holderMs: 2500 } });
});
afterAll(() => lab[Symbol.asyncDispose]());

async function chargesOf(name: string): Promise<number> {
  await lab.stop(name);
  await using store = await openStore(join(lab.path(name), 'state'));
  return (await store.records.list('charges')).length;
}

it('a charge of an undecided round is taken back, whatever fails while the round is forgotten', async () => {
  const id = await lab.open();
  await lab.stop('member-2');
  await lab.stop('member-3');
  await lab.until(id, (r) => r.phase === 'confirming' && r.attempt.confirms.size === 3);
  fault.armed = true;
  expect(await lab.end(id)).toBe('NOT_READY');
  await vi.waitFor(() => expect(fault.armed).toBe(false), 30_000);
  expect(await chargesOf('one')).toBe(0);
});
