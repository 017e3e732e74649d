import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveTable } from '../../src/learning/derive.ts';
import { DAY_MS, parseInstant } from '../../src/learning/instants.ts';
import { buildRows, splitRecords } from '../../src/learning/region-rows.ts';
import { type FeatureSchema, parseSchema } from '../../src/learning/schema.ts';
import { isHeldOut, makeTable, selectRows, type Table } from '../../src/learning/table.ts';
import { makeTask } from '../../src/training/make-task.ts';

const NOW = parseInstant('2026-06-01');

/** A table from rows of objects. */
function tableOf(name: string, rows: readonly Record<string, string>[]): Table {
  const columns = Object.keys(rows[0]!);
  return makeTable(name, new Map(columns.map((key) => [key, rows.map((row) => row[key]!)])));
}

const SCHEMA = parseSchema({
  name: 'test',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  derive: {
    table: 'accounts',
    key: 'id',
    asOf: { column: 'at' },
    events: { usage: { key: 'account', time: 'time' } },
    columns: [
      { name: 'count_30', kind: 'count', events: 'usage', days: 30 },
      { name: 'errors_30', kind: 'count', events: 'usage', days: 30, where: { status: ['Error'] } },
      { name: 'calls_30', kind: 'sum', events: 'usage', value: 'calls', days: 30 },
      { name: 'products_30', kind: 'distinct', events: 'usage', of: 'product', days: 30 },
      { name: 'last', kind: 'recency', events: 'usage', days: 365 },
      { name: 'velocity', kind: 'velocity', events: 'usage', of: 'product', days: 60 },
      { name: 'growth', kind: 'growth', events: 'usage', value: 'calls', days: 30 },
      { name: 'peak', kind: 'peak', events: 'usage', value: 'calls', days: 30, bucketDays: 1 },
      { name: 'error_rate', kind: 'rate', events: 'usage', days: 30, hit: { status: ['error'] } },
      { name: 'near', kind: 'adjacency', events: 'usage', of: 'product', near: ['B', 'C', 'D'], days: 365 },
      { name: 'tenure', kind: 'since', column: 'since', days: 1000 },
    ],
  },
  features: [
    { kind: 'number', column: 'count_30', mean: 0, scale: 1 },
    { kind: 'levels', column: 'trade', levels: ['retail', 'energy'], base: 'retail' },
  ],
});

const ACCOUNTS = tableOf('accounts', [
  { id: 'a', at: '2026-04-01', since: '2025-04-01', trade: 'retail', won: 'yes' },
  { id: 'b', at: '2026-04-01', since: '2026-05-01', trade: 'energy', won: 'no' },
]);

const event = (account: string, time: string, product: string, calls: string, status: string) => ({
  ...{ account, time, product, calls, status },
});
const USAGE = tableOf('usage', [
  event('a', '2026-03-31T23:59:59Z', 'b', '6', 'error'), // in the last second
  event('a', '2026-04-01T00:00:00Z', 'Z', '1000', 'error'), // the moment itself: not before it
  event('a', '2026-03-31T02:00:00+0200', 'A', '2', 'ok'), // the first moment of 31 March in UTC
  event('a', '2026-03-10 12:00:00+00', 'A', '4', 'ok'),
  event('a', '2026-02-15', 'A', '6', 'ok'), // the window before
  event('a', '2025-06-01', 'C', '50', 'ok'), // older than both
  event('nobody', '2026-03-30', 'A', '9', 'ok'),
]);

const derive = (accounts = ACCOUNTS, usage = USAGE) =>
  deriveTable(
    SCHEMA.derive!,
    new Map([
      ['accounts', accounts],
      ['usage', usage],
    ]),
    NOW,
  );

function row(table: Table, index: number): Record<string, string> {
  return Object.fromEntries([...table.columns].map(([name, cells]) => [name, cells[index]!]));
}

