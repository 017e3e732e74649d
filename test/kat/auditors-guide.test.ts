import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatSignatures, makeSigner } from '../../crypto/note.ts';
import { flatPolicy, formatPolicy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { formatProof } from '../../crypto/tlog-proof.ts';
import { formatWitnessRequest } from '../../crypto/witness-request.ts';
import { LogWitness } from '../../src/log/log-witness.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { openStore } from '../../src/store/open-store.ts';
import { logSigner } from '../faults/log-fixture.ts';
import { writeGolden } from '../reference/golden-folder.ts';
import { TileLog } from '../reference/tile-log.ts';

// The verifier of SECURITY.md's guide is Go's, of Debian's golang-golang-x-mod-dev. Without it there is nothing to run.
const root = resolve(import.meta.dirname, '../..');
const gopath = '/usr/share/gocode';
const hasGo = existsSync(join(gopath, 'src/golang.org/x/mod/sumdb/tlog')) && spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('test/kat/auditors-guide: 4 tests skipped, Go or golang.org/x/mod is not installed');

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-auditor-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const golden = join(scratch, 'golden');
const inScratch = (...names: string[]): string => join(scratch, ...names);

/** Builds the guide's program, or a changed copy of it. */
function build(name: string, change: (source: string) => string = (source) => source): void {
  const source = readFileSync(join(root, 'docs/verify.go'), 'utf8');
  writeFileSync(inScratch(`${name}.go`), change(source));
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: gopath, GOCACHE: inScratch('cache'), GOFLAGS: '' };
  const { stderr } = spawnSync('go', ['build', '-o', name, `${name}.go`], { cwd: scratch, env, encoding: 'utf8' });
  expect(stderr).toBe('');
}

function verify(program: string, ...args: string[]): readonly [number | null, string] {
  const { status, stdout } = spawnSync(inScratch(program), args, { cwd: scratch, encoding: 'utf8' });
  return [status, stdout.trim().split('\n').at(-1)!];
}

