import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, type RegionTables } from '../../src/learning/datasets.ts';
import { runDefaults } from '../../src/learning/defaults.ts';
import { LearningError } from '../../src/learning/errors.ts';
import { designColumns, encodeTable, FEATURE_STEP } from '../../src/learning/features.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel } from '../../src/learning/model.ts';
import { seededRandom } from '../../src/learning/random.ts';
import { type FeatureSchema, parseSchema, type TextFeature } from '../../src/learning/schema.ts';
import { surveyTable } from '../../src/learning/survey.ts';
import { CONVERSATION } from '../../src/learning/synthetic-conversations.ts';
import { column, formatCsv, makeTable, parseCsv, type Table } from '../../src/learning/table.ts';
import { textEncoder } from '../../src/learning/text-features.ts';
import { phraser, wordsFor } from '../../src/scoring/words.ts';
import { planOf, simulateRounds } from '../reference/clear-rounds.ts';

const TEXT = {
  kind: 'text',
  column: 'notes',
  buckets: 16,
  seed: 's',
  words: [1, 2],
  characters: [],
  whole: false,
  length: 1,
} as const;
const feature = (change: object): TextFeature => ({ ...TEXT, words: [1, 2], characters: [], ...change }) as TextFeature;

function schemaOf(text: object): FeatureSchema {
  return parseSchema({
    name: 'texts',
    version: 1,
    label: { column: 'won', positive: ['yes'], negative: ['no'] },
    features: [
      { kind: 'number', column: 'seats', mean: 0, scale: 1 },
      { ...TEXT, ...text },
    ],
  });
}

function tableOf(texts: readonly string[], seats = texts.map(() => '1')): Table {
  const won = texts.map((_, row) => (row % 2 === 0 ? 'yes' : 'no'));
  return makeTable(
    'calls.csv',
    new Map([
      ['notes', texts],
      ['seats', seats],
      ['won', won],
    ]),
  );
}

/** Direction of the given whole numbers, at length 1. */
const unit = (values: readonly number[]): number[] => values.map((value) => value / Math.hypot(...values));

