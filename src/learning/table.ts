import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import { LearningError } from './errors.ts';

/** Largest table file that is read, after decompression. */
const TABLE_BYTES_MAX = 256 * 1024 * 1024;

/** A table as its owner wrote it: named columns of text cells. Cells become numbers only under a public schema. */
export interface Table {
  /** What messages call it: a file's name. */
  readonly name: string;
  readonly rowCount: number;
  readonly columns: ReadonlyMap<string, readonly string[]>;
}

/** @throws LearningError BAD_TABLE for columns of unequal length. */
export function makeTable(name: string, columns: ReadonlyMap<string, readonly string[]>): Table {
  const lengths = new Set([...columns.values()].map((cells) => cells.length));
  if (lengths.size > 1) throw new LearningError('BAD_TABLE', `table ${name}: its columns differ in length`);
  return { name, rowCount: [...lengths][0] ?? 0, columns };
}

/** @throws LearningError MISSING_COLUMN, naming the columns that are there. */
export function column(table: Table, name: string): readonly string[] {
  const cells = table.columns.get(name);
  if (cells) return cells;
  const present = [...table.columns.keys()].slice(0, 40).join(', ');
  throw new LearningError('MISSING_COLUMN', `table ${table.name} has no column "${name}"; it has: ${present}`);
}

/** The rows at `rows`, in that order. */
export function selectRows(table: Table, rows: readonly number[] | Uint32Array, name = table.name): Table {
  const columns = new Map<string, readonly string[]>();
  for (const [key, cells] of table.columns)
    columns.set(
      key,
      Array.from(rows, (row) => cells[row]!),
    );
  return { name, rowCount: rows.length, columns };
}

/** Without the named columns, which must exist: identifiers, and what is known only after the outcome. */
export function dropColumns(table: Table, names: readonly string[]): Table {
  for (const name of names) column(table, name);
  return { ...table, columns: new Map([...table.columns].filter(([name]) => !names.includes(name))) };
}

/**
 * Reads a CSV file (RFC 4180 with a header line, UTF-8, optionally gzip by the ending `.gz`).
 *
 * @param delimiter - one character; by default `;` when the header line has more of them than commas.
 * @throws LearningError DATA_NOT_FOUND, TOO_LARGE or BAD_TABLE.
 */
export function readCsv(path: string, delimiter?: string): Table {
  return parseCsv(basename(path), readTableFile(path), delimiter);
}

/** A table's file, unpacked. @throws LearningError DATA_NOT_FOUND or TOO_LARGE. */
export function readTableFile(path: string): Uint8Array {
  const name = basename(path);
  let bytes: Buffer;
  try {
    if (statSync(path).size > TABLE_BYTES_MAX) throw new LearningError('TOO_LARGE', `table ${name} exceeds 256 MiB`);
    bytes = readFileSync(path);
    if (name.endsWith('.gz')) bytes = gunzipSync(bytes, { maxOutputLength: TABLE_BYTES_MAX });
  } catch (error) {
    if (error instanceof LearningError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new LearningError('TOO_LARGE', `table ${name} exceeds 256 MiB unpacked`);
    throw new LearningError('DATA_NOT_FOUND', `cannot read the table ${path} (${code})`, { cause: error });
  }
  return bytes;
}

/** Parses CSV bytes; same rules and errors as {@link readCsv}. */
export function parseCsv(name: string, bytes: Uint8Array, delimiter?: string): Table {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new LearningError('BAD_TABLE', `table ${name} is not UTF-8 text`, { cause: error });
  }
  return parseCsvText(name, text, delimiter);
}

/** Parses CSV text; same rules and errors as {@link readCsv}. */
export function parseCsvText(name: string, text: string, delimiter?: string): Table {
  let records: string[][];
  try {
    records = parse(text, { delimiter: delimiter ?? guessDelimiter(text), skip_empty_lines: true });
  } catch (error) {
    // csv-parse quotes the offending cell in its message: keep only its code and line.
    const { code, lines } = error as { code?: string; lines?: number };
    throw new LearningError(
      'BAD_TABLE',
      `table ${name} is not well-formed CSV near line ${lines ?? '?'} (${code ?? '?'})`,
    );
  }
  const header = records.shift() ?? [];
  if (header.length === 0) throw new LearningError('BAD_TABLE', `table ${name} has no header line`);
  const columns = new Map<string, string[]>();
  header.forEach((key, index) => {
    if (columns.has(key)) throw new LearningError('BAD_TABLE', `table ${name} has two columns "${key}"`);
    columns.set(
      key,
      records.map((record) => record[index]!),
    );
  });
  return { name, rowCount: records.length, columns };
}

/** Writes a table as CSV; reading it again gives the same columns and cells. */
export function formatCsv(table: Table): string {
  const quote = (cell: string): string =>
    /[",;\r\n]|^\s|\s$|^$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const columns = [...table.columns.values()];
  const lines = [[...table.columns.keys()].map(quote).join(',')];
  for (let row = 0; row < table.rowCount; row++) lines.push(columns.map((cells) => quote(cells[row]!)).join(','));
  return `${lines.join('\n')}\n`;
}

/**
 * The rule that holds rows out for evaluation, about one in five: SHA-256 of the row's number (0-based, decimal, in
 * the order of the file) begins with a byte below 51. Everybody can recompute it, nobody can choose it.
 */
export function isHeldOut(row: number): boolean {
  return createHash('sha256').update(String(row)).digest()[0]! < 51;
}

function guessDelimiter(text: string): string {
  const header = text.slice(0, text.search(/\r?\n|$/));
  return header.split(';').length > header.split(',').length ? ';' : ',';
}
