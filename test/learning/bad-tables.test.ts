import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkRegion, startTraining } from '../../src/cli/node-train.ts';
import { DAY_MS } from '../../src/learning/instants.ts';
import { parseSchema } from '../../src/learning/schema.ts';
import { makeTask } from '../../src/training/make-task.ts';

// Every kind of bad table of a region, through the command's own functions: named in the table's words, before even the
// node's keys are opened.

const SCHEMA = {
  name: 'accounts',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  derive: {
    table: 'accounts',
    key: 'id',
    asOf: { column: 'at' },
    events: { mails: { key: 'account', time: 'sent' } },
    columns: [{ name: 'mails_30', kind: 'count', events: 'mails', days: 30 }],
  },
  suppress: { fewerThan: 5, columns: ['trade'], keptListIsPublic: true },
  features: [
    { kind: 'levels', column: 'trade', levels: ['retail', 'energy'], base: 'retail' },
    { kind: 'number', column: 'seats', transform: 'log1p', mean: 3, scale: 1, limit: 2 },
    { kind: 'number', column: 'mails_30', mean: 0, scale: 1, limit: 4 },
  ],
};

const HEADER = 'id,at,trade,seats,won\n';
const line = (index: number, won = index % 2 === 0 ? 'yes' : 'no') =>
  `K${index},2026-03-01,retail,${index + 3},${won}\n`;
const GOOD = HEADER + Array.from({ length: 60 }, (_, index) => line(index)).join('');
const MAILS = 'account,sent\nK1,2026-02-20\nK1,2026-02-21T10:00:00Z\n';
const SECRET = 'c4nary-cell';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'veilsum-bad-'));
  const node = join(folder, 'node');
  mkdirSync(node);
  const task = makeTask({
    ...{ dataset: 'synthetic', schema: parseSchema(SCHEMA), nodes: 3, window: 'w', recipients: ['owner'], rounds: 2 },
  }).task;
  writeFileSync(join(node, 'task.json'), JSON.stringify(task));
  writeFileSync(join(node, 'node.yaml'), 'tasks: [task.json]\n');
  const policy = {
    ...{
      genesis: '00'.repeat(32),
      tasks: [task.task],
      recipients: ['owner'],
      minCohort: 2,
      minOrganisations: 2,
      minHonest: 2,
    },
    ...{ largestSharePercent: 60, budgetRhoNano: 1, allowCheckSums: false },
  };
  writeFileSync(join(node, 'policy.yaml'), JSON.stringify(policy));
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Case {
  readonly accounts?: string | Uint8Array;
  readonly mails?: string;
  readonly schema?: object;
  readonly region?: object;
  readonly accountsTable?: object;
}