describe('columns from events', () => {
  it('are what they say, by hand; a record without events has counts of 0 and blanks', () => {
    const { table, events, later } = derive();
    expect(row(table, 0)).toMatchObject({
      count_30: '3',
      errors_30: '1',
      calls_30: '12',
      products_30: '2',
      last: '0',
      velocity: '1', // A and b appear first within 60 days: 2 in 60 days
      growth: '100', // 12 after 6
      peak: String(Math.round((8 / 12) * 1e6) / 1e6), // 6 and 2 on the last day
      error_rate: String(Math.round(1e6 / 3) / 1e6),
      near: String(Math.round((2 / 3) * 1e6) / 1e6), // B and C of B, C, D
      tenure: '365',
    });
    expect(row(table, 1)).toMatchObject({
      ...{ count_30: '0', calls_30: '0', last: '', velocity: '0', growth: '', peak: '', error_rate: '', near: '0' },
      tenure: '', // a customer only after the snapshot
    });
    expect(Object.fromEntries(events)).toEqual({ usage: { rows: 7, unmatched: 1, later: 1 } });
    expect(later).toBe(1);
  });

  it('of a record depend on its own row and events alone, and never on an order', () => {
    const ids = ['a', 'b', 'c', 'd'];
    const anEvent = fc.record({
      account: fc.constantFrom(...ids),
      time: fc.integer({ min: 1, max: 400 }).map((days) => new Date(NOW - days * DAY_MS).toISOString()),
      product: fc.constantFrom('A', 'B', 'C', ''),
      calls: fc.float({ min: 0, max: 1000, noNaN: true }).map(String),
      status: fc.constantFrom('ok', 'error'),
    });
    const accounts = tableOf(
      'accounts',
      ids.map((id) => ({ id, at: '2026-04-01', since: '', trade: 'retail', won: 'yes' })),
    );
    fc.assert(
      fc.property(fc.array(anEvent, { minLength: 1, maxLength: 40 }), fc.nat(), (events, turn) => {
        const whole = derive(accounts, tableOf('usage', events)).table;
        const turned = [...events.slice(turn % events.length), ...events.slice(0, turn % events.length)].reverse();
        expect(derive(accounts, tableOf('usage', turned)).table.columns).toEqual(whole.columns);
        ids.forEach((id, index) => {
          const own = [...events.filter(({ account }) => account === id), event('x', '2026-01-01', '', '', '')];
          const alone = derive(selectRows(accounts, [index]), tableOf('usage', own)).table;
          expect(row(alone, 0)).toEqual(row(whole, index));
        });
      }),
      { numRuns: 60 },
    );
  });

  it('read dates of files, PostgreSQL and Salesforce as the same instants, and nothing that could mean two days', () => {
    const instant = Date.UTC(2026, 2, 31, 10, 30);
    for (const text of [
      '2026-03-31T10:30:00Z',
      '2026-03-31T10:30:00.000+0000',
      '2026-03-31 10:30:00+00',
      '2026-03-31 12:30:00+02:00',
      '2026-03-31T10:30',
      '2026-03-31 10:30:00.000000 UTC',
    ])
      expect(parseInstant(text), text).toBe(instant);
    for (const text of [
      '31/03/2026',
      '2026-02-30',
      '2026-13-01',
      '20260331',
      'yesterday',
      '2026-03-31T25:00Z',
      'infinity',
      '1',
    ])
      expect(parseInstant(text), text).toBeNaN();
  });

  it('split records by their key: a record stays on its side whatever rows come with it', () => {
    const ids = Array.from({ length: 500 }, (_, index) => `K${index}`);
    const accounts = tableOf(
      'accounts',
      ids.map((id) => ({ id, at: '2026-04-01', since: '', trade: 'retail', won: 'yes' })),
    );
    const split = (table: Table) => {
      const rows = buildRows({
        ...REGION,
        tables: new Map([
          ['accounts', table],
          ['usage', USAGE],
        ]),
      });
      return splitRecords('eu', rows, SCHEMA);
    };
    const all = split(accounts);
    const part = split(
      selectRows(
        accounts,
        ids.map((_, index) => index).filter((index) => index % 3 > 0),
      ),
    );
    expect(all.heldOut.rowCount / 500).toBeCloseTo(51 / 256, 1);
    const outside = new Set(all.heldOut.columns.get('id'));
    for (const id of part.heldOut.columns.get('id')!) expect(outside.has(id)).toBe(true);
    for (const id of part.train.columns.get('id')!) expect(outside.has(id)).toBe(false);
  });
});

const REGION = { name: 'eu', schema: SCHEMA, leakage: [], now: NOW };

describe('records without keys', () => {
  const schema = parseSchema({
    name: 's',
    version: 1,
    label: { column: 'won', positive: ['yes'], negative: ['no'] },
    features: [{ kind: 'number', column: 'seats', mean: 0, scale: 1 }],
  });
  const seats = Array.from({ length: 500 }, (_, index) => String(index));
  const heldOut = (cells: readonly string[], won: string) => {
    const table = tableOf(
      'rows',
      cells.map((cell) => ({ seats: cell, won })),
    );
    const rows = buildRows({ ...REGION, schema, tables: new Map([['rows', table]]) });
    return splitRecords('eu', rows, schema).heldOut.columns.get('seats')!;
  };

  it('stay on their side when others go, and when their label is known', () => {
    const all = heldOut(seats, 'yes');
    expect(all.length / 500).toBeCloseTo(51 / 256, 1);
    expect(heldOut(seats.slice(1), 'yes')).toEqual(all.filter((cell) => cell !== '0'));
    expect(heldOut(seats, '')).toEqual(all);
  });

  it('control: by the number of the row, one row less moves others across', () => {
    const byNumber = (cells: readonly string[]) => cells.filter((_, row) => isHeldOut(row));
    const [all, less] = [byNumber(seats), byNumber(seats.slice(1))];
    expect(less.filter((cell) => !all.includes(cell)).length).toBeGreaterThan(50);
  });
});

