import { DOMAIN } from '../crypto/domain.ts';
import { fromHex, toHex, utf8 } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { type Rejection, reject } from './errors.ts';
import type { RoundRecord } from './record.ts';
import { nextRetryOf } from './retry.ts';
import { isOver, type Round, type Transcript } from './transcript.ts';

/**
 * A round in buckets is B ordinary rounds over one model, each over nodes of its own: a robust rule is applied to the B opened
 * sums (Karimireddy, He, Jaggi, "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing", ICLR 2022), and nobody
 * sees less than a sum over min_cohort nodes.
 */

/** What the rounds of one group have in common. */
export type Window = Pick<RoundRecord, 'taskHash' | 'modelHash' | 'window'>;

type Released = Extract<Round, { phase: 'released' }>;

function siblings(t: Transcript, { taskHash, modelHash, window }: Window): Round[] {
  return [...t.rounds.values()].filter(
    ({ record }) => record.modelHash === modelHash && record.taskHash === taskHash && record.window === window,
  );
}

/**
 * The nodes of one bucket: those enrolled before the model was first logged, revoked or not, ranked by a hash over task, model,
 * window and name; each B-th of them.
 *
 * Laws: the buckets of a group are disjoint, hold everybody and differ by one node at most; whatever is logged later changes none.
 */
export function bucketNodes(p: Primitives, t: Transcript, record: RoundRecord): ReadonlySet<string> | undefined {
  const { bucket, taskHash, modelHash, window } = record;
  if (bucket === undefined) return undefined;
  const logged = t.models.find((model) => model.modelHash === modelHash)?.index ?? 0;
  const rankOf = (name: string): string => {
    const parts = [fromHex(taskHash, 32), fromHex(modelHash, 32), utf8(window), utf8(name)];
    return toHex(hashWithLabel(p, DOMAIN.bucketRank, ...parts));
  };
  const ranked = [...t.parties.values()]
    .filter(({ role, index }) => role === 'node' && index < logged)
    .map(({ name }) => ({ name, rank: rankOf(name) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1));
  return new Set(ranked.filter((_, place) => place % bucket.count === bucket.index).map(({ name }) => name));
}

/** Whether a node may upload in a round: always, but for rounds that are another bucket's. */
export function isOfBucket({ assigned }: Round, node: string): boolean {
  return assigned === undefined || assigned.has(node);
}

/**
 * The released rounds of a group, by bucket, once nothing can be added to them: every bucket was opened and has ended, and more
 * than half of them are released. Null before. Robust rules need that most buckets are sound; so does this.
 *
 * Law: once it is not null it never changes, since no round of the group may be opened then (`checkBucket`).
 */
export function finishedGroup(t: Transcript, record: RoundRecord): readonly Released[] | null {
  if (record.bucket === undefined) return null;
  const { count } = record.bucket;
  const rounds = siblings(t, record);
  const released: Released[] = [];
  for (let index = 0; index < count; index++) {
    const own = rounds.filter((round) => round.record.bucket?.index === index);
    const opened = own.find((round): round is Released => round.phase === 'released');
    if (opened !== undefined) released.push(opened);
    else if (own.length === 0 || own.some((round) => !isOver(t, round))) return null;
  }
  return 2 * released.length > count ? released : null;
}

/** Whether a record may be opened as the bucket that it says, beside what was opened over the same task, model and window. */
export function checkBucket(t: Transcript, record: RoundRecord): Rejection | null {
  const { bucket } = record;
  if (bucket !== undefined && bucket.index >= bucket.count)
    return reject('BUCKET_MISMATCH', 'a bucket beyond the number of buckets');
  const others = siblings(t, record);
  if (others.some((round) => round.record.bucket?.count !== bucket?.count))
    return reject('BUCKET_MISMATCH', 'the nodes are divided in another way over this task, model and window');
  return finishedGroup(t, record) === null ? null : reject('WINDOW_DECIDED', 'every bucket of this group has ended');
}

/**
 * The buckets that are to be opened, in order: those that neither run nor were decided, or that may be tried again, which comes
 * last. None once the group is finished.
 */
export function bucketsToOpen(t: Transcript, window: Window, count: number): number[] {
  const rounds = siblings(t, window);
  const [first] = rounds;
  if (first !== undefined && finishedGroup(t, first.record) !== null) return [];
  const isWanted = (index: number): boolean =>
    rounds.every((round) => round.record.bucket?.index !== index || isOver(t, round)) &&
    nextRetryOf(t, { ...window, bucket: { index, count } }) !== undefined;
  const wanted = Array.from({ length: count }, (_, index) => index).filter(isWanted);
  const isNew = (index: number): boolean => rounds.every((round) => round.record.bucket?.index !== index);
  return [...wanted.filter(isNew), ...wanted.filter((index) => !isNew(index))];
}

/** After a round's number or task; empty where a round is over all nodes. */
export function bucketWords(bucket: RoundRecord['bucket']): string {
  return bucket === undefined ? '' : ` (bucket ${bucket.index + 1} of ${bucket.count})`;
}
