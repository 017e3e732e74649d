import type { RoundRecord } from '../../protocols/record.ts';
import { type Forgery, forgery } from './forgery.ts';
import { PaperLog } from './paper-log.ts';

/** Eight nodes in two buckets of four, unless told otherwise. */
export const founded = (nodes = 8): PaperLog => PaperLog.founded({ nodes });

export const bucketRecord = (log: PaperLog, number: number, index: number, count = 2): RoundRecord =>
  log.record(log.announced(number), { bucket: { index, count } });

/** The nodes of the bucket that was opened last. */
export const assignedOf = (log: PaperLog): string[] => log.nodes.filter((name) => log.round.assigned!.has(name));

/** Opens a bucket and takes all uploads of its nodes. */
export function uploadBucket(log: PaperLog, number: number, index: number, count = 2): void {
  log.post('coordinator', 'open', { record: bucketRecord(log, number, index, count) });
  for (const node of assignedOf(log)) log.post(node, 'upload', log.upload(node));
}

/** From uploads to where only the decision is missing. */
export function readyBucket(log: PaperLog): void {
  log.post('coordinator', 'close', log.close());
  for (const { node } of log.attempt.cohort) log.post(node, 'confirm', log.confirm(node));
  for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
}

/** From the decision to the release. @returns its decide leaf. */
export function releaseBucket(log: PaperLog): string {
  log.post('coordinator', 'decide', log.decide());
  for (const member of log.members) log.post(member, 'answer', log.answer(member));
  log.post('recipient-1', 'release', log.release());
  return log.decision;
}

/** One bucket from its announcement to its result. @returns its decide leaf. */
export function runBucket(log: PaperLog, number: number, index: number, count = 2): string {
  uploadBucket(log, number, index, count);
  readyBucket(log);
  return releaseBucket(log);
}

export const bucketForgeries: readonly Forgery[] = [
  forgery('BUCKET_MISMATCH', 'a bucket beyond their number', () => {
    const log = founded();
    const record = bucketRecord(log, 1, 1);
    const forged = log.leaf('coordinator', 'open', { record: { ...record, bucket: { index: 2, count: 2 } } });
    return { log, forged, honest: log.leaf('coordinator', 'open', { record }) };
  }),
  forgery('BUCKET_MISMATCH', 'nodes divided in another way beside a bucket', () => {
    const log = founded();
    runBucket(log, 1, 0);
    const record = bucketRecord(log, 2, 1);
    const forged = log.leaf('coordinator', 'open', { record: { ...record, bucket: { index: 1, count: 4 } } });
    return { log, forged, honest: log.leaf('coordinator', 'open', { record }) };
  }),
  forgery('BUCKET_MISMATCH', 'all nodes beside a bucket', () => {
    const log = founded();
    runBucket(log, 1, 0);
    const { bucket: _, ...record } = bucketRecord(log, 2, 1);
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest: null };
  }),
  forgery('WINDOW_DECIDED', 'a bucket that was decided', () => {
    const log = founded();
    runBucket(log, 1, 0);
    const record = bucketRecord(log, 2, 0);
    const honest = log.leaf('coordinator', 'open', { record: { ...record, bucket: { index: 1, count: 2 } } });
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest };
  }),
  forgery('NOT_IN_BUCKET', 'an upload in the bucket of other nodes', () => {
    const log = founded();
    log.post('coordinator', 'open', { record: bucketRecord(log, 1, 0) });
    const [own] = assignedOf(log);
    const other = log.nodes.find((name) => !log.round.assigned!.has(name))!;
    return {
      log,
      forged: log.leaf(other, 'upload', log.upload(other)),
      honest: log.leaf(own!, 'upload', log.upload(own!)),
    };
  }),
  forgery('BUCKETS_UNFINISHED', 'a model before the last bucket has ended', () => {
    const log = founded();
    const decide = runBucket(log, 1, 0);
    return { log, forged: log.leaf('recipient-1', 'model', log.modelBody(decide)), honest: null };
  }),
  forgery('BUCKET_MISMATCH', 'a model that names another bucket than the first', () => {
    const log = founded();
    const first = runBucket(log, 1, 0);
    const second = runBucket(log, 2, 1);
    return {
      log,
      forged: log.leaf('recipient-1', 'model', log.modelBody(second)),
      honest: log.leaf('recipient-1', 'model', log.modelBody(first)),
    };
  }),
];
