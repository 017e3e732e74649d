import { column, makeTable, type Table } from '../learning/table.ts';
import { canonicalOf } from './canonical.ts';
import { MatchingError } from './errors.ts';
import { JOIN_KEY } from './join.ts';
import type { NameKind } from './name-kinds.ts';

/** The column that a join adds beside the names'. */
export function keyColumn(name: string): string {
  return `${name}_key`;
}

/** Canonical spelling of each cell of a column, null where it is blank. @throws MatchingError, LearningError */
export function canonicalColumn(table: Table, name: string, kind: NameKind): (string | null)[] {
  return column(table, name).map((cell) => canonicalOf(kind, cell));
}

/** The table with join keys beside its names; a blank cell's key is blank. */
export function withKeys(
  table: Table,
  name: string,
  canonicals: readonly (string | null)[],
  keys: ReadonlyMap<string, string>,
): Table {
  const cells = canonicals.map((canonical) => (canonical === null ? '' : keys.get(canonical)!));
  const others = [...table.columns].filter(([other]) => other !== keyColumn(name));
  return makeTable(table.name, new Map([...others, [keyColumn(name), cells]]));
}

/** The keys of a column, each once, in an order that tells nothing. @throws MatchingError NOT_A_KEY */
export function distinctKeys(table: Table, name: string): string[] {
  const cells = column(table, name).filter((cell) => cell !== '');
  const wrong = cells.findIndex((cell) => !JOIN_KEY.test(cell));
  if (wrong >= 0) {
    throw new MatchingError(
      'NOT_A_KEY',
      `table ${table.name}, column "${name}" holds something that is no join key: 'veilsum match join' writes them`,
    );
  }
  return [...new Set(cells)].sort();
}

/**
 * Rows whose key the other side has too.
 *
 * @param atLeast - fewer shared keys than this are not shown: the count stays out of the message.
 * @throws MatchingError OTHER_JOIN for keys of another key set, kind, rules or purpose; TOO_FEW_SHARED.
 */
export function sharedRows(
  mine: Table,
  name: string,
  theirs: readonly string[],
  atLeast: number,
): { readonly rows: number[]; readonly keys: number } {
  const own = distinctKeys(mine, name);
  const joins = new Set([...own, ...theirs].map((key) => JOIN_KEY.exec(key)![1]));
  if (joins.size > 1) {
    throw new MatchingError(
      'OTHER_JOIN',
      "the two files' keys are of different joins (key set, kind, rules or --purpose): both sites join again with the same ones",
    );
  }
  const other = new Set(theirs);
  const shared = new Set(own.filter((key) => other.has(key)));
  if (shared.size < atLeast) {
    throw new MatchingError('TOO_FEW_SHARED', `fewer than ${atLeast} names are shared: nothing is shown`);
  }
  const rows = [...column(mine, name).entries()].filter(([, key]) => shared.has(key)).map(([row]) => row);
  return { rows, keys: shared.size };
}
