import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { toBase64 } from '../../crypto/encoding.ts';
import { type AuditInput, audit } from '../../protocols/audit.ts';
import { CHECKS, checksTable } from '../../protocols/checks.ts';
import { reportText } from '../../src/audit/audit-text.ts';
import { reportOf } from '../../src/audit/report.ts';
import { founded, runBucket } from '../reference/bucket-log.ts';
import { FORGERIES } from '../reference/forgeries.ts';
import { filesOf, PaperLog, p } from '../reference/paper-log.ts';

const root = join(import.meta.dirname, '..', '..');

/** Its checks are shown by lists of forgeries rather than by names in the file. */
const OF_FORGERIES = 'attacks/p02-transcript-changes';

/** Codes that a test file speaks of. */
function codesIn(test: string): Set<string> {
  const text = readFileSync(join(root, 'test', `${test}.test.ts`), 'utf8');
  const named = [...text.matchAll(/\b[A-Z][A-Z]+(?:_[A-Z]+)*\b/g)].map(([code]) => code);
  return new Set(test === OF_FORGERIES ? [...named, ...FORGERIES.map(({ code }) => code)] : named);
}

describe('the table of checks', () => {
  it('numbers every code once, and checks.md holds it', () => {
    const all = CHECKS.flatMap(({ codes }) => codes);
    expect(new Set(all).size).toBe(all.length);
    expect(CHECKS.map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
    const file = readFileSync(join(root, 'protocols', 'checks.md'), 'utf8');
    expect(file).toContain(`<!-- table -->\n${checksTable()}<!-- end of table -->`);
  });

  it.each(CHECKS)('check $id has a test for each of its codes, or is not claimed', (check) => {
    const { codes, remarks = [], tests = [], notClaimed } = check;
    if (notClaimed !== undefined) return expect([codes, remarks, tests]).toEqual([[], [], []]);
    for (const test of tests) expect([test, existsSync(join(root, 'test', `${test}.test.ts`))]).toEqual([test, true]);
    const shown = new Set(tests.flatMap((test) => [...codesIn(test)]));
    expect([...codes, ...remarks].filter((code) => !shown.has(code))).toEqual([]);
    expect(codes.length + remarks.length).toBeGreaterThan(0);
  });
});

function auditOf(log: PaperLog, over: Partial<AuditInput> & { files?: Map<string, Uint8Array> } = {}) {
  const { files = filesOf(log.leaves), ...input } = over;
  const readFile = (path: string) => files.get(path);
  const given = { policyFile: log.policyFile, checkpoint: log.head(), genesisPin: null, since: null };
  return audit(p, { ...given, readFile, ...input });
}

const found = (result: ReturnType<typeof audit>) => result.findings.map(({ check, code }) => `${check} ${code}`);
const remarked = (result: ReturnType<typeof audit>) => result.remarks.map(({ code }) => code);

describe('findings about files', () => {
  const log = PaperLog.founded();

  it('FILE_MISSING: nothing is decided without every file', () => {
    for (const path of filesOf(log.leaves).keys()) {
      const files = filesOf(log.leaves);
      files.delete(path);
      const result = auditOf(log, { files });
      expect([found(result), result.verdict]).toEqual([['5 FILE_MISSING'], 'undecided']);
    }
  });

  it('FILE_MALFORMED: a bundle that is cut off, or longer than its entries', () => {
    const files = filesOf(log.leaves);
    const [path, bytes] = [...files].find(([name]) => name.startsWith('tile/entries/'))!;
    for (const forged of [bytes.slice(0, -1), new Uint8Array([...bytes, 0])]) {
      expect(found(auditOf(log, { files: new Map(files).set(path, forged) }))).toEqual(['5 FILE_MALFORMED']);
    }
    expect(found(auditOf(log))).toEqual([]); // control
  });

  it('TILE_MISMATCH: a tile of other hashes than the entries give', () => {
    const files = filesOf(log.leaves);
    const [path, bytes] = [...files].find(([name]) => name.startsWith('tile/0/'))!;
    const result = auditOf(log, { files: new Map(files).set(path, bytes.with(5, bytes[5]! ^ 1)) });
    expect(found(result)).toEqual(['5 TILE_MISMATCH']);
  });

  it('POLICY_OTHER_LOG: genesis names another key than the one that signed the checkpoint', () => {
    const other = toBase64(p.ed25519PublicKey(new Uint8Array(32).fill(9)));
    const forked = new PaperLog({}, (genesis) => {
      genesis.logKey = other;
    });
    expect(found(auditOf(forked, { checkpoint: forked.head() }))).toEqual(['2 POLICY_OTHER_LOG']);
    expect(found(auditOf(new PaperLog()))).toEqual([]); // control
  });
});

describe('remarks, which are no violations', () => {
  it('the report says which bucket a round is over, and nothing of buckets where it is over all nodes', () => {
    const divided = founded();
    runBucket(divided, 1, 0);
    const textOf = (of: PaperLog): string => reportText(reportOf(auditOf(of), null));
    expect(textOf(divided)).toContain('round 1 (bucket 1 of 2) of lead-scoring: released');
    expect(textOf(PaperLog.founded().until('release'))).toContain('round 1 of lead-scoring: released');
  });

  it('PLAIN_UPDATES_KEPT: a round that lets nodes keep their plain updates', () => {
    const log = PaperLog.founded();
    log.open(log.announced(1), { checkSums: true });
    expect(remarked(auditOf(log))).toContain('PLAIN_UPDATES_KEPT');
    expect(remarked(auditOf(PaperLog.founded().until('open')))).not.toContain('PLAIN_UPDATES_KEPT'); // control
  });

  it('SHARES_DIFFER: a member that logged other shares than the rest, and the round ends well', () => {
    const log = PaperLog.founded().until('decide');
    for (const member of log.members) {
      log.post(member, 'answer', log.answer(member, member === 'member-3' ? 'other' : 'share'));
    }
    log.post('recipient-1', 'release', log.release());
    const result = auditOf(log);
    expect([result.verdict, remarked(result)]).toEqual(['verified', ['SHARES_DIFFER']]);
    expect(result.remarks[0]!.text).toContain('member-3');
    expect(remarked(auditOf(PaperLog.founded().until('release')))).toEqual([]); // control
  });

  it('CLOCK_SKEW: a clock that steps back by more than a minute', () => {
    const skewed = (ms: number) => {
      const log = PaperLog.founded();
      const draft = log.draft('coordinator', 'announce', { task: 'x', number: 1, recipients: ['recipient-1'] });
      log.take(log.raw({ ...draft, time: draft.time + ms }));
      log.post('coordinator', 'announce', { task: 'x', number: 2, recipients: ['recipient-1'] });
      return remarked(auditOf(log)).filter((code) => code === 'CLOCK_SKEW').length;
    };
    expect([skewed(30_000), skewed(61_000)]).toEqual([0, 1]);
  });
});

/** Weakened: an auditor that drops nothing. */
const dropping = vi.hoisted(() => ({ isOn: true }));
vi.mock('../../protocols/patch.ts', async (original) => {
  const real = await original<typeof import('../../protocols/patch.ts')>();
  const dropDetail: typeof real.dropDetail = (...args) => (dropping.isOn ? real.dropDetail(...args) : undefined);
  return { ...real, dropDetail };
});

function keepingRounds<T>(work: () => T): T {
  dropping.isOn = false;
  try {
    return work();
  } finally {
    dropping.isOn = true;
  }
}

describe('an audit that drops what ended rounds no longer need', () => {
  const view = (result: ReturnType<typeof audit>) => {
    const { transcript: _, ...rest } = result;
    return rest;
  };

  it('finds the same in every forgery as one that keeps everything', () => {
    for (const { what, make } of FORGERIES) {
      const { log, forged } = make();
      const leaves = [...log.leaves, forged];
      const given = { files: filesOf(leaves), checkpoint: log.head(leaves) };
      const [dropped, kept] = [auditOf(log, given), keepingRounds(() => auditOf(log, given))];
      expect([what, view(dropped)]).toEqual([what, view(kept)]);
    }
  });

  it('refuses the same leaves after a round’s end, and says the same of the round', () => {
    const log = PaperLog.founded({ recipients: 2 }).until('release');
    const { hash } = log.attempt.confirms.get('node-1')!;
    const decide = log.decision;
    const { close } = log.attempt;
    const late = [
      log.leaf('node-1', 'upload', { ...log.upload('node-1'), nonce: 'ab'.repeat(32), payloadHash: 'cd'.repeat(32) }),
      log.leaf('coordinator', 'close', log.close()),
      log.leaf('node-1', 'confirm', log.confirm('node-1')),
      log.leaf('member-1', 'ready', { close }),
      log.leaf('member-1', 'complaint', { confirm: hash, code: 'SEED_MISMATCH' }),
      log.leaf('node-1', 'reseal', { confirm: hash, holder: 'member-1', hash: close }),
      log.leaf('coordinator', 'decide', log.decide()),
      log.leaf('member-1', 'answer', log.answer('member-1', 'late')),
      log.leaf('recipient-1', 'release', log.release()),
      log.leaf('recipient-2', 'release', { ...log.release(), liars: ['member-2'] }),
      log.leaf('recipient-2', 'release', { ...log.release(), resultHash: 'ab'.repeat(32) }),
      log.leaf('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' }),
      log.leaf('recipient-1', 'model', log.modelBody(decide)),
      log.leaf('member-1', 'round-key', log.roundKey('member-1', log.round.record.announce)),
      log.leaf('coordinator', 'open', { record: log.round.record }),
    ];
    const outcomes = late.map((leaf) => {
      const leaves = [...log.leaves, leaf];
      const given = { files: filesOf(leaves), checkpoint: log.head(leaves) };
      const [dropped, kept] = [auditOf(log, given), keepingRounds(() => auditOf(log, given))];
      expect(view(dropped)).toEqual(view(kept));
      return [...found(dropped), ...remarked(dropped)].join();
    });
    expect(new Set(outcomes).size).toBeGreaterThanOrEqual(6); // they are refused, void or counted, each for its own reason
    const { transcript } = auditOf(log);
    const [round] = transcript.rounds.values();
    expect([round?.uploads.size, round?.attempts.length]).toEqual([0, 0]); // control: it was dropped
  });
});
