import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { cosign, openCheckpoint } from '../../crypto/checkpoint.ts';
import { utf8 } from '../../crypto/encoding.ts';
import { inclusionProof, leafHash, verifyConsistency, verifyInclusion } from '../../crypto/merkle.ts';
import { tilePath, tilesOf } from '../../crypto/tiles.ts';
import { exportLog, folderReader } from '../../src/log/log-folder.ts';
import type { LogStore } from '../../src/log/log-store.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { RecordStore, Store } from '../../src/store/port.ts';
import { readLogFiles } from '../reference/log-files.ts';
import { openLog, policy, witnesses } from './log-fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'veilsum-log-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, 'l-'));
const entry = (i: number): Uint8Array => utf8(`entry ${i}`);
const code = (name: string) => expect.objectContaining({ code: name });

async function publish(log: LogStore): Promise<void> {
  const { note, checkpoint } = await log.checkpoint();
  const lines = witnesses.slice(0, 2).map((witness) => cosign(p, witness, note, 1_700_000_000));
  await log.addCosignatures(checkpoint.size, lines);
}

async function logOf(size: number, folder = newFolder()): Promise<{ store: Store; log: LogStore; folder: string }> {
  const store = await openStore(folder);
  const log = await openLog(store.records);
  await log.append(Array.from({ length: size }, (_, i) => entry(i)));
  return { store, log, folder };
}

