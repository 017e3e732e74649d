import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRegion, loadDataset } from '../../src/learning/datasets.ts';
import { LearningError } from '../../src/learning/errors.ts';
import { designColumns, encodeTable, FEATURE_STEP } from '../../src/learning/features.ts';
import { parseSchema } from '../../src/learning/schema.ts';
import { formatCsv, isHeldOut, makeTable, parseCsv, readCsv, selectRows } from '../../src/learning/table.ts';

const SCHEMA = parseSchema({
  name: 'test',
  version: 1,
  label: { column: 'won', positive: ['yes', '1'], negative: ['no', '0'] },
  features: [
    { kind: 'levels', column: 'trade', levels: ['retail', ['energy', 'Power']], base: 'retail' },
    { kind: 'levels', column: 'mail', levels: ['no', 'yes'], base: 'no', rare: false },
    { kind: 'number', column: 'seats', transform: 'log1p', mean: 3, scale: 1, limit: 2, missing: 0 },
    { kind: 'bands', column: 'age', edges: [30, 50], base: 1 },
  ],
});
const bytes = (text: string) => new TextEncoder().encode(text);
const encode = (text: string) => encodeTable(parseCsv('own.csv', bytes(text)), SCHEMA);
const HEADER = 'trade,mail,seats,age,won\n';

/** The code and the message of what `run` throws. */
function failure(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof LearningError) return error;
    throw error;
  }
  return { code: 'nothing', message: '' };
}

describe('encoding', () => {
  it('follows the public schema: intercept, one-hot without base, spellings, rare bucket, clipping, bands', () => {
    const matrix = encode(`${HEADER} POWER ,yes,1000000,29,yes\nmining,maybe,,30,0\nretail,no,19.0855,50,no\n`);
    expect(designColumns(SCHEMA)).toEqual([
      '(intercept)',
      'trade=energy',
      'trade=(rare)',
      'mail=yes',
      'seats',
      'age[0]',
      'age[2]',
    ]);
    const cells = [1, 1, 0, 1, 2, 1, 0].concat([1, 0, 1, 0, -2, 0, 0], [1, 0, 0, 0, 0, 0, 1]);
    expect([...matrix.x]).toEqual(cells);
    expect([...matrix.y]).toEqual([1, 0, 0]);
    expect(Object.fromEntries(matrix.outside)).toEqual({ trade: 1, mail: 1 });
  });

  it('of a row depends on that row alone, and lies on the grid that sums need', () => {
    const { regions, schema } = loadDataset('synthetic', { size: 0.05 });
    const whole = encodeTable(regions[0]!.train, schema);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.rows - 1 }), (row) => {
        const alone = encodeTable(selectRows(regions[0]!.train, [row]), schema);
        expect(alone.x).toEqual(whole.x.slice(row * whole.width, (row + 1) * whole.width));
      }),
      { numRuns: 30 },
    );
    expect(whole.x.every((value) => Number.isInteger(value / FEATURE_STEP) && Math.abs(value) <= 16)).toBe(true);
  });

  it.each([
    ['MISSING_COLUMN', 'trade,mail,seats,won\nretail,no,3,yes\n', '"age"'],
    ['MISSING_VALUE', `${HEADER}retail,no,3,41,yes\nretail,no,3,,yes\n`, 'column "age", row 2'],
    ['BAD_NUMBER', `${HEADER}retail,no,NaN,41,yes\n`, 'column "seats", row 1'],
    ['BAD_NUMBER', `${HEADER}retail,no,Infinity,41,yes\n`, 'column "seats", row 1'],
    ['BAD_NUMBER', `${HEADER}retail,no,0x10,41,yes\n`, 'column "seats", row 1'],
    ['BAD_NUMBER', `${HEADER}retail,no,-5,41,yes\n`, 'column "seats", row 1'],
    ['BAD_LABEL', `${HEADER}retail,no,3,41,s3cret\n`, 'column "won", row 1'],
    ['EMPTY_REGION', HEADER, 'own.csv'],
    ['BAD_TABLE', `${HEADER}retail,no,3\n`, 'line 2'],
    ['BAD_TABLE', 'age,age\n1,2\n', '"age"'],
    ['BAD_TABLE', '', 'header'],
    ['BAD_TABLE', `${HEADER}"retail,no,3,41,yes\n`, 'own.csv'],
  ])('says %s in words of the table', (code, text, place) => {
    const error = failure(() => encode(text));
    expect(error.code).toBe(code);
    expect(error.message).toContain(place);
    expect(error.message).not.toContain('s3cret');
  });

  it('names a region with one class only, and a file that is not there or not text', () => {
    const table = parseCsv('own.csv', bytes(`${HEADER}retail,no,3,41,yes\nenergy,no,3,41,yes\n`));
    const region = { name: 'north', train: table, heldOut: table };
    expect(failure(() => encodeRegion(region, SCHEMA)).code).toBe('ONE_CLASS');
    expect(failure(() => readCsv('/nonexistent/table.csv')).code).toBe('DATA_NOT_FOUND');
    expect(failure(() => parseCsv('own.csv', Uint8Array.of(0x61, 0xff, 0xfe))).code).toBe('BAD_TABLE');
    expect(failure(() => loadDataset('leads')).message).toContain('VEILSUM_DATA');
  });

  it('refuses a schema that cannot be meant', () => {
    const broken = (feature: object) => failure(() => parseSchema({ ...SCHEMA, features: [feature] })).code;
    expect(broken({ kind: 'levels', column: 'trade', levels: ['a', 'A'], base: 'a' })).toBe('BAD_SCHEMA');
    expect(broken({ kind: 'levels', column: 'trade', levels: ['a'], base: 'b' })).toBe('BAD_SCHEMA');
    expect(broken({ kind: 'bands', column: 'age', edges: [50, 30], base: 0 })).toBe('BAD_SCHEMA');
    expect(broken({ kind: 'number', column: 'seats', mean: 0, scale: 0 })).toBe('BAD_SCHEMA');
    expect(broken({ kind: 'number', column: 'won', mean: 0, scale: 1 })).toBe('BAD_SCHEMA');
    expect(broken({ kind: 'number', column: 'seats', mean: 0, scale: 1, surprise: 1 })).toBe('BAD_SCHEMA');
  });
});

