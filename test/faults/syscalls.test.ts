import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';

// Kills the process, or fails the call, at one system call of the way to an acknowledgement (strace -e inject).
const canTrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;
if (!canTrace) console.log('test/faults/syscalls: 2 tests skipped, strace is not installed or not allowed');

const root = mkdtempSync(join(tmpdir(), 'veilsum-syscalls-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs store-child.ts under strace with one injected fault; returns the lines it said and whether it came to its end. */
function runInjected(inject: string, job: string, folder: string, count: number): Promise<string[]> {
  const [call] = inject.split(':');
  const script = join(import.meta.dirname, 'store-child.ts');
  // Without --seccomp-bpf, under which strace 6.1 injects errors but no signals.
  const traced = ['-f', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${inject}`];
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', script, job, folder, 'x', String(count)];
  const child = spawn('strace', [...traced, ...command], {
    stdio: ['ignore', 'pipe', 'ignore'],
    // All file operations on one thread, so that strace's count does not depend on scheduling.
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  let said = '';
  child.stdout.on('data', (text) => {
    said += text;
  });
  return new Promise((resolve) => child.on('close', () => resolve(said.split('\n').slice(0, -1))));
}

/** Kind of fault, and at which call (counted per thread) it strikes: 13 to 20 calls open the store, the rest are the job's. */
const FAULTS: readonly [string, readonly number[]][] = [
  ['pwrite64:signal=KILL', [15, 25, 40, 41, 55]],
  ['fsync:signal=KILL', [7, 9, 12]],
  ['fsync:error=EIO', [8, 11]],
  ['pwrite64:error=ENOSPC', [26, 44]],
];

describe.skipIf(!canTrace)('a fault at a system call', () => {
  it('of an append loses nothing acknowledged and leaves whole steps', async () => {
    let struck = 0;
    for (const [fault, whens] of FAULTS) {
      for (const when of whens) {
        const folder = mkdtempSync(join(root, 'a-'));
        const said = await runInjected(`${fault}:when=${when}`, 'append', folder, 12);
        if (!said.includes('done')) struck++;
        const acknowledged = said.filter((line) => /^\d+$/.test(line)).map(Number);
        await using store = await openStore(folder);
        const length = await store.records.streamLength('acts');
        expect(length, `${fault} ${when}`).toBeGreaterThanOrEqual(acknowledged.length);
        const acts = await store.records.readStream('acts', 0, length);
        expect(acts.map((act) => Buffer.from(act).toString())).toEqual(acts.map((_, i) => `x ${i}`));
        const last = await store.records.get('last', 'x');
        expect(last === undefined ? -1 : Number(Buffer.from(last).toString())).toBe(length - 1);
      }
    }
    expect(struck).toBeGreaterThan(6);
  });

  it('of an upload resumes at or after the last acknowledged byte, and ends with the right bytes', async () => {
    let struck = 0;
    const faults: readonly [string, readonly number[]][] = [
      ['pwrite64:signal=KILL', [22, 30, 36]],
      ['fsync:signal=KILL', [9, 11]],
      ['rename:signal=KILL', [1]],
      ['fsync:error=EIO', [10]],
    ];
    for (const [fault, whens] of faults) {
      for (const when of whens) {
        const folder = mkdtempSync(join(root, 'u-'));
        const said = await runInjected(`${fault}:when=${when}`, 'upload', folder, 300_000);
        if (!said.includes('done')) struck++;
        const acknowledged = Math.max(0, ...said.filter((line) => /^\d+$/.test(line)).map(Number));
        {
          await using store = await openStore(folder);
          const { receivedBytes } = await store.uploads.status('upload').catch(() => ({ receivedBytes: 0 }));
          expect(receivedBytes, `${fault} ${when}`).toBeGreaterThanOrEqual(acknowledged);
        }
        // The same sender goes on, undisturbed: its last words are the blob's hash and done.
        const [hash, done] = (await runInjected('rename:delay_enter=1', 'upload', folder, 300_000)).slice(-2);
        expect(done).toBe('done');
        await using store = await openStore(folder);
        expect(Buffer.from(await store.blobs.get(hash!))).toEqual(Buffer.alloc(300_000, 'x'));
      }
    }
    expect(struck).toBeGreaterThan(4);
  });
});
