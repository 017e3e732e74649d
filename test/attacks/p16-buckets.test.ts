import { afterEach, describe, expect, it, vi } from 'vitest';
import * as buckets from '../../protocols/buckets.ts';
import { mayUpload } from '../../protocols/node.ts';
import { assignedOf, bucketRecord, founded, readyBucket, runBucket, uploadBucket } from '../reference/bucket-log.ts';
import type { PaperLog } from '../reference/paper-log.ts';

/** Controls take one rule away; a second decision is kept from by the key of a decision. */
const weak = vi.hoisted(() => ({ windows: false }));
vi.mock('../../protocols/buckets.ts', async (original) => ({ ...(await original<typeof buckets>()) }));
vi.mock('../../protocols/transcript.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/transcript.ts')>();
  const windowKey: typeof original.windowKey = (t, record) =>
    weak.windows ? JSON.stringify(record) : original.windowKey(t, record);
  return { ...original, windowKey };
});

afterEach(() => {
  weak.windows = false;
  vi.restoreAllMocks();
});

const opened = (log: PaperLog, number: number, index: number, count: number): string =>
  log.offer(log.leaf('coordinator', 'open', { record: bucketRecord(log, number, index, count) }));

describe('P16: no update is in two sums of one model', () => {
  it('a node in two buckets: its site and the log refuse the second', () => {
    const log = founded();
    uploadBucket(log, 1, 0);
    const [node] = assignedOf(log);
    log.post('coordinator', 'open', { record: bucketRecord(log, 2, 1) });
    const policy = log.sitePolicy({ minOrganisations: 1 });
    const second = log.leaf(node!, 'upload', log.upload(node!));
    expect(mayUpload(policy, log.transcript, log.round, node!, 0)?.rejected).toBe('NOT_IN_BUCKET');
    expect(log.offer(second)).toBe('NOT_IN_BUCKET');
    // Control: without the rule it is in both, and its update the difference of what two buckets of other sizes tell.
    vi.spyOn(buckets, 'isOfBucket').mockReturnValue(true);
    expect(mayUpload(policy, log.transcript, log.round, node!, 0)).toBeNull();
    expect(log.offer(second)).toBe('counted');
  });

  it('another division of the same nodes after a bucket was opened: other numbers, or all of them at once', () => {
    const log = founded();
    runBucket(log, 1, 0);
    expect(opened(log, 2, 1, 4)).toBe('BUCKET_MISMATCH');
    const { bucket: _, ...whole } = bucketRecord(log, 3, 1);
    const all = log.leaf('coordinator', 'open', { record: whole });
    expect(log.offer(all)).toBe('BUCKET_MISMATCH');
    // Control: the sum over everybody less that of the first bucket would be the second one's, unannounced.
    vi.spyOn(buckets, 'checkBucket').mockReturnValue(null);
    expect(log.offer(all)).toBe('counted');
    expect(opened(log, 4, 1, 4)).toBe('counted');
  });

  it('two decisions for one bucket, opened before either is decided', () => {
    const race = (): string => {
      const log = founded();
      uploadBucket(log, 1, 0);
      readyBucket(log);
      const first = log.decide();
      uploadBucket(log, 2, 0);
      readyBucket(log);
      const second = log.leaf('coordinator', 'decide', log.decide());
      expect(log.offer(log.leaf('coordinator', 'decide', first))).toBe('counted');
      return log.offer(second);
    };
    expect(race()).toBe('WINDOW_DECIDED');
    weak.windows = true;
    expect(race()).toBe('counted'); // control
  });
});

describe('P16: nobody chooses which buckets count', () => {
  it('a model from some of the sums, while a bucket runs or after most were ended', () => {
    const log = founded(9);
    const first = runBucket(log, 1, 0, 3);
    const model = log.leaf('recipient-1', 'model', log.modelBody(first));
    expect(log.offer(model)).toBe('BUCKETS_UNFINISHED');
    for (const index of [1, 2]) {
      expect(opened(log, 1 + index, index, 3)).toBe('counted');
      expect(log.offer(model)).toBe('BUCKETS_UNFINISHED');
      log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    }
    // A coordinator that ends every other bucket: one of three is not most of them.
    expect(log.offer(model)).toBe('BUCKETS_UNFINISHED');
    runBucket(log, 4, 1, 3);
    // Control of the right to go on: two of three, and the third has ended by name.
    expect(log.offer(model)).toBe('counted');
  });

  it('control: without the rule a model stands on one sum', () => {
    const log = founded(9);
    const first = runBucket(log, 1, 0, 3);
    vi.spyOn(buckets, 'finishedGroup').mockReturnValue([log.round as never]);
    expect(log.offer(log.leaf('recipient-1', 'model', log.modelBody(first)))).toBe('counted');
  });

  it('nor adds one once it is final, or makes a second model of the same sums', () => {
    const log = founded(9);
    const first = runBucket(log, 1, 0, 3);
    runBucket(log, 2, 1, 3);
    opened(log, 3, 2, 3);
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    expect(opened(log, 4, 2, 3)).toBe('WINDOW_DECIDED');
    expect(log.offer(log.leaf('recipient-1', 'model', log.modelBody(first)))).toBe('counted');
    expect(log.offer(log.leaf('recipient-1', 'model', log.modelBody(first)))).toBe('DUPLICATE_RELEASE');
  });
});
