import { makeTable, type Table } from '../learning/table.ts';
import { ConnectorError } from './errors.ts';

/** What a reader may hand over for one cell. Everything else is refused by the column's name. */
export type Cell = string | number | bigint | boolean | Date | null | undefined;

/** Some rows of a table, each as long as `columns`. Columns are the same in every batch. */
export interface RowBatch {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/**
 * Where rows come from: the one thing that a connector is.
 *
 * Law: a reader keeps nothing on disk, and what it throws is a ConnectorError or LearningError without a cell in it.
 */
export interface RowSource {
  /** What messages call it: the table's name and the kind of its source. */
  readonly name: string;
  /** All rows, once. An empty table gives one batch without rows where its columns are known, else none. */
  batches(): AsyncGenerator<RowBatch>;
}

/** What of a source becomes a table. */
export interface Selection {
  /** The columns that are kept, by their public names. All others are dropped as they arrive. */
  readonly columns: ReadonlySet<string>;
  /** Public name to the region's own name of a column, where they differ. */
  readonly ownNames: Readonly<Record<string, string>>;
}

/** Most cells that are kept of one table: strings, so about two gigabytes at worst. */
const CELLS_MAX = 20_000_000;

/**
 * Reads a source into a table of text cells; an absent value is the empty cell.
 *
 * A column that the selection names and the source lacks is left out here: whoever encodes the table names it, together
 * with the columns that are there.
 *
 * @returns the table, and the names of all columns that the source had.
 * @throws ConnectorError, LearningError.
 */
export async function readTable(
  source: RowSource,
  selection: Selection,
): Promise<{ readonly table: Table; readonly found: readonly string[] }> {
  let found: readonly string[] | null = null;
  let kept: { readonly at: number; readonly name: string; readonly cells: string[] }[] = [];
  let rowCount = 0;
  for await (const { columns, rows } of source.batches()) {
    if (found === null) {
      found = columns;
      kept = chosen(source.name, columns, selection);
    } else if (columns.length !== found.length || columns.some((name, at) => name !== found![at])) {
      throw new ConnectorError(
        'CHANGED_SCHEMA',
        `${source.name}: its columns changed while it was read; read it again`,
      );
    }
    if ((rowCount + rows.length) * Math.max(1, kept.length) > CELLS_MAX) {
      const advice = 'count or sum in the query, or read fewer columns or days';
      throw new ConnectorError('TOO_LARGE', `${source.name}: more than ${CELLS_MAX} cells; ${advice}`);
    }
    for (const row of rows) {
      rowCount++;
      for (const { at, name, cells } of kept) cells.push(textOf(row[at], `${source.name}, column "${name}"`));
    }
  }
  return { table: makeTable(source.name, new Map(kept.map(({ name, cells }) => [name, cells]))), found: found ?? [] };
}

/** A region's own name of a column. Columns may be called like what every object has. */
export function ownName(ownNames: Readonly<Record<string, string>>, column: string): string {
  return Object.hasOwn(ownNames, column) ? ownNames[column]! : column;
}

function chosen(name: string, columns: readonly string[], { columns: wanted, ownNames }: Selection) {
  const duplicate = columns.find((column, at) => columns.indexOf(column) !== at);
  if (duplicate !== undefined) {
    throw new ConnectorError('CHANGED_SCHEMA', `${name} has two columns "${duplicate}": give one another name`);
  }
  return [...wanted].flatMap((column) => {
    const at = columns.indexOf(ownName(ownNames, column));
    return at < 0 ? [] : [{ at, name: column, cells: [] as string[] }];
  });
}

function textOf(cell: Cell, where: string): string {
  if (cell === null || cell === undefined) return '';
  switch (typeof cell) {
    case 'string':
      return cell;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(cell);
    default:
      if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? 'not a date' : cell.toISOString();
      throw new ConnectorError('UNSUPPORTED_TYPE', `${where}: a list, an object or bytes, which no feature can read`);
  }
}
