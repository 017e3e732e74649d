import { describe, expect, it } from 'vitest';
import { type Disk, nodeDisk } from '../../src/store/disk.ts';
import { StoreError } from '../../src/store/errors.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { bytes, code, newFolder, sha256 } from './store-fixture.ts';

/** A disk that fails from its k-th step on: what a crash, or a device that has gone, leaves behind. */
function failingDisk(step: number, errno: string): { disk: Disk; steps: () => number } {
  let steps = 0;
  const guard = <A extends unknown[], R>(operation: (...args: A) => Promise<R>) => {
    return (...args: A): Promise<R> => {
      if (++steps >= step) return Promise.reject(Object.assign(new Error('injected'), { code: errno }));
      return operation(...args);
    };
  };
  const disk: Disk = {
    openForWriting: guard(nodeDisk.openForWriting),
    write: guard(nodeDisk.write),
    sync: guard(nodeDisk.sync),
    rename: guard(nodeDisk.rename),
    syncFolder: guard(nodeDisk.syncFolder),
    remove: guard(nodeDisk.remove),
  };
  return { disk, steps: () => steps };
}

describe('a device that fails at any step', () => {
  const content = Buffer.alloc(3000, 'z');
  const several = [bytes('one'), bytes('two'), bytes('one')];
  const declared = { lengthBytes: content.length, hash: sha256(content) };

  async function work(store: Store, acknowledged: string[]): Promise<void> {
    const { receivedBytes } = await store.uploads.begin('u', declared);
    for (let at = receivedBytes; at < content.length; at += 1000) {
      await store.uploads.append('u', at, content.subarray(at, at + 1000));
      acknowledged.push(`chunk ${at + 1000}`);
    }
    await store.uploads.finalise('u');
    acknowledged.push('blob');
    const version = (await store.sums.find('s'))?.version ?? 0;
    await store.sums.replace('s', version, bytes('m'), [content]);
    acknowledged.push('sum');
    await store.blobs.putAll(several);
    acknowledged.push('several');
  }

  it.each(['EIO', 'ENOSPC'])(
    '(%s) keeps all that was acknowledged, and the work ends when the device is back',
    async (errno) => {
      let failures = 0;
      for (let step = 1; step < 60; step++) {
        const folder = newFolder();
        await (await openStore(folder))[Symbol.asyncDispose]();
        const acknowledged: string[] = [];
        const { disk, steps } = failingDisk(step + 12, errno);
        const outcome = await (async () => {
          await using store = await openStore(folder, { disk });
          try {
            await work(store, acknowledged);
            return 'done';
          } catch (error) {
            expect(error).toBeInstanceOf(StoreError);
            // After a failed write nothing more is acknowledged; a full device may be tried again.
            const later = store.records.transact((tx) => tx.put('t', 'k', bytes('v')));
            if (errno === 'EIO') await expect(later).rejects.toThrow(code('READ_ONLY'));
            else await later;
            return 'failed';
          }
        })().catch(() => 'failed');
        if (outcome === 'failed') failures++;
        await using store = await openStore(folder);
        const progress = await store.uploads.status('u').catch(() => ({ receivedBytes: 0 }));
        for (const what of acknowledged.filter((line) => line.startsWith('chunk'))) {
          expect(progress.receivedBytes).toBeGreaterThanOrEqual(Number(what.slice(6)));
        }
        if (acknowledged.includes('blob')) expect(sha256(await store.blobs.get(declared.hash))).toBe(declared.hash);
        // Several blobs in one step: all are there, or none.
        const there = await Promise.all(several.map((blob) => store.blobs.has(sha256(blob))));
        expect(new Set(there).size).toBe(1);
        if (acknowledged.includes('several')) expect(there).toEqual([true, true, true]);
        await work(store, []);
        for (const blob of several) expect(Buffer.from(await store.blobs.get(sha256(blob)))).toEqual(Buffer.from(blob));
        expect(sha256(await store.blobs.get(declared.hash))).toBe(declared.hash);
        expect((await store.sums.find('s'))?.hash).toBe(declared.hash);
        if (outcome === 'done') {
          expect(steps()).toBeLessThan(step + 12);
          break;
        }
      }
      expect(failures).toBeGreaterThan(8);
    },
  );
});
