import type { Transcript } from '../../protocols/transcript.ts';
import { aggregate } from '../learning/robust.ts';
import type { OpenedSum } from './opened-sums.ts';
import { bothTails } from './student.ts';

/** One opened bucket beside the others over the same model. */
export interface BucketScore {
  readonly round: number;
  readonly bucket: number;
  readonly nodes: readonly string[];
  /** Noised records for each node of the bucket; null where the task counts none. */
  readonly recordsPerNode: number | null;
  /**
   * Cosine of the angle between the bucket's mean update and what the task's rule makes of all other buckets. Null for two
   * buckets, which have the same one.
   */
  readonly cosine: number | null;
}

/** What all groups of buckets together say of one unit: a node, or a region's nodes. */
export interface Credit {
  readonly unit: string;
  /** Groups that the unit was in and that had another bucket to compare with. */
  readonly groups: number;
  readonly cosine: Estimate | null;
  readonly records: Estimate | null;
}

/**
 * How much higher buckets with the unit scored than the group's other buckets, on average over groups.
 *
 * `says` is `nothing` unless the difference stands out at 5 % over all units together (Student's t, Bonferroni), and always below
 * {@link FEWEST_GROUPS} groups.
 */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number | null;
  readonly says: 'more than others' | 'less than others' | 'nothing';
}

/** Below so many groups no estimate says anything: the spread itself is not known. */
export const FEWEST_GROUPS = 8;
const LEVEL = 0.05;

/** The buckets of every group that has at least two opened ones. */
export function scoreBuckets(t: Transcript, sums: readonly OpenedSum[]): BucketScore[][] {
  const groups = Map.groupBy(sums, ({ round }) => {
    const { taskHash, modelHash, window, bucket } = t.rounds.get(round.id)!.record;
    return bucket === undefined ? null : `${taskHash}/${modelHash}/${window}`;
  });
  groups.delete(null);
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => group.map((sum) => scoreOf(t, sum, group)));
}

function scoreOf(t: Transcript, own: OpenedSum, group: readonly OpenedSum[]): BucketScore {
  // Without its own part: with it, every bucket would point along the aggregate to some degree.
  const others = group.filter((sum) => sum !== own);
  const direction = aggregate(
    own.rule,
    others.map(({ mean }) => mean),
    others.map(({ round }) => round.cohort.length),
  );
  const { cohort, number, id } = own.round;
  return {
    round: number,
    bucket: t.rounds.get(id)!.record.bucket!.index,
    nodes: cohort,
    recordsPerNode: own.records === null ? null : own.records / cohort.length,
    cosine: others.length < 2 ? null : cosineOf(own.mean, direction),
  };
}

function cosineOf(a: Float64Array, b: Float64Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [i, value] of a.entries()) {
    dot += value * b[i]!;
    aa += value * value;
    bb += b[i]! * b[i]!;
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}

/**
 * Attributes scores of buckets to units by the buckets that they were in: group testing over many groups, whose division
 * a hash draws anew for each model. In each group a unit's value is the score of its nodes' buckets minus the mean of the buckets
 * without any of them.
 *
 * Law: a unit that is in every bucket of every group has no group to be compared in.
 *
 */
export function creditUnits(groups: readonly (readonly BucketScore[])[], unitOf: (node: string) => string): Credit[] {
  const units = [...new Set(groups.flat().flatMap(({ nodes }) => nodes.map(unitOf)))].sort();
  const all = units.map((unit) => {
    const values = (field: 'cosine' | 'recordsPerNode') =>
      groups.map((group) => differenceIn(group, unit, unitOf, field)).filter((value) => value !== null);
    return { unit, cosine: values('cosine'), records: values('recordsPerNode') };
  });
  return all.map(({ unit, cosine, records }) => ({
    unit,
    groups: Math.max(cosine.length, records.length),
    cosine: estimate(cosine, units.length),
    records: estimate(records, units.length),
  }));
}

function differenceIn(
  group: readonly BucketScore[],
  unit: string,
  unitOf: (node: string) => string,
  field: 'cosine' | 'recordsPerNode',
): number | null {
  const weighted = group.map((score) => ({
    score: score[field],
    own: score.nodes.filter((node) => unitOf(node) === unit).length,
  }));
  if (weighted.some(({ score }) => score === null)) return null;
  const own = weighted.filter((bucket) => bucket.own > 0);
  const others = weighted.filter((bucket) => bucket.own === 0);
  if (own.length === 0 || others.length === 0) return null;
  const nodes = own.reduce((sum, bucket) => sum + bucket.own, 0);
  const mean = own.reduce((sum, bucket) => sum + bucket.own * bucket.score!, 0) / nodes;
  return mean - others.reduce((sum, bucket) => sum + bucket.score!, 0) / others.length;
}

function estimate(values: readonly number[], units: number): Estimate | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, standardError: null, says: 'nothing' };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const standardError = Math.sqrt(variance / n);
  const tail = mean === 0 ? 1 : bothTails(mean / standardError, n - 1);
  const stands = n >= FEWEST_GROUPS && tail * units <= LEVEL;
  return { mean, standardError, says: !stands ? 'nothing' : mean > 0 ? 'more than others' : 'less than others' };
}
