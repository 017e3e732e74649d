import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resultHashOf } from '../../protocols/recipient.ts';
import type { RoundRecord } from '../../protocols/record.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { runContributions } from '../../src/cli/contributions-run.ts';
import type { NodeAttendance } from '../../src/contributions/attendance.ts';
import { type BucketScore, creditUnits } from '../../src/contributions/bucket-credit.ts';
import { type Contributions, contributionsOf } from '../../src/contributions/contributions.ts';
import { contributionsHtml, contributionsText } from '../../src/contributions/report.ts';
import { bothTails } from '../../src/contributions/student.ts';
import { layoutOf } from '../../src/learning/contribution.ts';
import type { Party } from '../../src/party/party.ts';
import { keepResult } from '../../src/party/results.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { contributionPlanOf, parseLearningPlan, type RecordPlan } from '../../src/training/learning-plan.ts';
import { makeTask } from '../../src/training/make-task.ts';
import { assignedOf } from '../reference/bucket-log.ts';
import { writeLog } from '../reference/golden-folder.ts';
import { filesOf, PaperLog, p } from '../reference/paper-log.ts';
import { TRANSCRIPTS } from '../transcripts/write.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-contributions-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What is said of a paper log, and of a recipient's folder where one is given. */
function report(log: PaperLog, recipient: { folder: string; tasks: Task[] } | null = null): Promise<Contributions> {
  const files = filesOf(log.leaves);
  const readFile = (path: string) => files.get(path);
  const input = { policyFile: log.policyFile, checkpoint: log.head(), readFile, genesisPin: null, since: null };
  return contributionsOf({ input, recipient });
}

const of = ({ nodes }: Contributions, name: string): NodeAttendance => nodes.find(({ node }) => node === name)!;

/** Uploads that stand in the log, void ones too: what a naive count would take for participation. */
const leavesOf = (log: PaperLog, kind: string, actor: string): number =>
  log.leaves
    .map((leaf) => JSON.parse(Buffer.from(leaf).toString()))
    .filter((leaf) => leaf.kind === kind && leaf.actor === actor).length;

function openWith(log: PaperLog, number: number, uploading: readonly string[], over: Partial<RoundRecord> = {}): void {
  log.open(log.announced(number), { window: `w${number}`, ...over });
  for (const node of uploading) log.post(node, 'upload', log.upload(node));
}

function closeOver(log: PaperLog, confirming: readonly string[]): void {
  log.post('coordinator', 'close', log.close());
  for (const node of confirming) log.post(node, 'confirm', log.confirm(node));
}

/** From the last confirmation to the result. */
function finish(log: PaperLog, resultHash?: string): string {
  for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
  log.post('coordinator', 'decide', log.decide());
  for (const member of log.members) log.post(member, 'answer', log.answer(member));
  log.post('recipient-1', 'release', { ...log.release(), ...(resultHash === undefined ? {} : { resultHash }) });
  return log.decision;
}

