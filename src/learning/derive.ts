import type { Derivation, EventColumn } from './derivation.ts';
import { LearningError } from './errors.ts';
import { type EventRows, eventFeature } from './event-features.ts';
import { DAY_MS, parseInstant, readInstants } from './instants.ts';
import { column, makeTable, type Table } from './table.ts';

/** An entity table with its derived columns, and what was seen on the way. */
export interface Derived {
  readonly table: Table;
  /** By event table: events whose key no entity has, and events at or after their entity's as-of, which are not used. */
  readonly events: ReadonlyMap<string, { readonly rows: number; readonly unmatched: number; readonly later: number }>;
  /** Dates of `since` columns that lie after as-of: blank, for they were not known then. */
  readonly later: number;
}

/**
 * Computes a derivation.
 *
 * Law: row i of the result depends on row i of the entity table and on the events with its key alone, so one entity with
 * all its events is one record. The order of events does not matter.
 *
 * @param tables - by name, blanked by `suppressRare` already.
 * @param now - ms since 1970.
 * @throws LearningError DATA_NOT_FOUND, EMPTY_REGION, MISSING_COLUMN, MISSING_VALUE, BAD_KEY, BAD_DATE, DATE_IN_FUTURE,
 *   BAD_NUMBER.
 */
export function deriveTable(derivation: Derivation, tables: ReadonlyMap<string, Table>, now: number): Derived {
  const entities = tableNamed(tables, derivation.table);
  const keys = column(entities, derivation.key);
  const rowOf = indexKeys(entities, derivation.key, keys);
  const asOf = asOfInstants(derivation, entities, now);
  const columns = new Map(entities.columns);
  const seen = new Map<string, { rows: number; unmatched: number; later: number }>();
  const events = new Map<string, EventRows>();
  for (const [name, { key, time }] of Object.entries(derivation.events)) {
    const table = tableNamed(tables, name);
    const { rows, ...counts } = groupEvents(table, key, time, { rowOf, asOf, now });
    events.set(name, rows);
    seen.set(name, { rows: table.rowCount, ...counts });
  }
  let later = 0;
  for (const derived of derivation.columns) {
    if (derived.kind === 'since') {
      const where = `table ${entities.name}, column "${derived.column}"`;
      const dates = readInstants(where, column(entities, derived.column), now, Number.NaN);
      const cells = Array.from(dates, (date, row) => {
        const days = Math.floor((asOf[row]! - date) / DAY_MS);
        if (days < 0) later++;
        return days >= 0 ? String(Math.min(days, derived.days)) : '';
      });
      columns.set(derived.name, cells);
    } else columns.set(derived.name, eventFeature(derived satisfies EventColumn, events.get(derived.events)!, asOf));
  }
  return { table: makeTable(entities.name, columns), events: seen, later };
}

function tableNamed(tables: ReadonlyMap<string, Table>, name: string): Table {
  const table = tables.get(name);
  if (table !== undefined) return table;
  const present = [...tables.keys()].join(', ') || 'none';
  throw new LearningError('DATA_NOT_FOUND', `the feature file needs a table "${name}"; there are: ${present}`);
}

function indexKeys(entities: Table, key: string, keys: readonly string[]): Map<string, number> {
  const rowOf = new Map<string, number>();
  keys.forEach((cell, row) => {
    const value = cell.trim();
    const where = `table ${entities.name}, column "${key}", row ${row + 1}`;
    if (value === '') throw new LearningError('BAD_KEY', `${where}: no key, so nobody knows whose row it is`);
    const other = rowOf.get(value);
    if (other !== undefined) {
      throw new LearningError('BAD_KEY', `${where}: the same key as row ${other + 1}; an entity has one row`);
    }
    rowOf.set(value, row);
  });
  return rowOf;
}

function asOfInstants({ asOf }: Derivation, entities: Table, now: number): Float64Array {
  if ('column' in asOf) {
    return readInstants(`table ${entities.name}, column "${asOf.column}"`, column(entities, asOf.column), now);
  }
  readInstants('the feature file, asOf', [asOf.date], now);
  return new Float64Array(entities.rowCount).fill(parseInstant(asOf.date));
}

interface Entities {
  readonly rowOf: ReadonlyMap<string, number>;
  readonly asOf: Float64Array;
  readonly now: number;
}

/** Events before as-of, sorted by entity. */
function groupEvents(table: Table, key: string, time: string, { rowOf, asOf, now }: Entities) {
  const times = readInstants(`table ${table.name}, column "${time}"`, column(table, time), now);
  const entity = Int32Array.from(column(table, key), (cell) => rowOf.get(cell.trim()) ?? -1);
  const start = new Uint32Array(asOf.length + 1);
  let unmatched = 0;
  let later = 0;
  for (let event = 0; event < entity.length; event++) {
    const row = entity[event]!;
    if (row < 0) unmatched++;
    else if (times[event]! >= asOf[row]!) {
      later++;
      entity[event] = -1;
    } else start[row + 1]!++;
  }
  for (let row = 0; row < asOf.length; row++) start[row + 1]! += start[row]!;
  const order = new Uint32Array(start[asOf.length]!);
  const next = start.slice();
  for (let event = 0; event < entity.length; event++) {
    const row = entity[event]!;
    if (row >= 0) order[next[row]!++] = event;
  }
  return { rows: { table, times, start, order } satisfies EventRows, unmatched, later };
}
