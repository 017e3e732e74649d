import { Span } from './span.ts';

/** A group that could be shown, the total being one of them: the cells that it consists of. */
export interface Group {
  readonly dimension: string;
  readonly value: string;
  readonly cells: readonly number[];
  readonly members: number;
}

export interface SuppressionInput {
  readonly groups: readonly Group[];
  /** Members of each cell: a cell is a combination of a value per dimension and a territory. */
  readonly cells: readonly number[];
  /** Fewest members that may be told about. */
  readonly least: number;
  /** What readers know row by row beside what is shown: for each kind of reader, the cells of its own territories. */
  readonly known: readonly ReadonlySet<number>[];
}

/**
 * Chooses which groups are shown. First those with at least `least` members (primary suppression); then, as long as any
 * reader could compute by adding and subtracting shown groups and its own rows
 *
 * - a group of which it does not know 1 to `least` - 1 members, or
 * - a single cell of that many members, or
 * - what one shown group has beyond another that it contains, where that is so few,
 *
 * one more group is hidden (complementary suppression; Cox, JASA 1980; auditing of sums by their linear span: Chin and
 * Ozsoyoglu, IEEE TSE 1982). Groups that are hidden for that are the smallest that help.
 *
 * Law: afterwards no reader of `known`, and no stranger, can compute any of these exactly. Not covered: readers who pool
 * what they know, releases at different times, and bounds short of exact values.
 *
 * @returns groups to show, in the order given.
 */
export function chooseShown({ groups, cells, least, known }: SuppressionInput): Group[] {
  let shown = groups.filter(({ members }) => members >= least);
  // What one reader cannot compute stays so when more is hidden: readers are gone through once.
  for (const own of [new Set<number>(), ...known]) {
    const view = viewOf(groups, cells, own);
    for (let exposed = firstExposed(view, shown, least); exposed !== null; ) {
      const victim = victimOf(exposed, shown);
      shown = shown.filter((group) => group !== victim);
      exposed = firstExposed(view, shown, least);
    }
  }
  return shown;
}

/** Groups and cells as one reader sees them: without what it knows. */
interface View {
  readonly cells: readonly number[];
  readonly groups: ReadonlyMap<Group, { readonly cells: readonly number[]; readonly members: number }>;
}

function viewOf(groups: readonly Group[], cells: readonly number[], own: ReadonlySet<number>): View {
  const entries = groups.map((group) => {
    const unknown = group.cells.filter((cell) => !own.has(cell));
    return [group, { cells: unknown, members: unknown.reduce((sum, cell) => sum + cells[cell]!, 0) }] as const;
  });
  return { cells, groups: new Map(entries) };
}

/** A few rows that some reader can compute: which cells they are in, and the dimension of the group, if it is one. */
interface Exposed {
  readonly cells: readonly number[];
  readonly dimension: string | null;
}

function firstExposed({ cells, groups }: View, shown: readonly Group[], least: number): Exposed | null {
  const isFew = (members: number): boolean => members > 0 && members < least;
  const span = new Span(cells.length);
  for (const group of shown) span.add(groups.get(group)!.cells);
  for (const [{ dimension }, left] of groups)
    if (isFew(left.members) && span.determines(left.cells)) return { cells: left.cells, dimension };
  for (const cell of span.single()) if (isFew(cells[cell]!)) return { cells: [cell], dimension: null };
  for (const outer of shown.map((group) => groups.get(group)!)) {
    for (const inner of shown.map((group) => groups.get(group)!)) {
      if (inner.members === 0 || !isFew(outer.members - inner.members)) continue;
      const rest = beyond(outer.cells, inner.cells);
      if (rest !== null) return { cells: rest, dimension: null };
    }
  }
  return null;
}

/** What `outer` has beyond `inner`; null unless it holds all of it. */
function beyond(outer: readonly number[], inner: readonly number[]): number[] | null {
  const all = new Set(outer);
  if (!inner.every((cell) => all.delete(cell))) return null;
  return [...all];
}

/**
 * The group itself where it is shown, else the smallest shown of its dimension, else the smallest that holds the cells,
 * else the smallest. There is one: where nothing is shown, nothing can be computed.
 */
function victimOf({ cells, dimension }: Exposed, shown: readonly Group[]): Group {
  const exposed = new Set(cells);
  const ofDimension = shown.filter((group) => group.dimension === dimension);
  const holding = shown.filter((group) => touches(group, exposed));
  const choices = [ofDimension.filter((group) => touches(group, exposed)), ofDimension, holding, shown];
  const from = choices.find(({ length }) => length > 0)!;
  return from.reduce((least, group) => (group.members < least.members ? group : least));
}

function touches(group: Group, cells: ReadonlySet<number>): boolean {
  return group.cells.some((cell) => cells.has(cell));
}