describe('who took part', () => {
  it('tells those that are in a sum from those that missed it, vanished, came later or were revoked', async () => {
    const log = PaperLog.founded({ nodes: 5 });
    openWith(log, 1, ['node-1', 'node-2', 'node-3', 'node-4']);
    closeOver(log, ['node-1', 'node-2', 'node-3']); // node-4 is gone
    closeOver(log, ['node-1', 'node-2']); // node-3 is gone after it had confirmed
    closeOver(log, ['node-1', 'node-2']);
    // node-5 comes too late: its upload is void.
    expect(log.offer(log.leaf('node-5', 'upload', log.upload('node-5')))).toBe('LATE_UPLOAD');
    log.model(finish(log));
    log.enrol('late', 'node');
    openWith(log, 2, ['node-1', 'node-2', 'node-3', 'late']);
    log.post('root', 'revoke', { name: 'node-2', reason: 'lost' });
    closeOver(log, ['node-1', 'node-3', 'late']);
    finish(log);
    const all = await report(log);
    expect(all.rounds).toEqual({ released: 2, notOpened: 0, undecided: 0, running: 0 });
    expect(of(all, 'node-1')).toMatchObject({ offered: 2, taken: 2, opened: 2, uptime: 1 });
    expect(of(all, 'node-2')).toMatchObject({ offered: 1, taken: 1, uptime: 1 });
    expect(of(all, 'node-3')).toMatchObject({ offered: 2, taken: 1, uptime: 0.5 });
    expect(of(all, 'node-3').parts['gone after confirming']).toBe(1);
    expect(of(all, 'node-4')).toMatchObject({ offered: 2, taken: 0, parts: { 'gone after upload': 1, missed: 1 } });
    expect(of(all, 'node-5')).toMatchObject({ offered: 2, taken: 0, parts: { missed: 2 } });
    expect(of(all, 'late')).toMatchObject({ offered: 1, taken: 1, uptime: 1 });
    expect(of(all, 'node-2').revokedAt).toBeGreaterThan(of(all, 'node-2').enrolledAt);
    expect(all.regions).toMatchObject([{ name: 'here', nodes: 6, offered: 10, taken: 5 }]);
    // Control: counting upload leaves would have node-5 in a round, and node-4 in one.
    expect([leavesOf(log, 'upload', 'node-5'), leavesOf(log, 'upload', 'node-4')]).toEqual([1, 1]);
  });

  it('holds a round that came to nothing against nobody; control: counted, it would halve an uptime', async () => {
    const log = PaperLog.founded();
    openWith(log, 1, ['node-1', 'node-2']);
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    openWith(log, 2, ['node-1', 'node-2', 'node-3', 'node-4']);
    closeOver(log, log.nodes);
    finish(log);
    openWith(log, 3, ['node-1']);
    const all = await report(log);
    expect(all.rounds).toEqual({ released: 1, notOpened: 0, undecided: 1, running: 1 });
    expect(of(all, 'node-3')).toMatchObject({ offered: 1, taken: 1, uptime: 1, uploadedInVain: 0 });
    expect(of(all, 'node-1')).toMatchObject({ offered: 1, uptime: 1, uploadedInVain: 2 });
    const rounds = [...log.transcript.rounds.values()].filter(({ phase }) => phase !== 'uploading');
    const naive = rounds.filter(({ uploads }) => uploads.has('node-3')).length / rounds.length;
    expect(naive).toBe(0.5);
  });

  it('lists disputed boxes and lets them lower nothing', async () => {
    const log = PaperLog.founded();
    openWith(log, 1, log.nodes);
    closeOver(log, log.nodes);
    for (const [node, reseals] of [
      ['node-1', true],
      ['node-2', false],
    ] as const) {
      const { hash } = log.attempt.confirms.get(node)!;
      log.post('member-1', 'complaint', { confirm: hash, code: 'SEED_MISMATCH' });
      if (reseals) log.post(node, 'reseal', { confirm: hash, holder: 'member-1', hash: log.attempt.close });
    }
    for (const holder of ['member-2', 'member-3', 'recipient-1'])
      log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    const all = await report(log);
    expect(of(all, 'node-2')).toMatchObject({ offered: 1, taken: 1, boxes: { unsettled: 1 } });
    expect(of(all, 'node-3').boxes).toEqual({ settled: 0, unsettled: 0 });
  });

  it('reads the transcript of a release, and refuses it changed or incomplete (control: whole, it does not)', async () => {
    const kept = join(TRANSCRIPTS, '0.1.0');
    const run = async (folder: string) => {
      const lines: string[] = [];
      await runContributions({ folder, policy: join(kept, 'policy.txt'), json: true }, (line) => lines.push(line));
      return JSON.parse(lines.join('\n')) as Contributions;
    };
    const all = await run(join(kept, 'log'));
    expect(all.nodes.map(({ node, offered, taken }) => [node, offered, taken])).toEqual([
      ['node-1', 2, 2],
      ['node-2', 2, 2],
      ['node-3', 2, 1],
    ]);
    expect(of(all, 'node-3').parts['gone after upload']).toBe(1);
    const changed = join(scratch, 'changed');
    cpSync(join(kept, 'log'), changed, { recursive: true });
    const bundle = join(changed, 'tile', 'entries', '000.p', '54');
    const bytes = readFileSync(bundle);
    bytes[bytes.length - 40]! ^= 1;
    writeFileSync(bundle, bytes);
    await expect(run(changed)).rejects.toMatchObject({ code: 'NOT_VERIFIED' });
    rmSync(bundle);
    await expect(run(changed)).rejects.toMatchObject({ code: 'FILES_MISSING', exitCode: 2 });
    await expect(run(join(scratch, 'none'))).rejects.toMatchObject({ code: 'USAGE' });
    await expect(
      runContributions(
        { folder: join(kept, 'log'), policy: join(kept, 'policy.txt'), genesis: 'ab'.repeat(32) },
        () => {},
      ),
    ).rejects.toMatchObject({ code: 'NOT_VERIFIED' });
  });
});