describe('the hashing vectoriser', () => {
  // By Python's hashlib: sums of signs per bucket, 16 buckets, seed "s".
  it.each([
    [{}, 'send the quote, Send it', [0, 0, 1, 0, 2, 0, 0, 2, 0, 0, 1, 0, 0, -2, 0, 1]],
    [{ words: [], characters: [3] }, 'send the quote, Send it', [0, 2, 2, -1, 0, 2, 1, 0, 1, 0, 0, 0, 3, 1, -2, 1]],
    [{ words: [], whole: true }, ' send the quote, Send it', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0]],
    [{ words: [1] }, 'Größe 日本', [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]],
  ])('%j of "%s" is what another implementation computes', (change, text, sums) => {
    const encoded = [...textEncoder(feature(change))(text)];
    for (const [i, value] of unit(sums).entries()) expect(encoded[i]).toBeCloseTo(value, 12);
  });

  it('is the documented sum over n-grams, with the hash of another library', () => {
    const word = fc.constantFrom('quote', 'we', 'are', 'not', 'happy', 'señor', '東京', '42');
    const buckets = fc.constantFrom(8, 64, 4096);
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 20 }),
        buckets,
        fc.string({ minLength: 1, maxLength: 8 }),
        (words, count, seed) => {
          const sums = new Map<number, number>();
          for (const length of [1, 3]) {
            for (let at = 0; at + length <= words.length; at++) {
              const gram = `${seed}\0w${length}\0${words.slice(at, at + length).join(' ')}`;
              const digest = sha256(new TextEncoder().encode(gram));
              const bucket = new DataView(digest.buffer, digest.byteOffset).getUint32(0) % count;
              sums.set(bucket, (sums.get(bucket) ?? 0) + (digest[4]! % 2 === 0 ? 1 : -1));
            }
          }
          const norm = Math.hypot(...sums.values()) || 1;
          const encoded = textEncoder(feature({ words: [1, 3], buckets: count, seed, length: 2 }))(words.join(', '));
          const expected = Array.from({ length: count }, (_, bucket) => (2 * (sums.get(bucket) ?? 0)) / norm);
          const furthest = Math.max(...encoded.map((value, i) => Math.abs(value - expected[i]!)));
          expect(furthest).toBeLessThan(1e-12);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('fills the matrix on its grid, each row of one length, whatever stands in other rows', () => {
    const schema = schemaOf({ buckets: 32, length: 2 });
    const texts = ['one two three', 'ONE  two, three!', '', 'four', '\u{1f600} ...'];
    const { x, width, rows } = encodeTable(tableOf(texts), schema);
    expect(width).toBe(2 + 32);
    expect(designColumns(schema).slice(2, 4)).toEqual(['notes~0', 'notes~1']);
    const row = (i: number): number[] => [...x.subarray(i * width + 2, (i + 1) * width)];
    for (let i = 0; i < rows; i++)
      for (const value of row(i)) expect(Number.isInteger(value / FEATURE_STEP)).toBe(true);
    expect(row(1)).toEqual(row(0));
    expect([row(2), row(4)].flat().every((value) => Object.is(value, 0))).toBe(true);
    for (const i of [0, 3]) expect(Math.hypot(...row(i))).toBeCloseTo(2, 2);
    expect([...encodeTable(tableOf(['other', 'four']), schema).x.subarray(width + 2)]).toEqual(row(3));
  });

  it('gives equal join keys equal columns at every site, and other keys others', () => {
    const encode = textEncoder(feature({ words: [], whole: true, buckets: 4096 }));
    const [a, b] = ['0a1b2c3d-00112233445566778899aabbccddeeff', '0a1b2c3d-ffeeddccbbaa99887766554433221100'];
    expect(encode(a)).toEqual(textEncoder(feature({ words: [], whole: true, buckets: 4096 }))(a));
    expect(encode(a)).not.toEqual(encode(b));
    expect(encode(a).filter((value) => value !== 0)).toHaveLength(1);
  });

  it('refuses a text that is counted by nothing, and buckets that are no power of two', () => {
    expect(() => schemaOf({ words: [] })).toThrow(/words, characters or as a whole/);
    expect(() => schemaOf({ buckets: 48 })).toThrow(LearningError);
    expect(() => schemaOf({ words: [4] })).toThrow(LearningError);
    expect(() => schemaOf({ seed: '' })).toThrow(LearningError);
    expect(() => schemaOf({})).not.toThrow(); // control
  });

  it('reads texts of several lines, with quotes and commas, from CSV', () => {
    const texts = ['customer: "yes", he said\nrep: fine', 'a;b', ''];
    const again = parseCsv('calls.csv', Buffer.from(formatCsv(tableOf(texts))));
    expect(column(again, 'notes')).toEqual(texts);
  });
});

