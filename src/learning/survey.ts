import { LearningError } from './errors.ts';
import { isMissing, type NumericFeature, readDecimal, scaleNumber } from './features.ts';
import { type Feature, type FeatureSchema, type LevelsFeature, normaliseCell } from './schema.ts';
import type { Table } from './table.ts';

/** What a region's owner wants to know of a column before anything is computed from it. Counts of cells. */
export interface FeatureSurvey {
  readonly column: string;
  readonly kind: Feature['kind'];
  readonly rows: number;
  /** Blank, or a spelling of "missing". */
  readonly missing: number;
  /** Levels: in no vocabulary. Numbers: beyond the public limit, so clipped to it. Bands have no outside. */
  readonly outside: number;
}

export interface Survey {
  readonly rows: number;
  readonly positive: number;
  readonly negative: number;
  readonly features: readonly FeatureSurvey[];
  /** Everything that training would refuse, each in the words of the table. */
  readonly problems: readonly LearningError[];
}

/**
 * Looks at every cell that a schema reads and refuses none: what `encodeTable` would stop at is in `problems`.
 *
 * @param takesUnlabelled - whether a task takes rows with a blank label.
 */
export function surveyTable(table: Table, schema: FeatureSchema, takesUnlabelled = false): Survey {
  const problems: LearningError[] = [];
  if (table.rowCount === 0) problems.push(new LearningError('EMPTY_REGION', `table ${table.name} has no rows`));
  const features = schema.features.flatMap((feature) => {
    const cells = cellsOf(table, feature.column, problems);
    return cells === null ? [] : [surveyFeature(table, feature, cells, originOf(schema, feature.column), problems)];
  });
  const { positive, negative } = surveyLabel(table, schema, problems, takesUnlabelled);
  return { rows: table.rowCount, positive, negative, features, problems };
}

/** @throws LearningError: the first problem of a survey. */
export function requireUsable(table: Table, schema: FeatureSchema, takesUnlabelled = false): Survey {
  const survey = surveyTable(table, schema, takesUnlabelled);
  if (survey.problems.length > 0) throw survey.problems[0]!;
  return survey;
}

function cellsOf(table: Table, name: string, problems: LearningError[]): readonly string[] | null {
  const cells = table.columns.get(name);
  if (cells !== undefined) return cells;
  const why = `table ${table.name} has no column "${name}"`;
  if (!problems.some(({ message }) => message.startsWith(why))) {
    const present = [...table.columns.keys()].slice(0, 40).join(', ');
    problems.push(new LearningError('MISSING_COLUMN', `${why}; it has: ${present}`));
  }
  return null;
}

/** Where a derived column comes from, for whoever looks for it in a file; nothing for one that stands there. */
function originOf({ derive }: FeatureSchema, column: string): string {
  const derived = derive?.columns.find(({ name }) => name === column);
  if (derived === undefined) return '';
  const from = derived.kind === 'since' ? `column "${derived.column}"` : `table ${derived.events}`;
  return ` (${derived.kind} of ${from})`;
}

function surveyFeature(
  table: Table,
  feature: Feature,
  cells: readonly string[],
  origin: string,
  problems: LearningError[],
): FeatureSurvey {
  const count = countCells(table, feature, cells, problems);
  if (cells.length > 0 && count.missing === cells.length) {
    const where = `table ${table.name}, column "${feature.column}"${origin}`;
    problems.push(
      new LearningError('ALL_MISSING', `${where}: every cell is blank; is it filled in this region at all?`),
    );
  }
  return { column: feature.column, kind: feature.kind, rows: cells.length, ...count };
}

function countCells(table: Table, feature: Feature, cells: readonly string[], problems: LearningError[]) {
  if (feature.kind === 'levels') return countLevels(feature, cells);
  if (feature.kind === 'text') return { missing: cells.filter((cell) => cell.trim() === '').length, outside: 0 };
  return countNumbers(table, feature, cells, problems);
}

/** A blank cell that the vocabulary names is a level like others. */
function countLevels(feature: LevelsFeature, cells: readonly string[]) {
  const known = new Set(feature.levels.flat().map(normaliseCell));
  const others = cells.map(normaliseCell).filter((cell) => !known.has(cell));
  const missing = others.filter((cell) => cell === '').length;
  return { missing, outside: others.length - missing };
}

function countNumbers(table: Table, feature: NumericFeature, cells: readonly string[], problems: LearningError[]) {
  const blanks: number[] = [];
  const wrong: number[] = [];
  const undefinedThere: number[] = [];
  let outside = 0;
  for (const [row, cell] of cells.entries()) {
    const value = readDecimal(cell);
    const scaled = feature.kind === 'number' ? scaleNumber(feature, value) : 0;
    if (isMissing(feature, cell)) blanks.push(row);
    else if (Number.isNaN(value)) wrong.push(row);
    else if (!Number.isFinite(scaled)) undefinedThere.push(row);
    else if (feature.kind === 'number' && Math.abs(scaled) > feature.limit) outside++;
  }
  const where = `table ${table.name}, column "${feature.column}"`;
  const say = (code: 'BAD_NUMBER' | 'MISSING_VALUE', rows: readonly number[], what: string) => {
    const share = `${rows.length} of ${cells.length} cells, first row ${rows[0]! + 1}`;
    problems.push(new LearningError(code, `${where}: ${what} (${share})`));
  };
  if (wrong.length > 0) {
    const all = wrong.length + blanks.length === cells.length;
    say(
      'BAD_NUMBER',
      wrong,
      all ? 'not numbers but text: has the column another type here?' : 'not a finite decimal number',
    );
  }
  if (undefinedThere.length > 0 && feature.kind === 'number') {
    say('BAD_NUMBER', undefinedThere, `${feature.transform} of it is undefined`);
  }
  if (blanks.length > 0 && blanks.length < cells.length && feature.missing === undefined) {
    say('MISSING_VALUE', blanks, 'empty, and the schema names no value for it');
  }
  return { missing: blanks.length, outside };
}

function surveyLabel(table: Table, { label }: FeatureSchema, problems: LearningError[], takesUnlabelled: boolean) {
  const cells = cellsOf(table, label.column, problems);
  if (cells === null || cells.length === 0) return { positive: 0, negative: 0 };
  const yes = new Set(label.positive.map(normaliseCell));
  const no = new Set(label.negative.map(normaliseCell));
  const values = cells.map(normaliseCell);
  const positive = values.filter((value) => yes.has(value)).length;
  const negative = values.filter((value) => no.has(value)).length;
  const isBlank = (value: string): boolean => takesUnlabelled && value === '';
  const blank = values.filter(isBlank).length;
  const other = values.findIndex((value) => !yes.has(value) && !no.has(value) && !isBlank(value));
  const where = `table ${table.name}, column "${label.column}"`;
  if (other >= 0) {
    const share = `${cells.length - positive - negative - blank} of ${cells.length} cells, first row ${other + 1}`;
    problems.push(new LearningError('BAD_LABEL', `${where}: neither a positive nor a negative label (${share})`));
  } else if (blank === 0 && (positive === 0 || negative === 0)) {
    const only = positive > 0 ? 'positive' : 'negative';
    problems.push(new LearningError('ONE_CLASS', `${where}: only ${only} labels, nothing can be learnt from them`));
  }
  return { positive, negative };
}
