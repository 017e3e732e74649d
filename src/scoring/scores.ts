import { encodeRows } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { type FeatureSchema, featureNames } from '../learning/schema.ts';
import { column, type Table } from '../learning/table.ts';
import { type Attribution, attribution, logOdds } from './attribution.ts';
import { ScoringError } from './errors.ts';
import { phraser, type Words } from './words.ts';

/** Columns of the table that say which organisation a row is. The model sees none of them unless its schema names it. */
export interface OrganisationColumns {
  /** Unique. Null: `row-1`, `row-2`, ... */
  readonly id: string | null;
  /** Null: the id. */
  readonly name: string | null;
  /** Whose organisation it is. Null: all are of one territory, `all`. */
  readonly territory: string | null;
}

export interface ScoreSettings {
  readonly tf: Tf;
  readonly model: Model;
  readonly schema: FeatureSchema;
  readonly words: Words;
  readonly table: Table;
  readonly columns: OrganisationColumns;
  /** Fewest organisations that an average is taken over. */
  readonly least: number;
}

export interface Organisation {
  readonly id: string;
  readonly name: string;
  readonly territory: string;
  readonly logOdds: number;
  /** sigmoid(logOdds). */
  readonly probability: number;
  /** Row of the table, 0-based. */
  readonly row: number;
}

/** One column's part in a score. */
export interface Signal {
  /** In words, with the organisation's own number. */
  readonly text: string;
  /** In log-odds, against the reference: + 0.69 doubles the odds. */
  readonly contribution: number;
}

export interface Evidence {
  /** What the organisation is compared with. */
  readonly reference: string;
  readonly referenceProbability: number;
  /** Largest part first, columns that are not named at the end as one. Their sum is the score less the reference's. */
  readonly signals: readonly Signal[];
}

/** Name of the one territory of a table that has no such column. */
const ALL_TERRITORIES = 'all';

/** Longest id and name. */
const NAME_MAX = 200;

/** A table's organisations by score. */
export interface Scores {
  /** Highest score first; equal scores by id. */
  readonly organisations: readonly Organisation[];
  /** Organisations of each territory. */
  readonly territories: ReadonlyMap<string, number>;
  /** Cells per column outside the schema's vocabulary, as encoding counted them. */
  readonly outside: ReadonlyMap<string, number>;
  /** @param most - signals; all of them where it is left out. */
  evidence(organisation: Organisation, most?: number): Evidence;
}

/**
 * Scores every row with a model. An organisation is explained against the average of its own territory, so that its
 * evidence depends on rows that whoever may read it may read too, and on no others; where a territory has fewer than
 * `least` of them, against the schema's public reference (every number at its public mean, every level the base).
 *
 * @throws LearningError of the table, the schema and the model; ScoringError BAD_ORGANISATION, naming column and row.
 */
export function scoreTable(settings: ScoreSettings): Scores {
  const { tf, model, schema, table, least } = settings;
  const encoded = encodeRows(table, schema);
  const { rows, width, x, outside } = encoded;
  const logits = scoreRows(tf, model, { ...encoded, y: new Uint8Array(rows) });
  const organisations = readOrganisations(table, settings.columns, logits);
  organisations.sort((a, b) => b.logOdds - a.logOdds || (a.id < b.id ? -1 : 1));

  const territories = new Map<string, number>();
  const sums = new Map<string, Float64Array>();
  for (const { territory, row } of organisations) {
    territories.set(territory, (territories.get(territory) ?? 0) + 1);
    const sum = sums.get(territory) ?? new Float64Array(width);
    for (let j = 0; j < width; j++) sum[j]! += x[row * width + j]!;
    sums.set(territory, sum);
  }
  const references = new Map<string, Reference>();
  for (const [territory, count] of territories) {
    const average = sums.get(territory)!.map((sum) => sum / count);
    const isAverage = count >= least;
    // Encoded zeros are the public reference; the intercept stays.
    const row = isAverage ? average : new Float64Array(width).with(0, 1);
    const whose = settings.columns.territory === null ? '' : ` of ${territory}`;
    references.set(territory, {
      name: isAverage
        ? `the average of the ${count.toLocaleString('en')} organisations${whose}`
        : "the schema's reference organisation",
      probability: sigmoid(logOdds(model, row)),
      explain: attribution(model, row),
    });
  }
  const parts = columnParts(schema, settings.words, table);
  return {
    organisations,
    territories,
    outside,
    evidence: ({ row, territory }, most = Number.POSITIVE_INFINITY) => {
      const reference = references.get(territory)!;
      const part = reference.explain(x.subarray(row * width, (row + 1) * width));
      return {
        reference: reference.name,
        referenceProbability: reference.probability,
        signals: signalsOf(parts, part, row, most),
      };
    },
  };
}

