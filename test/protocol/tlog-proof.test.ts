import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { inclusionProof, leafHash } from '../../crypto/merkle.ts';
import { makeSigner } from '../../crypto/note.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { formatProof, parseProof, type TlogProof, verifyProof } from '../../crypto/tlog-proof.ts';
import { checkProof, writeProof } from '../../src/cli/log-proof.ts';
import { logSource } from '../../src/log/log-source.ts';
import { proveLeaf } from '../../src/log/prove.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { policy, witnesses } from '../faults/log-fixture.ts';
import { serveFiles, TileLog } from '../reference/tile-log.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-proof-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const log = new TileLog().append(600).publish();
const code = (wanted: string) => expect.objectContaining({ code: wanted });
const sourceOf = (of: TileLog) => ({ name: 'the log', read: async (path: string) => of.file(path) });

function proofOf(index: number, of = log, size = of.size): TlogProof {
  return { extra: null, index, hashes: inclusionProof(p, of.tree.read, index, size), checkpoint: of.head(size) };
}

describe('the format', () => {
  it('is read and written the same, with and without extra data', () => {
    for (const index of [0, 17, 255, 256, 599]) {
      for (const extra of [null, new Uint8Array(0), utf8('something')]) {
        const bytes = formatProof({ ...proofOf(index), extra });
        expect(parseProof(bytes)).toEqual({ ...proofOf(index), extra });
        expect(formatProof(parseProof(bytes))).toEqual(bytes);
      }
    }
    const lone = new TileLog().append(1).publish();
    const text = fromUtf8(formatProof(proofOf(0, lone)));
    expect(text.startsWith('c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example/test\n1\n')).toBe(true);
    expect(verifyProof(p, parseProof(utf8(text)), leafHash(p, log.entries[0]!), policy).quorum).toBe(true);
  });

  it('has one spelling', () => {
    const good = fromUtf8(formatProof(proofOf(17)));
    const line = (from: string | RegExp, to: string) => {
      const changed = good.replace(from, to);
      expect(changed).not.toBe(good);
      return changed;
    };
    const wrong = [
      line('@v1', '@v2'),
      line('c2sp.org', ' c2sp.org'),
      line('index 17', 'index 017'),
      line('index 17', 'index +17'),
      line('index 17', 'index 9007199254740993'),
      line('index 17\n', ''),
      line('index 17\n', 'index 17\nextra AAAA\n'),
      line('index 17\n', 'extra AAA\nindex 17\n'),
      line('index 17\n', 'extra AAAA\nextra AAAA\nindex 17\n'),
      line('index 17\n', 'index 17\r\n'),
      line('index 17\n', `index 17\n${'A'.repeat(43)}\n`),
      line('index 17\n', `index 17\n${`${'A'.repeat(43)}=\n`.repeat(64)}`),
      line('\n\n', '\n'),
      `\ufeff${good}`,
      'c2sp.org/tlog-proof@v1',
      '',
    ];
    for (const text of wrong) expect(() => parseProof(utf8(text)), text).toThrow(code('BAD_ENCODING'));
    expect(() => parseProof(Uint8Array.of(0xff, 10, 10))).toThrow(code('BAD_ENCODING'));
  });
});

describe('verifying', () => {
  it('takes a proof for the leaf at its index, and nothing else', () => {
    const leaf = leafHash(p, log.entries[17]!);
    expect(verifyProof(p, proofOf(17), leaf, policy).checkpoint.size).toBe(600);
    const other = leafHash(p, log.entries[18]!);
    expect(() => verifyProof(p, proofOf(17), other, policy)).toThrow(code('BAD_VALUE'));
    expect(() => verifyProof(p, { ...proofOf(17), index: 18 }, leaf, policy)).toThrow(code('BAD_VALUE'));
    expect(() => verifyProof(p, { ...proofOf(17), index: 600 }, leaf, policy)).toThrow(code('BAD_VALUE'));
    expect(() => verifyProof(p, { ...proofOf(17), checkpoint: log.head(599) }, leaf, policy)).toThrow(
      code('BAD_VALUE'),
    );
  });

  it('refuses too few witnesses, another log, and a flip of any bit', () => {
    const leaf = leafHash(p, log.entries[17]!);
    const few = { ...proofOf(17), checkpoint: log.head(600, witnesses.slice(0, 1)) };
    expect(() => verifyProof(p, few, leaf, policy)).toThrow(code('BAD_SIGNATURE'));
    const stranger = makeSigner(p, 'ed25519', 'log.example/test', new SecretBytes('s', new Uint8Array(32).fill(77)));
    const foreign = { ...proofOf(17), checkpoint: new TileLog(stranger).append(600).head() };
    expect(() => verifyProof(p, foreign, leaf, policy)).toThrow(code('BAD_SIGNATURE'));
    const bytes = formatProof(proofOf(17));
    // The last cosignature's line may be read as an unknown key's, which counts for nothing: only two are needed.
    const lastLine = fromUtf8(bytes).lastIndexOf('\n\u2014') + 1;
    let taken = 0;
    for (let at = 0; at < Buffer.byteLength(fromUtf8(bytes).slice(0, lastLine)); at++) {
      const flipped = bytes.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte));
      try {
        verifyProof(p, parseProof(flipped), leaf, policy);
        taken++;
      } catch (error) {
        expect((error as { code: string }).code).toMatch(/^BAD_/);
      }
    }
    // A flip in the name or key ID of one cosignature of three makes it a stranger's: two are left, and enough.
    expect(taken).toBeLessThan(2 * 22);
  });

  it('is what stops a leaf that is not in the log: a verifier without the path takes it', async () => {
    vi.resetModules();
    vi.doMock('../../crypto/merkle.ts', async (original) => ({
      ...(await original<typeof import('../../crypto/merkle.ts')>()),
      verifyInclusion: () => true,
    }));
    const weakened = await import('../../crypto/tlog-proof.ts');
    vi.doUnmock('../../crypto/merkle.ts');
    const never = leafHash(p, utf8('never logged'));
    expect(weakened.verifyProof(p, proofOf(17), never, policy).quorum).toBe(true);
    expect(() => verifyProof(p, proofOf(17), never, policy)).toThrow(code('BAD_VALUE'));
  });
});

