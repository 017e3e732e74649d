import { z } from 'zod';
import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, type Json, toHex } from '../crypto/encoding.ts';
import { deriveParameters } from '../crypto/params.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { bucketsToOpen, type Window } from './buckets.ts';
import { ProtocolError } from './errors.ts';
import { bigField, labelField, nameField } from './fields.ts';
import { chargeOf, oneShotField, type RoundRecord, samplingField } from './record.ts';
import { nextRetryOf } from './retry.ts';
import type { Announce, ModelEntry, Transcript } from './transcript.ts';

/** Most layers that a task names. */
export const MAX_TENSORS = 1024;

const TENSOR_NAME = /^[!#-[\]-~]{1,256}$/;

/** A part of an update, by the name that its framework gives it: printable, without blanks and quotation marks. */
const tensorField = z.strictObject({
  name: z.string().regex(TENSOR_NAME, 'a name of 1 to 256 printable characters without blanks and quotation marks'),
  shape: z.array(z.int().min(1)).max(8),
});

export type NamedShape = z.infer<typeof tensorField>;

/** Numbers in a tensor of a shape. */
export function sizeOfShape(shape: readonly number[]): number {
  return shape.reduce((size, side) => size * side, 1);
}

const fieldsOfTask = z.strictObject({
  version: z.literal(1),
  task: labelField,
  /** The data that the rounds are over. At most one decision exists per task, model and window. */
  window: labelField,
  unit: z.enum(['record', 'node']),
  recipients: z.array(nameField).min(1).max(8),
  dimension: z
    .int()
    .min(1)
    .max(2 ** 30),
  bits: z.int().min(2).max(28),
  nodesMax: z.int().min(2).max(1024),
  minCohort: z.int().min(2).max(1024),
  minHonest: z.int().min(2).max(1024),
  minOrganisations: z.int().min(1).max(1024),
  /** Into how many buckets the nodes are divided, each with a sum, a charge and the minimums above of its own; absent: one sum. */
  buckets: z.int().min(2).max(64).optional(),
  /** Rounds without masks, for nodes that train at their own pace: the weaker claim of one-shot.ts. Absent: pairwise masks. */
  oneShot: oneShotField.optional(),
  /** Variance of the discrete Gaussian that each node adds, in squared quantisation steps. */
  noise: z.strictObject({ sigma2Numerator: bigField, sigma2Denominator: bigField }),
  /** Squared L2 sensitivity of one unit, in squared quantisation steps. */
  sensitivity2: bigField,
  /** Each round is over records that nodes draw with this rate; absent: over all of them. Unit record only. */
  sampling: samplingField.optional(),
  /** L2 clip in units of 1e-6. */
  clipMicro: z.int().min(1),
  /** Quantisation steps per 1.0. */
  scale: z.int().min(1),
  maxAttempts: z.int().min(1).max(16),
  maxLeaves: z.int().min(16).max(100_000),
  uploadMs: z.int().min(100).max(86_400_000),
  confirmMs: z.int().min(100).max(86_400_000),
  checkSums: z.boolean(),
  /** How updates are made shorter before they are quantised (src/training/compression.ts); absent: not at all. */
  compression: z
    .strictObject({
      /** Values of an update before that; `dimension` is what is sent. */
      values: z
        .int()
        .min(1)
        .max(2 ** 30),
      /** Part of the values that one round carries, in units of 1e-6; absent: all. */
      keepMicro: z.int().min(1).max(999_999).optional(),
      /** Rotated by a randomised Hadamard transform first. */
      rotation: z.literal(true).optional(),
      /** A node adds what a round did not carry to its next update. */
      errorFeedback: z.literal(true).optional(),
      /** A node whose update is shorter than this L2 norm, in units of 1e-6, sends none. */
      sendAboveMicro: z.int().min(1).optional(),
    })
    .optional(),
  /** What the learning layer needs to know, canonical JSON; null for plain updates that nodes bring themselves. */
  learning: z.union([z.null(), z.record(z.string().max(64), z.unknown())]),
  /** For updates that nodes bring: the tensors that make one, one after another, row-major. Absent: any of `dimension` numbers. */
  tensors: z.array(tensorField).min(1).max(MAX_TENSORS).optional(),
  /** Unit node: the largest weight of an update, whose share of it is the last coordinate; absent: all weigh the same. */
  weightMax: z
    .int()
    .min(1)
    .max(2 ** 40)
    .optional(),
});

/**
 * What a kind of round is asked to do, written once and given to the coordinator, the recipients and every site. Its hash
 * is in each record: a node takes part only in a task whose file it has.
 */
export const taskField = fieldsOfTask
  .refine(({ tensors = [] }) => new Set(tensors.map(({ name }) => name)).size === tensors.length, {
    path: ['tensors'],
    message: 'two tensors have one name',
  })
  .refine(
    ({ tensors, dimension, learning, weightMax }) =>
      tensors === undefined ||
      (learning === null &&
        tensors.reduce((sum, { shape }) => sum + sizeOfShape(shape), 0) ===
          dimension - (weightMax === undefined ? 0 : 1)),
    { path: ['tensors'], message: 'must have as many numbers as dimension says, in a task that trains no model' },
  )
  .refine(
    ({ weightMax, unit, compression, dimension }) =>
      weightMax === undefined || (unit === 'node' && compression === undefined && dimension >= 2),
    {
      path: ['weightMax'],
      message: 'is for updates of nodes that are not compressed, beside which the weight is one more number',
    },
  );

export type Task = z.infer<typeof taskField>;

/** 32 bytes in hexadecimal. */
export function taskHashOf(p: Primitives, task: Task): string {
  return toHex(hashWithLabel(p, DOMAIN.taskHash, canonicalBytes(task as unknown as Json)));
}

/** How many sums are opened for one model of a task, each at its own charge. */
export function sumsOf(task: Pick<Task, 'buckets'>): number {
  return task.buckets ?? 1;
}

/** Cost of one sum of a task, in units of 1e-9: shown before anything is opened. */
export function chargeOfTask(task: Task): number {
  return chargeOf({ ...task, parameters: task });
}

/**
 * The record of an announced round.
 *
 * @param members - members that logged a round key, in the order of the quorum.
 * @throws CryptoError OUT_OF_RANGE, UNSAFE_PARAMETERS for a task that no parameters can carry.
 * @throws ProtocolError WINDOW_DECIDED where no bucket is left to open.
 */
export function recordOf(
  p: Primitives,
  t: Transcript,
  task: Task,
  announce: Announce,
  members: readonly string[],
  model: ModelEntry,
): RoundRecord {
  const taskHash = taskHashOf(p, task);
  const own = { taskHash, modelHash: model.modelHash, window: task.window };
  const bucket = bucketOf(t, task, own);
  const retryOf = nextRetryOf(t, { ...own, bucket }) ?? null;
  const { dimension, bits, nodesMax, minCohort, minHonest } = task;
  const { threshold } = t.quorum;
  const derived = deriveParameters({
    dimension,
    bits,
    nodesMax,
    minCohort,
    minHonest,
    members: members.length,
    threshold,
  });
  const parameters = { ...derived, primes: [...derived.primes], primeBits: [...derived.primeBits] };
  const holder = (name: string) => ({ name, roundKey: announce.roundKeys.get(name)!.hash });
  return {
    version: 1,
    announce: announce.hash,
    number: announce.number,
    task: task.task,
    taskHash,
    window: task.window,
    retryOf,
    ...(bucket === undefined ? {} : { bucket }),
    unit: task.unit,
    ...(task.oneShot === undefined ? { masking: 'pairwise' } : { masking: 'none', oneShot: task.oneShot }),
    approvals: 'none',
    checkSums: task.checkSums,
    parameters,
    members: members.map(holder),
    recipients: announce.recipients.map(holder),
    minOrganisations: task.minOrganisations,
    noise: task.noise,
    sensitivity2: task.sensitivity2,
    ...(task.sampling === undefined ? {} : { sampling: task.sampling }),
    clipMicro: task.clipMicro,
    scale: task.scale,
    charge: { rhoNano: chargeOfTask(task) },
    modelHash: model.modelHash,
    modelNumber: model.number,
    maxAttempts: task.maxAttempts,
    maxLeaves: task.maxLeaves,
    uploadMs: task.uploadMs,
    confirmMs: task.confirmMs,
  };
}

function bucketOf(t: Transcript, { buckets: count }: Task, window: Window): RoundRecord['bucket'] {
  if (count === undefined) return undefined;
  const [index] = bucketsToOpen(t, window, count);
  if (index === undefined) throw new ProtocolError('WINDOW_DECIDED', 'every bucket runs or has ended');
  return { index, count };
}

/** The number that the next round of a task gets. */
export function nextNumber(t: Transcript, task: string): number {
  let last = 0;
  for (const announce of t.announces.values()) if (announce.task === task) last = Math.max(last, announce.number);
  return last + 1;
}
