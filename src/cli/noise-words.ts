import type { RoundRecord } from '../../protocols/record.ts';
import type { Task } from '../../protocols/task.ts';
import { isStatistics } from '../statistics/plan.ts';
import { grouped } from './output.ts';

type Noised = Pick<Task | RoundRecord, 'noise' | 'scale' | 'clipMicro' | 'unit'> & {
  readonly dimension: number;
  readonly minHonest: number;
  readonly compression?: Task['compression'];
  readonly learning?: Task['learning'];
};

/** Standard deviation of the noise that one node adds, per value, in the units of the updates. */
export function noiseOfNode({ noise, scale }: Pick<Noised, 'noise' | 'scale'>): number {
  return Math.sqrt(Number(noise.sigma2Numerator) / Number(noise.sigma2Denominator)) / scale;
}

/** A clipped update of norm C spread evenly over d values has C / sqrt(d) in each; records are clipped before values are left out. */
function sharePerValue({ clipMicro, dimension, unit, compression }: Noised): number {
  return clipMicro / 1e6 / Math.sqrt(unit === 'record' ? (compression?.values ?? dimension) : dimension);
}

/**
 * Nodes (or records) that agree, from which on their sum is larger than its noise: sigma * sqrt(minHonest) * sqrt(d) / C.
 * The noise is that of the honest nodes whom the budget counts on, which a task for more nodes keeps about the same.
 */
export function unitsForUse(task: Noised): number {
  return Math.ceil((noiseOfNode(task) * Math.sqrt(task.minHonest)) / sharePerValue(task));
}

/**
 * What the noise of a sum means next to what is in it.
 *
 * @param nodes - in the sum, each with its noise.
 */
export function noiseLines(task: Noised, nodes: number): string[] {
  const noise = noiseOfNode(task) * Math.sqrt(nodes);
  if (isStatistics(task)) return [`noise in a count over ${nodes} nodes: about ${noise.toPrecision(2)} records`];
  const needed = unitsForUse(task);
  const unit = task.unit === 'node' ? 'node' : 'record';
  const one = task.unit === 'node' ? 'an update' : "a record's share";
  const lines = [
    `noise in the sum of ${nodes} nodes: about ${noise.toPrecision(2)} per value; ${one} of norm ${task.clipMicro / 1e6} over ${grouped(task.dimension)} values is about ${sharePerValue(task).toPrecision(2)} each`,
    `expect a useful mean from about ${grouped(needed)} ${unit}s that agree`,
  ];
  if (task.unit === 'node' && nodes < needed)
    lines.push(
      `WARNING: a sum of ${nodes} nodes is mostly noise. More nodes, fewer values, fewer rounds or a larger epsilon help ('veilsum task new --help')`,
    );
  return lines;
}
