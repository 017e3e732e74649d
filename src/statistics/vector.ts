import { LearningError } from '../learning/errors.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { column, type Table } from '../learning/table.ts';
import { cellReader, countedFeatures, rangeOf, restOf } from './columns.ts';
import { type CountedColumn, layoutOf, type StatisticsPlan } from './plan.ts';

/**
 * What a node's records add up to, in records: every value is a whole number of steps, exact in a double.
 *
 * Law: one record more or less moves the vector, times `steps`, by whole numbers whose squares add up to at most
 * norm2 * steps^2 (`layoutOf`). A record adds to each of its candidates 1, or nothing where the node has `cap` already.
 *
 * @param tables - parts of the node's records: how they are cut into parts changes nothing.
 * @param steps - of one record: a power of two.
 * @returns `dimension` numbers. Secret.
 * @throws LearningError MISSING_COLUMN, BAD_NUMBER, TOO_LARGE, with table, column and row.
 */
export function statisticsVector(
  tables: readonly Table[],
  schema: FeatureSchema,
  plan: StatisticsPlan,
  steps: number,
): Float64Array {
  const { dimension, places } = layoutOf(plan);
  const records = requireFit(tables, plan);
  const vector = new Float64Array(dimension);
  if (plan.step === 'figures') vector[0] = records;
  const cap = plan.step === 'presence' ? plan.cap : Number.POSITIVE_INFINITY;
  for (const [i, feature] of countedFeatures(schema).entries()) {
    const { counted, counts, moments, column: kind } = places[i]!;
    if (counted.length === 0) continue;
    const rest = plan.step === 'figures' && feature.kind === 'levels' ? restOf(feature, counted) : -1;
    const positions = positionsOf(kind, counted, rest);
    const read = cellReader(feature);
    const { toRange } = rangeOf(counted);
    for (const table of tables) {
      for (const [row, cell] of column(table, feature.column).entries()) {
        const where = `table ${table.name}, column "${feature.column}", row ${row + 1}`;
        const { candidates, unit } = readCell(read, cell, where);
        for (const position of candidates.length === 0 ? [rest] : candidates.map((one) => positions[one]!)) {
          if (position >= 0) vector[counts + position] = Math.min(cap, vector[counts + position]! + 1);
        }
        if (moments === null || unit === null) continue;
        const value = toRange(unit);
        vector[moments]! += 1;
        vector[moments + 1]! += Math.round(value * steps) / steps;
        vector[moments + 2]! += Math.round(value * value * steps) / steps;
      }
    }
  }
  return vector;
}

function readCell(read: ReturnType<typeof cellReader>, cell: string, where: string): ReturnType<typeof read> {
  try {
    return read(cell);
  } catch (error) {
    if (!(error instanceof LearningError)) throw error;
    throw new LearningError(error.code, `${where}: ${error.message}`);
  }
}

/**
 * Where a candidate is counted, by its number; -1 where it is not. Bins that did not pass are counted with the next one
 * below that did, those below the first with the first: no number is left out, and no bin is alone that few have.
 *
 * @param rest - for all others.
 */
function positionsOf({ kind, candidates }: CountedColumn, counted: readonly number[], rest: number): Int32Array {
  const positions = new Int32Array(candidates).fill(rest);
  for (const [position, candidate] of counted.entries()) positions[candidate] = position;
  if (kind !== 'number') return positions;
  let last = 0;
  return positions.map((position) => {
    if (position >= 0) last = position;
    return last;
  });
}

/** Public limits; whether a node takes part is public too, so a table should stay well below. @returns how many records. */
function requireFit(tables: readonly Table[], { recordsMax }: StatisticsPlan): number {
  const records = tables.reduce((sum, { rowCount }) => sum + rowCount, 0);
  if (records <= recordsMax) return records;
  const where = `table ${tables[0]!.name} and what belongs to it`;
  throw new LearningError('TOO_LARGE', `${where}: ${records} rows, the task takes ${recordsMax} from one node`);
}
