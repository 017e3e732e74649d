import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { makeTable, type Table } from '../../src/learning/table.ts';
import type { Organisation, Scores } from '../../src/scoring/scores.ts';
import type { Summaries, SummaryRequest } from '../../src/scoring/summaries.ts';
import { chooseShown, type Group, type SuppressionInput } from '../../src/scoring/suppression.ts';

const LEAST = 10;

/** So many organisations of each kind; probabilities differ from one to the next. */
function tableOf(kinds: readonly { readonly of: Readonly<Record<string, string>>; readonly count: number }[]): {
  table: Table;
  scores: Scores;
} {
  const rows = kinds.flatMap(({ of, count }) => Array.from({ length: count }, () => of));
  const names = Object.keys(rows[0]!);
  const organisations = rows.map((of, row): Organisation => {
    const probability = ((row * 37) % 101) / 101;
    const id = `org-${row}`;
    return { id, name: id, territory: of['territory']!, probability, logOdds: 0, row };
  });
  const territories = new Map<string, number>();
  for (const { territory } of organisations) territories.set(territory, (territories.get(territory) ?? 0) + 1);
  const evidence = (): never => {
    throw new Error('summaries look at no evidence');
  };
  return {
    table: makeTable('organisations', new Map(names.map((name) => [name, rows.map((of) => of[name]!)]))),
    scores: { organisations, territories, outside: new Map(), evidence },
  };
}

type Request = Pick<SummaryRequest, 'dimensions'> & { readonly readers?: readonly ReadonlySet<string>[] };

/** Summaries as they are, or with what replaces the choice of groups. */
async function summariesOf(
  { table, scores }: ReturnType<typeof tableOf>,
  { dimensions, readers = [] }: Request,
  choose?: (input: SuppressionInput) => Group[],
): Promise<Summaries> {
  if (choose !== undefined) vi.doMock('../../src/scoring/suppression.ts', () => ({ chooseShown: choose }));
  const { summarise } = await import('../../src/scoring/summaries.ts');
  return summarise({ scores, table, dimensions, least: LEAST, readers });
}

/** The weakened check: small groups are hidden, and nothing else is. */
const smallOnly = ({ groups, least }: SuppressionInput): Group[] => groups.filter(({ members }) => members >= least);
/** The weakened check: right for strangers, but readers' own rows are forgotten. */
const forgetReaders = (input: SuppressionInput): Group[] => chooseShown({ ...input, known: [] });

function shown(summaries: Summaries, by: string) {
  return summaries.summaries.find((summary) => summary.by === by)!.groups;
}

function sumOf(groups: readonly { organisations: number; meanProbability: number }[]) {
  const organisations = groups.reduce((sum, group) => sum + group.organisations, 0);
  return { organisations, sum: groups.reduce((sum, group) => sum + group.organisations * group.meanProbability, 0) };
}

/** What is left of the total when the shown groups are taken off. */
function remainder(summaries: Summaries, by: string) {
  const all = sumOf(summaries.total === null ? [] : [summaries.total]);
  const known = sumOf(shown(summaries, by));
  return { organisations: all.organisations - known.organisations, sum: all.sum - known.sum };
}

afterEach(() => {
  vi.doUnmock('../../src/scoring/suppression.ts');
  vi.resetModules();
});

describe('a hidden group by subtraction from the total', () => {
  const oneSmall = tableOf([
    { of: { industry: 'software', territory: 'all' }, count: 40 },
    { of: { industry: 'retail', territory: 'all' }, count: 33 },
    { of: { industry: 'energy', territory: 'all' }, count: 4 },
    { of: { industry: 'finance', territory: 'all' }, count: 25 },
  ]);
  const energy = oneSmall.scores.organisations.slice(73, 77).reduce((sum, { probability }) => sum + probability, 0);

  it('does not work: what is left holds a second group and enough organisations', async () => {
    const summaries = await summariesOf(oneSmall, { dimensions: ['industry'] });
    expect(shown(summaries, 'industry').map(({ value }) => value)).not.toContain('energy');
    expect(summaries.summaries.find(({ by }) => by === 'industry')!.hidden).toBe(2);
    expect(remainder(summaries, 'industry').organisations).toBeGreaterThanOrEqual(LEAST);
  });

  it('control: with small groups hidden and nothing else, it gives number and mean of the four', async () => {
    const left = remainder(await summariesOf(oneSmall, { dimensions: ['industry'] }, smallOnly), 'industry');
    expect(left.organisations).toBe(4);
    // Means are told to three digits.
    expect(Math.abs(left.sum - energy)).toBeLessThan(0.11);
  });
});

