import type { Region, RegionTables } from './datasets.ts';
import { LearningError } from './errors.ts';
import { type DesignMatrix, designColumns, encodeRows, encodeTable, requireBothClasses } from './features.ts';
import { type FeatureSchema, normaliseCell } from './schema.ts';
import { column, selectRows, type Table } from './table.ts';

/** Rows of a table by one column: all of its values, or those listed. */
export interface Segment {
  readonly column: string;
  readonly levels?: readonly string[] | undefined;
}

/** Training rows whose label nobody wrote down. */
export interface Unlabelled {
  /** Labels are all 0 and mean nothing. */
  readonly rows: DesignMatrix;
  /** 1 where the row's own cell is one of the segment's levels; 1 everywhere without a segment. */
  readonly mayUse: Uint8Array;
  /** The segment's cell of each row, and of each labelled training row; null without a segment. */
  readonly levels: readonly string[] | null;
  readonly labelledLevels: readonly string[] | null;
}

/** Whether a record has no label: a blank cell. Of the record alone. */
function isUnlabelled(cell: string): boolean {
  return cell.trim() === '';
}

/**
 * Encodes a region with blank labels. Held-out rows without a label are not used at all: once it is known, they are for the
 * evaluation.
 *
 * Law: which part a record goes to, and its row there, depend on that record and on the schema alone.
 *
 * @throws LearningError EMPTY_REGION, ONE_CLASS where every row has a label, and those of `encodeTable`.
 */
export function encodePartlyLabelled(
  { name, train, heldOut }: RegionTables,
  schema: FeatureSchema,
  segment?: Segment,
): Region {
  if (train.rowCount === 0) throw new LearningError('EMPTY_REGION', `table ${train.name} has no rows`);
  const [labelled, bare] = partsOf(train, schema);
  const y = labelled.rowCount === 0 ? emptyRows(schema) : encodeTable(labelled, schema);
  if (bare.rowCount === 0) requireBothClasses(train.name, y.y);
  const rows =
    bare.rowCount === 0 ? emptyRows(schema) : { ...encodeRows(bare, schema), y: new Uint8Array(bare.rowCount) };
  const levels = segment === undefined ? null : column(bare, segment.column).map(normaliseCell);
  const listed = segment?.levels && new Set(segment.levels.map(normaliseCell));
  const [known] = partsOf(heldOut, schema);
  return {
    name,
    train: y,
    heldOut: known.rowCount === 0 ? emptyRows(schema) : encodeTable(known, schema),
    unlabelled: {
      rows,
      mayUse: Uint8Array.from({ length: rows.rows }, (_, row) => (!listed || listed.has(levels![row]!) ? 1 : 0)),
      levels,
      labelledLevels: segment === undefined ? null : column(labelled, segment.column).map(normaliseCell),
    },
  };
}

function partsOf(table: Table, schema: FeatureSchema): [Table, Table] {
  const cells = column(table, schema.label.column);
  const rows = Array.from({ length: table.rowCount }, (_, row) => row);
  return [false, true].map((bare) =>
    selectRows(
      table,
      rows.filter((row) => isUnlabelled(cells[row]!) === bare),
      table.name,
    ),
  ) as [Table, Table];
}

function emptyRows(schema: FeatureSchema): DesignMatrix {
  const width = designColumns(schema).length;
  return { rows: 0, width, x: new Float32Array(), y: new Uint8Array(), outside: new Map() };
}

/** What a model says of rows, where it is sure enough. Secret. */
export interface PseudoLabels {
  readonly y: Uint8Array;
  /** 1 where the label is used. */
  readonly used: Uint8Array;
}

/**
 * Labels rows by a model's own word (Lee, "Pseudo-Label", ICML 2013 workshop; a threshold as in Sohn et al., FixMatch, NeurIPS
 * 2020, arXiv 2001.07685).
 *
 * Law: entry i depends on `scores[i]` and `mayUse[i]` alone. With scores of a released model a row's label is therefore a
 * function of released values and that row: what bounds a labelled record's part of a sum bounds its part too.
 *
 * @param scores - log-odds. @param confidence - in (1/2, 1): the least probability of the label given.
 */
export function labelBy(scores: ArrayLike<number>, mayUse: Uint8Array, confidence: number): PseudoLabels {
  const least = Math.log(confidence / (1 - confidence));
  const y = new Uint8Array(scores.length);
  const used = new Uint8Array(scores.length);
  for (let i = 0; i < scores.length; i++) {
    y[i] = scores[i]! > 0 ? 1 : 0;
    used[i] = mayUse[i] === 1 && Math.abs(scores[i]!) >= least ? 1 : 0;
  }
  return { y, used };
}

/** Labelled rows that a level must have among its confident ones for its precision to be known at all. */
const FEWEST_CONFIDENT = 20;

/**
 * The levels at which a model is right often enough where it is sure. Looks at other rows than the ones it decides about: for unit
 * 'node' only.
 */
export function preciseLevels(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  levels: readonly string[],
  confidence: number,
  precision: number,
): ReadonlySet<string> {
  const all = new Uint8Array(levels.length).fill(1);
  const { y, used } = labelBy(scores, all, confidence);
  const found = new Map<string, { right: number; sure: number }>();
  for (const [row, level] of levels.entries()) {
    if (used[row] === 0) continue;
    const { right, sure } = found.get(level) ?? { right: 0, sure: 0 };
    found.set(level, { right: right + (y[row] === labels[row] ? 1 : 0), sure: sure + 1 });
  }
  const isPrecise = ([, { right, sure }]: readonly [string, { right: number; sure: number }]): boolean =>
    sure >= FEWEST_CONFIDENT && right >= precision * sure;
  return new Set([...found].filter(isPrecise).map(([level]) => level));
}
