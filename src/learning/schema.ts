import { z } from 'zod';
import { derivationFault, derivationField } from './derivation.ts';
import { LearningError } from './errors.ts';
import { readFault } from './schema-inputs.ts';
import { spanOf } from './transforms.ts';

/**
 * A public feature schema: what every region agrees on before it looks at a row. Levels, edges, means and scales are
 * written by people from what the columns mean; none is computed from anybody's table, so the schema tells nothing.
 */
const level = z.union([z.string(), z.array(z.string()).min(1)]);

const levelsFeature = z.strictObject({
  kind: z.literal('levels'),
  column: z.string(),
  /** Vocabulary; an array holds spellings of one level, the first of which names it. */
  levels: z.array(level).min(1).max(256),
  /** The level encoded as all zeros. Must be in the vocabulary. */
  base: z.string(),
  /** Whether cells outside the vocabulary get a column of their own; else they count as the base. */
  rare: z.boolean().default(true),
});

const numberField = z.strictObject({
  kind: z.literal('number'),
  column: z.string(),
  /** Applied before centring (transforms.ts). */
  transform: z.enum(['identity', 'log1p', 'signedLog', 'sqrt']).default('identity'),
  /** In units of the transformed value. Left out, both: middle and half width of the bounds. */
  mean: z.number().optional(),
  scale: z.number().positive().optional(),
  /** Raw values that are plausible, by what the column means: what statistics rounds clamp to. Both or neither. */
  low: z.number().optional(),
  high: z.number().optional(),
  /** The scaled value is clipped to [-limit, limit]. */
  limit: z.number().positive().max(16).default(4),
  /** Raw value that stands for a missing cell; without it a missing cell is an error. */
  missing: z.number().optional(),
  /** Cells that mean "missing", beside the empty one. */
  missingCells: z.array(z.string()).default([]),
});

/** Law: what this gives is taken again, and stays as it is. */
const numberFeature = numberField.transform((field, context) => {
  const { mean, scale, low, high } = field;
  const refuse = (message: string): never => {
    context.issues.push({ code: 'custom', message, input: field });
    return z.NEVER;
  };
  if ((mean === undefined) !== (scale === undefined)) return refuse('mean and scale go together');
  if ((low === undefined) !== (high === undefined)) return refuse('low and high go together');
  const span = low === undefined || high === undefined ? null : spanOf({ low, high }, field.transform);
  if (low !== undefined && span === null) return refuse(`low is below high, and ${field.transform} is defined at both`);
  if (mean !== undefined && scale !== undefined) return { ...field, mean, scale };
  return span === null
    ? refuse('mean and scale are missing, or low and high to scale by')
    : { ...field, mean: span.middle, scale: span.half };
});

const bandsFeature = z.strictObject({
  kind: z.literal('bands'),
  column: z.string(),
  /** Ascending; band k holds edge[k-1] <= x < edge[k]. */
  edges: z.array(z.number()).min(1).max(64),
  /** The band (0 to edges.length) encoded as all zeros. */
  base: z.number().int().min(0),
  missing: z.number().optional(),
  missingCells: z.array(z.string()).default([]),
});