const GROUPS = 10;
const BUCKETS = 3;
const base = { dataset: 'synthetic', window: 'w', recipients: ['recipient-1'], nodes: 9, buckets: BUCKETS } as const;

/** Nine nodes in three buckets over ten models: the last one sends the opposite of what all others do. */
async function bucketRun(task: Task) {
  const log = PaperLog.founded({ nodes: 9 });
  const store = await openStore(`${mkdtempSync(join(scratch, 'recipient-'))}/state`);
  const taskHash = taskHashOf(p, task);
  const party = { store } as unknown as Party;
  const { countIndex, countStep } = layoutOf(contributionPlanOf(parseLearningPlan(task) as RecordPlan, task.clipMicro));
  for (let group = 0; group < GROUPS; group++) {
    let first: string | undefined;
    for (let index = 0; index < BUCKETS; index++) {
      const record = { taskHash, window: 'w', bucket: { index, count: BUCKETS } };
      log.post('coordinator', 'open', {
        record: log.record(log.announced(group * BUCKETS + index + 1), record),
      });
      const nodes = assignedOf(log);
      for (const node of nodes) log.post(node, 'upload', log.upload(node));
      closeOver(log, nodes);
      const direction = nodes.reduce((sum, node) => sum + (node === 'node-9' ? -2 : 1), 0);
      // Every node has 100 rows, node-9 none. What looks like noise keeps cosines from being +1 or -1.
      const noise = (i: number): number => ((i * 31 + (group * BUCKETS + index) * 17) % 101) - 50;
      const values = Int32Array.from({ length: task.dimension }, (_, i) => 1000 * direction + 20 * noise(i));
      const withLast = nodes.includes('node-9');
      const counted = (withLast ? 200 : 300) * task.scale * countStep;
      values[countIndex] = Math.round(counted);
      const decide = finish(log, resultHashOf(p, values));
      await keepResult(party, log.round, { values, resultHash: '', liars: [] } as never);
      first ??= decide;
    }
    log.model(first!);
  }
  return { log, store, folder: store.folder.replace(/\/state$/, '') };
}

