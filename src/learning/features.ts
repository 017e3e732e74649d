import { LearningError } from './errors.ts';
import { type Feature, type FeatureSchema, featureNames, levelName, normaliseCell } from './schema.ts';
import { column, type Table } from './table.ts';
import { textEncoder } from './text-features.ts';
import { TRANSFORMS } from './transforms.ts';

/** Name of the first column of every design matrix, always 1. */
const INTERCEPT = '(intercept)';

/** Features are rounded to multiples of 2^-10, so that gradients can be added without rounding (gradients.ts). */
export const FEATURE_STEP = 2 ** -10;

/** Rows ready for a model. Row-major; the private side of the learning layer never sees the table again. */
export interface DesignMatrix {
  readonly rows: number;
  readonly width: number;
  /** rows x width, multiples of {@link FEATURE_STEP} with magnitude at most 16. */
  readonly x: Float32Array;
  /** 1 positive, 0 negative. */
  readonly y: Uint8Array;
  /** Cells per table column that were in no vocabulary and went to the rare bucket or to the base. */
  readonly outside: ReadonlyMap<string, number>;
}

/** Column names of every matrix encoded by this schema, in order; its length is the width. Public. */
export function designColumns(schema: FeatureSchema): string[] {
  return [INTERCEPT, ...schema.features.flatMap(featureNames)];
}

/**
 * Encodes a table by a public schema: one-hot without the base level, public means and scales, an intercept.
 *
 * Law: row i of the result depends on row i of the table and on the schema alone.
 *
 * @throws LearningError EMPTY_REGION, MISSING_COLUMN, MISSING_VALUE, BAD_NUMBER or BAD_LABEL, naming table, column
 *   and row number (1-based, without the header).
 */
export function encodeTable(table: Table, schema: FeatureSchema): DesignMatrix {
  return { ...encodeRows(table, schema), y: encodeLabels(table, schema) };
}

/**
 * The same for rows whose outcome nobody knows yet: the label's column is not looked at, and need not be there.
 *
 * @throws LearningError EMPTY_REGION, MISSING_COLUMN, MISSING_VALUE or BAD_NUMBER.
 */
export function encodeRows(table: Table, schema: FeatureSchema): Omit<DesignMatrix, 'y'> {
  if (table.rowCount === 0) throw new LearningError('EMPTY_REGION', `table ${table.name} has no rows`);
  const width = designColumns(schema).length;
  const x = new Float32Array(table.rowCount * width);
  for (let row = 0; row < table.rowCount; row++) x[row * width] = 1;
  const outside = new Map<string, number>();
  let offset = 1;
  for (const feature of schema.features) {
    const missed = encodeFeature(feature, table, x, width, offset);
    if (missed > 0) outside.set(feature.column, missed);
    offset += featureNames(feature).length;
  }
  return { rows: table.rowCount, width, x, outside };
}

/** @throws LearningError ONE_CLASS unless both labels occur: nothing can be learnt or ranked from such a table. */
export function requireBothClasses(name: string, y: Uint8Array): void {
  const positives = y.reduce((count, label) => count + label, 0);
  if (positives > 0 && positives < y.length) return;
  throw new LearningError('ONE_CLASS', `table ${name} holds only ${positives > 0 ? 'positive' : 'negative'} labels`);
}

function encodeLabels(table: Table, schema: FeatureSchema): Uint8Array {
  const positive = new Set(schema.label.positive.map(normaliseCell));
  const negative = new Set(schema.label.negative.map(normaliseCell));
  return Uint8Array.from(column(table, schema.label.column), (cell, row) => {
    const value = normaliseCell(cell);
    if (positive.has(value)) return 1;
    if (negative.has(value)) return 0;
    throw new LearningError(
      'BAD_LABEL',
      `${where(table, schema.label.column, row)}: neither a positive nor a negative label`,
    );
  });
}

function onGrid(value: number): number {
  return Math.round(value / FEATURE_STEP) * FEATURE_STEP + 0; // + 0: no negative zero
}

/** Fills the feature's columns and returns how many cells its vocabulary does not hold. */
function encodeFeature(feature: Feature, table: Table, x: Float32Array, width: number, offset: number): number {
  const cells = column(table, feature.column);
  if (feature.kind === 'number') {
    for (let row = 0; row < cells.length; row++) {
      const scaled = scaleNumber(feature, parseCell(feature, table, row, cells[row]!));
      if (!Number.isFinite(scaled)) {
        throw new LearningError(
          'BAD_NUMBER',
          `${where(table, feature.column, row)}: ${feature.transform} of it is undefined`,
        );
      }
      x[row * width + offset] = onGrid(Math.min(feature.limit, Math.max(-feature.limit, scaled)));
    }
    return 0;
  }
  if (feature.kind === 'bands') {
    for (let row = 0; row < cells.length; row++) {
      const value = parseCell(feature, table, row, cells[row]!);
      const band = feature.edges.filter((edge) => value >= edge).length;
      if (band !== feature.base) x[row * width + offset + band - (band > feature.base ? 1 : 0)] = 1;
    }
    return 0;
  }
  if (feature.kind === 'text') {
    const encode = textEncoder(feature);
    for (let row = 0; row < cells.length; row++) x.set(encode(cells[row]!).map(onGrid), row * width + offset);
    return 0;
  }
  const positions = new Map<string, number>();
  let next = 0;
  for (const entry of feature.levels) {
    const position = levelName(entry) === feature.base ? -1 : next++;
    for (const spelling of [entry].flat()) positions.set(normaliseCell(spelling), position);
  }
  let outside = 0;
  for (let row = 0; row < cells.length; row++) {
    let position = positions.get(normaliseCell(cells[row]!));
    if (position === undefined) {
      outside++;
      position = feature.rare ? next : -1;
    }
    if (position >= 0) x[row * width + offset + position] = 1;
  }
  return outside;
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The number that a cell writes in decimal; NaN for anything else, also for what is beyond the range of doubles. */
export function readDecimal(cell: string): number {
  const text = cell.trim();
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

/** Whether a cell of a numeric feature stands for "missing". */
export function isMissing(feature: NumericFeature, cell: string): boolean {
  const text = cell.trim();
  return text === '' || feature.missingCells.includes(text);
}

/** A number as the model sees it before clipping; NaN where the transform is undefined. */
export function scaleNumber(feature: Extract<Feature, { kind: 'number' }>, value: number): number {
  return (TRANSFORMS[feature.transform](value) - feature.mean) / feature.scale;
}

export type NumericFeature = Extract<Feature, { kind: 'number' | 'bands' }>;

function parseCell(feature: NumericFeature, table: Table, row: number, cell: string): number {
  if (isMissing(feature, cell)) {
    if (feature.missing !== undefined) return feature.missing;
    throw new LearningError(
      'MISSING_VALUE',
      `${where(table, feature.column, row)}: empty, and the schema names no value for it`,
    );
  }
  const value = readDecimal(cell);
  if (!Number.isNaN(value)) return value;
  throw new LearningError('BAD_NUMBER', `${where(table, feature.column, row)}: not a finite decimal number`);
}

function where(table: Table, name: string, row: number): string {
  return `table ${table.name}, column "${name}", row ${row + 1}`;
}
