import { z } from 'zod';
import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, fromHex, type Json, toHex } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { chargeRhoNano, type Release, rhoOf } from './accountant.ts';
import { bigField, countField, hashField, labelField, nameField } from './fields.ts';
import { LEAST_ORDER, MOST_ORDER, sampledChargeNano, WHOLE_RATE_MICRO } from './sampled-charge.ts';

/** Payload parameters, as `deriveParameters` gives them; everybody derives them again and compares. */
const parametersField = z.strictObject({
  dimension: countField,
  bits: countField,
  nodesMax: countField,
  minCohort: countField,
  minHonest: countField,
  members: countField,
  threshold: countField,
  ringDegree: countField,
  primes: z.array(countField).min(1).max(16),
  primeBits: z.array(countField).min(1).max(16),
  slotBits: countField,
  slotsPerCoefficient: countField,
  logDelta: countField,
  errorBound: countField,
  maskModulusBits: countField,
  blocks: countField,
  coefficients: countField,
  lastBlockCoefficients: countField,
  payloadBytes: countField,
});

/** A quorum member or recipient of a round, and the leaf that logged its key for this round. */
const keyHolder = z.strictObject({ name: nameField, roundKey: hashField });

/** How records are drawn, and the order that the round is charged at: genesis's. */
export const samplingField = z.strictObject({
  rateMicro: z
    .int()
    .min(1)
    .max(WHOLE_RATE_MICRO - 1),
  order: z.int().min(LEAST_ORDER).max(MOST_ORDER),
});

/** Which part of the nodes a round is over, where they are divided into several (buckets.ts). */
export const bucketField = z.strictObject({ index: z.int().min(0).max(63), count: z.int().min(2).max(64) });

/**
 * How a round without masks goes: it is closed once so many uploads are complete, or late; and how many models before the
 * round's an upload may have started from.
 */
export const oneShotField = z.strictObject({
  buffer: z.int().min(2).max(1024),
  maxStaleness: z.int().min(0).max(10_000),
});

/**
 * What a round is. Its hash is the round's id: whatever is not in here cannot be argued about later.
 *
 * `noise`: variance of the discrete Gaussian that each node adds, a fraction, in squared quantisation steps.
 * `sensitivity2`: squared L2 sensitivity of one unit after rounding, in the same steps. `scale`: quantisation steps per
 * 1.0 of the update, an integer, so that everybody divides alike.
 * `sampling`: every node draws each of its records with this rate, anew and in secret; absent: all records take part.
 * `charge.rhoNano`: cost in units of 1e-9, derived from all of these and checked by everybody: zCDP, and where records are
 * drawn the Renyi divergence of the log's order over that order.
 */
export const recordField = z.strictObject({
  version: z.literal(1),
  announce: hashField,
  number: z.int().min(1),
  task: labelField,
  taskHash: hashField,
  window: labelField,
  /** A round over the same task, model and window that was decided and could not be opened (retry.ts); else null. */
  retryOf: hashField.nullable(),
  /** Absent: the round is over all nodes. */
  bucket: bucketField.optional(),
  unit: z.enum(['record', 'node']),
  /** `none`: one-shot, a weaker claim (one-shot.ts); `oneShot` is then there, else absent. */
  masking: z.enum(['pairwise', 'none']),
  oneShot: oneShotField.optional(),
  approvals: z.literal('none'),
  checkSums: z.boolean(),
  parameters: parametersField,
  members: z.array(keyHolder).min(3).max(64),
  recipients: z.array(keyHolder).min(1).max(8),
  minOrganisations: z.int().min(1).max(1024),
  noise: z.strictObject({ sigma2Numerator: bigField, sigma2Denominator: bigField }),
  sensitivity2: bigField,
  sampling: samplingField.optional(),
  clipMicro: z.int().min(1),
  scale: z.int().min(1),
  charge: z.strictObject({ rhoNano: countField }),
  modelHash: hashField,
  modelNumber: z.int().min(0),
  maxAttempts: z.int().min(1).max(16),
  maxLeaves: z.int().min(16).max(100_000),
  uploadMs: z.int().min(100).max(86_400_000),
  confirmMs: z.int().min(100).max(86_400_000),
});

export type RoundRecord = z.infer<typeof recordField>;

/** The round's id: 32 bytes in hexadecimal. */
export function roundIdOf(p: Primitives, record: RoundRecord): string {
  return toHex(hashWithLabel(p, DOMAIN.roundRecord, canonicalBytes(record as unknown as Json)));
}

/** The record's hash as bytes: what the public polynomials and one-time keys of the round are bound to. */
export function recordHashOf(p: Primitives, record: RoundRecord): Uint8Array {
  return fromHex(roundIdOf(p, record), 32);
}

export type ChargedFields = Pick<RoundRecord, 'noise' | 'sensitivity2' | 'sampling'> & {
  readonly parameters: { readonly minHonest: number; readonly dimension: number };
};

/**
 * Cost of one opened sum in units of 1e-9, rounded up: what the noise of `minHonest` nodes alone gives.
 *
 * @throws AccountingError BAD_RELEASE for noise that carries no guarantee.
 */
export function chargeOf(fields: ChargedFields): number {
  const release = releaseOf(fields);
  return Number(
    fields.sampling === undefined ? chargeRhoNano(release) : sampledChargeNano(rhoOf(release), fields.sampling),
  );
}

/** What a record or a task releases, as the accountant takes it. */
export function releaseOf({ noise, sensitivity2, parameters }: ChargedFields): Release {
  const variance = {
    sigma2Numerator: BigInt(noise.sigma2Numerator),
    sigma2Denominator: BigInt(noise.sigma2Denominator),
  };
  const { minHonest, dimension } = parameters;
  return { sensitivity2: BigInt(sensitivity2), variance, parts: minHonest, coordinates: dimension };
}