/** Writes a region and gives what training and the check said of it. */
async function attempt({ accounts = GOOD, mails = MAILS, schema = {}, region = {}, accountsTable = {} }: Case) {
  const own = mkdtempSync(join(folder, 'region-'));
  cpSync(join(folder, 'node'), join(own, 'node'), { recursive: true });
  writeFileSync(join(own, 'accounts.csv'), accounts);
  writeFileSync(join(own, 'mails.csv'), mails);
  writeFileSync(join(own, 'features.json'), JSON.stringify({ ...SCHEMA, ...schema }));
  const config = {
    ...{ node: 'node', features: 'features.json' },
    tables: {
      accounts: { from: 'csv', path: 'accounts.csv', ...accountsTable },
      mails: { from: 'csv', path: 'mails.csv' },
    },
    ...region,
  };
  const path = join(own, 'region-eu.yaml');
  writeFileSync(path, JSON.stringify(config));
  const printed: string[] = [];
  const failure = (run: Promise<unknown>) =>
    run.then(
      () => ({ code: 'nothing', message: '' }),
      (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
    );
  const check = await failure(checkRegion(path, (text) => printed.push(text)));
  const train = await failure(startTraining(path, null));
  return { check, train, printed: printed.join('\n') };
}

const rows = (count: number, change: (index: number) => string) =>
  HEADER + Array.from({ length: count }, (_, index) => change(index)).join('');
const latin = (text: string) => Buffer.from(text, 'latin1');
const TOMORROW = new Date(Date.now() + 3 * DAY_MS).toISOString();

describe('a region whose tables fit', () => {
  it('passes the check, with counts, and training goes on to the keys', async () => {
    const { check, train, printed } = await attempt({
      accounts: GOOD.replace('K7,2026-03-01,retail,10', 'K7,2026-03-01,mining,99999'),
    });
    expect(check).toEqual({ code: 'nothing', message: '' });
    expect(train.code).toBe('FILE_MISSING');
    expect(train.message).not.toContain('accounts');
    expect(printed).toMatch(/accounts +csv +60 +5 of 5/);
    expect(printed).toMatch(/trade +levels +1 +0/); // 'mining' of one row became blank
    expect(printed).toMatch(/rare values of trade: 1 cell,/);
    expect(printed).toMatch(/seats +number +0 +1\b/); // beyond the limit
    expect(printed).toMatch(/records: 60, 30 positive, 30 negative/);
    expect(printed).toContain('task lead-scoring');
    expect(printed).toContain('Nothing was sent.');
  });

  it('may call its columns otherwise, be in another encoding, and be packed', async () => {
    const renamed = GOOD.replace('trade', 'Tätigkeit').replaceAll('retail', 'énergie');
    const accountsTable = { encoding: 'windows-1252', columns: { trade: 'Tätigkeit' } };
    const schema = {
      features: [{ kind: 'levels', column: 'trade', levels: ['énergie', 'x'], base: 'x' }, ...SCHEMA.features.slice(1)],
    };
    const { printed, check } = await attempt({ accounts: latin(renamed), accountsTable, schema });
    expect(printed).toMatch(/trade +levels +0 +0/);
    expect(check.code).toBe('SCHEMA_MISMATCH'); // another feature file than the task's
  });
});

describe('a bad table is named in its own words, before anything is opened or sent', () => {
  it.each<[string, Case, string, string]>([
    [
      'a missing column',
      { accounts: GOOD.replace('seats', 'places') },
      'MISSING_COLUMN',
      'table accounts has no column "seats"; it has: id, at, trade, places, won',
    ],
    [
      'a missing table',
      { region: { tables: { accounts: { from: 'csv', path: 'accounts.csv' } } } },
      'DATA_NOT_FOUND',
      'mails',
    ],
    [
      'a changed schema in one region',
      { schema: { features: SCHEMA.features.slice(0, 2) } },
      'SCHEMA_MISMATCH',
      'another version of it is here',
    ],
    [
      'another dtype',
      { accounts: rows(60, (i) => line(i).replace(/,\d+,(yes|no)/, `,${SECRET},$1`)) },
      'BAD_NUMBER',
      'column "seats": not numbers but text: has the column another type here? (60 of 60 cells, first row 1)',
    ],
    [
      'some other dtype',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6', `K3,2026-03-01,retail,${SECRET}`) },
      'BAD_NUMBER',
      '(1 of 60 cells, first row 4)',
    ],
    [
      'an all-missing column',
      { accounts: rows(60, (i) => line(i).replace('retail', '')) },
      'ALL_MISSING',
      'column "trade": every cell is blank',
    ],
    [
      'an all-missing number',
      { accounts: rows(60, (i) => line(i).replace(/,\d+,(yes|no)/, ',,$1')) },
      'ALL_MISSING',
      'column "seats"',
    ],
    [
      'some missing cells',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6', 'K3,2026-03-01,retail,') },
      'MISSING_VALUE',
      'column "seats"',
    ],
    ['one class only', { accounts: rows(60, (i) => line(i, 'no')) }, 'ONE_CLASS', 'column "won": only negative labels'],
    [
      'a label that is neither',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6,no', `K3,2026-03-01,retail,6,${SECRET}`) },
      'BAD_LABEL',
      '1 of 60 cells, first row 4',
    ],
    ['an empty region', { accounts: HEADER }, 'EMPTY_REGION', 'table accounts has no rows'],
    ['fewer rows than k', { accounts: rows(4, line) }, 'TOO_FEW_ROWS', 'table accounts has 4 rows'],
    [
      'an event in the future',
      { mails: `${MAILS}K2,${TOMORROW}\n` },
      'DATE_IN_FUTURE',
      'table mails, column "sent", row 3',
    ],
    [
      'a snapshot in the future',
      { accounts: GOOD.replaceAll('2026-03-01', TOMORROW) },
      'DATE_IN_FUTURE',
      'column "at", 60 rows, first row 1',
    ],
    ['a date of two meanings', { mails: `${MAILS}K2,03/04/2026\n` }, 'BAD_DATE', 'table mails, column "sent", row 3'],
    [
      'mixed encodings',
      { accounts: Buffer.concat([latin(GOOD), latin('Kü,2026-03-01,retail,3,no\n')]) },
      'BAD_ENCODING',
      'accounts, line 62: not utf-8',
    ],
    [
      'mixed encodings the other way',
      {
        accounts: Buffer.concat([
          latin(`${GOOD}Kä,2026-03-01,retail,3,no\n`),
          Buffer.from('Kü,2026-03-01,retail,3,no\n'),
        ]),
        accountsTable: { encoding: 'windows-1252' },
      },
      'BAD_ENCODING',
      'line 63',
    ],
    [
      'NaN',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6', 'K3,2026-03-01,retail,NaN') },
      'BAD_NUMBER',
      'column "seats"',
    ],
    [
      'infinity',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6', 'K3,2026-03-01,retail,1e999') },
      'BAD_NUMBER',
      'column "seats"',
    ],
    [
      'a logarithm of less than nothing',
      { accounts: GOOD.replace('K3,2026-03-01,retail,6', 'K3,2026-03-01,retail,-6') },
      'BAD_NUMBER',
      'log1p of it is undefined',
    ],
    ['one key twice', { accounts: GOOD + line(7) }, 'BAD_KEY', 'row 61: the same key as row 8'],
    ['a row without a key', { accounts: `${GOOD},2026-03-01,retail,3,no\n` }, 'BAD_KEY', 'row 61'],
    ['a ragged row', { accounts: `${GOOD}K99,2026-03-01\n` }, 'BAD_TABLE', 'line 62'],
    ['no file', { accountsTable: { path: 'nope.csv' } }, 'DATA_NOT_FOUND', 'nope.csv'],
    [
      'a column that the region calls leakage',
      { region: { leakage: ['seats'] } },
      'LEAKAGE',
      '"seats" of table "accounts"',
    ],
    ['a misspelt setting', { region: { leakages: [] } }, 'INVALID', 'did you mean leakage?'],
  ])('%s', async (_, change, code, why) => {
    const { check, train, printed } = await attempt(change);
    expect({ check: check.code, train: train.code }).toEqual({ check: code, train: code });
    expect(train.message).toContain(why);
    expect(`${check.message}\n${printed}`).toContain(why);
    expect(`${check.message}${train.message}${printed}`).not.toContain(SECRET);
  });

  it('and the check tells all that is wrong, not the first thing alone', async () => {
    const accounts = rows(60, (index) =>
      line(index, 'yes')
        .replace('retail', '')
        .replace(/,\d+,yes/, ',x,yes'),
    );
    const { check, printed } = await attempt({ accounts });
    expect(check.message).toContain('3 problems');
    for (const code of ['ALL_MISSING', 'BAD_NUMBER', 'ONE_CLASS']) expect(printed).toContain(`${code}: table accounts`);
  });
});