describe('rounds in buckets', () => {
  let task: Task;
  let log: PaperLog;
  let store: Store;
  let folder: string;
  beforeAll(async () => {
    task = makeTask({ ...base, rounds: GROUPS }).task;
    ({ log, store, folder } = await bucketRun(task));
  });
  afterAll(() => store[Symbol.asyncDispose]());

  it('attributes to a node what its buckets had over others, with its standard error', async () => {
    const { sums } = await report(log, { folder, tasks: [task] });
    expect(sums).toMatchObject({ read: 30, released: 30 });
    expect(sums!.rows[0]!.records).toBeGreaterThan(150);
    const { nodes } = sums!.credit;
    expect(nodes.map(({ groups }) => groups)).toEqual(Array(9).fill(GROUPS));
    const last = nodes.find(({ unit }) => unit === 'node-9')!;
    expect(last.cosine).toMatchObject({ says: 'less than others' });
    expect(last.records).toMatchObject({ says: 'less than others' });
    expect(last.records!.mean).toBeCloseTo(-100 / 3, 0);
    for (const other of nodes.filter(({ unit }) => unit !== 'node-9')) {
      expect(other.cosine!.says).not.toBe('less than others');
      // Control: without a standard error half of the honest nodes would be blamed.
      expect(other.cosine!.standardError).toBeGreaterThan(0);
    }
    expect(nodes.filter(({ unit, cosine }) => unit !== 'node-9' && cosine!.mean < 0).length).toBeGreaterThan(0);
    // One region holds all nodes: there is no bucket without it.
    expect(sums!.credit.regions).toMatchObject([{ unit: 'here', groups: 0, cosine: null }]);
  });

  it('says nothing after few groups, of whichever size the difference', () => {
    const group = (bad: number): BucketScore[] =>
      [0, 1, 2].map((bucket) => ({
        ...{
          round: 1,
          bucket,
          nodes: [`n${bucket}`],
          recordsPerNode: null,
          cosine: bucket === bad ? -0.9 - bad / 100 : 0.9,
        },
      }));
    const few = creditUnits(
      Array.from({ length: 7 }, () => group(2)),
      (node) => node,
    );
    expect(few.find(({ unit }) => unit === 'n2')!.cosine).toMatchObject({ says: 'nothing', mean: -1.82 });
    const many = creditUnits(
      Array.from({ length: 9 }, (_, i) => group(2).map((b) => ({ ...b, cosine: b.cosine! + (i / 1e3) * b.bucket }))),
      (node) => node,
    );
    expect(many.find(({ unit }) => unit === 'n2')!.cosine).toMatchObject({ says: 'less than others' }); // control
  });

  it('reads released sums only, each as it was released', async () => {
    // Another sum than the released one on the disk.
    const round = [...log.transcript.rounds.values()][0]!;
    const other = new Int32Array(task.dimension).fill(7);
    const hash = await store.records.get('results', round.id);
    await keepResult({ store } as unknown as Party, round, { values: other } as never);
    await expect(report(log, { folder, tasks: [task] })).rejects.toMatchObject({ code: 'SUM_DIFFERS' });
    await store.records.transact((tx) => tx.put('results', round.id, hash!));
    expect((await report(log, { folder, tasks: [task] })).sums!.read).toBe(30); // control
    // A sum whose round was decided and never released stays unread, though its bytes are there.
    const unreleased = PaperLog.founded();
    unreleased.until('decide');
    await keepResult({ store } as unknown as Party, unreleased.round, { values: other } as never);
    await expect(report(unreleased, { folder, tasks: [task] })).rejects.toMatchObject({ code: 'NO_SUMS' });
    await expect(report(log, { folder: scratch, tasks: [task] })).rejects.toMatchObject({ code: 'NO_SUMS' });
    await expect(report(log, { folder, tasks: [] })).rejects.toMatchObject({ code: 'NO_SUMS' });
  });

  it('prints names as inert text and shows a picture', async () => {
    const all = await report(log, { folder, tasks: [task] });
    const evil = '<script>alert(1)</script>\u202e\n\u001b[2J';
    const hostile = { ...all, nodes: all.nodes.map((node) => ({ ...node, region: evil, node: evil })) };
    const html = await contributionsHtml(hostile);
    expect(html).not.toMatch(/<script|\p{Cf}|\[2J(?<!\}\[2J)/u);
    expect(html.match(/<svg/g)).toHaveLength(2);
    expect(contributionsText(hostile)).toMatch(/^[\x20-\x7e\n±]*$/);
    writeLog(scratch, log.leaves, log.head());
    writeFileSync(join(scratch, 'policy.txt'), log.policyFile);
    writeFileSync(join(folder, 'task.json'), JSON.stringify(task));
    writeFileSync(join(folder, 'recipient.yaml'), 'tasks: [task.json]\n');
    const lines: string[] = [];
    const page = join(scratch, 'page.html');
    const run = { folder: join(scratch, 'log'), policy: join(scratch, 'policy.txt'), dir: folder };
    await runContributions({ ...run, html: page }, (line) => lines.push(line));
    expect(readFileSync(page, 'utf8')).toContain('in an opened sum');
    await runContributions(run, (line) => lines.push(line));
    expect(lines.at(-1)).toContain('less than others');
  });
});

it('counts rows where nodes weigh by them, and takes the weight for no part of an update', async () => {
  const { task } = makeTask({ ...base, buckets: undefined, unit: 'node', weightMax: 1000, nodes: 4 } as never);
  const log = PaperLog.founded();
  await using store = await openStore(join(mkdtempSync(join(scratch, 'weighted-')), 'state'));
  openWith(log, 1, log.nodes, { taskHash: taskHashOf(p, task) });
  closeOver(log, log.nodes);
  // Four nodes of 250 rows each: together one largest weight, a quarter of the clip.
  const values = new Int32Array(task.dimension);
  values[task.dimension - 1] = Math.round((task.scale * task.clipMicro * 0.25) / 1e6);
  finish(log, resultHashOf(p, values));
  await keepResult({ store } as unknown as Party, log.round, { values } as never);
  const { sums } = await report(log, { folder: join(store.folder, '..'), tasks: [task] });
  expect(sums!.rows[0]!.records).toBeCloseTo(1000, 0);
  expect(sums!.rows[0]!.noise).toBeGreaterThan(0);
});

it("Student's t has the tails of the tables", () => {
  for (const [quantile, degrees] of [
    [12.7062, 1],
    [4.30265, 2],
    [2.36462, 7],
    [2.306, 8],
    [2.00758, 51],
  ] as const)
    expect(bothTails(quantile, degrees)).toBeCloseTo(0.05, 5);
  expect(bothTails(0, 5)).toBe(1);
  expect(bothTails(-2.306, 8)).toBe(bothTails(2.306, 8));
});
