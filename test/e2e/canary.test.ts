import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTraining } from '../../src/cli/node-train.ts';
import { writeSite } from '../../src/demo/local-federation.ts';
import { LogService } from '../../src/grpc/services.ts';
import { parseSchema } from '../../src/learning/schema.ts';
import { runRecipient } from '../../src/party/recipient.ts';
import { makeTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import { findSecrets, type Secret } from '../reference/secret-search.ts';
import { canTrace, type Traced, traced, watchMessages, watchOutput } from './canary-watch.ts';
import { FederationLab } from './federation-lab.ts';

// A federation that trains for real on rows with canaries in them. Afterwards every message before TLS, every file, all
// output and every write of one node's process are searched for them, in all the forms that printers give a value.

if (!canTrace) console.log('test/e2e/canary: the writes of a process are not watched, strace is not here');

const SCHEMA = parseSchema({
  name: 'canary',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  derive: {
    table: 'accounts',
    key: 'id',
    asOf: { column: 'at' },
    events: { usage: { key: 'account', time: 'time' } },
    columns: [
      { name: 'errors', kind: 'rate', events: 'usage', days: 60, hit: { status: ['error'] } },
      { name: 'products', kind: 'distinct', events: 'usage', of: 'product', days: 60 },
      { name: 'calls', kind: 'sum', events: 'usage', value: 'calls', days: 60 },
    ],
  },
  features: [
    { kind: 'levels', column: 'trade', levels: ['retail', 'energy'], base: 'retail' },
    { kind: 'number', column: 'seats', mean: 50, scale: 20, limit: 4 },
    { kind: 'number', column: 'errors', mean: 0.5, scale: 0.3, limit: 4, missing: 0 },
    { kind: 'number', column: 'products', mean: 1, scale: 1, limit: 4 },
    { kind: 'number', column: 'calls', transform: 'log1p', mean: 3, scale: 2, limit: 4 },
    { kind: 'text', column: 'said', buckets: 8, words: [1, 2], seed: 'canary' },
  ],
});

const NODES = ['eu-1', 'us-1', 'apac-1'];
/** The node whose process is watched from outside. */
const OUTSIDE = 'apac-1';
const { task } = makeTask({
  ...{ dataset: 'synthetic', schema: SCHEMA, nodes: 3, window: 'w1', recipients: ['owner'], rounds: 4, epsilon: 8 },
  ...{ minCohort: 3, minHonest: 2, minOrganisations: 3, nodesMax: 8 },
});

const messages = watchMessages();
const canaries: Secret[] = [];
let data: string;
let lab: FederationLab;
let output: { text: string };

/** A canary of a kind, to be written in a cell. */
function canary(name: string, text = `canary-${randomBytes(12).toString('hex')}`): string {
  const holders: string[] = [];
  canaries.push(
    { name, holders, bytes: Buffer.from(text) },
    { name: `${name} (UTF-16)`, holders, bytes: Buffer.from(text, 'utf16le') },
  );
  return text;
}

/** A large number, which is searched for as text and as the double that it becomes. */
function numericCanary(name: string): string {
  const value = 7e14 + randomBytes(6).readUIntBE(0, 6);
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  canaries.push({ name: `${name} (double)`, holders: [], bytes });
  return canary(name, String(value));
}

/** Two CSV files and region.yaml, with canaries in every kind of cell. */
function writeRegion(node: string): string {
  const folder = join(data, node);
  mkdirSync(folder);
  const accounts = ['id,at,trade,seats,said,won,note'];
  const usage = ['account,time,product,status,calls,note'];
  for (let index = 0; index < 60; index++) {
    const marked = index % 30 === 0;
    const id = marked ? canary(`${node}: a key`) : `K${index}`;
    const trade = marked ? canary(`${node}: a level in no vocabulary`) : ['retail', 'energy'][index % 2]!;
    const note = marked ? canary(`${node}: a column that nothing reads`) : '';
    const seats = marked ? numericCanary(`${node}: a number`) : String(20 + index);
    const said = marked ? `they said ${canary(`${node}: a transcript`)} twice` : 'send the quote';
    accounts.push([id, '2026-03-01', trade, seats, said, index % 3 === 0 ? 'yes' : 'no', note].join(','));
    for (let event = 0; event < 1 + (index % 3); event++) {
      const product = marked ? canary(`${node}: a product`) : 'base';
      const calls = marked ? numericCanary(`${node}: a volume`) : String(event * 10);
      usage.push([id, '2026-02-10T10:00:00Z', product, index % 5 === 0 ? 'error' : 'ok', calls, note].join(','));
    }
  }
  writeFileSync(join(folder, 'accounts.csv'), accounts.join('\n'));
  writeFileSync(join(folder, 'usage.csv'), usage.join('\n'));
  writeFileSync(join(folder, 'features.json'), JSON.stringify(SCHEMA));
  const tables = { accounts: { from: 'csv', path: 'accounts.csv' }, usage: { from: 'csv', path: 'usage.csv' } };
  const path = join(folder, 'region.yaml');
  writeFileSync(path, JSON.stringify({ node: lab.path(node), features: 'features.json', tables }));
  return path;
}

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'veilsum-rows-'));
  lab = await FederationLab.start({ nodes: NODES, absent: [...NODES, 'owner'], task });
  output = watchOutput(); // before the lab, which keeps events to itself
}, 60_000);

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  rmSync(data, { recursive: true });
}, 60_000);

