import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { bytes, code, filesOf, newFolder, sha256 } from './store-fixture.ts';

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

it('keeps its files from other users', async () => {
  const folder = newFolder();
  await using store = await openStore(folder);
  await store.blobs.put([bytes('x')]);
  for (const file of filesOf(folder)) expect(statSync(file).mode & 0o077, file).toBe(0);
});
