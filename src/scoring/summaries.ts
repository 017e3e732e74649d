import { column, type Table } from '../learning/table.ts';
import { ScoringError } from './errors.ts';
import type { Scores } from './scores.ts';
import { chooseShown, type Group } from './suppression.ts';

export interface SummaryRequest {
  readonly scores: Scores;
  readonly table: Table;
  /** Columns whose values are groups. Territory is one more where the table has several. */
  readonly dimensions: readonly string[];
  readonly least: number;
  /** Territories that each kind of reader sees row by row. */
  readonly readers: readonly ReadonlySet<string>[];
}

export interface SummaryGroup {
  readonly value: string;
  readonly organisations: number;
  /** Mean of their probabilities, to three digits. */
  readonly meanProbability: number;
}

/** One way to cut all organisations into groups: those that are shown, largest mean first. */
export interface Summary {
  readonly by: string;
  readonly groups: readonly SummaryGroup[];
  /** How many groups are not shown. */
  readonly hidden: number;
}

export interface Summaries {
  readonly least: number;
  /** Null where it would tell too much of few organisations. */
  readonly total: Omit<SummaryGroup, 'value'> | null;
  readonly summaries: readonly Summary[];
}

/** What the territories' own summary is called. */
const BY_TERRITORY = 'territory';
/** Fewest members of a group in any setting: with two, each knows the other. */
export const LEAST_MEMBERS = 3;

const GROUPS_MAX = 100;
/** Bound of what checking costs, in steps of elimination: seconds of one core. */
const WORK_MAX = 1e10;

/**
 * Summaries over all territories that every reader gets alike: groups of at least `least` organisations, and no group
 * that would let a reader compute what fewer organisations have (`chooseShown`). A blank cell is "not stated".
 *
 * @throws LearningError MISSING_COLUMN; ScoringError TOO_MANY_GROUPS, BAD_SETTING.
 */
export function summarise(request: SummaryRequest): Summaries {
  const { scores, least, readers } = request;
  if (!(Number.isInteger(least) && least >= LEAST_MEMBERS))
    throw new ScoringError('BAD_SETTING', `groups are shown from ${LEAST_MEMBERS} members on or more, not ${least}`);
  const dimensions = dimensionsOf(request);
  const { cells, cellOf } = cellsOf(scores, dimensions);
  const means = new Map<Group, number>();
  const groups = dimensions.flatMap(({ name, groupOf }) => {
    const found = new Map<string, { cells: Set<number>; members: number; sum: number }>();
    for (const [i, { row, probability }] of scores.organisations.entries()) {
      const value = groupOf(row);
      const group = found.get(value) ?? { cells: new Set<number>(), members: 0, sum: 0 };
      group.cells.add(cellOf[i]!);
      group.members++;
      group.sum += probability;
      found.set(value, group);
    }
    if (found.size > GROUPS_MAX)
      throw new ScoringError(
        'TOO_MANY_GROUPS',
        `column "${name}" has ${found.size} values, groups are made of at most ${GROUPS_MAX}: choose a coarser column`,
      );
    return [...found].map(([value, { cells: own, members, sum }]) => {
      const group: Group = { dimension: name, value, cells: [...own], members };
      means.set(group, sum / members);
      return group;
    });
  });
  requireCheckable(groups.length, cells.length, readers.length);
  const { organisations } = scores;
  const total: Group = { dimension: '', value: '', cells: cells.map((_, cell) => cell), members: organisations.length };
  means.set(total, organisations.reduce((sum, { probability }) => sum + probability, 0) / organisations.length);
  const territoryOf = organisations.map(({ territory }) => territory);
  const known = readers.map((own) => new Set([...cellOf].filter((_, i) => own.has(territoryOf[i]!))));
  const shown = new Set(chooseShown({ groups: [total, ...groups], cells, least, known }));
  return {
    least,
    total: shown.has(total) ? shownAs(total, means) : null,
    summaries: dimensions.map(({ name }) => {
      const all = groups.filter(({ dimension }) => dimension === name);
      const visible = all.filter((group) => shown.has(group));
      return {
        by: name,
        groups: visible
          .map((group) => ({ value: group.value, ...shownAs(group, means) }))
          .sort((a, b) => b.meanProbability - a.meanProbability || (a.value < b.value ? -1 : 1)),
        hidden: all.length - visible.length,
      };
    }),
  };
}

interface Dimension {
  readonly name: string;
  readonly groupOf: (row: number) => string;
}

function dimensionsOf({ scores, table, dimensions }: SummaryRequest): Dimension[] {
  const chosen = [...new Set(dimensions)].map((name) => {
    const values = column(table, name);
    return { name, groupOf: (row: number) => values[row]!.trim().slice(0, 80) || 'not stated' };
  });
  if (scores.territories.size < 2) return chosen;
  const ofRow = new Map(scores.organisations.map(({ row, territory }) => [row, territory]));
  const rest = chosen.filter(({ name }) => name !== BY_TERRITORY);
  return [{ name: BY_TERRITORY, groupOf: (row) => ofRow.get(row)! }, ...rest];
}

/** Each combination of values and territory that occurs, with its members; and the cell of each organisation by rank. */
function cellsOf(scores: Scores, dimensions: readonly Dimension[]): { cells: number[]; cellOf: Int32Array } {
  const numbers = new Map<string, number>();
  const cells: number[] = [];
  const cellOf = Int32Array.from(scores.organisations, ({ row, territory }) => {
    const key = JSON.stringify([territory, ...dimensions.map(({ groupOf }) => groupOf(row))]);
    const cell = numbers.get(key) ?? numbers.size;
    numbers.set(key, cell);
    cells[cell] = (cells[cell] ?? 0) + 1;
    return cell;
  });
  return { cells, cellOf };
}

/** Each reader's span: as many rows as groups, as wide as cells. */
function requireCheckable(groups: number, cells: number, readers: number): void {
  if (groups ** 2 * cells * (readers + 1) <= WORK_MAX) return;
  throw new ScoringError(
    'TOO_MANY_GROUPS',
    `${groups} groups that combine in ${cells} ways, for ${readers} sets of territories, are too many to check: summarise by fewer or coarser columns, or give tokens fewer different sets of territories`,
  );
}

function shownAs(group: Group, means: ReadonlyMap<Group, number>): Omit<SummaryGroup, 'value'> {
  return { organisations: group.members, meanProbability: Math.round(1000 * means.get(group)!) / 1000 };
}