describe('a hidden group by subtraction across summaries', () => {
  // Countries lie within regions: the total of a region tells what its countries leave open.
  const nested = tableOf([
    { of: { country: 'DE', zone: 'eu', territory: 'all' }, count: 30 },
    { of: { country: 'FR', zone: 'eu', territory: 'all' }, count: 20 },
    { of: { country: 'LI', zone: 'eu', territory: 'all' }, count: 3 },
    { of: { country: 'US', zone: 'na', territory: 'all' }, count: 50 },
    { of: { country: 'BM', zone: 'na', territory: 'all' }, count: 9 },
  ]);
  const attack = (summaries: Summaries): number => {
    const zone = shown(summaries, 'zone').find(({ value }) => value === 'eu')?.organisations ?? Number.NaN;
    const countries = shown(summaries, 'country').filter(({ value }) => ['DE', 'FR'].includes(value));
    return countries.length < 2 ? Number.NaN : zone - sumOf(countries).organisations;
  };

  it('does not work', async () => {
    expect(attack(await summariesOf(nested, { dimensions: ['zone', 'country'] }))).toBeNaN();
  });

  it('control: looking at one summary at a time is not enough', async () => {
    // Two countries are small, and together have twelve organisations: by country alone nothing is told.
    const byCountry = await summariesOf(nested, { dimensions: ['country'] });
    expect(shown(byCountry, 'country').map(({ value }) => value)).toEqual(expect.arrayContaining(['DE', 'FR', 'US']));
    vi.resetModules();
    expect(attack(await summariesOf(nested, { dimensions: ['zone', 'country'] }, smallOnly))).toBe(3);
  });
});

describe('a few organisations of another territory, by a seller who sees their own', () => {
  const mine = tableOf([
    { of: { industry: 'energy', territory: 'emea' }, count: 11 },
    { of: { industry: 'energy', territory: 'amer' }, count: 2 },
    { of: { industry: 'retail', territory: 'amer' }, count: 30 },
    { of: { industry: 'software', territory: 'emea' }, count: 30 },
    { of: { industry: 'software', territory: 'amer' }, count: 20 },
  ]);
  const readers = [new Set(['emea']), new Set(['amer']), new Set(['emea', 'amer'])];
  const attack = (summaries: Summaries): number =>
    (shown(summaries, 'industry').find(({ value }) => value === 'energy')?.organisations ?? Number.NaN) - 11;

  it('does not work: the group is hidden though it is large enough', async () => {
    const summaries = await summariesOf(mine, { dimensions: ['industry'], readers });
    expect(attack(summaries)).toBeNaN();
    expect(shown(summaries, 'industry').length).toBeLessThan(2);
  });

  it('control: without looking at what readers know, the two are what is left', async () => {
    expect(attack(await summariesOf(mine, { dimensions: ['industry'], readers }, forgetReaders))).toBe(2);
  });

  it('a territory of a few: whoever sees all others learns no total', async () => {
    const few = tableOf([
      { of: { industry: 'energy', territory: 'emea' }, count: 60 },
      { of: { industry: 'energy', territory: 'latam' }, count: 5 },
    ]);
    const known = [new Set(['emea']), new Set(['latam'])];
    expect((await summariesOf(few, { dimensions: ['industry'], readers: known })).total).toBeNull();
    vi.resetModules();
    const control = await summariesOf(few, { dimensions: ['industry'], readers: known }, forgetReaders);
    expect(control.total?.organisations).toBe(65);
  });
});

describe('a seller who comes while the server runs', () => {
  const three = tableOf([
    ...['a', 'b', 'c'].map((territory) => ({ of: { industry: 'software', territory }, count: 40 })),
    ...['a', 'b', 'c'].map((territory, i) => ({ of: { industry: 'energy', territory }, count: [6, 6, 5][i]! })),
  ]);
  const attack = (summaries: Summaries): number =>
    (shown(summaries, 'industry').find(({ value }) => value === 'energy')?.organisations ?? Number.NaN) - 12;

  it('gets nothing of few by the own rows of two territories, nor does one who was there before; control: till then', async () => {
    const { currentSummaries } = await import('../../src/scoring/current-summaries.ts');
    const summaries = currentSummaries({ ...three, dimensions: ['industry'], least: LEAST }, []);
    expect(attack(summaries.now)).toBe(5);
    summaries.meet([{ territories: ['a', 'b'] }]);
    expect(attack(summaries.now)).toBeNaN();
    summaries.meet([]);
    expect(attack(summaries.now)).toBeNaN();
  });

  it('is met by no summaries at all where they cannot be checked', async () => {
    const sets = Array.from({ length: 40 }, (_, i) => ({ territories: ['t0', `t${i + 1}`, `t${i + 2}`] }));
    const wide = tableOf(
      Array.from({ length: 4000 }, (_, i) => ({
        of: { industry: `${i % 90}`, size: `${i % 89}`, kind: `${i % 83}`, territory: `t${i % 43}` },
        count: 1,
      })),
    );
    const request = { ...wide, dimensions: ['industry', 'size', 'kind'], least: LEAST };
    const { currentSummaries } = await import('../../src/scoring/current-summaries.ts');
    expect(() => currentSummaries(request, sets)).toThrow('too many to check');
  });
});

