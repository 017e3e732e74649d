import { eventInputs } from './derivation.ts';
import type { FeatureSchema } from './schema.ts';

/** The name under which a schema without `derive` asks for its one table. */
export const ROWS = 'rows';

/**
 * The tables that a schema reads, and of each the columns: all that a region keeps of its rows in memory.
 *
 * @param withLabel - false for rows whose outcome nobody knows yet.
 */
export function schemaInputs(schema: FeatureSchema, withLabel = true): Map<string, Set<string>> {
  const { derive, features, label } = schema;
  const own = [...features.map((feature) => feature.column), ...(withLabel ? [label.column] : [])];
  if (derive === undefined) return new Map([[ROWS, new Set(own)]]);
  const derived = new Set(derive.columns.map((column) => column.name));
  const entity = new Set([derive.key, ...own.filter((name) => !derived.has(name))]);
  if ('column' in derive.asOf) entity.add(derive.asOf.column);
  const inputs = new Map([[derive.table, entity]]);
  for (const [name, { key, time }] of Object.entries(derive.events)) inputs.set(name, new Set([key, time]));
  for (const column of derive.columns) {
    if (column.kind === 'since') entity.add(column.column);
    else for (const input of eventInputs(column)) inputs.get(column.events)!.add(input);
  }
  return inputs;
}

/** The table and column that an entry of `suppress.columns` means. */
export function suppressedColumn({ derive }: FeatureSchema, entry: string): { table: string; column: string } {
  const event = Object.keys(derive?.events ?? {}).find((name) => entry.startsWith(`${name}.`));
  if (event !== undefined) return { table: event, column: entry.slice(event.length + 1) };
  return { table: derive?.table ?? ROWS, column: entry };
}

/** The leakage column that a feature reads, with the table; null where none does. */
export function leakageRead(schema: FeatureSchema, leakage: readonly string[]): string | null {
  for (const [table, columns] of schemaInputs(schema)) {
    const read = leakage.find((name) => columns.has(name) && name !== schema.label.column);
    if (read !== undefined) return `"${read}"${schema.derive === undefined ? '' : ` of table "${table}"`}`;
  }
  return null;
}

/** Why what a schema reads cannot be meant; null where it can. */
export function readFault(schema: FeatureSchema): string | null {
  const { derive, features, label, leakage = [], suppress } = schema;
  const read = leakageRead(schema, leakage);
  if (read !== null) return `a feature reads the leakage column ${read}`;
  if (leakage.includes(label.column)) return `the label "${label.column}" is among the leakage columns`;
  if (derive?.columns.some((column) => column.name === label.column)) return `the label "${label.column}" is derived`;
  const inputs = schemaInputs(schema);
  for (const entry of suppress?.columns ?? []) {
    const { table, column } = suppressedColumn(schema, entry);
    if (inputs.get(table)?.has(column) !== true) return `suppress names "${entry}", which no feature reads`;
    if (column === label.column || [derive?.key, ...keysOf(schema)].includes(column)) {
      return `suppress names "${entry}", which is a label, a key or a time`;
    }
    const needsValue = features.some((f) => f.column === column && 'missingCells' in f && f.missing === undefined);
    if (needsValue) return `suppress names "${entry}": say with "missing" what its blank cells stand for`;
  }
  return null;
}

function keysOf({ derive }: FeatureSchema): string[] {
  if (derive === undefined) return [];
  const asOf = 'column' in derive.asOf ? [derive.asOf.column] : [];
  return [...asOf, ...Object.values(derive.events).flatMap(({ key, time }) => [key, time])];
}