describe('what is said stays in the table', () => {
  const CANARY = 'zebrafinch quixotic';
  const texts = [`we said ${CANARY} twice`, CANARY, `${CANARY}!`, 'nothing'];
  const schema = schemaOf({});
  const shows = (value: unknown): boolean => /zebrafinch|quixotic/i.test(JSON.stringify(value, printAll));
  const printAll = (_key: string, value: unknown): unknown =>
    value instanceof Map
      ? [...value]
      : value instanceof Error
        ? { text: String(value.stack), ...value, cause: value.cause }
        : ArrayBuffer.isView(value)
          ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
          : value;
  const failure = (run: () => unknown): unknown => {
    try {
      run();
    } catch (error) {
      return error;
    }
    throw new Error('it did not fail');
  };

  it('no error, no survey and no phrase repeats it', () => {
    const table = tableOf(texts);
    const errors = [
      failure(() => encodeTable(tableOf(texts, ['1', '2', CANARY, '4']), schema)),
      failure(() => encodeTable({ ...table, columns: new Map([...table.columns, ['won', texts]]) }, schema)),
      failure(() => encodeTable(makeTable('calls.csv', new Map([['notes', texts]])), schema)),
      failure(() => parseCsv('calls.csv', Buffer.from(`notes,won\n"${CANARY}" ${CANARY},yes\n`))),
    ];
    for (const error of errors)
      expect([(error as LearningError).code, shows(error)]).toEqual([expect.any(String), false]);
    expect(shows(surveyTable(tableOf(texts, texts), schema))).toBe(false);
    expect(surveyTable(table, schema).features.at(-1)).toMatchObject({ column: 'notes', kind: 'text', missing: 0 });
    for (const phrases of [{}, { notes: 'in their words: {}' }]) {
      const said = phraser({ ...wordsFor(schema), phrases }, schema, 'notes')!;
      expect(texts.map(said).some(shows)).toBe(false);
    }
    // Control: a column of another kind is quoted.
    expect(shows(phraser(wordsFor(schema), schema, 'seats')!(CANARY))).toBe(true);
    expect(shows(table)).toBe(true);
  });

  it('neither the matrix nor what a node contributes holds it', async () => {
    const { tf } = await loadTensorFlow(['wasm']);
    const tables: RegionTables = { name: 'eu', train: tableOf(texts), heldOut: tableOf(texts) };
    const region = encodeRegion(tables, schema);
    const plan = planOf(runDefaults('conversations', 'demo'), designColumns(schema).length);
    const sent = nodeContribution(tf, initialModel(plan.spec, 1), region, plan);
    expect([shows(region), shows(sent), shows(designColumns(schema))]).toEqual([false, false, false]);
    expect(sent.some((value) => value !== 0)).toBe(true); // control: it does depend on the rows
  });
});

describe('conversations of the synthetic tables', () => {
  let tf: Tf;
  beforeAll(async () => {
    ({ tf } = await loadTensorFlow(['wasm']));
  });

  /** AUC of the demo's ten rounds at epsilon 8, with the tables' texts changed. */
  function run(withText: boolean, change: (texts: readonly string[], region: string) => readonly string[]): number {
    const { regions: tables, schema } = loadDataset('conversations');
    const features = schema.features.filter(({ kind }) => withText || kind !== 'text');
    const changed = (table: Table): Table =>
      makeTable(
        table.name,
        new Map([...table.columns, [CONVERSATION, change(column(table, CONVERSATION), table.name)]]),
      );
    const regions = tables.map((region) =>
      encodeRegion(
        { ...region, train: changed(region.train), heldOut: changed(region.heldOut) },
        { ...schema, features },
      ),
    );
    const settings = runDefaults('conversations', 'demo');
    const plan = planOf(settings, designColumns({ ...schema, features }).length);
    return simulateRounds(tf, regions, plan, { ...settings, rho: 1.2297145, seed: 1 }).rounds.at(-1)!.auc;
  }

  it('are worth AUC to the federated, noised model; the same texts at other rows are not', () => {
    const [without, texts] = [run(false, (cells) => cells), run(true, (cells) => cells)];
    const shuffled = run(true, (cells, region) => {
      const order = seededRandom(`shuffle/${region}`).shuffle(Uint32Array.from(cells.keys()));
      return [...order].map((row) => cells[row]!);
    });
    console.log(
      `AUC without texts ${without.toFixed(4)}, with ${texts.toFixed(4)}, with shuffled ${shuffled.toFixed(4)}`,
    );
    expect(texts).toBeGreaterThan(without + 0.008);
    expect(shuffled).toBeLessThan(without + 0.002);
  });

  it('change no cell of the other columns', () => {
    const [plain] = loadDataset('synthetic', { size: 0.02 }).regions;
    const [spoken] = loadDataset('conversations', { size: 0.02 }).regions;
    for (const [name, cells] of plain!.train.columns) expect(column(spoken!.train, name)).toEqual(cells);
    expect(column(spoken!.train, CONVERSATION).some((text) => text.includes('\n'))).toBe(true);
  });
});
