import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { openCheckpoint } from '../../crypto/checkpoint.ts';
import { verifyConsistency } from '../../crypto/merkle.ts';
import { makeSigner } from '../../crypto/note.ts';
import { formatPolicy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { parseWitnessRequest } from '../../crypto/witness-request.ts';
import { mirrorLog } from '../../src/cli/log-mirror.ts';
import { LogError } from '../../src/log/errors.ts';
import { folderReader } from '../../src/log/log-folder.ts';
import { logSource } from '../../src/log/log-source.ts';
import { Mirror, type MirrorOptions } from '../../src/log/mirror.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { policy, witnesses } from '../faults/log-fixture.ts';
import { readLogFiles } from '../reference/log-files.ts';
import { serveFiles, TileLog } from '../reference/tile-log.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-mirror-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = (): string => join(scratch, `copy-${folders++}`);
const code = (wanted: string) => expect.objectContaining({ code: wanted });

type Read = (path: string) => Uint8Array | undefined;
const optionsFor = (folder: string, read: Read, extra: Partial<MirrorOptions> = {}): MirrorOptions => ({
  primitives: p,
  source: { name: 'the log', read: async (path) => read(path) },
  policy,
  folder,
  ...extra,
});
const step = async (folder: string, read: Read) => (await Mirror.open(optionsFor(folder, read))).step();

/** What the folder is to a stranger: null without a checkpoint; else its size, if every file of it verifies. */
function sizeOf(folder: string): number | null {
  const read = folderReader(folder);
  const note = read('checkpoint');
  if (note === undefined) return null;
  const { checkpoint, quorum } = openCheckpoint(p, note, policy);
  const files = readLogFiles(checkpoint.size, read);
  expect([quorum, files.findings, files.root]).toEqual([true, [], checkpoint.root]);
  return checkpoint.size;
}

describe('a mirror', () => {
  it('is the whole log at every size, each file fetched once', async () => {
    const [log, folder] = [new TileLog(), newFolder()];
    await using server = await serveFiles((path) => log.file(path));
    const mirror = await Mirror.open(optionsFor(folder, () => undefined, { source: logSource(server.url) }));
    for (const size of [0, 1, 255, 256, 257, 600, 600, 1025]) {
      log.append(size - log.entries.length).publish();
      const { added } = await mirror.step();
      expect([sizeOf(folder), mirror.size]).toEqual([size, size]);
      expect(added).toBeLessThanOrEqual(size);
    }
    const bundles = server.asked.filter((path) => path.startsWith('tile/entries/'));
    expect(new Set(bundles).size).toBe(bundles.length);
    expect(readdirSync(join(folder, 'tile', 'entries')).sort()).toEqual(['000', '001', '002', '003', '004.p']);
  });

  it('takes cosignatures that came later, and nothing while too few are there', async () => {
    const [log, folder] = [new TileLog().append(9), newFolder()];
    log.publish(9, witnesses.slice(0, 1));
    await expect(step(folder, (path) => log.file(path))).rejects.toThrow(code('NOT_COSIGNED'));
    expect(sizeOf(folder)).toBeNull();
    for (const cosigners of [witnesses.slice(0, 2), witnesses]) {
      log.publish(9, cosigners);
      await step(folder, (path) => log.file(path));
      expect(readFileSync(join(folder, 'checkpoint'))).toEqual(Buffer.from(log.note));
    }
  });

  it('refuses another log’s key, and a second log of the policy in the same folder', async () => {
    const signer = makeSigner(p, 'ed25519', 'log.example/two', new SecretBytes('two', new Uint8Array(32).fill(88)));
    const [log, two, folder] = [
      new TileLog().append(5).publish(),
      new TileLog(signer).append(5).publish(),
      newFolder(),
    ];
    await step(folder, (path) => log.file(path));
    await expect(step(folder, (path) => two.file(path))).rejects.toThrow(code('BAD_CHECKPOINT'));
    const both = { ...policy, logs: [...policy.logs, { verifier: signer.verifier, url: null }] };
    const mirror = await Mirror.open(optionsFor(folder, (path) => two.file(path), { policy: both }));
    await expect(mirror.step()).rejects.toThrow(code('WRONG_ORIGIN'));
    expect(sizeOf(folder)).toBe(5);
  });
});

describe('a mirror that is cut off', () => {
  it('at any fetch is the log as it was, and goes on without fetching again what it has', async () => {
    const log = new TileLog().append(700);
    const folder = newFolder();
    log.publish(300);
    await step(folder, (path) => log.file(path));
    log.publish(700);
    let fetches = 0;
    for (let allowed = 0; ; allowed++) {
      let left = allowed;
      const read: Read = (path) => {
        if (left-- === 0) throw new LogError('UNREACHABLE', 'cut');
        fetches++;
        return log.file(path);
      };
      const done = await step(folder, read).then(
        () => true,
        (error) => {
          expect(error).toEqual(code('UNREACHABLE'));
          return false;
        },
      );
      expect(sizeOf(folder)).toBe(done ? 700 : 300);
      if (done) break;
      expect(allowed).toBeLessThan(40);
    }
    expect(fetches).toBeGreaterThan(8);
  });

  it('writes the checkpoint after all its files', async () => {
    vi.resetModules();
    const written: string[] = [];
    vi.doMock('../../src/log/log-folder.ts', async (original) => {
      const real = await original<typeof import('../../src/log/log-folder.ts')>();
      const writeWhole: typeof real.writeWhole = async (path, bytes) => {
        written.push(path);
        return real.writeWhole(path, bytes);
      };
      const syncUpTo: typeof real.syncUpTo = async (path, root) => {
        written.push(`sync ${path}`);
        return real.syncUpTo(path, root);
      };
      return { ...real, writeWhole, syncUpTo };
    });
    const watched = await import('../../src/log/mirror.ts');
    vi.doUnmock('../../src/log/log-folder.ts');
    const [log, folder] = [new TileLog().append(700).publish(), newFolder()];
    await (await watched.Mirror.open(optionsFor(folder, (path) => log.file(path)))).step();
    const at = written.indexOf(join(folder, 'checkpoint'));
    expect(at).toBe(written.length - 1);
    for (const path of written.slice(0, at).filter((name) => !name.startsWith('sync '))) {
      expect(written.indexOf(`sync ${join(path, '..')}`, written.indexOf(path))).toBeLessThan(at);
    }
  });

  it('mends files that are gone or damaged', async () => {
    const [log, folder] = [new TileLog().append(600).publish(), newFolder()];
    await step(folder, (path) => log.file(path));
    const damage = [
      () => rmSync(join(folder, 'tile/entries/000')),
      () => writeFileSync(join(folder, 'tile/entries/001'), 'x'),
      () => writeFileSync(join(folder, 'tile/0/001'), Buffer.alloc(8192)),
      () => rmSync(join(folder, 'tile/1'), { recursive: true }),
    ];
    for (const [i, harm] of damage.entries()) {
      harm();
      expect((await step(folder, (path) => log.file(path))).written).toBeGreaterThan(0);
      expect([i, sizeOf(folder)]).toEqual([i, 600]);
    }
    // Damaged, it still knows the head that it held.
    rmSync(join(folder, 'tile/entries/000'));
    const fork = log.fork(10, 700).publish();
    await expect(step(folder, (path) => fork.file(path))).rejects.toThrow(code('SPLIT_VIEW'));
  });
});

describe('a log that is not what it was', () => {
  async function held(size: number) {
    const [log, folder] = [new TileLog().append(size).publish(), newFolder()];
    await step(folder, (path) => log.file(path));
    return { log, folder };
  }
  const evidenceOf = (folder: string) => {
    const names = existsSync(join(folder, 'evidence')) ? readdirSync(join(folder, 'evidence')) : [];
    return names.map((name) => {
      const file = (kind: string) => new Uint8Array(readFileSync(join(folder, 'evidence', name, kind)));
      return { held: file('held'), offered: file('offered'), proof: parseWitnessRequest(file('proof')) };
    });
  };

  it('is refused, with both heads and a proof kept: rolled back, forked at, before and after the held size', async () => {
    const cases = [
      ['ROLLED_BACK', (log: TileLog) => log.publish(400)],
      ['SPLIT_VIEW', (log: TileLog) => log.fork(300, 100).publish()],
      ['SPLIT_VIEW', (log: TileLog) => log.fork(300, 300).publish()],
      ['SPLIT_VIEW', (log: TileLog) => log.fork(599, 500).publish()],
      ['SPLIT_VIEW', (log: TileLog) => log.fork(0, 1000).publish()],
    ] as const;
    for (const [reason, change] of cases) {
      const { log, folder } = await held(600);
      const note = log.note;
      const other = change(log);
      await expect(step(folder, (path) => other.file(path))).rejects.toThrow(code(reason));
      expect(sizeOf(folder)).toBe(600);
      const [found, ...more] = evidenceOf(folder);
      expect(more).toEqual([]);
      expect([found!.held, found!.offered]).toEqual([note, other.note]);
      // The offered head's own tiles say that its history at 600 is another one.
      if (other.size <= 600) continue;
      const from = { from: 600, to: other.size, toRoot: other.tree.root() };
      expect(verifyConsistency(p, { ...from, fromRoot: other.tree.root(600) }, found!.proof.proof)).toBe(true);
      expect(other.tree.root(600)).not.toEqual(openCheckpoint(p, found!.held, policy).checkpoint.root);
    }
  });

  it('is no evidence where only its files are wrong, which nobody signed', async () => {
    for (const wrong of [/^tile\/0\/002/, /^tile\/1\//, /^tile\/entries\/00[23]/]) {
      const { log, folder } = await held(600);
      log.append(400).publish();
      const read: Read = (path) => {
        const file = log.file(path);
        return wrong.test(path) ? file?.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) : file;
      };
      await expect(step(folder, read), String(wrong)).rejects.toThrow(code('BAD_FILES'));
      expect([sizeOf(folder), evidenceOf(folder)]).toEqual([600, []]);
      await step(folder, (path) => log.file(path));
      expect(sizeOf(folder)).toBe(1000);
    }
  });

  it('would be copied by a mirror that forgets the head it holds', async () => {
    const { log, folder } = await held(600);
    const fork = log.fork(300, 700).publish();
    vi.resetModules();
    vi.doMock('../../src/log/log-folder.ts', async (original) => {
      const real = await original<typeof import('../../src/log/log-folder.ts')>();
      const reader: typeof real.folderReader = (of) => (path) =>
        path === 'checkpoint' ? undefined : real.folderReader(of)(path);
      return { ...real, folderReader: reader };
    });
    const weakened = await import('../../src/log/mirror.ts');
    vi.doUnmock('../../src/log/log-folder.ts');
    await (await weakened.Mirror.open(optionsFor(folder, (path) => fork.file(path)))).step();
    expect(sizeOf(folder)).toBe(1000);
    expect(evidenceOf(folder)).toEqual([]);
  });
});

describe('veilsum log mirror', () => {
  it('says what it did, and fails with the code of what it refused', async () => {
    const [log, folder] = [new TileLog().append(300).publish(), newFolder()];
    writeFileSync(join(scratch, 'policy.txt'), formatPolicy(policy));
    await using server = await serveFiles((path) => log.file(path));
    const printed: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
    const flags = { log: server.url, policy: join(scratch, 'policy.txt'), out: folder };
    await mirrorLog(flags);
    log.publish(200);
    const refused = mirrorLog(flags);
    await expect(refused).rejects.toThrow(code('ROLLED_BACK'));
    vi.restoreAllMocks();
    expect(printed[0]).toBe(`${folder}: 300 leaves, 300 new, 5 files written and verified\n`);
  });
});
