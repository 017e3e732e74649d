import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cosign, formatCheckpoint, signCheckpoint } from '../../crypto/checkpoint.ts';
import { utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof, inclusionProof, leafHash } from '../../crypto/merkle.ts';
import { formatVkey } from '../../crypto/note.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { logSigner, witnesses } from '../faults/log-fixture.ts';

// Other people's verifiers: Debian's golang-golang-x-mod-dev, and openssl. Without them there is nothing to compare with.
const gopath = '/usr/share/gocode';
const hasGo = existsSync(join(gopath, 'src/golang.org/x/mod/sumdb/tlog')) && spawnSync('go', ['version']).status === 0;
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasGo) console.log('test/attacks/p01-strangers-program: 1 test skipped, Go or golang.org/x/mod is not installed');
if (!hasOpenssl) console.log('test/attacks/p01-strangers-program: 1 test skipped, openssl is not installed');

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-go-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A line for main.go: a signed head of `size` entries with one inclusion and one consistency proof. */
function caseOf(tree: HashTree, seed: string, size: number, index: number, from: number) {
  const base64 = (hashes: Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString('base64'));
  const note = signCheckpoint(p, logSigner, { origin: logSigner.verifier.name, size, root: tree.root(size) });
  return {
    vkey: formatVkey(logSigner.verifier),
    note: Buffer.from(note).toString(),
    seed,
    size,
    index,
    from,
    inclusion: size === 0 ? [] : base64(inclusionProof(p, tree.read, index, size)),
    fromRoot: base64([tree.root(from)])[0]!,
    consistency: base64(consistencyProof(p, tree.read, from, size)),
  };
}

describe.skipIf(!hasGo)('golang.org/x/mod/sumdb', () => {
  it('P1 accepts heads and proofs of a thousand of our logs, and refuses changed ones', () => {
    const tree = new HashTree(p);
    for (let i = 0; i < 70_000; i++) tree.append(leafHash(p, utf8(`go ${i}`)));
    const sizes = [0, 1, 2, 3, 254, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 70_000];
    const cases = sizes.map((size) => {
      return caseOf(tree, 'go', size, Math.floor((size * 2) / 3), size === 0 ? 0 : Math.max(1, Math.floor(size / 3)));
    });
    const last = cases.at(-1)!;
    // P1: with these, a thousand logs of entries of their own; sizes up to 4,096, small ones as likely as large ones.
    let state = 1;
    const draw = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    while (cases.length < 1000) {
      const seed = `log ${cases.length}`;
      const size = Math.floor(2 ** (12 * draw()));
      const other = new HashTree(p);
      for (let i = 0; i < size; i++) other.append(leafHash(p, utf8(`${seed} ${i}`)));
      cases.push(caseOf(other, seed, size, Math.floor(draw() * size), 1 + Math.floor(draw() * size)));
    }
    const good = cases.length;
    cases.push({ ...last, index: last.index + 1 }, { ...last, from: last.from + 1 }, { ...last, seed: 'other' });
    cases.push({ ...last, note: last.note.replace('70000', '70001') });
    // Control: a log of ours that leaves out what RFC 6962 puts before a leaf would verify here, and nowhere else.
    const unprefixed = new HashTree(p);
    for (let i = 0; i < 300; i++) unprefixed.append(p.sha256(utf8(`go ${i}`)));
    cases.push(caseOf(unprefixed, 'go', 300, 200, 100));
    const build = spawnSync(
      'go',
      ['build', '-o', join(scratch, 'verify'), join(import.meta.dirname, '../kat/go-tlog/main.go')],
      {
        env: { ...process.env, GO111MODULE: 'off', GOPATH: gopath, GOCACHE: join(scratch, 'cache'), GOFLAGS: '' },
        encoding: 'utf8',
      },
    );
    expect(build.stderr).toBe('');
    const input = cases.map((line) => JSON.stringify(line)).join('\n');
    const { stdout } = spawnSync(join(scratch, 'verify'), { input, encoding: 'utf8' });
    const verdicts = stdout.trim().split('\n');
    expect(verdicts.slice(0, good)).toEqual(Array.from({ length: good }, () => 'ok'));
    expect(verdicts).toHaveLength(cases.length);
    for (const verdict of verdicts.slice(good)) expect(verdict).not.toBe('ok');
  });
});

describe.skipIf(!hasOpenssl)('openssl', () => {
  it('verifies our log signatures and cosignatures over the bytes that C2SP says', () => {
    const text = formatCheckpoint({ origin: logSigner.verifier.name, size: 5, root: new Uint8Array(32).fill(9) });
    const note = signCheckpoint(p, logSigner, {
      origin: logSigner.verifier.name,
      size: 5,
      root: new Uint8Array(32).fill(9),
    });
    const line = Buffer.from(Buffer.from(note).toString().split(' ').at(-1)!.trim(), 'base64');
    const witness = witnesses[0]!;
    const cosignature = Buffer.from(cosign(p, witness, note, 1_679_315_147).signature);
    const verify = (publicKey: Uint8Array, message: string, signature: Uint8Array): boolean => {
      const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
      writeFileSync(join(scratch, 'key'), der);
      writeFileSync(join(scratch, 'message'), message);
      writeFileSync(join(scratch, 'signature'), signature);
      const files = [
        '-inkey',
        join(scratch, 'key'),
        '-in',
        join(scratch, 'message'),
        '-sigfile',
        join(scratch, 'signature'),
      ];
      return spawnSync('openssl', ['pkeyutl', '-verify', '-rawin', '-pubin', '-keyform', 'DER', ...files]).status === 0;
    };
    expect(verify(logSigner.verifier.publicKey, text, line.subarray(4))).toBe(true);
    const message = `cosignature/v1\ntime 1679315147\n${text}`;
    expect(cosignature.readBigUInt64BE(0)).toBe(1_679_315_147n);
    expect(verify(witness.verifier.publicKey, message, cosignature.subarray(8))).toBe(true);
    expect(verify(witness.verifier.publicKey, message.replace('147', '148'), cosignature.subarray(8))).toBe(false);
  });
});
