import { LearningError } from './errors.ts';
import { type FeatureSchema, normaliseCell } from './schema.ts';
import { suppressedColumn } from './schema-inputs.ts';
import { column, type Table } from './table.ts';

/** Tables without their rare values, and how many cells became blank, by `suppress.columns` entry. */
export interface Suppressed {
  readonly tables: ReadonlyMap<string, Table>;
  readonly cells: ReadonlyMap<string, number>;
}

/**
 * Blanks every value that fewer than `fewerThan` records of this region have, in the columns that the schema names. In
 * an event table records are counted, not events: one customer's thousand events are one.
 *
 * Runs before anything else looks at a cell. Law: which cells become blank does not depend on the order of rows, and
 * a value is blanked everywhere or nowhere.
 *
 * @throws LearningError MISSING_COLUMN.
 */
export function suppressRare(schema: FeatureSchema, tables: ReadonlyMap<string, Table>): Suppressed {
  const { suppress, derive } = schema;
  const result = new Map(tables);
  const blanked = new Map<string, number>();
  if (suppress === undefined) return { tables: result, cells: blanked };
  for (const entry of suppress.columns) {
    const { table: name, column: columnName } = suppressedColumn(schema, entry);
    const table = result.get(name);
    if (table === undefined) continue;
    const key = derive?.events[name]?.key;
    const cells = column(table, columnName);
    const rare = rareValues(cells, key === undefined ? null : column(table, key), suppress.fewerThan);
    let count = 0;
    const kept = cells.map((cell) => {
      if (!rare.has(normaliseCell(cell))) return cell;
      count++;
      return '';
    });
    result.set(name, { ...table, columns: new Map(table.columns).set(columnName, kept) });
    blanked.set(entry, count);
  }
  return { tables: result, cells: blanked };
}

/** Values, normalised, that fewer than k owners have; a row is its own owner where `owners` is null. */
function rareValues(cells: readonly string[], owners: readonly string[] | null, k: number): Set<string> {
  const seen = new Map<string, Set<string | number>>();
  cells.forEach((cell, row) => {
    const value = normaliseCell(cell);
    if (value === '') return;
    const by = seen.get(value) ?? new Set();
    if (by.size < k) by.add(owners?.[row] ?? row);
    seen.set(value, by);
  });
  return new Set([...seen].flatMap(([value, by]) => (by.size < k ? [value] : [])));
}

/** @throws LearningError TOO_FEW_ROWS: among so few every value is rare. */
export function requireEnough({ suppress }: FeatureSchema, { name, rowCount }: Table): void {
  if (rowCount === 0) throw new LearningError('EMPTY_REGION', `table ${name} has no rows`);
  if (suppress === undefined || rowCount >= suppress.fewerThan) return;
  const why = `the feature file blanks what fewer than ${suppress.fewerThan} records have`;
  throw new LearningError(
    'TOO_FEW_ROWS',
    `table ${name} has ${rowCount} row${rowCount === 1 ? '' : 's'}, and ${why}: nothing would be left`,
  );
}
