import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalBytes, fromHex, type Json, toHex } from '../../crypto/encoding.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import { startTraining } from '../../src/cli/node-train.ts';
import { startRecipient } from '../../src/cli/recipient-start.ts';
import { fetchStatistics } from '../../src/cli/statistics-fetch.ts';
import { writeStatisticsTask } from '../../src/cli/statistics-task.ts';
import { writeSite } from '../../src/demo/local-federation.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { readFeatureFile } from '../../src/learning/feature-file.ts';
import { FederationLab } from './federation-lab.ts';

// Both steps of statistics by their commands, over gRPC and mutual TLS: what a node checks of the log, it checks here.

const NODES = ['eu', 'us', 'ap'];
const FEATURES = {
  name: 'lab',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  features: [
    { kind: 'number', column: 'seats', low: 0, high: 100 },
    { kind: 'levels', column: 'trade', levels: ['retail', 'energy', 'fishing'], base: 'retail' },
  ],
};

const folder = mkdtempSync(join(tmpdir(), 'veilsum-statistics-'));
const at = (name: string): string => join(folder, name);
const flags = { features: at('features.json'), nodes: 3, recipient: ['owner'], window: 'w1', name: 'lab', epsilon: 4 };
const printed: string[] = [];
const print = (line: string): void => void printed.push(line);
const readTask = (name: string): Task => taskField.parse(JSON.parse(readFileSync(at(name), 'utf8')));
let lab: FederationLab;

/** 300 accounts; the first region alone fishes. */
function writeRegion(node: string): string {
  const rows = ['seats,trade,won'];
  for (let row = 0; row < 300; row++) {
    const trade = node === 'eu' && row % 3 === 0 ? 'fishing' : ['retail', 'energy'][row % 2]!;
    rows.push(`${row % 4 < 2 ? 20 : 80},${trade},${row % 4 === 0 ? 'yes' : 'no'}`);
  }
  mkdirSync(at(node), { recursive: true });
  writeFileSync(join(at(node), 'rows.csv'), rows.join('\n'));
  const tables = { rows: { from: 'csv', path: 'rows.csv' } };
  const path = join(at(node), 'region.yaml');
  writeFileSync(path, JSON.stringify({ node: lab.path(node), features: '../features.json', tables }));
  return path;
}

/** All nodes and the recipient with these tasks, as their folders have them; to be stopped. */
async function started(tasks: readonly Task[]): Promise<{ stop(): Promise<void> }> {
  const files = tasks.map((_, i) => `task-${i}.json`);
  const write = (name: string, file: string, settings: object): void => {
    for (const [i, task] of tasks.entries()) writeFileSync(join(lab.path(name), files[i]!), JSON.stringify(task));
    writeFileSync(join(lab.path(name), file), JSON.stringify({ tasks: files, engine: 'auto', ...settings }));
  };
  write('owner', 'recipient.yaml', {});
  const running = [await startRecipient(lab.path('owner'), null)];
  for (const node of NODES) {
    writeSite(lab.local, node, tasks[0]!, 1_000_000_000, null, 'auto');
    write(node, 'node.yaml', { policy: 'policy.yaml', data: null });
    running.push((await startTraining(writeRegion(node), null)) as never);
  }
  return { stop: async () => void (await Promise.all(running.map((party) => party.stop()))) };
}

let opened = 0;
async function open(task: Task): Promise<string> {
  const requestId = new Uint8Array(16).fill(100 + opened++);
  const bytes = canonicalBytes(task as unknown as Json);
  const { roundId } = await lab.officer.call(RoundService.open, { task: bytes, requestId }, { deadlineMs: 70_000 });
  await lab.log.until((t) => t.rounds.get(toHex(roundId)));
  return toHex(roundId);
}

beforeAll(async () => {
  writeFileSync(flags.features, JSON.stringify(FEATURES));
  writeStatisticsTask({ ...flags, out: at('presence.json'), members: 3, threshold: 2 }, print);
  lab = await FederationLab.start({ nodes: NODES, absent: [...NODES, 'owner'] });
}, 60_000);

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
}, 60_000);

it('the commands lead from bounds and lists to scales and levels; a step that no step preceded is answered by nobody', async () => {
  const presence = readTask('presence.json');
  const first = await started([presence]);
  await lab.log.until((t) => t.models.length === 1);
  expect(await lab.end(await open(presence))).toBe('released');
  const owner = { features: flags.features, task: null };
  await fetchStatistics(lab.path('owner'), { ...owner, round: '1', out: at('kept.json') }, print);
  await first.stop();
  const kept = JSON.parse(readFileSync(at('kept.json'), 'utf8'));
  expect(kept.columns[1].names).toEqual(['retail', 'energy']);
  expect(printed.join('\n')).not.toContain('fishing');

  writeStatisticsTask({ ...flags, kept: at('kept.json'), out: at('figures.json'), members: 3, threshold: 2 }, print);
  const figures = readTask('figures.json');
  // The same, but the result is one that no round of the log had.
  const learning = figures.learning as { presence: object };
  const forged: Task = {
    ...figures,
    learning: { ...learning, presence: { ...learning.presence, resultHash: '0'.repeat(64) } },
  };
  const second = await started([presence, figures, forged]);
  await lab.log.until((t) => t.models.length === 2);
  const round = await open(forged);
  const refusals = (): Set<string> =>
    new Set(lab.events.filter(({ code }) => code === 'NOT_PRECEDED').map((e) => e.party));
  while (refusals().size < NODES.length) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(lab.round(round).uploads.size).toBe(0);
  await lab.officer.call(RoundService.abort, { roundId: fromHex(round, 32) }, { deadlineMs: 70_000 });

  const { spentRhoNano } = lab.log.transcript.ledger;
  expect(spentRhoNano).toBe(chargeOfTask(presence));
  expect(await lab.end(await open(figures))).toBe('released');
  await fetchStatistics(lab.path('owner'), { ...owner, round: '3', out: at('scaled.yaml') }, print);
  const wrong = { ...owner, features: at('scaled.yaml'), round: '3', out: at('again.yaml') };
  await expect(fetchStatistics(lab.path('owner'), wrong, print)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' });
  await second.stop();
  // One ledger for whatever is opened.
  expect(lab.log.transcript.ledger.spentRhoNano).toBe(spentRhoNano + chargeOfTask(figures));
  const { features } = readFeatureFile(at('scaled.yaml'), (path) => path);
  expect(features).toMatchObject([
    { column: 'seats', mean: expect.closeTo(50, -1), scale: expect.closeTo(30, -1) },
    { column: 'trade', levels: ['retail', 'energy'], rare: false },
  ]);
}, 120_000);
