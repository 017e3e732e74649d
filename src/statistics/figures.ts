import type { NumberFeature } from '../learning/schema.ts';
import { BINS, rangeOf, unitOf } from './columns.ts';
import { type FiguresPlan, layoutOf, type Place } from './plan.ts';

/** A released figure and the standard deviation of the noise in it. */
export interface Figure {
  readonly value: number;
  readonly noise: number;
}

/** A quantile: at which part of the records, and the transformed value there. */
export interface Quantile extends Figure {
  readonly part: number;
  /** Beyond the outermost bin that passed nothing is known of where the records lie: the value is only a bound of it. */
  readonly is: 'at' | 'below' | 'above';
}

/** What is known of a number, transformed as its feature says. */
export interface NumberFigures {
  readonly count: Figure;
  readonly mean: Figure;
  readonly deviation: Figure;
  /** Ascending; the outermost ones are as far out as the noise allows. */
  readonly quantiles: readonly Quantile[];
}

/** The noise is too large for these figures; why. */
interface TooNoisy {
  readonly refused: string;
  readonly count: Figure;
}

/** A count and a mean that are to be used stand ten deviations of their noise above it. */
const LEAST_RATIO = 10;
/** A deviation that is to be divided by is known to a third. */
const LEAST_DEVIATION_RATIO = 3;
/** The outermost parts that are asked for, and how many deviations of the noise a part is at least. */
const TAIL = 0.01;
const TAIL_RATIO = 3;
const INNER = [0.25, 0.5, 0.75];

/** Counts of the candidates of a place, in records. */
function countsAt(sum: Float64Array, { counts, counted }: Place, noise: number): Figure[] {
  return counted.map((_, i) => ({ value: sum[counts + i]!, noise }));
}

/** Records in all nodes. */
export function recordsOf(sum: Float64Array, noise: number): Figure {
  return { value: sum[0]!, noise };
}

/**
 * Mean, deviation and quantiles of a number, or why there are none.
 *
 * Noise, to first order: with count n, sum A and squares B each noised by t, m = A / n, q = B / n and v = q - m^2:
 * sd(m) = t sqrt(1 + m^2) / n, sd(v) = t sqrt(1 + 4 m^2 + (2 m^2 - q)^2) / n, sd(sqrt v) = sd(v) / 2 sqrt v; times half the
 * width of the range of bins that passed, to which values are clamped. Of a quantile with j bins to its left: t sqrt(j + 1) / c of its bin's width, c the bin's count.
 *
 * @param sum - opened, in records.
 * @param noise - t: standard deviation of the noise of a value, in records.
 */
function numberFigures(
  feature: NumberFeature,
  place: Place,
  sum: Float64Array,
  noise: number,
): NumberFigures | TooNoisy {
  const at = place.moments!;
  const [n, total, squares] = [sum[at]!, sum[at + 1]!, sum[at + 2]!];
  const count = { value: n, noise };
  if (n < LEAST_RATIO * noise) {
    return {
      refused: `about ${Math.round(n)} records have a value, and the noise of that is ${noise.toPrecision(2)}`,
      count,
    };
  }
  const { fromUnit } = unitOf(feature);
  const { fromRange } = rangeOf(place.counted);
  const transformedOf = (value: number): number => fromUnit(fromRange(value));
  const half = (transformedOf(1) - transformedOf(-1)) / 2;
  const [mean, square] = [total / n, squares / n];
  const variance = square - mean ** 2;
  const varianceNoise = (noise * Math.sqrt(1 + 4 * mean ** 2 + (2 * mean ** 2 - square) ** 2)) / n;
  if (!(variance > LEAST_DEVIATION_RATIO * varianceNoise)) {
    const why = `its variance, ${variance.toExponential(1)} of the half width of the bins that passed, squared, is not three times the noise of that, ${varianceNoise.toExponential(1)}`;
    return { refused: `${why}: narrower bounds or a transform help`, count };
  }
  const deviation = Math.sqrt(variance);
  return {
    count,
    mean: { value: transformedOf(mean), noise: (half * noise * Math.sqrt(1 + mean ** 2)) / n },
    deviation: { value: half * deviation, noise: (half * varianceNoise) / (2 * deviation) },
    quantiles: quantilesOf(place, sum, noise, fromUnit),
  };
}

/**
 * Of a histogram whose bins reach from one that passed to the next, straight within a bin. The first one has all that is below
 * it as well, the last one all that is above.
 */
function quantilesOf(place: Place, sum: Float64Array, noise: number, fromUnit: (unit: number) => number): Quantile[] {
  const { counted } = place;
  const counts = countsAt(sum, place, noise).map(({ value }) => Math.max(0, value));
  const total = counts.reduce((all, one) => all + one, 0);
  // The bins' own total is noised as often as there are bins; a part of it cannot be known better.
  const tail = Math.max(TAIL, (TAIL_RATIO * noise * Math.sqrt(counts.length)) / total);
  const outer = tail < INNER[0]! ? [tail, 1 - tail] : [];
  const edgeOf = (bin: number): number => fromUnit(((counted[bin] ?? BINS) / BINS) * 2 - 1);
  return [...INNER, ...outer]
    .sort((a, b) => a - b)
    .map((part) => {
      let below = 0;
      let bin = 0;
      while (bin < counts.length - 1 && below + counts[bin]! < part * total) below += counts[bin++]!;
      const [from, to] = [edgeOf(bin), edgeOf(bin + 1)];
      if (bin === 0 && counted[0]! > 0) return { part, value: to, noise: 0, is: 'below' };
      if (bin === counts.length - 1 && counted[bin]! < BINS - 1) return { part, value: from, noise: 0, is: 'above' };
      const count = Math.max(counts[bin]!, noise);
      const within = Math.min(1, Math.max(0, (part * total - below) / count));
      const spread = (noise * Math.sqrt(bin + 1)) / count;
      return { part, value: from + within * (to - from), noise: spread * (to - from), is: 'at' };
    });
}

/** Everything that a second round tells, by column, in the plan's order; null where nothing of a column was counted. */
export function figuresOf(
  plan: FiguresPlan,
  features: readonly { readonly kind: string }[],
  sum: Float64Array,
  noise: number,
): readonly (NumberFigures | TooNoisy | readonly Figure[] | null)[] {
  return layoutOf(plan).places.map((place, i) => {
    if (place.counted.length === 0) return null;
    if (place.moments === null) return countsAt(sum, place, noise);
    return numberFigures(features[i] as NumberFeature, place, sum, noise);
  });
}
