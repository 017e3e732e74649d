import type { EventColumn } from './derivation.ts';
import { LearningError } from './errors.ts';
import { readDecimal } from './features.ts';
import { DAY_MS } from './instants.ts';
import { normaliseCell } from './schema.ts';
import { column, type Table } from './table.ts';

/** Events before as-of, grouped: those of entity i are `order[start[i]]` to `order[start[i + 1] - 1]`, rows of `table`. */
export interface EventRows {
  readonly table: Table;
  /** Per row of the table, ms since 1970. */
  readonly times: Float64Array;
  readonly start: Uint32Array;
  readonly order: Uint32Array;
}

/** One event of an entity: its row, and its age at as-of in ms, above 0. */
interface Event {
  readonly row: number;
  readonly age: number;
}

/**
 * One derived column: a cell per entity, blank where the feature has no value.
 *
 * @throws LearningError MISSING_COLUMN, BAD_NUMBER.
 */
export function eventFeature(feature: EventColumn, rows: EventRows, asOf: Float64Array): string[] {
  const { table, times, start, order } = rows;
  const counts = matcher(table, feature.where);
  const measure = measureOf(feature, table);
  return Array.from(asOf, (moment, entity) => {
    const events: Event[] = [];
    for (let at = start[entity]!; at < start[entity + 1]!; at++) {
      const row = order[at]!;
      if (counts(row)) events.push({ row, age: moment - times[row]! });
    }
    const value = measure(events);
    return value === null ? '' : String(Math.round(value * 1e6) / 1e6);
  });
}

/** Of an entity's events before as-of, however old. Null: no value. */
type Measure = (events: readonly Event[]) => number | null;

function measureOf(feature: EventColumn, table: Table): Measure {
  const windowMs = feature.days * DAY_MS;
  const recent = (events: readonly Event[]) => events.filter(({ age }) => age <= windowMs);
  switch (feature.kind) {
    case 'count':
      return (events) => recent(events).length;
    case 'sum': {
      const volume = volumeOf(table, feature.value);
      return (events) => volume(recent(events));
    }
    case 'distinct': {
      const value = cellsOf(table, feature.of);
      return (events) => new Set(recent(events).flatMap(value)).size;
    }
    case 'recency':
      return (events) => {
        const ages = recent(events).map(({ age }) => age);
        return ages.length === 0 ? null : Math.floor(ages.reduce((least, age) => Math.min(least, age)) / DAY_MS);
      };
    case 'velocity': {
      const value = cellsOf(table, feature.of);
      return (events) => {
        const before = new Set(events.filter(({ age }) => age > windowMs).flatMap(value));
        const adopted = new Set(
          recent(events)
            .flatMap(value)
            .filter((item) => !before.has(item)),
        );
        return (adopted.size * 30) / feature.days;
      };
    }
    case 'growth': {
      const volume = volumeOf(table, feature.value);
      return (events) => {
        const before = volume(events.filter(({ age }) => age > windowMs && age <= 2 * windowMs));
        return before > 0 ? (100 * (volume(recent(events)) - before)) / before : null;
      };
    }
    case 'peak': {
      const volume = volumeOf(table, feature.value);
      const bucketMs = feature.bucketDays * DAY_MS;
      return (events) => {
        const inWindow = recent(events);
        const total = volume(inWindow);
        if (!(total > 0)) return null;
        const buckets = Map.groupBy(inWindow, ({ age }) => Math.ceil(age / bucketMs));
        return Math.max(...[...buckets.values()].map(volume)) / total;
      };
    }
    case 'rate': {
      const hit = matcher(table, feature.hit);
      return (events) => {
        const inWindow = recent(events);
        return inWindow.length === 0 ? null : inWindow.filter(({ row }) => hit(row)).length / inWindow.length;
      };
    }
    case 'adjacency': {
      const value = cellsOf(table, feature.of);
      const near = new Set(feature.near.map(normaliseCell));
      return (events) =>
        new Set(
          recent(events)
            .flatMap(value)
            .filter((item) => near.has(item)),
        ).size / near.size;
    }
    default:
      return feature satisfies never;
  }
}

/** Whether an event's cells are among those named, in every column named. */
function matcher(table: Table, where: Readonly<Record<string, readonly string[]>>): (row: number) => boolean {
  const conditions = Object.entries(where).map(([name, values]) => {
    const wanted = new Set(values.map(normaliseCell));
    return { cells: normalised(column(table, name)), wanted };
  });
  return (row) => conditions.every(({ cells, wanted }) => wanted.has(cells[row]!));
}

/** An event's cell, normalised; none where it is blank. */
function cellsOf(table: Table, name: string): (event: Event) => string[] {
  const cells = normalised(column(table, name));
  return ({ row }) => (cells[row] === '' ? [] : [cells[row]!]);
}

/** A million events have few values: each is normalised once. */
function normalised(cells: readonly string[]): string[] {
  const known = new Map<string, string>();
  return cells.map((cell) => {
    const value = known.get(cell) ?? normaliseCell(cell);
    known.set(cell, value);
    return value;
  });
}

/** The sum of a column over events, blank cells as 0; their number where no column is named. */
function volumeOf(table: Table, name: string | undefined): (events: readonly Event[]) => number {
  if (name === undefined) return (events) => events.length;
  const numbers = Float64Array.from(column(table, name), (cell, row) => {
    if (cell.trim() === '') return 0;
    const value = readDecimal(cell);
    if (Number.isNaN(value) || value < 0) {
      const where = `table ${table.name}, column "${name}", row ${row + 1}`;
      throw new LearningError('BAD_NUMBER', `${where}: not a decimal number from 0 on`);
    }
    return value;
  });
  // In ascending order: a sum of rounded numbers must not tell in which order rows arrived.
  return (events) =>
    Float64Array.from(events, ({ row }) => numbers[row]!)
      .sort()
      .reduce((sum, value) => sum + value, 0);
}
