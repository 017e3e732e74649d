import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import type { RoundRecord } from './record.ts';
import { type Attempt, decisionOf, isOver, type Transcript, type Upload } from './transcript.ts';

/**
 * Rounds without masks (`masking: none`), for nodes that train at their own pace: the sharing of a node's key goes with its
 * upload, bound to the record instead of a close leaf, so that a node that has uploaded has done all that it will be asked for.
 *
 * A weaker claim: no node sees U before its key is shared, so only claim (a) of the design holds; nothing is signed about a sum, so
 * whoever adds up can shift it, and only adding up again shows it.
 *
 * Buffered aggregation: Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022
 * (arXiv:2106.06639): a server step after K updates, each weighted by how many steps it is behind. Theirs are added up inside an
 * enclave, or by plain secure aggregation of the K.
 */

type Terms = { readonly oneShot?: RoundRecord['oneShot']; readonly bucket?: unknown; readonly compression?: unknown };

interface Sizes {
  readonly minCohort: number;
  readonly nodesMax: number;
}

/** Whether a task's or record's fields about masking go together. @returns null or PARAMETERS_MISMATCH. */
export function checkOneShot(terms: Terms, { minCohort, nodesMax }: Sizes): Rejection | null {
  const { oneShot, bucket, compression } = terms;
  if (oneShot === undefined) return null;
  if (bucket !== undefined)
    return reject(
      'PARAMETERS_MISMATCH',
      'a round without masks is over all nodes: masking none and buckets do not go together',
    );
  // What is kept of an update is drawn from the round's model, and a late one was made for another.
  if (compression !== undefined)
    return reject(
      'PARAMETERS_MISMATCH',
      'updates of rounds without masks are whole: masking none and compression do not go together',
    );
  if (oneShot.buffer < minCohort)
    return reject(
      'PARAMETERS_MISMATCH',
      `a buffer of ${oneShot.buffer} is smaller than the smallest cohort, ${minCohort} nodes`,
    );
  if (oneShot.buffer > nodesMax)
    return reject(
      'PARAMETERS_MISMATCH',
      `a buffer of ${oneShot.buffer} is larger than a round, of ${nodesMax} nodes at most`,
    );
  return null;
}

/** Whether what a record says of masking is one thing. @returns null or PARAMETERS_MISMATCH. */
export function checkMasking(record: RoundRecord): Rejection | null {
  if ((record.masking === 'none') !== (record.oneShot !== undefined))
    return reject('PARAMETERS_MISMATCH', 'a buffer and a staleness belong to rounds without masks, and to all of them');
  return checkOneShot(record, record.parameters);
}

/** Whether an upload shared its key itself. */
export function isShared(upload: Upload): upload is Upload & { readonly shared: Body<'one-shot'> } {
  return upload.shared !== undefined;
}

/** Whether an attempt is over uploads that shared their keys themselves: there is nothing to confirm, and no checksum. */
export function isOneShot({ cohort }: Pick<Attempt, 'cohort'>): boolean {
  return cohort.length > 0 && cohort.every(isShared);
}

/**
 * What a node was trained from, against what the round starts from.
 *
 * @returns null; MODEL_MISMATCH for a model that the log does not have or that is newer than the round's; TOO_STALE.
 */
export function checkBase(
  t: Transcript,
  { modelNumber, oneShot }: RoundRecord,
  model: Body<'one-shot'>['model'],
): Rejection | null {
  if (model.number > modelNumber)
    return reject('MODEL_MISMATCH', "trained from a model that is newer than the round's");
  if (t.models[model.number]?.modelHash !== model.hash)
    return reject('MODEL_MISMATCH', 'no model of this number and hash');
  const staleness = modelNumber - model.number;
  const most = oneShot?.maxStaleness ?? 0;
  return staleness <= most ? null : reject('TOO_STALE', `trained ${staleness} models ago, the round takes ${most}`);
}

/** How many models an upload is behind its round's. 0 in rounds with masks. */
export function stalenessOf(record: RoundRecord, upload: Upload): number {
  return isShared(upload) ? record.modelNumber - upload.shared.model.number : 0;
}

/**
 * What a node multiplies its clipped update with before it rounds it: (1 + s)^(-1/2), as FedBuff's experiments have it.
 *
 * Law: at most 1, so clip and sensitivity hold as they are. Public, by the log.
 */
export function weightOf(staleness: number): number {
  return 1 / Math.sqrt(1 + staleness);
}

/** What a round's sum is divided by for a mean: weights of its nodes, one each where none is behind. */
export function weightOfCohort(record: RoundRecord, cohort: readonly Upload[]): number {
  return cohort.reduce((sum, upload) => sum + weightOf(stalenessOf(record, upload)), 0);
}

/**
 * What became of an update that a node sent into a round: `counted` once a decision holds it, `free` once none ever can.
 *
 * Law: an update that goes into another round only when it is free is in one decision at most.
 */
export function fateOf(t: Transcript, roundId: string, node: string): 'pending' | 'counted' | 'free' {
  const round = t.rounds.get(roundId);
  if (round === undefined) return 'pending';
  const isIn = ({ cohort }: Attempt): boolean => cohort.some((upload) => upload.node === node);
  const decision = decisionOf(round);
  if (decision !== null) return isIn(decision.attempt) ? 'counted' : 'free';
  // Attempts only grow smaller, and nothing is uploaded after the first.
  if (isOver(t, round) || (round.phase === 'confirming' && !isIn(round.attempt))) return 'free';
  return 'pending';
}

/** Whether a round without masks has what it waits for. A retry waits longer: its set is a part of the one that failed. */
export function isBuffered({ oneShot, retryOf }: RoundRecord, complete: number): boolean {
  return oneShot !== undefined && retryOf === null && complete >= oneShot.buffer;
}