const textFeature = z.strictObject({
  kind: z.literal('text'),
  column: z.string(),
  /** Columns of the design matrix that its n-grams are hashed into: a power of two. */
  buckets: z.union([8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((count) => z.literal(count))),
  /** Lengths of n-grams of words, of characters within a word; and the whole cell, for join keys and other names. */
  words: z.array(z.int().min(1).max(3)).max(3).default([1, 2]),
  characters: z.array(z.int().min(2).max(6)).max(5).default([]),
  whole: z.boolean().default(false),
  /** Of the hash; public. Another seed is another feature. */
  seed: z.string().min(1).max(64),
  /** L2 norm of a row that is not blank. */
  length: z.number().positive().max(16).default(1),
  /** The buckets that enter the model, ascending: what else is hashed is as if it were not written. Left out: all. */
  coordinates: z.array(z.int().min(0).max(4095)).min(1).optional(),
});

export const featureSchemaField = z.strictObject({
  name: z.string(),
  version: z.literal(1),
  label: z.strictObject({
    column: z.string(),
    positive: z.array(z.string()).min(1),
    negative: z.array(z.string()).min(1),
  }),
  features: z.array(z.discriminatedUnion('kind', [levelsFeature, numberFeature, bandsFeature, textFeature])).min(1),
  /** How the columns above come from an entity table and event tables. Without it a table has them itself. */
  derive: derivationField.optional(),
  /** Values that fewer than so many records of a region have become blank there, before anything else is computed. */
  suppress: z
    .strictObject({
      fewerThan: z.int().min(2).max(10_000),
      /** Columns of the entity table, or EVENTS.COLUMN, where entities are counted. */
      columns: z.array(z.string()).max(256).default([]),
      /**
       * Which values stay depends on everybody's rows, so one record can change others: the account of unit record does
       * not cover that. True: this site counts the list of values that stay as known.
       */
      keptListIsPublic: z.boolean().default(false),
    })
    .optional(),
  /** Columns that are known only after the outcome: no feature may read them. */
  leakage: z.array(z.string()).max(256).optional(),
});

export type FeatureSchema = z.infer<typeof featureSchemaField>;
export type Feature = FeatureSchema['features'][number];
export type LevelsFeature = Extract<Feature, { kind: 'levels' }>;
export type NumberFeature = Extract<Feature, { kind: 'number' }>;
export type TextFeature = Extract<Feature, { kind: 'text' }>;

/** @throws LearningError BAD_SCHEMA, saying where in the schema. */
export function parseSchema(json: unknown): FeatureSchema {
  const parsed = featureSchemaField.safeParse(json);
  if (!parsed.success) throw new LearningError('BAD_SCHEMA', `feature schema: ${z.prettifyError(parsed.error)}`);
  const schema = parsed.data;
  const fault = (schema.derive === undefined ? null : derivationFault(schema.derive)) ?? readFault(schema);
  if (fault !== null) throw new LearningError('BAD_SCHEMA', `feature schema ${schema.name}: ${fault}`);
  const seen = new Set<string>();
  for (const feature of schema.features) {
    const place = `feature schema ${schema.name}, column "${feature.column}"`;
    for (const name of featureNames(feature)) {
      if (seen.has(name)) throw new LearningError('BAD_SCHEMA', `${place}: "${name}" is defined twice`);
      seen.add(name);
    }
    if (feature.column === schema.label.column) throw new LearningError('BAD_SCHEMA', `${place} is the label`);
    if (feature.kind === 'levels') checkLevels(feature, place);
    if (feature.kind === 'text' && !feature.whole && feature.words.length + feature.characters.length === 0)
      throw new LearningError('BAD_SCHEMA', `${place}: a text is counted by words, characters or as a whole`);
    if (feature.kind === 'text' && !isAscending(coordinatesOf(feature), feature.buckets))
      throw new LearningError('BAD_SCHEMA', `${place}: coordinates are ascending and below ${feature.buckets}`);
    if (feature.kind === 'bands') {
      if (feature.base > feature.edges.length)
        throw new LearningError('BAD_SCHEMA', `${place}: no band ${feature.base}`);
      const ascending = feature.edges.every((edge, i) => i === 0 || edge > feature.edges[i - 1]!);
      if (!ascending) throw new LearningError('BAD_SCHEMA', `${place}: edges are not ascending`);
    }
  }
  const both = schema.label.positive.filter((value) => schema.label.negative.includes(value));
  if (both.length > 0)
    throw new LearningError('BAD_SCHEMA', `feature schema ${schema.name}: a label is positive and negative`);
  return schema;
}

/** Names of the design matrix's columns that a feature fills, in order. */
export function featureNames(feature: Feature): string[] {
  const { column } = feature;
  switch (feature.kind) {
    case 'number':
      return [column];
    case 'bands':
      return Array.from({ length: feature.edges.length + 1 }, (_, band) => `${column}[${band}]`).filter(
        (_, band) => band !== feature.base,
      );
    case 'levels': {
      const names = feature.levels.map(levelName).filter((name) => name !== feature.base);
      return [...names.map((name) => `${column}=${name}`), ...(feature.rare ? [`${column}=(rare)`] : [])];
    }
    case 'text':
      return coordinatesOf(feature).map((bucket) => `${column}~${bucket}`);
    default:
      return feature satisfies never;
  }
}

/** The buckets of a text that enter the model, in the order of the design matrix. */
export function coordinatesOf({ buckets, coordinates }: TextFeature): readonly number[] {
  return coordinates ?? Array.from({ length: buckets }, (_, bucket) => bucket);
}

function isAscending(values: readonly number[], below: number): boolean {
  return values.every((value, i) => value < (values[i + 1] ?? below));
}

/** The name of a level that may have several spellings. */
export function levelName(entry: string | readonly string[]): string {
  return typeof entry === 'string' ? entry : entry[0]!;
}

/** Spelling differences that never matter: Unicode form, case, outer blanks. */
export function normaliseCell(cell: string): string {
  return cell.normalize('NFKC').trim().toLowerCase();
}

function checkLevels(feature: LevelsFeature, place: string): void {
  const spellings = feature.levels.flat().map(normaliseCell);
  if (new Set(spellings).size !== spellings.length)
    throw new LearningError('BAD_SCHEMA', `${place}: a level appears twice`);
  if (!feature.levels.some((entry) => levelName(entry) === feature.base)) {
    throw new LearningError('BAD_SCHEMA', `${place}: the base is not among the levels`);
  }
}
