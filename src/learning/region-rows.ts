import { createHash } from 'node:crypto';
import type { RegionTables } from './datasets.ts';
import { type Derived, deriveTable } from './derive.ts';
import { LearningError } from './errors.ts';
import type { FeatureSchema } from './schema.ts';
import { leakageRead, ROWS } from './schema-inputs.ts';
import { requireEnough, suppressRare } from './suppress.ts';
import { selectRows, type Table } from './table.ts';

export interface RegionInput {
  /** What messages call the region. */
  readonly name: string;
  readonly schema: FeatureSchema;
  /** By the names that the schema uses; one table `rows` where it derives nothing. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Columns that this region names as leakage, beside the schema's. */
  readonly leakage: readonly string[];
  /** ms since 1970. */
  readonly now: number;
}

/** A region's records with all columns of its schema, and what became of its cells on the way. */
export interface RegionRows {
  readonly whole: Table;
  /** Cells that became blank because few records have their value, by the schema's `suppress.columns`. */
  readonly suppressed: ReadonlyMap<string, number>;
  readonly derived: Derived | null;
}

/**
 * From tables as they were read to records: suppression first, then derivation.
 *
 * @throws LearningError, in the words of the tables.
 */
export function buildRows({ name, schema, tables, leakage, now }: RegionInput): RegionRows {
  const read = leakageRead(schema, leakage);
  if (read !== null) {
    throw new LearningError(
      'LEAKAGE',
      `region ${name} names a leakage column, ${read}, that schema ${schema.name} reads`,
    );
  }
  const first = tables.get(schema.derive?.table ?? ROWS);
  if (first !== undefined) requireEnough(schema, first);
  const { tables: kept, cells } = suppressRare(schema, tables);
  const derived = schema.derive === undefined ? null : deriveTable(schema.derive, kept, now);
  const whole = derived?.table ?? kept.get(ROWS);
  if (whole === undefined) throw new LearningError('DATA_NOT_FOUND', `region ${name} names no table`);
  return { whole, suppressed: cells, derived };
}

/**
 * Cuts records into training and held-out ones, about four to one, by a rule that nobody can choose: the first byte of
 * the SHA-256 of the entity's key; without keys, of the record's cells but the label, columns in the order of their names.
 * A record's side depends on nothing but the record: were it its number, one row less would move others across, and a
 * sum of a federation that protects records by more than one record's part.
 */
export function splitRecords(name: string, { whole, derived }: RegionRows, schema: FeatureSchema): RegionTables {
  const names = [...whole.columns.keys()].filter((name) => name !== schema.label.column).sort();
  const own = (row: number): string =>
    derived === null
      ? JSON.stringify(names.map((column) => whole.columns.get(column)![row]!))
      : whole.columns.get(schema.derive!.key)![row]!.trim();
  const isOut = (row: number): boolean => createHash('sha256').update(own(row)).digest()[0]! < 51;
  const rows = Array.from({ length: whole.rowCount }, (_, row) => row);
  return {
    name,
    train: selectRows(
      whole,
      rows.filter((row) => !isOut(row)),
      `${name} (training rows)`,
    ),
    heldOut: selectRows(whole, rows.filter(isOut), `${name} (held-out rows)`),
  };
}
