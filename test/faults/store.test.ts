import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { type Disk, nodeDisk } from '../../src/store/disk.ts';
import { StoreError } from '../../src/store/errors.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';

const root = mkdtempSync(join(tmpdir(), 'veilsum-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 's-'));
const bytes = (text: string): Buffer => Buffer.from(text);
const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
const code = (name: string) => expect.objectContaining({ name: 'StoreError', code: name });
const filesOf = (folder: string): string[] => {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
};

/** Starts store-child.ts; `lines` grows as it speaks. */
function startChild(...args: string[]): { child: ChildProcess; lines: string[]; ended: Promise<number | null> } {
  const script = join(import.meta.dirname, 'store-child.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout! });
  reader.on('line', (line) => lines.push(line));
  const drained = new Promise<void>((resolve) => reader.on('close', resolve));
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return { child, lines, ended: Promise.all([exited, drained]).then(([exitCode]) => exitCode) };
}

/** Kills with SIGKILL once the child has said so many lines; returns what it said in all. */
async function killAfter(lines: number, started: ReturnType<typeof startChild>): Promise<string[]> {
  while (started.lines.length < lines && started.child.exitCode === null) await new Promise((r) => setTimeout(r, 1));
  started.child.kill('SIGKILL');
  await started.ended;
  return started.lines;
}

describe('records', () => {
  it('commits all of a step or nothing of it, and shows nothing uncommitted', async () => {
    await using store = await openStore(newFolder());
    const { records } = store;
    const failed = records.transact(async (tx) => {
      await tx.put('t', 'k', bytes('lost'));
      expect(await tx.append('s', bytes('lost'))).toBe(0);
      expect(await tx.get('t', 'k')).toEqual(new Uint8Array(bytes('lost')));
      expect(await records.get('t', 'k')).toBeUndefined();
      throw new Error('refused');
    });
    await expect(failed).rejects.toThrow('refused');
    expect(await records.get('t', 'k')).toBeUndefined();
    expect(await records.streamLength('s')).toBe(0);
    await records.transact(async (tx) => {
      for (const key of ['b', 'a', 'ab', 'a\u00e9', '']) if (key !== '') await tx.put('t', key, bytes(key));
      await tx.insert('t', 'a', bytes('a'));
    });
    expect((await records.list('t')).map((row) => row.key)).toEqual(['a', 'ab', 'a\u00e9', 'b']);
    expect((await records.list('t', 'a')).map((row) => row.key)).toEqual(['a', 'ab', 'a\u00e9']);
    await expect(records.transact((tx) => tx.insert('t', 'a', bytes('other')))).rejects.toThrow(code('CONFLICT'));
    expect(await records.transact((tx) => tx.delete('t', 'b'))).toBe(true);
    expect(await records.get('t', 'b')).toBeUndefined();
  });

  it('runs concurrent steps one after the other, and refuses nesting and use after the end', async () => {
    await using store = await openStore(newFolder());
    const { records } = store;
    const indices = await Promise.all(
      Array.from({ length: 50 }, (_, i) => records.transact((tx) => tx.append('s', bytes(String(i))))),
    );
    expect(indices).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const stored = await records.readStream('s', 40, 99);
    expect(stored.map((value) => Buffer.from(value).toString())).toEqual(
      Array.from({ length: 10 }, (_, i) => `${40 + i}`),
    );
    await expect(records.transact(() => records.transact(async () => 1))).rejects.toThrow('inside');
    let leaked: { put(table: string, key: string, value: Uint8Array): Promise<void> } | undefined;
    await records.transact(async (tx) => {
      leaked = tx;
    });
    await expect(leaked?.put('t', 'k', bytes('v'))).rejects.toThrow('after its end');
  });

  it('leaves no deleted value in any file after scrub', async () => {
    const folder = newFolder();
    const canary = bytes('canary-5f1c0b7e-secret-round-key');
    const holds = () => filesOf(folder).some((file) => readFileSync(file).includes(canary));
    await using store = await openStore(folder);
    await store.records.transact((tx) => tx.put('keys', 'round', canary));
    await store.records.transact((tx) => tx.put('keys', 'other', bytes('kept')));
    expect(holds()).toBe(true);
    await store.records.transact((tx) => tx.delete('keys', 'round'));
    // Control: without scrub the journal still holds it.
    expect(holds()).toBe(true);
    await store.records.scrub();
    expect(holds()).toBe(false);
    expect(await store.records.get('keys', 'other')).toEqual(new Uint8Array(bytes('kept')));
  });
});

describe('kill -9', () => {
  it('in mid-append loses nothing acknowledged and keeps steps whole', async () => {
    const folder = newFolder();
    for (const [run, lines] of [2, 17, 60].entries()) {
      const said = await killAfter(lines, startChild('append', folder, `run${run}`, '100000'));
      const acknowledged = said.filter((line) => line !== 'ready').map(Number);
      await using store = await openStore(folder);
      const length = await store.records.streamLength('acts');
      expect(length).toBeGreaterThan(acknowledged.at(-1) ?? -1);
      const acts = (await store.records.readStream('acts', 0, length)).map((value) => Buffer.from(value).toString());
      const own = acts.filter((act) => act.startsWith(`run${run} `));
      expect(own).toEqual(own.map((_, i) => `run${run} ${i}`));
      // The table row of the same step is exactly as far as the stream.
      const last = await store.records.get('last', `run${run}`);
      expect(Number(Buffer.from(last ?? bytes('-1')).toString())).toBe(own.length - 1);
    }
  });

  it('in mid-upload resumes at an acknowledged byte', async () => {
    const folder = newFolder();
    const lengthBytes = 4_000_000;
    const content = Buffer.alloc(lengthBytes, 'x');
    let resumedAt = -1;
    for (const lines of [3, 10, 25]) {
      const said = await killAfter(lines, startChild('upload', folder, 'x', String(lengthBytes)));
      const acknowledged = Number(said.filter((line) => line !== 'ready').at(-1) ?? 0);
      await using store = await openStore(folder);
      const { receivedBytes } = await store.uploads.status('upload');
      expect(receivedBytes).toBeGreaterThanOrEqual(acknowledged);
      // At most the chunk in flight is sent again.
      expect(receivedBytes - acknowledged).toBeLessThanOrEqual(65_536);
      expect(receivedBytes).toBeGreaterThan(resumedAt);
      resumedAt = receivedBytes;
    }
    await using store = await openStore(folder);
    await store.uploads.append('upload', resumedAt, content.subarray(resumedAt));
    const blob = await store.uploads.finalise('upload');
    expect(blob).toEqual({ hash: sha256(content), lengthBytes });
    expect(sha256(await store.blobs.get(blob.hash))).toBe(blob.hash);
  });
});

describe('several processes on one folder', () => {
  it('append without gaps or losses', async () => {
    const folder = newFolder();
    const children = ['a', 'b', 'c'].map((name) => startChild('append', folder, name, '40'));
    expect(await Promise.all(children.map((started) => started.ended))).toEqual([0, 0, 0]);
    const indices = children.flatMap(({ lines }) => lines.filter((line) => /^\d+$/.test(line)).map(Number));
    expect(indices.sort((x, y) => x - y)).toEqual(Array.from({ length: 120 }, (_, i) => i));
    await using store = await openStore(folder);
    const acts = await store.records.readStream('acts', 0, 120);
    expect(new Set(acts.map((act) => Buffer.from(act).toString())).size).toBe(120);
  });

  it('take chunks of one upload in turns, and finish it once', async () => {
    const folder = newFolder();
    const children = [1, 2, 3].map(() => startChild('upload', folder, 'y', '2000000'));
    expect(await Promise.all(children.map((started) => started.ended))).toEqual([0, 0, 0]);
    const hash = sha256(Buffer.alloc(2_000_000, 'y'));
    for (const { lines } of children) expect(lines).toContain(hash);
    await using store = await openStore(folder);
    expect(await store.blobs.list()).toEqual([{ hash, lengthBytes: 2_000_000 }]);
  });

  it('add to one sum by compare and swap, each addition once', async () => {
    const folder = newFolder();
    const children = ['a', 'b'].map((name) => startChild('sum', folder, name, '20'));
    expect(await Promise.all(children.map((started) => started.ended))).toEqual([0, 0]);
    await using store = await openStore(folder);
    using sum = (await store.sums.open('sum'))!;
    expect(Buffer.from(await sum.read(0, 4)).readUInt32LE()).toBe(40);
    expect(sum.version).toBe(40);
    expect([...Buffer.from(sum.meta).toString()].sort().join('')).toBe('a'.repeat(20) + 'b'.repeat(20));
    expect(readdirSync(join(folder, 'sums'))).toHaveLength(1);
  });
});

describe('uploads', () => {
  const content = bytes('0123456789'.repeat(10));
  const declared = { lengthBytes: content.length, hash: sha256(content) };

  it('refuse what does not fit, each by its name, and change nothing', async () => {
    await using store = await openStore(newFolder(), { limits: { uploadBytes: 1000, pendingBytes: 1050 } });
    const { uploads } = store;
    await uploads.begin('../../etc/passwd', declared);
    await uploads.append('../../etc/passwd', 0, content.subarray(0, 40));
    const refused: [Promise<unknown>, string][] = [
      [uploads.begin('../../etc/passwd', { ...declared, lengthBytes: 99 }), 'CONFLICT'],
      [uploads.begin('../../etc/passwd', { ...declared, hash: sha256(bytes('other')) }), 'CONFLICT'],
      [uploads.begin('large', { ...declared, lengthBytes: 1001 }), 'TOO_LARGE'],
      [uploads.begin('empty', { ...declared, lengthBytes: 0 }), 'TOO_LARGE'],
      [uploads.begin('second', { ...declared, lengthBytes: 951 }), 'FULL'],
      [uploads.begin('hash', { ...declared, hash: declared.hash.toUpperCase() }), 'HASH_MISMATCH'],
      [uploads.append('../../etc/passwd', 41, content.subarray(41)), 'OFFSET_MISMATCH'],
      [uploads.append('../../etc/passwd', -1, content), 'OFFSET_MISMATCH'],
      [uploads.append('../../etc/passwd', 40, content), 'LENGTH_MISMATCH'],
      [uploads.append('unknown', 0, content), 'NOT_FOUND'],
      [uploads.finalise('../../etc/passwd'), 'LENGTH_MISMATCH'],
      [uploads.finalise('unknown'), 'NOT_FOUND'],
      [store.blobs.get('../store.sqlite'), 'NOT_FOUND'],
    ];
    for (const [attempt, name] of refused) await expect(attempt).rejects.toThrow(code(name));
    expect(await uploads.list()).toEqual([{ id: '../../etc/passwd', ...declared, receivedBytes: 40 }]);
  });

  it('skip bytes that came before, and answer a repeated end alike', async () => {
    await using store = await openStore(newFolder());
    const { uploads } = store;
    await uploads.begin('u', declared);
    expect(await uploads.append('u', 0, content.subarray(0, 60))).toBe(60);
    expect(await uploads.append('u', 0, content.subarray(0, 30))).toBe(60);
    expect(await uploads.append('u', 50, content.subarray(50))).toBe(100);
    const first = await uploads.finalise('u');
    expect(await uploads.finalise('u')).toEqual(first);
    expect(await uploads.append('u', 90, content.subarray(90))).toBe(100);
    expect(await uploads.begin('u', declared)).toEqual({ ...declared, receivedBytes: 100 });
    expect(Buffer.from(await store.blobs.get(first.hash))).toEqual(content);
    expect(await uploads.abandon('u')).toBe(true);
    expect(await store.blobs.has(first.hash)).toBe(true);
  });

  it('forget content that has another hash than declared', async () => {
    const folder = newFolder();
    await using store = await openStore(folder);
    await store.uploads.begin('u', { ...declared, hash: sha256(bytes('other')) });
    await store.uploads.append('u', 0, content);
    await expect(store.uploads.finalise('u')).rejects.toThrow(code('HASH_MISMATCH'));
    await expect(store.uploads.status('u')).rejects.toThrow(code('NOT_FOUND'));
    expect(readdirSync(join(folder, 'partial'))).toEqual([]);
    expect(await store.blobs.list()).toEqual([]);
  });
});

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
        await work(store, []);
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

describe('bit rot', () => {
  it('is named for every byte of blobs and sums', async () => {
    const folder = newFolder();
    const content = bytes('some content to rot '.repeat(5));
    await using store = await openStore(folder);
    const { hash } = await store.blobs.put([content]);
    await store.sums.replace('s', 0, bytes('meta'), [content.subarray(0, 50), content.subarray(50)]);
    const readSum = async (): Promise<Uint8Array> => {
      using sum = (await store.sums.open('s'))!;
      return await sum.read(0, sum.lengthBytes);
    };
    const stored: [string, () => Promise<Uint8Array>][] = [
      [join(folder, 'blobs', hash), () => store.blobs.get(hash)],
      [filesOf(join(folder, 'sums'))[0]!, readSum],
    ];
    for (const [path, read] of stored) {
      for (let at = 0; at < content.length; at++) {
        writeFileSync(
          path,
          content.map((byte, i) => (i === at ? byte ^ 0x10 : byte)),
        );
        await expect(read()).rejects.toThrow(code('CORRUPT'));
      }
      writeFileSync(path, content.subarray(1));
      await expect(read()).rejects.toThrow(code('CORRUPT'));
      rmSync(path);
      await expect(read()).rejects.toThrow(code('CORRUPT'));
      writeFileSync(path, content);
      expect(Buffer.from(await read())).toEqual(content);
    }
  });

  it('of the database is named or harmless, never another answer', async () => {
    const folder = newFolder();
    const rows = Array.from({ length: 30 }, (_, i) => ({ key: `key ${i}`, value: bytes(`value ${i} `.repeat(8)) }));
    {
      await using store = await openStore(folder);
      await store.records.transact(async (tx) => {
        for (const { key, value } of rows) {
          await tx.put('t', key, value);
          await tx.append('s', value);
        }
      });
    }
    const readAll = async (path: string) => {
      await using store = await openStore(path);
      const table = (await store.records.list('t')).map(({ key, value }) => [key, Buffer.from(value).toString()]);
      const stream = await store.records.readStream('s', 0, await store.records.streamLength('s'));
      return { table, stream: stream.map((value) => Buffer.from(value).toString()) };
    };
    const expected = await readAll(folder);
    expect(expected.stream).toHaveLength(30);
    const file = readFileSync(join(folder, 'store.sqlite'));
    const copy = newFolder();
    cpSync(folder, copy, { recursive: true });
    let named = 0;
    let harmless = 0;
    for (let at = 0; at < file.length; at += 29) {
      for (const name of readdirSync(copy)) if (name.startsWith('store.sqlite-')) rmSync(join(copy, name));
      writeFileSync(
        join(copy, 'store.sqlite'),
        file.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte)),
      );
      try {
        expect(await readAll(copy), `byte ${at}`).toEqual(expected);
        harmless++;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        named++;
      }
    }
    expect(named).toBeGreaterThan(100);
    expect(harmless).toBeGreaterThan(0);
  });
});

describe('a damaged journal', () => {
  it('of a killed process gives whole earlier steps or a named error, never another value', async () => {
    const folder = newFolder();
    await using store = await openStore(folder);
    await store.records.scrub();
    for (let i = 0; i < 12; i++) {
      await store.records.transact(async (tx) => {
        await tx.append('s', bytes(`step ${i}`));
        await tx.put('t', 'last', bytes(String(i)));
      });
    }
    // Copied while it is open: the journal is what a kill -9 leaves.
    const journal = readFileSync(join(folder, 'store.sqlite-wal'));
    expect(journal.length).toBeGreaterThan(10_000);
    const copy = newFolder();
    const outcomes = new Set<number>();
    for (let at = 0; at < journal.length; at += 997) {
      cpSync(join(folder, 'store.sqlite'), join(copy, 'store.sqlite'));
      writeFileSync(
        join(copy, 'store.sqlite-wal'),
        journal.map((byte, i) => (i === at ? byte ^ 4 : byte)),
      );
      rmSync(join(copy, 'store.sqlite-shm'), { force: true });
      try {
        await using damaged = await openStore(copy);
        const length = await damaged.records.streamLength('s');
        const steps = (await damaged.records.readStream('s', 0, length)).map((value) => Buffer.from(value).toString());
        expect(steps).toEqual(Array.from({ length }, (_, i) => `step ${i}`));
        const last = await damaged.records.get('t', 'last');
        expect(last === undefined ? -1 : Number(Buffer.from(last).toString())).toBe(length - 1);
        outcomes.add(length);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
    }
    // The limit that src/store/README.md states: SQLite ends its recovery at the damage.
    expect(outcomes.size).toBeGreaterThan(3);
  });
});

it('keeps its files from other users', async () => {
  const folder = newFolder();
  await using store = await openStore(folder);
  await store.blobs.put([bytes('x')]);
  for (const file of filesOf(folder)) expect(statSync(file).mode & 0o077, file).toBe(0);
});
