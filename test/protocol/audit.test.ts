import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createChecksum } from '../../crypto/checksum.ts';
import { fromHex, fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { ringShape } from '../../crypto/params.ts';
import { createSum } from '../../crypto/payload.ts';
import { packResidues } from '../../crypto/residues.ts';
import { addCorrections } from '../../protocols/aggregator.ts';
import { audit } from '../../protocols/audit.ts';
import { BlobAuditor } from '../../protocols/audit-blobs.ts';
import { recordHashOf } from '../../protocols/record.ts';
import { type AuditRequest, auditFolder } from '../../src/audit/audit-folder.ts';
import { printable } from '../../src/audit/printable.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { writeGolden, writeLog } from '../reference/golden-folder.ts';
import { filesOf, ORIGIN, PaperLog, p } from '../reference/paper-log.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-audit-'));
const golden = join(scratch, 'golden');
let genesis = '';
let payload = '';
let folder = '';

beforeAll(async () => {
  ({ genesis, payload } = await writeGolden(golden));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

beforeEach(() => {
  folder = mkdtempSync(join(scratch, 'case-'));
  cpSync(golden, folder, { recursive: true });
});

function run(over: Partial<AuditRequest> = {}) {
  const request = { folder: join(folder, 'log'), policyFile: join(folder, 'policy.txt'), genesis, ...over };
  return auditFolder(request);
}

const codes = (json: object) => (json as { findings: { code: string }[] }).findings.map(({ code }) => code);

/** A paper log in the case's folder, with its policy. */
function paper(
  log: PaperLog,
  leaves = log.leaves,
  checkpoint = log.head(leaves),
): Promise<Awaited<ReturnType<typeof run>>> {
  rmSync(join(folder, 'log'), { recursive: true });
  writeLog(folder, leaves, checkpoint);
  writeFileSync(join(folder, 'policy.txt'), log.policyFile);
  return run({ genesis: null });
}

describe('an honest log', () => {
  it('verifies with its blobs, and the report says what was and was not checked', async () => {
    const { exitCode, text, json } = await run({ blobs: join(folder, 'blobs') });
    expect(text).toContain('verdict: verified');
    expect(exitCode).toBe(0);
    expect(text).toContain('round 1 of lead-scoring: released');
    expect(text).toContain('3 nodes in the sum of 4 uploads, 2 attempts');
    expect(text).toContain('approvals: none (not claimed)');
    expect(text).toContain('claim (a) only');
    expect(text).toContain('blobs: sum recomputed');
    expect(text).toContain('payloads 4/4');
    expect(text).toMatch(/15 {2}recomputed/);
    expect(text).toMatch(/20 {2}not claimed/);
    expect(json).toMatchObject({ verdict: 'verified', genesisPinned: true, findings: [] });
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  });

  it('without blobs says "not recomputed", and never "ok"', async () => {
    const { exitCode, text, json } = await run();
    expect(exitCode).toBe(0);
    expect(text).toContain('not recomputed');
    expect(text).not.toMatch(/\bok\b/i);
    expect(json).toMatchObject({ blobs: 'not recomputed' });
  });

  it('with a blob missing recomputes the rest and claims no sum', async () => {
    rmSync(join(folder, 'blobs', payload));
    const { exitCode, text } = await run({ blobs: join(folder, 'blobs') });
    expect(exitCode).toBe(0);
    expect(text).toContain('sum not recomputed');
    expect(text).toContain('payloads 3/4');
  });

  it('says what no pin and no earlier head leave open', async () => {
    expect((await run({ genesis: null })).text).toContain('genesis is not pinned');
    expect((await run()).text).toContain('no earlier head was given');
    const again = await run({ since: join(folder, 'log') });
    expect(again.text).not.toContain('no earlier head');
    expect(again.exitCode).toBe(0);
  });
});

describe('blobs', () => {
  it('that are not what their name says are found; a symlink is no blob', async () => {
    const path = join(folder, 'blobs', payload);
    const bytes = readFileSync(path);
    bytes[100]! ^= 1;
    writeFileSync(path, bytes);
    const { exitCode, json, text } = await run({ blobs: join(folder, 'blobs') });
    expect([exitCode, codes(json)]).toEqual([1, ['BLOB_CORRUPT']]);
    expect(text).toContain('leaf ');
    rmSync(path);
    symlinkSync(join(golden, 'blobs', payload), path);
    expect((await run({ blobs: join(folder, 'blobs') })).text).toContain('payloads 3/4');
  });
});

/** A decided round of three nodes whose payloads, checksums and corrections exist; `lie` changes what the log says. */
async function recomputed(lie: (what: 'sum' | 'checksum' | 'corrections', value: never) => unknown) {
  const said = (what: Parameters<typeof lie>[0], value: unknown) => lie(what, value as never) as never;
  const stored = new Map<string, Uint8Array>();
  const put = (bytes: Uint8Array): string => {
    const hash = toHex(p.sha256(bytes));
    stored.set(hash, bytes);
    return hash;
  };
  const log = PaperLog.founded({ nodes: 3 }).until('open');
  const { record } = log.round;
  const engine = await createKernelEngine(loadKernelModule(), ringShape(record.parameters));
  const context = { parameters: record.parameters, recordHash: recordHashOf(p, record), engine, primitives: p };
  const payloads = log.nodes.map((_, i) => new Uint8Array(record.parameters.payloadBytes).fill(i + 1, 0, 64));
  for (const [i, node] of log.nodes.entries()) {
    log.post(node, 'upload', { ...log.upload(node), payloadHash: put(payloads[i]!) });
  }
  const added = (wires: readonly Uint8Array[]): Uint8Array => {
    using sum = createSum(context);
    for (const wire of wires) sum.add(0, wire);
    return sum.block(0);
  };
  expect(record.parameters.blocks).toBe(1);
  log.post('coordinator', 'close', { ...log.close(), sumHash: said('sum', put(added(payloads))) });
  const corrections = log.nodes.map((_, i) => {
    const residues = new Uint16Array(record.parameters.ringDegree).fill(i + 1);
    return packResidues(residues, record.parameters.maskModulusBits);
  });
  for (const [i, node] of log.nodes.entries()) {
    using checksum = createChecksum(context, fromHex(log.attempt.close, 32));
    checksum.add(0, payloads[i]!);
    const rho = i === 0 ? said('checksum', [...checksum.value()]) : [...checksum.value()];
    log.post(node, 'confirm', { ...log.confirm(node), checksum: rho, correctionHash: put(corrections[i]!) });
  }
  for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
  const correctionSumHash = said('corrections', put(addCorrections(record, corrections)));
  log.post('coordinator', 'decide', { ...log.decide(), correctionSumHash });
  const blobs = {
    open: (hash: string) => {
      const bytes = stored.get(hash);
      if (bytes === undefined) return null;
      const read = (from: number, length: number) => bytes.subarray(from, from + length);
      return { sha256: toHex(p.sha256(bytes)), lengthBytes: bytes.length, read, [Symbol.dispose]: () => {} };
    },
  };
  const auditor = new BlobAuditor(blobs, async () => context);
  await auditor.see(log.round);
  const audited = auditor.finish(log.transcript);
  return { log, audited, summary: [audited.rounds[0]!.sum, ...audited.findings.map(({ code }) => code)] };
}

describe('adding up again', () => {
  const honest = (_what: string, value: unknown) => value;

  it('reproduces sum, checksums and corrections of an honest round', async () => {
    const { summary, audited } = await recomputed(honest);
    expect(summary).toEqual(['recomputed']);
    expect(audited.rounds[0]!.tallies).toMatchObject({
      payloads: { named: 3, recomputed: 3 },
      sums: { named: 1, recomputed: 1 },
      checksums: { named: 3, recomputed: 3 },
      corrections: { named: 3, recomputed: 3 },
      correctionSums: { named: 1, recomputed: 1 },
      boxes: { named: 12, recomputed: 0 },
    });
  });

  it('finds a sum, a checksum and a sum of corrections that are others than the log says, where no rule can', async () => {
    const lies = {
      sum: 'ab'.repeat(32),
      corrections: 'ab'.repeat(32),
      checksum: (value: number[]) => value.with(0, value[0]! ^ 1),
    };
    const lie = (lying: string) => (what: keyof typeof lies, value: never) => {
      if (what !== lying) return value;
      const other = lies[what];
      return typeof other === 'function' ? other(value) : other;
    };
    expect((await recomputed(lie('sum'))).summary).toEqual(['different', 'SUM_NOT_REPRODUCED']);
    expect((await recomputed(lie('corrections'))).summary).toEqual(['different', 'SUM_NOT_REPRODUCED']);
    const { log, summary, audited } = await recomputed(lie('checksum'));
    expect(summary).toEqual(['different', 'CHECKSUM_NOT_REPRODUCED']);
    // Control: the log alone verifies; only the blobs show it.
    const files = filesOf(log.leaves);
    const input = { policyFile: log.policyFile, checkpoint: log.head(), genesisPin: null, since: null };
    expect(audit(p, { ...input, readFile: (path) => files.get(path) }).verdict).toBe('verified');
    expect(audited.findings[0]).toMatchObject({ check: 15, index: log.attempt.confirms.get('node-1')!.index });
  });
});

describe('exit codes', () => {
  it('2 when files are missing, 3 for what is no request', async () => {
    rmSync(join(folder, 'log', 'tile', '0'), { recursive: true });
    expect(await run()).toMatchObject({ exitCode: 2, text: expect.stringContaining('verdict: cannot decide') });
    rmSync(join(folder, 'log', 'checkpoint'));
    expect(await run()).toMatchObject({ exitCode: 2 });
    expect(await run({ policyFile: join(folder, 'none') })).toMatchObject({ exitCode: 3 });
    expect(await run({ folder: join(folder, 'none') })).toMatchObject({ exitCode: 3 });
    expect(await run({ blobs: join(folder, 'none') })).toMatchObject({ exitCode: 3 });
    expect(await run({ since: join(folder, 'none') })).toMatchObject({ exitCode: 3 });
    expect(await run({ genesis: genesis.toUpperCase() })).toMatchObject({ exitCode: 3 });
  });

  it('a named pipe or a symlink in place of a file is a missing file, not a hang', async () => {
    const checkpoint = join(folder, 'log', 'checkpoint');
    rmSync(checkpoint);
    execFileSync('mkfifo', [checkpoint]);
    expect(await run()).toMatchObject({ exitCode: 2 });
    rmSync(checkpoint);
    symlinkSync(join(golden, 'log', 'checkpoint'), checkpoint);
    expect(await run()).toMatchObject({ exitCode: 2 });
  });
});

describe('heads (P3, P4)', () => {
  it('a rollback and a fork are found, and both heads are printed', async () => {
    const log = PaperLog.founded().until('uploads');
    const since = join(folder, 'since');
    writeFileSync(since, log.head());
    const shorter = log.leaves.slice(0, -1);
    await paper(log, shorter);
    const rolled = await run({ genesis: null, since });
    expect([rolled.exitCode, codes(rolled.json)]).toEqual([1, ['ROLLED_BACK']]);
    const fork = [...shorter, log.leaf('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' })];
    await paper(log, fork);
    const split = await run({ genesis: null, since });
    expect([split.exitCode, codes(split.json)]).toEqual([1, ['SPLIT_VIEW']]);
    for (const leaves of [log.leaves, fork]) {
      expect(split.text).toContain(toHex(log.tree(leaves).root()));
      // Both as they were signed: the log's line and the witnesses', as text and for machines.
      const [signed, lines] = [fromUtf8(log.head(leaves)), split.text.split('\n').map((line) => line.trimStart())];
      for (const line of signed.split('\n')) expect(lines).toContain(line.replace('—', '\\u{2014}'));
      expect(JSON.stringify(split.json)).toContain(JSON.stringify(signed));
    }
    expect(rolled.text).not.toContain('Evidence'); // control: a shorter log contradicts nothing
    expect((await run({ genesis: null })).exitCode).toBe(0); // control: each alone is a log
  });

  it('a node that was shown a fork gives it away with its upload', async () => {
    const log = PaperLog.founded().until('open');
    const honest = log.upload('node-1');
    const root = toHex(log.tree([...log.leaves.slice(0, -1), utf8('another leaf')]).root());
    const forked = log.leaf('node-1', 'upload', { ...honest, seen: { ...honest.seen, root } });
    const { json } = await paper(log, [...log.leaves, forked]);
    expect((json as { findings: object[] }).findings).toMatchObject([{ code: 'SPLIT_VIEW', index: log.leaves.length }]);
    expect((await paper(log, [...log.leaves, log.leaf('node-1', 'upload', honest)])).exitCode).toBe(0); // control
  });

  it('too few cosignatures, another origin, another pin: each by its code', async () => {
    const log = PaperLog.founded();
    const few = await paper(log, log.leaves, log.head(log.leaves, { witnesses: 3 }));
    expect(codes(few.json)).toEqual(['NOT_COSIGNED']);
    const other = await paper(log, log.leaves, log.head(log.leaves, { origin: `${ORIGIN}2` }));
    expect(codes(other.json)).toEqual(['BAD_CHECKPOINT']);
    await paper(log);
    const pinned = await run({ genesis: 'ab'.repeat(32) });
    expect([pinned.exitCode, codes(pinned.json)]).toEqual([1, ['GENESIS_PIN']]);
    expect((await run({ genesis: log.transcript.logId })).exitCode).toBe(0); // control
  });

  it('clocks are reported and decide nothing', async () => {
    const log = PaperLog.founded();
    const since = join(folder, 'since');
    writeFileSync(since, log.head(log.leaves, { seconds: 1_700_009_999 }));
    const draft = log.draft('coordinator', 'announce', { task: 'x', number: 1, recipients: ['recipient-1'] });
    log.take(log.raw({ ...draft, time: draft.time + 86_400_000 }));
    log.post('coordinator', 'announce', { task: 'x', number: 2, recipients: ['recipient-1'] });
    await paper(log);
    const { exitCode, text } = await run({ genesis: null, since });
    expect(exitCode).toBe(0);
    expect(text).toContain('TIMES_NOT_MONOTONE  check 4');
    expect(text).toContain('the clock of coordinator is 86400 s behind');
    expect(text).toContain('after every cosignature');
  });
});

describe('the policy file', () => {
  const withPolicy = async (edit: (text: string) => string) => {
    const log = PaperLog.founded();
    await paper(log);
    writeFileSync(join(folder, 'policy.txt'), edit(Buffer.from(log.policyFile).toString('latin1')), 'latin1');
    return run({ genesis: null });
  };

  it('that asks for fewer of genesis’ witnesses, for none or for strangers is too weak', async () => {
    expect((await withPolicy((text) => text)).exitCode).toBe(0);
    for (const weaker of [
      (text: string) => text.replace('group quorum 4', 'group quorum 3'),
      (text: string) => text.replace('quorum quorum', 'quorum none'),
      (text: string) => text.replace('quorum quorum', 'quorum member-1'),
      (text: string) =>
        text.replace(/group.*\n/, 'group few 3 member-1 member-2 member-3 witness-1\ngroup quorum 1 few witness-2\n'),
    ]) {
      const { exitCode, json } = await withPolicy(weaker);
      expect([exitCode, codes(json)]).toEqual([1, ['POLICY_TOO_WEAK']]);
    }
    const nested = (text: string) =>
      text.replace(/group.*\n/, 'group few all member-1 member-2 member-3\ngroup quorum all few witness-1\n');
    expect((await withPolicy(nested)).exitCode).toBe(0);
  });

  it('that is none, or has keys twice, is refused', async () => {
    for (const edit of [() => 'log\n', (text: string) => `${text}${text.split('\n')[0]}\n`, () => '']) {
      expect(codes((await withPolicy(edit)).json)).toEqual(['POLICY_INVALID']);
    }
  });

  it('names are printed escaped: no C1 control, no escape, no second line', async () => {
    const { text } = await withPolicy((file) => file.replaceAll(/ witness-1(?= )/g, ' w\x9b2J'));
    expect(text).toContain('w\\u{9b}2J');
    expect(text).toMatch(/^[\x20-\x7e\n]*$/);
    const usage = await run({ policyFile: '/none/\u001b[2J\r\nVERIFIED' });
    expect(usage.text).toMatch(/^[\x20-\x7e]*\n$/);
    expect(printable('a\\b\u202e')).toBe('a\\\\b\\u{202e}');
  });
});

describe('checks', () => {
  it('an audit that stops early calls nothing after it checked', async () => {
    const log = PaperLog.founded().until('uploads');
    const forged = log.leaf('node-1', 'close', log.close());
    const { text } = await paper(log, [...log.leaves, forged]);
    expect(text).toMatch(/8 {2}VIOLATED/);
    expect(text).toMatch(/18 {2}not decided/);
    expect(text).toContain(`leaf ${log.leaves.length}  check 8`);
  });

  it('a head over more leaves than anybody has does not run away', () => {
    const log = PaperLog.founded();
    const files = filesOf(log.leaves);
    const checkpoint = log.head(log.leaves);
    const input = { policyFile: log.policyFile, checkpoint, genesisPin: null, since: null };
    const result = audit(p, { ...input, readFile: (path) => (path.includes('entries') ? undefined : files.get(path)) });
    expect([result.verdict, result.leaves]).toEqual(['undecided', 0]);
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.log('test/protocol/audit: 1 test skipped, openssl is not installed');

it.skipIf(!hasOpenssl)('openssl verifies the checkpoint by the steps of src/audit/README.md (P1)', () => {
  const checkpoint = readFileSync(join(folder, 'log', 'checkpoint'), 'utf8');
  const [text, lines] = checkpoint.split('\n\n') as [string, string];
  const logLine = readFileSync(join(folder, 'policy.txt'), 'utf8').split('\n')[0]!;
  const [name, , ...key] = logLine.split(' ')[1]!.split('+');
  const signature = lines
    .split('\n')
    .find((line) => line.startsWith(`— ${name} `))!
    .split(' ')[2]!;
  const spki = Buffer.concat([
    Buffer.from('302a300506032b6570032100', 'hex'),
    Buffer.from(key.join('+'), 'base64').subarray(-32),
  ]);
  const file = (named: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, named), bytes);
    return join(folder, named);
  };
  const verify = (signed: string) =>
    spawnSync('openssl', [
      ...['pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', file('key.der', spki), '-rawin'],
      ...['-in', file('text', utf8(signed)), '-sigfile', file('sig', Buffer.from(signature, 'base64').subarray(-64))],
    ]).status;
  expect(verify(`${text}\n`)).toBe(0);
  expect(verify(`${text}0\n`)).not.toBe(0);
});
