import { type Rejection, reject } from './errors.ts';
import type { RoundRecord } from './record.ts';
import { chargeOfTask, type Task } from './task.ts';

/**
 * Whether a record is a round of a task as its file has it. The coordinator writes records: a hash of the task beside another
 * noise, clip or window would make a node add the file's noise and be charged for the record's.
 *
 * @param task - the file whose hash is the record's `taskHash`: the caller has looked.
 * @returns null, or PARAMETERS_MISMATCH, CHARGE_MISMATCH, QUORUM_MISMATCH.
 */
export function fitsTask(record: RoundRecord, task: Task): Rejection | null {
  const { parameters } = record;
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['task', record.task, task.task],
    ['window', record.window, task.window],
    ['unit', record.unit, task.unit],
    ['dimension', parameters.dimension, task.dimension],
    ['bits', parameters.bits, task.bits],
    ['nodesMax', parameters.nodesMax, task.nodesMax],
    ['minCohort', parameters.minCohort, task.minCohort],
    ['minHonest', parameters.minHonest, task.minHonest],
    ['minOrganisations', record.minOrganisations, task.minOrganisations],
    ['buckets', record.bucket?.count, task.buckets],
    ['masking', record.masking, task.oneShot === undefined ? 'pairwise' : 'none'],
    ['buffer', record.oneShot?.buffer, task.oneShot?.buffer],
    ['maxStaleness', record.oneShot?.maxStaleness, task.oneShot?.maxStaleness],
    ['noise', record.noise.sigma2Numerator, task.noise.sigma2Numerator],
    ['noise', record.noise.sigma2Denominator, task.noise.sigma2Denominator],
    ['sensitivity2', record.sensitivity2, task.sensitivity2],
    ['sampling', record.sampling?.rateMicro, task.sampling?.rateMicro],
    ['sampling', record.sampling?.order, task.sampling?.order],
    ['clipMicro', record.clipMicro, task.clipMicro],
    ['scale', record.scale, task.scale],
    ['maxAttempts', record.maxAttempts, task.maxAttempts],
    ['maxLeaves', record.maxLeaves, task.maxLeaves],
    ['uploadMs', record.uploadMs, task.uploadMs],
    ['confirmMs', record.confirmMs, task.confirmMs],
    ['checkSums', record.checkSums, task.checkSums],
  ];
  const other = pairs.find(([, ours, theirs]) => ours !== theirs);
  if (other !== undefined) return reject('PARAMETERS_MISMATCH', `the record is not of the site's task: ${other[0]}`);
  if (record.charge.rhoNano !== chargeOfTask(task))
    return reject('CHARGE_MISMATCH', "the record charges another price than the task's noise");
  const recipients = record.recipients.map(({ name }) => name);
  return recipients.join() === task.recipients.join()
    ? null
    : reject('QUORUM_MISMATCH', "the recipients are not the task's");
}