describe('rare values', () => {
  const features = [{ kind: 'levels', column: 'trade', levels: ['retail', 'energy', 'mining'], base: 'retail' }];
  const label = { column: 'won', positive: ['yes'], negative: ['no'] };
  const flat = (suppress: object): FeatureSchema => parseSchema({ name: 's', version: 1, label, features, suppress });
  const rows = (trades: readonly string[]) =>
    tableOf(
      'rows',
      trades.map((trade) => ({ trade, won: 'yes' })),
    );
  const kept = (trades: readonly string[], suppress: object) => {
    const built = buildRows({ ...REGION, schema: flat(suppress), tables: new Map([['rows', rows(trades)]]) });
    return { cells: built.whole.columns.get('trade'), suppressed: Object.fromEntries(built.suppressed) };
  };

  it('become blank below k records and stay from k on, whatever their spelling', () => {
    const suppress = { fewerThan: 3, columns: ['trade'] };
    const trades = ['retail', 'Retail ', 'RETAIL', 'energy', 'energy', 'mining', ''];
    expect(kept(trades, suppress)).toEqual({
      cells: ['retail', 'Retail ', 'RETAIL', '', '', '', ''],
      suppressed: { trade: 3 },
    });
    expect(kept([...trades, 'Energy'], suppress).cells!.filter((cell) => cell !== '')).toHaveLength(6);
    // the control: without it they reach the model
    expect(kept(trades, { fewerThan: 3 }).cells).toEqual(trades);
  });

  it('of events are counted by records: a customer with many events is one', () => {
    const suppress = { fewerThan: 2, columns: ['usage.product'] };
    const schema = parseSchema({ ...SCHEMA, suppress });
    const accounts = tableOf(
      'accounts',
      ['a', 'b'].map((id) => ({ id, at: '2026-04-01', since: '', trade: 'energy', won: 'yes' })),
    );
    const usage = tableOf('usage', [
      ...Array.from({ length: 9 }, (_, day) => event('a', `2026-03-0${day + 1}`, 'secret', '1', 'ok')),
      ...['a', 'b'].map((id) => event(id, '2026-03-20', 'common', '1', 'ok')),
    ]);
    const tables = new Map([
      ['accounts', accounts],
      ['usage', usage],
    ]);
    const built = buildRows({ ...REGION, schema, tables });
    expect(built.whole.columns.get('products_30')).toEqual(['1', '1']);
    expect(built.suppressed.get('usage.product')).toBe(9);
    expect(buildRows({ ...REGION, schema: SCHEMA, tables }).whole.columns.get('products_30')).toEqual(['2', '1']);
  });

  it('by own counts are refused under unit record, because one record then changes others; said or node is taken', () => {
    const task = (suppress: object, unit: 'record' | 'node' = 'record') =>
      makeTask({
        dataset: 'synthetic',
        schema: flat(suppress),
        nodes: 3,
        window: 'w',
        recipients: ['owner'],
        unit,
        rounds: 2,
      });
    const columns = { fewerThan: 5, columns: ['trade'] };
    expect(() => task(columns)).toThrowError(expect.objectContaining({ code: 'UNACCOUNTED' }));
    expect(task({ ...columns, keptListIsPublic: true }).rounds).toBe(2);
    expect(task(columns, 'node').rounds).toBe(2);
    expect(task({ fewerThan: 5 }).rounds).toBe(2);
    // What is at stake: a fifth retailer changes four other rows.
    const others = (trades: readonly string[]) => kept(trades, columns).cells!.slice(0, 4);
    const fill = ['mining', 'mining'];
    expect(others([...Array(4).fill('retail'), ...fill])).not.toEqual(others([...Array(5).fill('retail'), ...fill]));
  });
});

describe('a feature file that cannot be meant', () => {
  const broken = (change: object) => {
    try {
      parseSchema({ ...SCHEMA, ...change });
    } catch (error) {
      return (error as Error).message;
    }
    return 'taken';
  };
  it.each([
    ['leakage', { leakage: ['trade'] }, 'reads the leakage column "trade" of table "accounts"'],
    ['leakage in events', { leakage: ['status'] }, '"status" of table "usage"'],
    ['the label as leakage', { leakage: ['won'] }, 'the label'],
    ['an unknown event table', { derive: { ...SCHEMA.derive!, events: {} } }, 'no event table "usage"'],
    [
      'an event table that every object has',
      { derive: { ...SCHEMA.derive!, columns: [{ name: 'n', kind: 'count', events: 'constructor', days: 1 }] } },
      'no event table "constructor"',
    ],
    ['a suppressed key', { suppress: { fewerThan: 5, columns: ['id'] } }, 'a label, a key or a time'],
    ['a suppressed column that nothing reads', { suppress: { fewerThan: 5, columns: ['nope'] } }, 'no feature reads'],
    [
      'one name twice',
      { derive: { ...SCHEMA.derive!, columns: [...SCHEMA.derive!.columns, SCHEMA.derive!.columns[0]] } },
      'twice',
    ],
    ['an unknown field', { derive: { ...SCHEMA.derive!, surprise: 1 } }, 'surprise'],
    ['an as-of that is no date', { derive: { ...SCHEMA.derive!, asOf: { date: '01/02/2026' } } }, 'ISO 8601'],
  ])('names %s', (_, change, why) => {
    expect(broken(change)).toContain(why);
    expect(broken({})).toBe('taken');
  });
});
