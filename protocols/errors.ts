/**
 * Why a message or a leaf was not accepted. Stable: auditors print these codes, gRPC and HTTP map them in one table each,
 * and tests name them. A code never carries a secret or a peer-controlled value.
 */
export const REJECTIONS = [
  // form
  'MALFORMED',
  'TOO_LARGE',
  'UNKNOWN_KIND',
  'UNKNOWN_VERSION',
  'BAD_SIGNATURE',
  'BAD_KEY',
  // who
  'UNKNOWN_ACTOR',
  'WRONG_ROLE',
  'REVOKED',
  'DUPLICATE_NAME',
  'DUPLICATE_KEY',
  'NO_POSSESSION',
  'STALE_TLS_KEY',
  'NOT_APPROVED',
  // order
  'GENESIS_NOT_FIRST',
  'GENESIS_INVALID',
  'UNKNOWN_ANNOUNCE',
  'DUPLICATE_ANNOUNCE',
  'DUPLICATE_ROUND_KEY',
  'LATE_ROUND_KEY',
  'ROUND_KEY_MISSING',
  'ROUND_KEY_REUSED',
  'UNKNOWN_ROUND',
  'ROUND_EXISTS',
  'ROUND_ENDED',
  'ROUND_RUNNING',
  'PARAMETERS_MISMATCH',
  'QUORUM_MISMATCH',
  'BELOW_MINIMUM',
  'CHARGE_MISMATCH',
  'BUDGET_EXCEEDED',
  'UNKNOWN_MODEL',
  'LATE_UPLOAD',
  'DUPLICATE_UPLOAD',
  'PAYLOAD_SIZE',
  'PAYLOAD_HASH',
  'NONCE_REUSED',
  'REPLAYED',
  'BAD_COHORT',
  'COHORT_TOO_SMALL',
  'TOO_FEW_ORGS',
  'TOO_MANY_ATTEMPTS',
  'UNKNOWN_CLOSE',
  'STALE_ATTEMPT',
  'NOT_IN_COHORT',
  'DUPLICATE_CONFIRM',
  'MODEL_MISMATCH',
  'BOXES_MISMATCH',
  'SEED_REUSED',
  'NOT_CONFIRMED',
  'DUPLICATE_READY',
  'DUPLICATE_COMPLAINT',
  'UNKNOWN_CONFIRM',
  'DUPLICATE_RESEAL',
  'NOT_READY',
  'ALREADY_DECIDED',
  'WINDOW_DECIDED',
  'BUCKET_MISMATCH',
  'NOT_IN_BUCKET',
  'BUCKETS_UNFINISHED',
  'MASKING_MISMATCH',
  'TOO_STALE',
  'SUM_MISMATCH',
  'UNKNOWN_DECISION',
  'DUPLICATE_ANSWER',
  'SHARES_MISMATCH',
  'DUPLICATE_RELEASE',
  'RESULT_MISMATCH',
  'NOT_RELEASED',
  // the log itself
  'BAD_CHECKPOINT',
  'WRONG_ORIGIN',
  'NOT_COSIGNED',
  'ROLLED_BACK',
  'SPLIT_VIEW',
  // what a party refuses on its own account
  'POLICY_REFUSES',
  'MASKING_REFUSED',
  'SEED_MISMATCH',
  'BOX_UNREADABLE',
  'CHECKSUM_MISMATCH',
  'SHARE_CONFLICT',
  'TOO_FEW_ANSWERS',
  'KEY_DOES_NOT_FIT',
  'SUM_MALFORMED',
  'BLOB_LOST',
  'OVER_DEADLINE',
  'KEY_LOST',
] as const;

export type RejectionCode = (typeof REJECTIONS)[number];

/** What a step returns for input that a peer may send but must not succeed with. Nothing has changed when it is returned. */
export interface Rejection {
  readonly rejected: RejectionCode;
  /** Words for a person, without secrets and without peer-controlled text. */
  readonly why: string;
}

export function reject(rejected: RejectionCode, why: string): Rejection {
  return { rejected, why };
}

export function isRejection(value: unknown): value is Rejection {
  return typeof value === 'object' && value !== null && 'rejected' in value;
}

/** A broken contract inside `protocols/`: a caller's mistake, never a peer's. */
export class ProtocolError extends Error {
  readonly code: RejectionCode;

  constructor(code: RejectionCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProtocolError';
    this.code = code;
  }
}
