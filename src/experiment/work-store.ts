import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/port.ts';

/** A store for the parties of a run, in a new folder below `out` that goes with it: a run leaves nothing there that is read again. */
export async function openWork(out: string): Promise<Pick<Store, 'records'> & AsyncDisposable> {
  const folder = mkdtempSync(join(out, 'work-'));
  const store = await openStore(folder);
  return {
    records: store.records,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
