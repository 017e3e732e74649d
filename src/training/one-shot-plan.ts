import { checkOneShot } from '../../protocols/one-shot.ts';
import type { Task } from '../../protocols/task.ts';
import type { RoundsRequest } from './assemble-task.ts';
import { TrainingError } from './errors.ts';

/** Models that an update may be behind, unless asked otherwise: it then still counts a third. */
const MAX_STALENESS = 10;

/**
 * How a task's rounds go without masks; undefined where they have some.
 *
 * @throws TrainingError BAD_PLAN for sizes, buckets or compression that such rounds do not go with.
 */
export function oneShotPlan(
  { oneShot, buckets, nodes }: Pick<RoundsRequest, 'oneShot' | 'buckets' | 'nodes'>,
  sizes: { readonly minCohort: number; readonly nodesMax: number },
  isCompressed: boolean,
): Task['oneShot'] {
  if (oneShot === undefined) return undefined;
  const { buffer = sizes.minCohort, maxStaleness = MAX_STALENESS } = oneShot;
  const whole = (value: number, least: number, most: number): boolean =>
    Number.isSafeInteger(value) && value >= least && value <= most;
  if (!whole(buffer, 2, 1024) || !whole(maxStaleness, 0, 10_000))
    throw new TrainingError('BAD_PLAN', 'a buffer is a whole number from 2 to 1,024, a staleness one from 0 to 10,000');
  if (buffer < sizes.minCohort)
    throw new TrainingError(
      'BAD_PLAN',
      `no round of ${buffer} uploads may be opened, the smallest cohort is ${sizes.minCohort}: raise --buffer or lower --min-cohort`,
    );
  if (buffer > nodes)
    throw new TrainingError(
      'BAD_PLAN',
      `${nodes} nodes never fill a buffer of ${buffer}, one upload each a round: lower --buffer`,
    );
  const plan = { buffer, maxStaleness };
  const problem = checkOneShot({ oneShot: plan, bucket: buckets, compression: isCompressed || undefined }, sizes);
  if (problem === null) return plan;
  throw new TrainingError('BAD_PLAN', problem.why);
}