/** Everything that left a process or stays on the disk, by place. */
function everything(): Map<string, Buffer | string> {
  const places = new Map<string, Buffer | string>(lab.files());
  for (const [path, list] of messages) places.set(`messages of ${path}`, Buffer.concat(list));
  places.set('output', output.text);
  return places;
}

const foundIn = (places: ReadonlyMap<string, Buffer | string>) =>
  [...places].flatMap(([place, content]) => findSecrets(canaries, content).map((what) => `${place}: ${what}`));

it('trains two rounds on rows of which no cell shows on the wire, on a disk, in output or in any write', async () => {
  for (const node of NODES) writeSite(lab.local, node, lab.tasks[0]!, 1_000_000_000, null, 'auto');
  const owner = await runRecipient(lab.path('owner'), async ({ store }) => {
    return { tasks: lab.tasks, engine: 'auto', maker: createModelMaker({ store }), lateAnswersMs: 3000 };
  });
  const inside = NODES.filter((node) => node !== OUTSIDE || !canTrace);
  const running: { stop(): Promise<void> }[] = [];
  // One after the other: TensorFlow.js has one backend per process, and two that start together switch it under each other.
  for (const node of inside) running.push(await startTraining(writeRegion(node), null));
  let outside: Traced | null = null;
  if (canTrace) {
    const main = resolve(import.meta.dirname, '../../src/main.ts');
    outside = traced(join(data, 'trace'), [main, 'node', 'train', '--config', writeRegion(OUTSIDE)]);
    await outside.ready('stop with Ctrl-C');
  }
  for (const _ of [1, 2]) {
    const id = await lab.open();
    expect(await lab.end(id)).toBe('released');
    expect(lab.round(id).attempts.at(-1)!.cohort).toHaveLength(3);
  }
  const written = (await outside?.end(true)) ?? Buffer.alloc(0);
  await Promise.all([...running, owner].map((party) => party.stop()));

  expect(canaries.length).toBeGreaterThan(60);
  const places = everything();
  places.set('output of a node process', outside?.output() ?? '');
  places.set('writes of a node process', written);
  // What is watched is the real thing: uploads went by, models were kept, the watched node wrote its upload.
  expect(Buffer.concat(messages.get('/veilsum.v1.AggregationService/Upload')!).length).toBeGreaterThan(1000);
  expect([...places.keys()].some((place) => place.includes('eu-1/state'))).toBe(true);
  if (canTrace) {
    expect(written.length).toBeGreaterThan(10_000);
    expect(outside!.output()).toContain('"uploaded"');
  }
  expect(foundIn(places)).toEqual([]);
}, 120_000);

it('finds a cell that careless code prints, keeps, sends or writes, wherever it does so', async () => {
  const [{ bytes: cell }] = canaries as [Secret];
  process.stderr.write(`{"time":0,"event":"row","row":"${cell.toString()}"}\n`);
  writeFileSync(join(lab.path('eu-1'), 'debug.txt'), Buffer.from(cell).toString('base64'));
  await lab.officer.callOnce(LogService.append, { leaf: Buffer.from(cell) }, 5000).catch(() => {});
  const found = foundIn(everything()).map((line) =>
    line.replace(/^.*\/(?=debug)/, '').replace(/: eu-1: a key| as .*/g, ''),
  );
  expect(new Set(found)).toEqual(new Set(['debug.txt', 'output', 'messages of /veilsum.v1.LogService/Append']));
  if (!canTrace) return;
  const careless = `require('node:fs').writeFileSync('/dev/null', Buffer.from('${Buffer.from(cell).toString('hex')}', 'hex'))`;
  const written = await traced(join(data, 'careless'), ['-e', careless]).end(false);
  expect(findSecrets(canaries, written)).toEqual(['eu-1: a key as raw']);
}, 60_000);
