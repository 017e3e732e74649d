import { encodeTable } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import type { Table } from '../learning/table.ts';
import { sigmoid } from './scores.ts';

/** How often rows with a predicted probability in [from, to) had the outcome. */
export interface CalibrationBand {
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  readonly observed: number;
  /** 95 % interval of the share. */
  readonly low: number;
  readonly high: number;
}

const BANDS = 10;
const Z_95 = 1.959964;

/**
 * Compares predicted with observed shares on rows whose outcome is known: such as were not trained on. Bands of fewer
 * than `least` rows are left out.
 *
 * @throws LearningError as `encodeTable`
 */
export function calibrate(tf: Tf, model: Model, schema: FeatureSchema, table: Table, least: number): CalibrationBand[] {
  const matrix = encodeTable(table, schema);
  const rows = new Float64Array(BANDS);
  const positives = new Float64Array(BANDS);
  scoreRows(tf, model, matrix).forEach((logit, row) => {
    const band = Math.min(BANDS - 1, Math.floor(sigmoid(logit) * BANDS));
    rows[band]! += 1;
    positives[band]! += matrix.y[row]!;
  });
  return Array.from({ length: BANDS }, (_, band) => ({
    from: band / BANDS,
    to: (band + 1) / BANDS,
    rows: rows[band]!,
    observed: positives[band]! / rows[band]!,
    ...wilson(positives[band]!, rows[band]!),
  })).filter((band) => band.rows >= least);
}

/** Score interval of a share (Wilson, JASA 1927; Brown, Cai, DasGupta, Statistical Science 2001). */
function wilson(hits: number, trials: number): { low: number; high: number } {
  const share = hits / trials;
  const weight = Z_95 ** 2 / trials;
  const centre = (share + weight / 2) / (1 + weight);
  const half = (Z_95 * Math.sqrt((share * (1 - share)) / trials + weight / (4 * trials))) / (1 + weight);
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** What a probability is worth, in a sentence. @param bands - null where no outcomes were given. */
export function calibrationText(bands: readonly CalibrationBand[] | null, probability: number): string {
  if (bands === null) return 'Not compared with outcomes here: take it as an order, not as a rate.';
  const band = bands.find(({ from, to }) => probability >= from && (probability < to || to === 1));
  if (band === undefined) return 'Too few known outcomes near this probability to say how often it comes true.';
  const percent = (share: number): string => `${Math.round(100 * share)}`;
  return (
    `Of ${band.rows} rows with known outcome scored from ${percent(band.from)} to ${percent(band.to)} %, ` +
    `${percent(band.observed)} % had it (95 % interval ${percent(band.low)} to ${percent(band.high)} %).`
  );
}
