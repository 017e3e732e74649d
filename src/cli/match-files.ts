import { writeDurably } from '../config/files.ts';
import { formatCsv, makeTable, readCsv, selectRows, type Table } from '../learning/table.ts';
import { canonicalColumn, distinctKeys, keyColumn, sharedRows } from '../matching/name-column.ts';
import type { NameKind } from '../matching/name-kinds.ts';
import { usageError } from './exit.ts';
import { counted, grouped, print } from './output.ts';

/** A table of names, and which of its columns holds them. @throws LearningError, CliError USAGE */
export function readNames(
  path: string,
  wanted: string | undefined,
): { readonly table: Table; readonly column: string } {
  const table = readCsv(path);
  const column = wanted ?? [...table.columns.keys()][0];
  if (column === undefined || !table.columns.has(column)) {
    throw usageError(`--column: ${table.name} has the columns ${[...table.columns.keys()].join(', ')}`);
  }
  return { table, column };
}

/** Writes a table that holds names or keys of a site's customers: for its owner's eyes, mode 0600. */
export function writePrivate(path: string, table: Table): void {
  writeDurably(path, formatCsv(table), 0o600);
}

/** `veilsum match canonical` */
export function showCanonical(path: string, wanted: string | undefined, kind: NameKind, out: string | undefined): void {
  const { table, column } = readNames(path, wanted);
  const canonicals = canonicalColumn(table, column, kind);
  const spellings = new Map<string, Set<string>>();
  const cells = table.columns.get(column)!;
  for (const [row, canonical] of canonicals.entries()) {
    if (canonical === null) continue;
    const known = spellings.get(canonical) ?? new Set();
    spellings.set(canonical, known.add(cells[row]!));
  }
  const pairs = [...spellings].flatMap(([canonical, all]) =>
    [...all].map((spelling) => [spelling, canonical] as const),
  );
  if (out === undefined) for (const [spelling, canonical] of pairs) print(`${spelling} -> ${canonical}`);
  else {
    const columns = new Map([
      [column, pairs.map(([spelling]) => spelling)],
      ['canonical', pairs.map(([, canonical]) => canonical)],
    ]);
    writePrivate(out, makeTable(out, columns));
  }
  const several = [...spellings.values()].filter((all) => all.size > 1).length;
  const blank = canonicals.filter((canonical) => canonical === null).length;
  print(
    `${counted(table.rowCount, 'row')}, ${counted(pairs.length, 'spelling')}, ${counted(spellings.size, 'organisation')}, ${grouped(several)} of them in several spellings; ${counted(blank, 'row is', 'rows are')} blank`,
  );
}

/** `veilsum match export` */
export function exportKeys(path: string, wanted: string, out: string): void {
  const keys = distinctKeys(readCsv(path), keyColumn(wanted));
  writePrivate(out, makeTable(out, new Map([['key', keys]])));
  print(
    `${out}: ${counted(keys.length, 'join key')}, no names. Whoever gets it learns how many names there are, and, for each`,
  );
  print('name that it can have evaluated (its own, and guesses within its budget), whether this site has it.');
}

/** `veilsum match compare` */
export function compareKeys(path: string, wanted: string, other: string, atLeast: number, out: string): void {
  const mine = readCsv(path);
  const theirs = distinctKeys(readCsv(other), 'key');
  const { rows, keys } = sharedRows(mine, keyColumn(wanted), theirs, atLeast);
  writePrivate(out, selectRows(mine, rows, out));
  print(
    `${out}: ${counted(rows.length, 'row')} of ${mine.name}, of ${counted(keys, 'name')} that the other site has too`,
  );
}
