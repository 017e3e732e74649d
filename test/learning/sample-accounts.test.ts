import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeAccounts } from '../../src/cli/node-sample.ts';
import { checkRegion } from '../../src/cli/node-train.ts';
import { encodeRegion, loadDataset, type Region } from '../../src/learning/datasets.ts';
import { runDefaults } from '../../src/learning/defaults.ts';
import { readFeatureFile } from '../../src/learning/feature-file.ts';
import { designColumns } from '../../src/learning/features.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { trainReferences } from '../../src/learning/references.ts';
import { column, makeTable, type Table } from '../../src/learning/table.ts';
import { phraser, wordsFor } from '../../src/scoring/words.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-accounts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { schema, regions } = loadDataset('accounts', { size: 0.5 });
const derived = (schema.derive?.columns ?? []).map(({ name }) => name);

beforeAll(() => writeAccounts(folder, 1, 0.1, () => {}));

describe('made-up accounts with events', () => {
  it('are the tables of the example feature file, which is the built-in one', () => {
    const example = readFeatureFile('docs/examples/crm-features.yaml', (file) => file);
    expect(readFeatureFile('accounts', (file) => file)).toEqual(example);
  });

  it('fit it in every region: the check passes on the files, by the region’s name', async () => {
    for (const name of ['emea', 'amer', 'apac', 'latam']) {
      const lines: string[] = [];
      await checkRegion(join(folder, name, 'region.yaml'), (line) => lines.push(line));
      expect(lines.join('\n')).toContain(`region ${name}: feature file accounts, 17 columns`);
      expect(lines.join('\n')).toContain('The table fits. Nothing was sent.');
    }
  });

  it('have a value in every derived column for most accounts, and more than one', () => {
    expect(derived).toHaveLength(10);
    for (const name of derived) {
      const cells = regions.flatMap(({ train }) => column(train, name));
      expect(cells.filter((cell) => cell === '').length / cells.length, name).toBeLessThan(0.15);
      expect(new Set(cells).size, name).toBeGreaterThan(3);
    }
  });

  it('are told to sellers in numbers that people read', () => {
    const said = (name: string, cell: string) => phraser(wordsFor(schema), schema, name)!(cell);
    expect(said('volume_growth_pct', '257.692308')).toBe('volume growth of 258 %');
    expect(said('volume_growth_pct', '-12.345678')).toBe('volume growth of -12.3 %');
    expect(said('adoption_velocity', '0.666667')).toBe('0.667 products newly in use per 30 days');
    expect(said('error_rate', '0.001234567')).toBe('error rate of 0.00123');
    expect(said('mails_30d', '1')).toBe('1 mail in 30 days');
    expect(said('volume_growth_pct', '1234567.89')).toBe('volume growth of 1234567.89 %'); // as it stands in a table
  });

  it('that did nothing are named by the table that is empty, not by a column that no file has alone', async () => {
    const usage = join(folder, 'latam', 'usage.csv');
    const all = readFileSync(usage, 'utf8');
    writeFileSync(usage, all.slice(0, all.indexOf('\n') + 1));
    const lines: string[] = [];
    const check = checkRegion(join(folder, 'latam', 'region.yaml'), (line) => lines.push(line));
    await expect(check).rejects.toMatchObject({ code: 'ALL_MISSING' });
    expect(lines.join('\n')).toContain('column "error_rate" (rate of table usage): every cell is blank');
    writeFileSync(usage, all);
  });

  it('leave nothing of the outcome among the columns: a feature file that reads the contract is refused', async () => {
    expect([...regions[0]!.train.columns.keys()]).not.toContain('new_contract_value');
    const features = readFileSync('docs/examples/crm-features.yaml', 'utf8');
    const reading = `${features}  - {kind: number, column: new_contract_value, mean: 0, scale: 1, limit: 4, missing: 0}\n`;
    writeFileSync(join(folder, 'leaky.yaml'), reading);
    const settings = readFileSync(join(folder, 'emea', 'region.yaml'), 'utf8');
    const path = join(folder, 'emea', 'leaky-region.yaml');
    writeFileSync(path, settings.replace('features: accounts', 'features: ../leaky.yaml'));
    await expect(checkRegion(path, () => {})).rejects.toThrow(/new_contract_value/);
  });

  it('hold something to learn: in what happened, and for regions together', { timeout: 20_000 }, async () => {
    const { tf } = await loadTensorFlow(['wasm']);
    const inputs = designColumns(schema).length;
    const settings = { ...runDefaults('accounts', 'full'), rounds: 60 };
    const aucs = (of: readonly Region[]) => {
      const { central, regionOnly } = trainReferences(tf, { kind: 'logistic', inputs }, of, settings);
      const own = regionOnly.map(({ aucPerRound }) => aucPerRound.at(-1)!);
      return { central: central.aucPerRound.at(-1)!, own: own.reduce((sum, auc) => sum + auc, 0) / own.length };
    };
    const { central, own } = aucs(regions.map((region) => encodeRegion(region, schema)));
    expect(central).toBeGreaterThan(0.77);
    expect(central - own).toBeGreaterThan(0.01);
    // Control: the same accounts without what happened.
    const blind = (table: Table): Table => {
      const still = table.columns.get(derived[0]!)!.map(() => '1');
      const columns = [...table.columns].map(
        ([name, cells]) => [name, derived.includes(name) ? still : cells] as const,
      );
      return makeTable(table.name, new Map(columns));
    };
    const unseen = regions.map(({ name, train, heldOut }) => ({ name, train: blind(train), heldOut: blind(heldOut) }));
    expect(central - aucs(unseen.map((region) => encodeRegion(region, schema))).central).toBeGreaterThan(0.04);
  });
});
