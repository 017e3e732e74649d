import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkRegion } from '../../src/cli/node-train.ts';
import { taskOf } from '../../src/cli/task-new.ts';
import { readRegionConfig } from '../../src/connectors/read-region.ts';
import { SalesforceServer, shapes } from './salesforce-server.ts';

if (shapes === null) console.log('test/learning/region-settings: 2 tests skipped, VEILSUM_VECTORS is not set');

const examples = resolve(import.meta.dirname, '../../docs/examples');
const folder = mkdtempSync(join(tmpdir(), 'veilsum-region-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function check(path: string): Promise<string> {
  const printed: string[] = [];
  const end = await checkRegion(path, (line) => printed.push(line)).then(
    () => 'fits',
    (error: Error & { code: string }) => `${error.code}: ${error.message}`,
  );
  return `${printed.join('\n')}\n${end}`;
}

describe('the examples in docs', () => {
  it.each(['csv', 'postgresql', 'salesforce'])('region-%s.yaml is one that the command takes', (kind) => {
    const { config, schema } = readRegionConfig(join(examples, `region-${kind}.yaml`));
    expect(Object.values(config.tables).map(({ from }) => from)).toContain(kind);
    expect(schema.features.length).toBeGreaterThan(3);
  });

  it.each(['crm', 'lead'])('%s-features.yaml makes a task', (name) => {
    const features = join(examples, `${name}-features.yaml`);
    const { task } = taskOf({ features, recipient: ['owner'], nodes: 3, window: 'w', recordsMax: 20_000 });
    expect(task.learning).toMatchObject({ recordsMax: 20_000 });
  });
});

const TABLES = { leads: { from: 'csv', path: 'leads.csv' } };

describe('secrets', () => {
  const withPassword = (password: object) => {
    const database = {
      from: 'postgresql',
      host: '127.0.0.1',
      port: 1,
      database: 'd',
      user: 'u',
      query: 'SELECT 1',
      password,
    };
    const path = join(folder, 'region.yaml');
    writeFileSync(
      path,
      JSON.stringify({ features: join(examples, 'lead-features.yaml'), tables: { leads: database } }),
    );
    return check(path);
  };

  it('come from a variable or a file of their owner alone, and are named by place, never shown', async () => {
    writeFileSync(join(folder, 'open.pw'), 'c4nary\n');
    chmodSync(join(folder, 'open.pw'), 0o644);
    writeFileSync(join(folder, 'own.pw'), 'c4nary\n', { mode: 0o600 });
    process.env['VEILSUM_TEST_PW'] = 'c4nary';
    const said = [
      await withPassword({ env: 'VEILSUM_NOT_SET' }),
      await withPassword({ file: 'nothing.pw' }),
      await withPassword({ file: 'open.pw' }),
      await withPassword({ file: 'own.pw' }),
      await withPassword({ env: 'VEILSUM_TEST_PW' }),
    ];
    expect(
      said.map((text) => /\n([A-Z_]+): table leads, password: |\n([A-Z_]+): leads: /.exec(text)?.slice(1)),
    ).toEqual([
      ['SECRET_MISSING', undefined],
      ['SECRET_MISSING', undefined],
      ['SECRET_EXPOSED', undefined],
      [undefined, 'SOURCE_UNREACHABLE'],
      [undefined, 'SOURCE_UNREACHABLE'],
    ]);
    expect(said[0]).toContain('set the variable VEILSUM_NOT_SET');
    expect(said.join()).not.toContain('c4nary');
  });

  it('have no place in the settings themselves', async () => {
    expect(await withPassword('c4nary' as never)).toMatch(/INVALID: .*tables\.leads\.password/s);
    expect(await withPassword('c4nary' as never)).not.toContain('c4nary');
  });
});

describe.skipIf(shapes === null)('a region whose leads are in Salesforce', () => {
  const rated = () =>
    shapes!.leads.map((lead, index) => ({
      ...{
        Id: `00Q${index}`,
        Rating: index % 3 === 0 ? 'Hot' : 'Cold',
        LastActivityDate: '2026-09-20',
        LeadSource: 'Web',
      },
      Industry: lead['Industry'] ?? null,
      NumberOfEmployees: lead['NumberOfEmployees'] ?? null,
    }));
  const writeRegion = (url: string): string => {
    process.env['VEILSUM_TEST_SF'] = 'app-secret';
    const login = { flow: 'client-credentials', clientId: 'app', clientSecret: { env: 'VEILSUM_TEST_SF' } };
    const query = 'SELECT Id, Rating, LastActivityDate, LeadSource, Industry, NumberOfEmployees FROM Lead';
    const path = join(folder, 'region-salesforce.yaml');
    const leads = { from: 'salesforce', login, loginUrl: url, query };
    writeFileSync(path, JSON.stringify({ features: join(examples, 'lead-features.yaml'), tables: { leads } }));
    return path;
  };

  it('passes the check; nothing of it is printed but counts', async () => {
    await using server = await SalesforceServer.start(({ path }, org) =>
      path.includes('token') ? org.token() : org.page(rated(), rated().length),
    );
    const text = await check(writeRegion(server.url));
    expect(text).toMatch(/leads +salesforce +11 +6 of 6/);
    expect(text).toMatch(/Industry +levels +3 +8/);
    expect(text).toMatch(/records: 11, 4 positive, 7 negative/);
    expect(text).not.toMatch(/token-1|app-secret|Major Banks|00Q/);
    expect(text).toContain('\nfits');
  });

  it('stops by name before anything is charged or sent where a page is short', async () => {
    await using server = await SalesforceServer.start(({ path }, org) =>
      path.includes('token') ? org.token() : org.page(rated().slice(0, 5), 11),
    );
    expect(await check(writeRegion(server.url))).toMatch(/PARTIAL_PAGE: leads: 11 records were announced, 5 arrived/);
  });
});

it('columns may be called like what every object has', async () => {
  const path = join(folder, 'odd.json');
  const features = [{ kind: 'number', column: 'constructor', mean: 0, scale: 1 }];
  const label = { column: '__proto__', positive: ['1'], negative: ['0'] };
  writeFileSync(join(folder, 'odd-features.json'), JSON.stringify({ name: 'odd', version: 1, label, features }));
  writeFileSync(join(folder, 'odd.csv'), `constructor,__proto__\n${'1,1\n2,0\n'.repeat(9)}`);
  writeFileSync(
    path,
    JSON.stringify({ features: 'odd-features.json', tables: { rows: { from: 'csv', path: 'odd.csv' } } }),
  );
  expect(await check(path)).toMatch(/records: 18, 9 positive, 9 negative.*fits$/s);
});

it('settings that do not go with the feature file are named', async () => {
  const path = join(folder, 'other.yaml');
  const write = (config: object) =>
    writeFileSync(path, JSON.stringify({ features: 'leads', tables: TABLES, ...config }));
  write({});
  expect(await check(path)).toContain(
    'DATA_NOT_FOUND: feature file leads reads the tables rows, other.yaml names leads',
  );
  write({ features: 'nope.yaml' });
  expect(await check(path)).toContain('FILE_MISSING: the feature file is missing');
  write({ tables: { rows: { from: 'excel', path: 'x' } } });
  expect(await check(path)).toMatch(/INVALID: .*tables\.rows/s);
});