interface Reference {
  readonly name: string;
  readonly probability: number;
  readonly explain: Attribution;
}

/** A table's column and where its features stand in the design matrix. */
interface ColumnPart {
  readonly cells: readonly string[];
  readonly phrase: ((cell: string) => string) | null;
  readonly places: readonly number[];
}

function columnParts(schema: FeatureSchema, words: Words, table: Table): ColumnPart[] {
  const places = new Map<string, number[]>();
  let offset = 1;
  for (const feature of schema.features) {
    const known = places.get(feature.column) ?? [];
    for (const _ of featureNames(feature)) known.push(offset++);
    places.set(feature.column, known);
  }
  return [...places].map(([name, at]) => ({
    cells: column(table, name),
    phrase: phraser(words, schema, name),
    places: at,
  }));
}

/** Words are made for the strongest `most` columns only: they cost more than the numbers. */
function signalsOf(columns: readonly ColumnPart[], part: Float64Array, row: number, most: number): Signal[] {
  const named: { readonly column: ColumnPart; readonly contribution: number }[] = [];
  let unnamed = 0;
  for (const column of columns) {
    let contribution = 0;
    for (const place of column.places) contribution += part[place]!;
    if (column.phrase === null) unnamed += contribution;
    else named.push({ column, contribution });
  }
  named.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const signals = named
    .slice(0, most)
    .map(({ column, contribution }) => ({ text: column.phrase!(column.cells[row]!), contribution }));
  const isWhole = signals.length < most && named.length < columns.length;
  return isWhole ? [...signals, { text: 'other signals, not named', contribution: unnamed }] : signals;
}

function readOrganisations(table: Table, columns: OrganisationColumns, logits: Float32Array): Organisation[] {
  const cellsOf = (name: string | null): readonly string[] | null => (name === null ? null : column(table, name));
  const ids = cellsOf(columns.id);
  const names = cellsOf(columns.name);
  const territories = cellsOf(columns.territory);
  const rowOf = new Map<string, number>();
  return Array.from(logits, (logit, row) => {
    const id = ids === null ? `row-${row + 1}` : text(table, columns.id!, ids[row]!, row);
    const earlier = rowOf.get(id);
    if (earlier !== undefined)
      throw new ScoringError(
        'BAD_ORGANISATION',
        `table ${table.name}, column "${columns.id}": rows ${earlier + 1} and ${row + 1} have the same id`,
      );
    rowOf.set(id, row);
    const name = names === null || names[row]!.trim() === '' ? id : text(table, columns.name!, names[row]!, row);
    const territory = territories === null ? ALL_TERRITORIES : text(table, columns.territory!, territories[row]!, row);
    return { id, name, territory, logOdds: logit, probability: sigmoid(logit), row };
  });
}

function text(table: Table, columnName: string, cell: string, row: number): string {
  const trimmed = cell.trim();
  if (trimmed !== '' && trimmed.length <= NAME_MAX) return trimmed;
  const why = trimmed === '' ? 'is empty; fill it in, or name another column' : `has more than ${NAME_MAX} characters`;
  throw new ScoringError('BAD_ORGANISATION', `table ${table.name}, column "${columnName}", row ${row + 1}: ${why}`);
}

export function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