describe('proving from files', () => {
  it('finds a leaf by index and by hash, over HTTP and in a folder', async () => {
    await using server = await serveFiles((path) => log.file(path));
    for (const index of [0, 255, 256, 511, 512, 599]) {
      const hash = leafHash(p, log.entries[index]!);
      for (const name of [index, toHex(hash)]) {
        const proven = await proveLeaf(p, logSource(server.url), name, policy);
        expect(proven).toMatchObject({ index, size: 600, entry: log.entries[index]! });
        expect(verifyProof(p, parseProof(proven.proof), hash, policy).checkpoint.size).toBe(600);
      }
    }
    await expect(proveLeaf(p, logSource(server.url), 600, policy)).rejects.toThrow(code('NOT_FOUND'));
    await expect(proveLeaf(p, logSource(server.url), 'ab'.repeat(32), policy)).rejects.toThrow(code('NOT_FOUND'));
    const nowhere = logSource('http://127.0.0.1:9');
    await expect(proveLeaf(p, nowhere, 0, null)).rejects.toThrow(code('UNREACHABLE'));
    await expect(proveLeaf(p, logSource(join(scratch, 'none')), 0, null)).rejects.toThrow(code('NOT_FOUND'));
  });

  it('cuts a partial tile from the full one where the log has dropped it', async () => {
    const older = new TileLog().append(600).publish(500);
    const read = async (path: string) => {
      if (/^tile\/(?:0|entries)\/001\.p\//.test(path)) return undefined;
      return older.file(path) ?? log.file(path);
    };
    expect(older.file('tile/entries/001')).toBeUndefined();
    await expect(proveLeaf(p, { name: 'n', read }, 300, policy)).resolves.toMatchObject({ size: 500, index: 300 });
  });

  it('writes no proof from files that are not the checkpoint’s, nor under a policy that does not take it', async () => {
    const wrong = log.fork(300, 300).publish();
    const mixed = { name: 'm', read: async (path: string) => (path === 'checkpoint' ? log.note : wrong.file(path)) };
    await expect(proveLeaf(p, mixed, 17, policy)).rejects.toThrow(code('BAD_FILES'));
    const short = {
      name: 's',
      read: async (path: string) => log.file(path)?.slice(0, path === 'checkpoint' ? 9999 : 5),
    };
    await expect(proveLeaf(p, short, 17, policy)).rejects.toThrow(code('BAD_FILES'));
    const few = new TileLog().append(20).publish(20, witnesses.slice(0, 1));
    await expect(proveLeaf(p, sourceOf(few), 17, policy)).rejects.toThrow(code('NOT_COSIGNED'));
    await expect(proveLeaf(p, sourceOf(few), 17, null)).resolves.toMatchObject({ size: 20 });
    const stranger = makeSigner(p, 'ed25519', 'log.example/other', new SecretBytes('s', new Uint8Array(32).fill(7)));
    const foreign = sourceOf(new TileLog(stranger).append(20).publish());
    await expect(proveLeaf(p, foreign, 17, policy)).rejects.toThrow(code('BAD_CHECKPOINT'));
  });
});

describe('veilsum log prove, verify-proof', () => {
  it('write a file that verifies offline, and refuse another leaf', async () => {
    const { formatPolicy } = await import('../../crypto/policy.ts');
    const file = (name: string) => join(scratch, name);
    writeFileSync(file('policy.txt'), formatPolicy(policy));
    const printed: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
    await using server = await serveFiles((path) => log.file(path));
    const flags = { log: server.url, policy: file('policy.txt'), out: file('17.tlog-proof'), leafOut: file('17') };
    await writeProof('17', flags);
    expect(readFileSync(file('17'))).toEqual(Buffer.from(log.entries[17]!));
    checkProof(file('17.tlog-proof'), { leaf: file('17'), policy: file('policy.txt') });
    vi.restoreAllMocks();
    expect(printed[1]).toBe('verified: leaf 17 of 600 in log.example/test\n');
    expect(printed.filter((line) => line.startsWith('cosigned by'))).toHaveLength(3);
    writeFileSync(file('18'), log.entries[18]!);
    const wrong = () => checkProof(file('17.tlog-proof'), { leaf: file('18'), policy: file('policy.txt') });
    expect(wrong).toThrow(code('NOT_PROVEN'));
    await expect(writeProof('0x11', flags)).rejects.toThrow(code('USAGE'));
  });
});