describe.skipIf(!hasGo)('the auditor’s guide', () => {
  beforeAll(async () => {
    await writeGolden(golden);
    build('verify');
  });

  it('runs as it is printed, and says what it says', () => {
    const script = join(root, 'scripts/auditors-guide.mjs');
    const env = { ...process.env, GOCACHE: inScratch('cache') };
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, golden], { env, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.match(/^step \d+: as expected$/gm)).toHaveLength(7);
    const broken = inScratch('broken');
    cpSync(golden, broken, { recursive: true });
    const note = readFileSync(join(broken, 'log/checkpoint'), 'utf8');
    // A log's signature over another size: every step that reads the checkpoint fails.
    writeFileSync(join(broken, 'log/checkpoint'), note.replace(/\n\d+\n/, '\n7\n'));
    const refused = spawnSync(process.execPath, [script, broken], { env, encoding: 'utf8' });
    expect(refused.status).toBe(1);
  });

  it('refuses a changed entry, tile, checkpoint, quorum, and another history', () => {
    const [log, policy] = [join(golden, 'log'), join(golden, 'policy.txt')];
    const [status, said] = verify('verify', log, policy, join(log, 'checkpoint'));
    expect([status, said]).toEqual([0, expect.stringMatching(/^growth: /)]);
    const note = readFileSync(join(log, 'checkpoint'), 'utf8');
    const lines = note.split('\n');
    const files = spawnSync('find', ['tile', '-type', 'f'], { cwd: log, encoding: 'utf8' }).stdout.trim().split('\n');
    const changes: readonly (readonly [RegExp, string, (bytes: Buffer) => Buffer | string])[] = [
      // Where the byte lies decides why: in a signature's base64, in the JSON, in what is signed.
      [/not signed by|are not those|JSON|not base64/, files.find((name) => name.startsWith('tile/entries/'))!, flipped],
      [/not the tile/, files.find((name) => name.startsWith('tile/0/'))!, flipped],
      [
        /bytes after/,
        files.find((name) => name.startsWith('tile/entries/'))!,
        (bytes) => Buffer.concat([bytes, bytes]),
      ],
      [/too few cosignatures/, 'checkpoint', () => `${lines.slice(0, 6).join('\n')}\n`],
      [
        /no verifiable signatures|not signed by the log/,
        'checkpoint',
        () => `${[...lines.slice(0, 4), ...lines.slice(5)].join('\n')}`,
      ],
      [/invalid signature/, 'checkpoint', () => note.replace(lines[1]!, String(Number(lines[1]) - 1))],
    ];
    for (const [why, name, change] of changes) {
      const copy = mkdtempSync(inScratch('case-'));
      cpSync(log, copy, { recursive: true });
      writeFileSync(join(copy, name), change(readFileSync(join(log, name))));
      expect([name, ...verify('verify', copy, policy)]).toEqual([name, 1, expect.stringMatching(why)]);
    }
  });

  it('takes a changed tile where its check of tiles is left out', () => {
    build('blind', (source) =>
      source.replace('bytes.Equal(wanted, read(folder, path))', 'bytes.Equal(wanted, wanted)'),
    );
    const copy = mkdtempSync(inScratch('case-'));
    cpSync(join(golden, 'log'), copy, { recursive: true });
    const [tile] = spawnSync('find', ['tile/0', '-type', 'f'], { cwd: copy, encoding: 'utf8' }).stdout.split('\n');
    writeFileSync(join(copy, tile!), flipped(readFileSync(join(copy, tile!))));
    expect(verify('blind', copy, join(golden, 'policy.txt'))[0]).toBe(0);
    expect(verify('verify', copy, join(golden, 'policy.txt'))[0]).toBe(1);
  });

  it('accepts what our witness cosigns for a log of strangers, and our proofs at many sizes', async () => {
    const seed = new SecretBytes('w', new Uint8Array(32).fill(33));
    const signer = makeSigner(p, 'cosignature', 'witness.example/w1', seed);
    const logs = [logSigner.verifier];
    await using store = await openStore(inScratch('witness'));
    const witness = new LogWitness({ primitives: p, records: store.records, signer, logs, now: () => 1_800_000_000 });
    const policy = flatPolicy(
      p,
      [{ verifier: logs[0]!, url: null }],
      [{ name: 'w', verifier: signer.verifier, url: null }],
      1,
    );
    writeFileSync(inScratch('policy.txt'), formatPolicy(policy));
    const log = new TileLog().append(70_000);
    let oldSize = 0;
    for (const size of [1, 2, 3, 255, 256, 257, 512, 65_535, 65_536, 65_537, 70_000]) {
      const note = log.head(size, []);
      const answer = await witness.addCheckpoint(
        formatWitnessRequest({ oldSize, proof: log.consistency(oldSize, size), note }),
      );
      if (!('line' in answer)) throw new Error(JSON.stringify(answer));
      oldSize = size;
      const checkpoint = Buffer.concat([note, Buffer.from(formatSignatures([answer.line]))]);
      const index = Math.floor((size * 2) / 3);
      writeFileSync(
        inScratch('x.tlog-proof'),
        formatProof({ extra: null, index, hashes: log.inclusion(index, size), checkpoint }),
      );
      for (const [leaf, status] of [
        [index, 0],
        [index + 1, 1],
      ] as const) {
        writeFileSync(inScratch('leaf'), log.entries[leaf] ?? 'none');
        expect([size, verify('verify', 'x.tlog-proof', 'leaf', 'policy.txt')[0]]).toEqual([size, status]);
      }
    }
    const unsigned = formatProof({ extra: null, index: 0, hashes: log.inclusion(0, 9), checkpoint: log.head(9, []) });
    writeFileSync(inScratch('x.tlog-proof'), unsigned);
    writeFileSync(inScratch('leaf'), log.entries[0]!);
    expect(verify('verify', 'x.tlog-proof', 'leaf', 'policy.txt')).toEqual([1, 'REFUSED: too few cosignatures: 0']);
  });
});

function flipped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, i) => (i === Math.floor(bytes.length / 2) ? byte ^ 1 : byte)));
}