function startChild(...args: string[]) {
  const script = join(import.meta.dirname, 'log-child.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const drained = new Promise<void>((resolve) => reader.on('close', resolve));
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return { child, lines, ended: Promise.all([exited, drained]).then(([exitCode]) => exitCode) };
}

describe('log', () => {
  it('keeps an entry and its state in one step, gives proofs, and knows an entry that comes again', async () => {
    const { store, log } = await logOf(10);
    await using _closed = store;
    expect(await log.append([entry(3), entry(10), entry(10)])).toEqual([3, 10, 10]);
    expect(log.size).toBe(11);
    await expect(log.append([entry(99)], { expectedSize: 10 })).rejects.toThrow(code('CONFLICT'));
    const also = async () => {
      throw new Error('refused');
    };
    await expect(log.append([entry(99)], { also })).rejects.toThrow('refused');
    await expect(log.append([new Uint8Array(65_536)])).rejects.toThrow(code('TOO_LARGE'));
    expect(log.size).toBe(11);
    const claim = { index: 7, size: 9, leaf: leafHash(p, entry(7)), root: log.root(9) };
    expect(verifyInclusion(p, claim, inclusionProof(p, log.read, 7, 9))).toBe(true);
    const heads = { from: 4, to: 11, fromRoot: log.root(4), toRoot: log.root() };
    expect(verifyConsistency(p, heads, log.consistency(4, 11))).toBe(true);
    expect(await log.entries(9, 99)).toEqual([entry(9), entry(10)]);
    const reopened = await openLog(store.records);
    expect(reopened.root()).toEqual(log.root());
  });

  it('publishes only what the quorum cosigned, never goes back, and takes no stranger\u2019s line', async () => {
    const { store, log } = await logOf(5);
    await using _closed = store;
    const first = await log.checkpoint();
    expect(first.quorum).toBe(false);
    expect(log.published).toBeUndefined();
    expect(await log.file('checkpoint')).toBeUndefined();
    const lines = witnesses.map((witness) => cosign(p, witness, first.note, 1_700_000_000));
    const forged = { ...lines[0]!, signature: lines[1]!.signature };
    await expect(log.addCosignatures(5, [forged])).rejects.toThrow(code('BAD_SIGNATURE'));
    await expect(log.addCosignatures(5, [{ ...lines[0]!, name: 'x.example' }])).rejects.toThrow(code('BAD_SIGNATURE'));
    await log.append([entry(5)]);
    const second = await log.checkpoint();
    expect((await log.addCosignatures(5, lines.slice(0, 1))).quorum).toBe(false);
    expect((await log.addCosignatures(5, lines.slice(1, 2))).quorum).toBe(true);
    expect(log.published?.checkpoint.size).toBe(5);
    expect(await log.file('tile/entries/000.p/6')).toBeUndefined();
    expect(await log.file('tile/entries/000.p/5')).toBeDefined();
    const later = witnesses.slice(1).map((witness) => cosign(p, witness, second.note, 1_700_000_001));
    await log.addCosignatures(6, later);
    // A late line for the smaller head comes too late and changes nothing.
    await expect(log.addCosignatures(5, lines.slice(2))).rejects.toThrow(code('NOT_FOUND'));
    expect(log.published?.checkpoint.size).toBe(6);
    const reopened = await openLog(store.records);
    expect(reopened.published?.note).toEqual(log.published?.note);
    expect((await reopened.checkpoint()).note).toEqual(log.published?.note);
  });

  it('refuses to open on entries that are not those of its head', async () => {
    const { store, log } = await logOf(6);
    await using _closed = store;
    await publish(log);
    // A row that is whole in itself, but not the one the tree was signed over: only the head tells.
    await store.records.transact(async (tx) => {
      const head = Buffer.from((await tx.get('log', 'head'))!);
      head.writeBigUInt64BE(7n);
      await tx.put('log', 'head', head);
      await tx.append('log.entries', utf8('smuggled'));
    });
    await expect(openLog(store.records)).rejects.toThrow(code('CORRUPT'));
  });
});

it('keeps its tree whole when appends, refreshes and checkpoints of one process run at once', async () => {
  const { store, log } = await logOf(0);
  await using _closed = store;
  const other = await openLog(store.records);
  const work: Promise<unknown>[] = [];
  for (let i = 0; i < 40; i++) {
    work.push(log.append([entry(i)]), other.append([utf8(`other ${i}`)]), log.refresh(), other.refresh());
    if (i % 8 === 0) work.push(log.checkpoint(), other.checkpoint());
  }
  await Promise.all(work);
  await Promise.all([log.refresh(), other.refresh()]);
  const reopened = await openLog(store.records);
  expect(reopened.size).toBe(80);
  for (const each of [log, other]) expect(each.root()).toEqual(reopened.root());
});

describe('kill -9 and company', () => {
  it('loses nothing acknowledged and never signs two heads of one size', async () => {
    const folder = newFolder();
    const notes: Uint8Array[] = [];
    for (const [run, wanted] of [3, 20, 70].entries()) {
      const started = startChild(folder, `run${run}`, '100000');
      while (started.lines.length < wanted && started.child.exitCode === null)
        await new Promise((r) => setTimeout(r, 1));
      started.child.kill('SIGKILL');
      await started.ended;
      await using store = await openStore(folder);
      const log = await openLog(store.records);
      const entries = (await log.entries(0, log.size)).map((bytes) => Buffer.from(bytes).toString());
      for (const line of started.lines) {
        const [kind, index, ...text] = line.split(' ');
        if (kind === 'index') expect(entries[Number(index)]).toBe(text.join(' '));
        if (kind === 'note') notes.push(Buffer.from(index!, 'base64'));
      }
      const own = entries.filter((text) => text.startsWith(`run${run} `));
      expect(Buffer.from((await store.records.get('state', `run${run}`)) ?? utf8('-1')).toString()).toBe(
        `${own.length - 1}`,
      );
      // Every head ever shown is a prefix of what is there now.
      for (const note of notes) {
        const { checkpoint } = openCheckpoint(p, note, policy);
        expect(checkpoint.root).toEqual(log.root(checkpoint.size));
      }
    }
    expect(notes.length).toBeGreaterThan(5);
  });

  it('lets two processes append to one log', async () => {
    const folder = newFolder();
    const children = ['a', 'b'].map((name) => startChild(folder, name, '60'));
    expect(await Promise.all(children.map((started) => started.ended))).toEqual([0, 0]);
    await using store = await openStore(folder);
    const log = await openLog(store.records);
    expect(log.size).toBe(120);
    const entries = (await log.entries(0, 120)).map((bytes) => Buffer.from(bytes).toString());
    for (const name of ['a', 'b']) {
      expect(entries.filter((text) => text.startsWith(name))).toEqual(
        Array.from({ length: 60 }, (_, i) => `${name} ${i}`),
      );
    }
  });
});

describe('opening', () => {
  it('beside a process that appends and signs takes its newer heads for what they are', async () => {
    const { store, log } = await logOf(3);
    await using _closed = store;
    await publish(log);
    // Another process appends, signs and publishes in the middle of the opening, at each read that it makes.
    for (let turn = 0; turn < 4; turn++) {
      let reads = 0;
      const interfere = async (): Promise<void> => {
        if (reads++ !== turn) return;
        await log.append([utf8(`in between ${turn}`)]);
        await publish(log);
      };
      const records: RecordStore = {
        get: (table, key) => interfere().then(() => store.records.get(table, key)),
        list: (table, prefix) => interfere().then(() => store.records.list(table, prefix)),
        streamLength: (stream) => interfere().then(() => store.records.streamLength(stream)),
        readStream: (stream, from, to) => interfere().then(() => store.records.readStream(stream, from, to)),
        transact: (step) => store.records.transact(step),
        scrub: () => store.records.scrub(),
        [Symbol.asyncDispose]: async () => undefined,
      };
      const opened = await openLog(records);
      await opened.refresh();
      expect(opened.root()).toEqual(log.root());
      expect((await opened.checkpoint()).note).toEqual(log.published?.note);
    }
  });
});

describe('exported folder', () => {
  it('grows with the log and reads back to the published root, at sizes around a tile', async () => {
    const { store, log } = await logOf(0);
    await using _closed = store;
    const folder = newFolder();
    await expect(exportLog(log, folder)).rejects.toThrow(code('NOT_FOUND'));
    for (const size of [1, 2, 255, 256, 257, 600]) {
      await log.append(Array.from({ length: size }, (_, i) => entry(i)));
      await publish(log);
      await exportLog(log, folder);
      const read = folderReader(folder);
      const { checkpoint, quorum } = openCheckpoint(p, read('checkpoint')!, policy);
      expect([checkpoint.size, quorum]).toEqual([size, true]);
      const files = readLogFiles(size, read);
      expect(files.findings).toEqual([]);
      expect(files.root).toEqual(checkpoint.root);
      expect(files.entries).toHaveLength(size);
      for (const ref of tilesOf(size)) expect(await log.file(tilePath(ref))).toEqual(read(tilePath(ref)));
      // Nothing new: only the checkpoint is written again.
      expect(await exportLog(log, folder)).toBe(1);
    }
    expect(folderReader(folder)('tile/0/000.p/255')).toBeUndefined();
  });

  it('has all files of its checkpoint at every moment, wherever an export is cut off', async () => {
    const { store, log } = await logOf(300);
    await using _closed = store;
    await publish(log);
    const folder = newFolder();
    await exportLog(log, folder);
    await log.append(Array.from({ length: 400 }, (_, i) => entry(300 + i)));
    await publish(log);
    for (let allowed = 0; ; allowed++) {
      let left = allowed;
      const file = async (path: string) => {
        if (left-- === 0) throw new Error('cut');
        return log.file(path);
      };
      const cut = { published: log.published, origin: log.origin, root: (size: number) => log.root(size), file };
      const done = await exportLog(cut as unknown as LogStore, folder).then(
        () => true,
        () => false,
      );
      const read = folderReader(folder);
      const { size, root } = openCheckpoint(p, read('checkpoint')!, policy).checkpoint;
      const files = readLogFiles(size, read);
      expect([size, files.findings, files.root]).toEqual([done ? 700 : 300, [], root]);
      if (done) break;
    }
    expect(folderReader(folder)('tile/0/001.p/44')).toBeUndefined();
  });

  it('refuses a folder of another log, another history or a later state, and leaves it alone', async () => {
    const { store, log, folder } = await logOf(3);
    await using _closed = store;
    await publish(log);
    const before = newFolder();
    await exportLog(log, before);
    const backup = newFolder();
    await store.records.scrub();
    cpSync(folder, backup, { recursive: true });
    await log.append([entry(3)]);
    await publish(log);
    await exportLog(log, before);
    const note = readFileSync(join(before, 'checkpoint'));
    // A store restored from a backup is behind what it has shown.
    await using restored = await openStore(backup);
    const behind = await openLog(restored.records);
    await expect(exportLog(behind, before)).rejects.toThrow(code('CONFLICT'));
    // The same size, other entries: a fork.
    await behind.append([entry(77)]);
    await publish(behind);
    await expect(exportLog(behind, before)).rejects.toThrow(code('CONFLICT'));
    expect(readFileSync(join(before, 'checkpoint'))).toEqual(note);
    writeFileSync(join(before, 'checkpoint'), note.toString().replaceAll('log.example/test', 'log.example/other'));
    await expect(exportLog(log, before)).rejects.toThrow(code('CONFLICT'));
  });

  it('is read without following links', async () => {
    const folder = newFolder();
    symlinkSync('/etc/passwd', join(folder, 'checkpoint'));
    expect(folderReader(folder)('checkpoint')).toBeUndefined();
    expect(folderReader(folder)('tile')).toBeUndefined();
  });
});