/** Cells with members, and groups that cut them by dimensions; what each reader knows. */
const inputs = fc
  .array(fc.record({ keys: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(1)), members: fc.integer({ min: 1, max: 14 }) }), {
    minLength: 2,
    maxLength: 7,
  })
  .chain((cells) =>
    fc.record({
      cells: fc.constant(cells.map(({ members }) => members)),
      groups: fc.constant(groupsOf(cells)),
      known: fc.array(
        fc.uniqueArray(fc.nat(cells.length - 1), { maxLength: cells.length }).map((own) => new Set(own)),
        { maxLength: 2 },
      ),
      least: fc.constant(LEAST),
    }),
  );

function groupsOf(cells: readonly { readonly keys: readonly number[]; readonly members: number }[]): Group[] {
  const all = cells.map((_, cell) => cell);
  const members = (among: readonly number[]): number => among.reduce((sum, cell) => sum + cells[cell]!.members, 0);
  const total: Group = { dimension: '', value: '', cells: all, members: members(all) };
  const cut = [0, 1, 2].flatMap((dimension) => {
    const values = [...new Set(cells.map(({ keys }) => keys[dimension]!))];
    return values.map((value) => {
      const own = all.filter((cell) => cells[cell]!.keys[dimension] === value);
      return { dimension: String(dimension), value: String(value), cells: own, members: members(own) };
    });
  });
  return [total, ...cut];
}

/** Everything that comes of adding and subtracting shown groups, each at most once: an attacker of its own. */
function* combinations(shownGroups: readonly Group[], cells: number): Generator<number[]> {
  const total = 3 ** shownGroups.length;
  for (let code = 1; code < total; code++) {
    const sum = new Array<number>(cells).fill(0);
    for (let i = 0, left = code; i < shownGroups.length; i++, left = Math.floor(left / 3)) {
      const factor = (left % 3) - 1;
      for (const cell of shownGroups[i]!.cells) sum[cell]! += factor;
    }
    yield sum;
  }
}

/** Whether some reader gets a hidden group, or one cell, of fewer than `least` that it does not know. */
function isBroken({ groups, cells, least, known }: SuppressionInput, shownGroups: readonly Group[]): boolean {
  for (const sum of combinations(shownGroups, cells.length)) {
    for (const own of [new Set<number>(), ...known]) {
      const left = sum.flatMap((factor, cell) => (factor !== 0 && !own.has(cell) ? [cell] : []));
      const members = left.reduce((total, cell) => total + cells[cell]!, 0);
      if (left.some((cell) => sum[cell] !== 1) || members === 0 || members >= least) continue;
      const isGroup = groups.some((group) => String(group.cells.filter((cell) => !own.has(cell))) === String(left));
      if (isGroup || left.length === 1) return true;
    }
  }
  return false;
}

describe('any table', () => {
  it('nobody gets a few organisations by adding and subtracting', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const chosen = chooseShown(input);
        expect(chosen.every(({ members }) => members >= LEAST)).toBe(true);
        expect(isBroken(input, chosen)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('control: the same attacker breaks what hides small groups only', () => {
    const sample = fc.sample(inputs, { numRuns: 100, seed: 1 });
    const broken = sample.filter((input) => isBroken(input, smallOnly(input)));
    expect(broken.length).toBeGreaterThan(20);
  });

  it('shows everything where all groups are large and nobody knows any row', () => {
    const cells = [12, 15, 30, 11].map((members, i) => ({ keys: [i % 2, Math.floor(i / 2), 0], members }));
    const input = { cells: cells.map(({ members }) => members), groups: groupsOf(cells), known: [], least: LEAST };
    expect(chooseShown(input)).toEqual(input.groups);
  });
});
