import { LearningError } from '../learning/errors.ts';
import {
  type FeatureSchema,
  type LevelsFeature,
  levelName,
  type NumberFeature,
  parseSchema,
} from '../learning/schema.ts';
import { countedFeatures, restOf, unitOf } from './columns.ts';
import type { figuresOf, NumberFigures } from './figures.ts';
import type { FiguresPlan } from './plan.ts';

type Found = ReturnType<typeof figuresOf>[number];
type Feature = FeatureSchema['features'][number];

/** Figures are rounded to so many digits: more would only be noise in a file that people read. */
const DIGITS = 4;
const LEAST_LIMIT = 1;
const MOST_LIMIT = 16;

/**
 * The feature file with what was found: mean and scale of numbers, the limit at their outermost quantiles; levels and
 * coordinates that passed. A number of which too little is known stays scaled by its bounds; a column of which nothing passed,
 * or one level alone, is left out.
 *
 * @param found - by column, in the plan's order.
 * @throws LearningError BAD_SCHEMA where no column is left.
 */
export function scaledFeatures(schema: FeatureSchema, { kept }: FiguresPlan, found: readonly Found[]): FeatureSchema {
  const counted = countedFeatures(schema) as readonly Feature[];
  const features = schema.features.flatMap((feature): Feature[] => {
    const place = counted.indexOf(feature);
    if (place < 0) return [feature];
    const figures = found[place];
    const own = kept[place]!;
    if (feature.kind === 'number') return [figures ? scaleNumber(feature, figures) : feature];
    if (own.length === 0) return [];
    if (feature.kind === 'text') return [{ ...feature, coordinates: [...own] }];
    // With one level, which all others are with, every row is the same.
    if (feature.kind === 'levels') return own.length === 1 ? [] : [keepLevels(feature, own)];
    return [feature];
  });
  if (features.length === 0)
    throw new LearningError(
      'BAD_SCHEMA',
      `feature schema ${schema.name}: too little passed, so no column is left to train on`,
    );
  return parseSchema({ ...schema, features });
}

function scaleNumber(feature: NumberFeature, figures: NonNullable<Found>): NumberFeature {
  if (!('mean' in figures)) return feature;
  const mean = round(figures.mean.value);
  const scale = round(figures.deviation.value);
  return { ...feature, mean, scale, limit: limitOf(feature, figures, mean, scale) };
}

/**
 * The farther one of the outermost quantiles from the mean, where both are known, else what the file says; no farther than the
 * bounds. In deviations, rounded up to a tenth.
 */
function limitOf(feature: NumberFeature, { quantiles }: NumberFigures, mean: number, scale: number): number {
  const { fromUnit } = unitOf(feature);
  const distance = (value: number): number => Math.abs(value - mean) / scale;
  const bounds = Math.max(distance(fromUnit(-1)), distance(fromUnit(1)));
  const outer = quantiles.filter(({ part, is }) => is === 'at' && (part < 0.25 || part > 0.75));
  const farthest = outer.length === 2 ? Math.max(...outer.map(({ value }) => distance(value))) : feature.limit;
  return Math.min(MOST_LIMIT, Math.max(LEAST_LIMIT, Math.ceil(Math.min(farthest, bounds) * 10) / 10));
}

/**
 * All others are with the base, as they were counted. A coordinate of their own would be that of a value that did not pass, where
 * there is one.
 */
function keepLevels(feature: LevelsFeature, kept: readonly number[]): LevelsFeature {
  const levels = kept.map((level) => feature.levels[level]!);
  return { ...feature, levels, rare: false, base: levelName(levels[restOf(feature, kept)]!) };
}

function round(value: number): number {
  return Number(value.toPrecision(DIGITS));
}