describe('tables', () => {
  it('read what was written', () => {
    const cell = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.startsWith('\u{feff}'));
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 20 }), (rows) => {
        const columns = new Map([
          ['first column', rows.map(([first]) => first)],
          ['b', rows.map(([, second]) => second)],
        ]);
        const table = makeTable('t', columns);
        expect(parseCsv('t', bytes(formatCsv(table)), ',').columns).toEqual(columns);
      }),
    );
  });

  it('hold out about a fifth of the rows, by number alone', () => {
    const held = Array.from({ length: 10000 }, (_, row) => isHeldOut(row)).filter(Boolean).length;
    expect(held / 10000).toBeCloseTo(51 / 256, 1);
    // Computed with Python's hashlib.
    expect(Array.from({ length: 40 }, (_, row) => row).filter(isHeldOut)).toEqual([8, 9, 39]);
  });

  it('called synthetic are the same for the same seed and differ for another; regions differ in size and base rate', () => {
    const [first, again, other] = [1, 1, 2].map((seed) => loadDataset('synthetic', { seed }));
    const cells = (dataset: typeof first) => dataset!.regions.map((region) => formatCsv(region.train));
    expect(cells(again)).toEqual(cells(first));
    expect(cells(other)).not.toEqual(cells(first));
    const regions = first!.regions.map((tables) => encodeRegion(tables, first!.schema));
    const rates = regions.map(({ train }) => train.y.reduce((sum, label) => sum + label, 0) / train.rows);
    expect(new Set(regions.map((region) => region.train.rows)).size).toBe(4);
    expect(Math.max(...rates) - Math.min(...rates)).toBeGreaterThan(0.1);
  });
});
