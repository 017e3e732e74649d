import { z } from 'zod';
import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, fromHex, type Json, toHex } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel } from '../crypto/signature.ts';
import { bigField, countField, hashField, labelField, nameField } from './fields.ts';

/** Payload parameters, as `deriveParameters` gives them; everybody derives them again and compares. */
export const parametersField = z.strictObject({
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

/**
 * What a round is. Its hash is the round's id: whatever is not in here cannot be argued about later.
 *
 * `noise`: variance of the discrete Gaussian that each node adds, a fraction, in squared quantisation steps.
 * `sensitivity2`: squared L2 sensitivity of one unit after rounding, in the same steps. `scale`: quantisation steps per
 * 1.0 of the update, times 2^-16 (an integer, so that everybody divides alike).
 * `charge.rhoNano`: zCDP cost in units of 1e-9, derived from the three above and checked by everybody.
 */
export const recordField = z.strictObject({
  version: z.literal(1),
  announce: hashField,
  number: z.int().min(1),
  task: labelField,
  taskHash: hashField,
  window: labelField,
  unit: z.enum(['record', 'node']),
  masking: z.literal('pairwise'),
  approvals: z.literal('none'),
  checkSums: z.boolean(),
  parameters: parametersField,
  members: z.array(keyHolder).min(3).max(64),
  recipients: z.array(keyHolder).min(1).max(8),
  minOrganisations: z.int().min(1).max(1024),
  noise: z.strictObject({ sigma2Numerator: bigField, sigma2Denominator: bigField }),
  sensitivity2: bigField,
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

type ChargedFields = Pick<RoundRecord, 'noise' | 'sensitivity2'> & {
  readonly parameters: { readonly minHonest: number };
};

/**
 * zCDP cost of one opened sum in units of 1e-9, rounded up: rho = sensitivity^2 / (2 * minHonest * sigma^2).
 *
 * Bun, Steinke 2016 (ia.cr/2016/816), Proposition 1.6; Canonne, Kamath, Steinke 2020, Theorem 4, for the discrete
 * Gaussian. That the sum of `minHonest` discrete Gaussians is close enough to one is shown in crypto/docs/noise.md.
 *
 * @throws RangeError when the variance is zero.
 */
export function chargeOf(record: ChargedFields): number {
  const numerator = BigInt(record.sensitivity2) * BigInt(record.noise.sigma2Denominator) * 1_000_000_000n;
  const denominator = 2n * BigInt(record.parameters.minHonest) * BigInt(record.noise.sigma2Numerator);
  if (denominator === 0n) throw new RangeError('a round without noise has no finite charge');
  return Number((numerator + denominator - 1n) / denominator);
}
