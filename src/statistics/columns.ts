import { LearningError } from '../learning/errors.ts';
import { isMissing, readDecimal } from '../learning/features.ts';
import type { Feature, FeatureSchema, LevelsFeature, NumberFeature, TextFeature } from '../learning/schema.ts';
import { levelName, normaliseCell } from '../learning/schema.ts';
import { textBuckets } from '../learning/text-features.ts';
import { spanOf, TRANSFORMS } from '../learning/transforms.ts';
import { TrainingError } from '../training/errors.ts';
import type { CountedColumn } from './plan.ts';

/** Equal bins of a number's bounds, after its transform. */
export const BINS = 32;
/** Different buckets of one record that count, of a text that is hashed by more than its whole. */
const TEXT_MOST = 8;

type CountedFeature = NumberFeature | LevelsFeature | TextFeature;

function isCounted(feature: Feature): feature is CountedFeature {
  return feature.kind !== 'bands';
}

/** The features that statistics are about, in the schema's order; bands have public edges already. */
export function countedFeatures({ features }: FeatureSchema): CountedFeature[] {
  return features.filter(isCounted);
}

/**
 * What a schema has to count, as plans list it.
 *
 * @throws TrainingError NO_BOUNDS for numbers without `low` and `high`; BAD_PLAN where there is nothing to count.
 */
export function countedColumns(schema: FeatureSchema): CountedColumn[] {
  const columns = countedFeatures(schema).map((feature): CountedColumn => {
    const { kind, column } = feature;
    if (kind === 'levels') return { kind, column, candidates: feature.levels.length, most: 1 };
    if (kind === 'text') return { kind, column, candidates: feature.buckets, most: mostOf(feature) };
    if (boundsOf(feature) === null) {
      const why = 'statistics clamp a number to public bounds, by what the column means: say low and high';
      throw new TrainingError('NO_BOUNDS', `feature schema ${schema.name}, column "${column}": ${why}`);
    }
    return { kind, column, candidates: BINS, most: 1 };
  });
  if (columns.length > 0) return columns;
  throw new TrainingError('BAD_PLAN', `feature schema ${schema.name} has no numbers, levels or texts to count`);
}

function mostOf({ words, characters, buckets }: TextFeature): number {
  return words.length + characters.length === 0 ? 1 : Math.min(TEXT_MOST, buckets);
}

function boundsOf({ low, high }: NumberFeature) {
  return low === undefined || high === undefined ? null : { low, high };
}

/** A bounded number between -1 and 1: clamped to its bounds, transformed, and put on the middle of them. */
export function unitOf(feature: NumberFeature): { toUnit(value: number): number; fromUnit(unit: number): number } {
  const { low, high } = boundsOf(feature)!;
  const { middle, half } = spanOf({ low, high }, feature.transform)!;
  const transform = TRANSFORMS[feature.transform];
  return {
    toUnit: (value) => {
      const unit = (transform(Math.min(high, Math.max(low, value))) - middle) / half;
      return Math.min(1, Math.max(-1, unit));
    },
    fromUnit: (unit) => middle + half * unit,
  };
}

/** Bin of a unit, of {@link BINS} equal ones over [-1, 1]. */
function binOf(unit: number): number {
  return Math.min(BINS - 1, Math.floor(((unit + 1) / 2) * BINS));
}

/**
 * The second step knows where most values lie: from the first bin that passed to the last one. Units are clamped to that and
 * stretched to [-1, 1] again, so that bounds may be wide at no cost.
 */
export function rangeOf(kept: readonly number[]): { toRange(unit: number): number; fromRange(value: number): number } {
  const from = (kept[0]! / BINS) * 2 - 1;
  const half = (kept.at(-1)! + 1 - kept[0]!) / BINS;
  return {
    toRange: (unit) => Math.min(1, Math.max(-1, (unit - from) / half - 1)),
    fromRange: (value) => from + (value + 1) * half,
  };
}

/**
 * Where the second step counts what is none of the levels that passed: with the base, or with the first level that passed
 * where that one did not. Counted apart, or left out, it would be the figure of a value that did not pass, where there is one.
 *
 * @param kept - not empty. @returns a place in `kept`.
 */
export function restOf({ levels, base }: LevelsFeature, kept: readonly number[]): number {
  return Math.max(
    0,
    kept.findIndex((level) => levelName(levels[level]!) === base),
  );
}

/** What one cell counts as: candidates, and of a number its unit. */
export interface Counted {
  readonly candidates: readonly number[];
  readonly unit: number | null;
}

const NOTHING: Counted = { candidates: [], unit: null };

/**
 * Reads cells of a column. Blank cells, and levels in no vocabulary, count as nothing.
 *
 * @throws LearningError BAD_NUMBER from the function that is returned.
 */
export function cellReader(feature: CountedFeature): (cell: string) => Counted {
  if (feature.kind === 'text') {
    const bucketsOf = textBuckets(feature, mostOf(feature));
    return (cell) => ({ candidates: bucketsOf(cell), unit: null });
  }
  if (feature.kind === 'levels') {
    const spellings = feature.levels.flatMap((entry, level) =>
      [entry].flat().map((spelling) => [normaliseCell(spelling), level] as const),
    );
    const levelOf = new Map(spellings);
    return (cell) => {
      const level = levelOf.get(normaliseCell(cell));
      return level === undefined ? NOTHING : { candidates: [level], unit: null };
    };
  }
  const { toUnit } = unitOf(feature);
  return (cell) => {
    if (isMissing(feature, cell)) return NOTHING;
    const value = readDecimal(cell);
    if (Number.isNaN(value)) throw new LearningError('BAD_NUMBER', 'not a finite decimal number');
    const unit = toUnit(value);
    return { candidates: [binOf(unit)], unit };
  };
}
