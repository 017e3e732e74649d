import { basename, dirname, resolve } from 'node:path';
import { readValidated } from '../config/files.ts';
import { LearningError } from '../learning/errors.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { ROWS, schemaInputs } from '../learning/schema-inputs.ts';
import type { Table } from '../learning/table.ts';
import { openSource } from './open-source.ts';
import { ownName, readTable } from './port.ts';
import { type RegionConfig, regionField, type TableSetting } from './region-config.ts';

/** A region's settings with the feature file that they name. */
export interface Region {
  /** What messages call the region. */
  readonly name: string;
  readonly config: RegionConfig;
  readonly schema: FeatureSchema;
  /** Of a path in the settings. */
  readonly resolve: (path: string) => string;
}

/** `region-eu.yaml` is of `eu`, `emea/region.yaml` of `emea`. */
function nameOf(path: string): string {
  const name = basename(path).replace(/\.(ya?ml|json)$/, '');
  return name.replace(/^region-?/, '') || basename(dirname(resolve(path))) || name;
}

/** @throws ConfigError, LearningError BAD_SCHEMA; DATA_NOT_FOUND where tables and feature file do not go together. */
export function readRegionConfig(path: string): Region {
  const hint = "'veilsum node train --help' shows one";
  const config = readValidated(path, "the region's settings file", regionField, hint);
  const inFolder = (file: string): string => resolve(dirname(path), file);
  const schema = readFeatureFile(config.features, inFolder);
  const needed = [...schemaInputs(schema).keys()];
  const given = Object.keys(config.tables);
  const missing = needed.filter((name) => !given.includes(name));
  const surplus = given.filter((name) => !needed.includes(name));
  if (missing.length + surplus.length > 0) {
    const why = `feature file ${schema.name} reads the tables ${needed.join(', ')}, ${basename(path)} names ${given.join(', ') || 'none'}`;
    throw new LearningError('DATA_NOT_FOUND', why);
  }
  return { name: nameOf(path), config, schema, resolve: inFolder };
}

/** A table, and what to say of it: where it came from and what of it is kept. */
export interface ReadTable {
  readonly table: Table;
  readonly from: TableSetting['from'];
  readonly columnsFound: number;
}

/**
 * Reads a region's tables, one after the other. Of each only the columns that the feature file reads are kept, and only
 * in this process's memory.
 *
 * @param withLabel - false for rows whose outcome nobody knows yet.
 * @param also - columns of the table of records that are kept beside: names and ids that no model sees.
 * @throws ConnectorError, LearningError; MISSING_COLUMN with every column that a table lacks and all that it has.
 */
export async function readRegionTables(
  { config, schema, resolve }: Region,
  withLabel = true,
  also: readonly string[] = [],
): Promise<Map<string, ReadTable>> {
  const read = new Map<string, ReadTable>();
  for (const [name, inputs] of schemaInputs(schema, withLabel)) {
    const columns = name === (schema.derive?.table ?? ROWS) ? new Set([...inputs, ...also]) : inputs;
    const setting = config.tables[name]!;
    const source = openSource(name, setting, resolve);
    const { table, found } = await readTable(source, { columns, ownNames: setting.columns });
    if (table.rowCount > 0 || found.length > 0) requireColumns(name, columns, setting.columns, found);
    read.set(name, { table, from: setting.from, columnsFound: found.length });
  }
  return read;
}

function requireColumns(
  name: string,
  wanted: ReadonlySet<string>,
  ownNames: Readonly<Record<string, string>>,
  found: readonly string[],
): void {
  const missing = [...wanted].map((column) => ownName(ownNames, column)).filter((own) => !found.includes(own));
  if (missing.length === 0) return;
  const lacks = missing.map((column) => `"${column}"`).join(', ');
  const has = found.slice(0, 40).join(', ');
  throw new LearningError(
    'MISSING_COLUMN',
    `table ${name} has no column ${lacks}; it has: ${has}. Where it is called otherwise here, say so under tables.${name}.columns`,
  );
}
