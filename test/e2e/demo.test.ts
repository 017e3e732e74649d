import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chargeOfTask, taskField } from '../../protocols/task.ts';
import type { DemoReport } from '../../src/demo/report.ts';
import { COMPILED } from './compile-cache.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const launcher = join(root, 'src', 'launcher.mjs');
const out = mkdtempSync(join(tmpdir(), 'veilsum-demo-'));
/** Part of the records that nodes draw for a round. */
const RATE = 0.5;
let report: DemoReport;
let said: string;

beforeAll(async () => {
  // Eight rounds: the last of the four deaths is in the eighth.
  const options = { cwd: root, maxBuffer: 1 << 26, env: COMPILED };
  const args = [launcher, 'demo', '--out', out, '--rounds', '8', '--sample-rate', String(RATE)];
  const demo = await run(process.execPath, args, options);
  said = demo.stdout;
  report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as DemoReport;
}, 240_000);

afterAll(() => rmSync(out, { recursive: true, force: true }));

describe('the demonstration', () => {
  it('runs every party as a process of its own, with a certificate of its own', () => {
    const roles = report.parties.map((party) => party.role);
    const distinct = (role: string): number =>
      new Set(report.parties.filter((p) => p.role === role).map((p) => p.name)).size;
    expect(['coordinator', 'aggregator', 'member', 'witness', 'recipient', 'node'].map(distinct)).toEqual([
      1, 2, 5, 2, 1, 4,
    ]);
    expect(roles.length).toBe(15 + 4); // four were killed and started again
    expect(new Set(report.parties.map((party) => party.pid)).size).toBe(report.parties.length);
    expect(new Set(report.parties.map((party) => party.certSha256)).size).toBe(15);
    expect(new Set(report.parties.map((party) => party.address)).size).toBe(15);
  });

  it('opens exactly the sum in every round', () => {
    expect(report.rounds.map((round) => [round.round, round.outcome, round.exactSum, round.reason])).toEqual(
      Array.from({ length: 8 }, (_, i) => [i + 1, 'released', true, null]),
    );
  });

  it('goes on without who was killed', () => {
    const killed = report.events.filter((event) => event.what.startsWith('killed')).map((event) => event.round);
    expect(killed).toEqual([2, 4, 6, 8]);
    const [, second, , fourth, , sixth, , eighth] = report.rounds;
    expect([second!.cohort.length, second!.attempts]).toEqual([3, 1]); // died before its upload
    expect([fourth!.cohort.length, fourth!.attempts]).toEqual([3, 2]); // died between close and confirm
    expect([sixth!.cohort.length, eighth!.cohort.length]).toEqual([4, 4]); // an aggregator, a member: nobody is left out
  });

  it('trains a model that is better than any region alone, within the budget', () => {
    const last = report.rounds.at(-1)!;
    expect(last.auc).toBeGreaterThan(report.rounds[0]!.auc!);
    for (const region of report.reference.regionOnly) expect(last.auc).toBeGreaterThan(region.auc);
    expect(last.epsilon).toBeLessThanOrEqual(report.epsilon.budget);
  });

  it('leaves a transcript that verifies, also re-added from its blobs', async () => {
    for (const file of ['convergence.svg', 'policy.txt', 'log/checkpoint'])
      expect(existsSync(join(out, file))).toBe(true);
    const args = [
      launcher,
      'audit',
      join(out, 'log'),
      '--policy',
      join(out, 'policy.txt'),
      '--blobs',
      join(out, 'blobs'),
    ];
    const { stdout } = await run(process.execPath, args, { cwd: root }); // exit code 0, else it throws
    // Rounds over drawn records: the auditor works the price out again, and it is what the parties' own task says.
    expect(stdout).toMatch(/18 +checked +Every charge is what the noise costs/);
    const task = taskField.parse(JSON.parse(readFileSync(join(out, 'work/parties/model-owner/task.json'), 'utf8')));
    expect(task.sampling?.rateMicro).toBe(RATE * 1e6);
    const { sampling: _, ...whole } = task;
    expect(chargeOfTask(whole)).toBeGreaterThan(2 * chargeOfTask(task)); // what it would cost without the draw
    const charged = [...stdout.matchAll(/charged rho ([0-9.]+); spent/g)].map(([, rho]) =>
      Math.round(Number(rho) * 1e9),
    );
    expect(charged).toEqual(Array.from({ length: 8 }, () => chargeOfTask(task)));
    expect(stdout).toContain('verified');
    // What an auditor would stumble over is explained where the audit is named.
    expect(stdout).toContain('PLAIN_UPDATES_KEPT');
    expect(said).toMatch(/Audit it:.*\n.*PLAIN_UPDATES_KEPT.*checkSums/);
  }, 120_000);
});
