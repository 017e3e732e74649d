import { Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import { type CryptoCode, CryptoError } from '../../crypto/errors.ts';
import { ProtocolError, type RejectionCode } from '../../protocols/errors.ts';
import { type TlsCode, TlsError } from '../tls/errors.ts';
import { type StatusName, TRANSPORT_STATUS, TransportError } from './errors.ts';

/** Trailer that names the code of a refusal. */
export const CODE_METADATA = 'veilsum-code';

/** One layer's errors and the status of each of its codes. A code without a status does not compile. */
export interface ErrorLayer {
  statusOf(error: unknown): { code: string; status: StatusName; message: string } | null;
}

/** @param type - the layer's error class. @param table - `{...} satisfies Record<Code, StatusName>`. */
export function errorLayer<Code extends string>(
  type: abstract new (...args: never[]) => Error & { readonly code: Code },
  table: Readonly<Record<Code, StatusName>>,
): ErrorLayer {
  return {
    statusOf: (error) =>
      error instanceof type && Object.hasOwn(table, error.code)
        ? { code: error.code, status: table[error.code], message: error.message }
        : null,
  };
}

/** Cryptographic errors: bad input of a peer, or our own fault. */
export const CRYPTO_STATUS = {
  BAD_LENGTH: 'INVALID_ARGUMENT',
  BAD_VALUE: 'INVALID_ARGUMENT',
  BAD_ENCODING: 'INVALID_ARGUMENT',
  BAD_KEY: 'INVALID_ARGUMENT',
  BAD_SIGNATURE: 'UNAUTHENTICATED',
  BAD_CIPHERTEXT: 'INVALID_ARGUMENT',
  RESIDUE_OUT_OF_RANGE: 'INVALID_ARGUMENT',
  UNSAFE_PARAMETERS: 'INVALID_ARGUMENT',
  OUT_OF_RANGE: 'INVALID_ARGUMENT',
  KEY_DOES_NOT_FIT: 'FAILED_PRECONDITION',
  ENGINE_MISMATCH: 'INTERNAL',
  ENGINE_FAILED: 'INTERNAL',
  ALREADY_WIPED: 'INTERNAL',
} as const satisfies Record<CryptoCode, StatusName>;

/** TLS material that came as a message: certificate requests. */
export const TLS_STATUS = {
  BAD_CERTIFICATE: 'UNAUTHENTICATED',
  BAD_REQUEST: 'INVALID_ARGUMENT',
  BAD_SUBJECT: 'INVALID_ARGUMENT',
  BAD_TLS_KEY: 'INVALID_ARGUMENT',
  CERTIFICATE_EXPIRED: 'UNAUTHENTICATED',
  KEY_FILE_READABLE: 'INTERNAL',
  FILE_UNREADABLE: 'INTERNAL',
  NO_PIN: 'INTERNAL',
  PIN_MISMATCH: 'UNAUTHENTICATED',
} as const satisfies Record<TlsCode, StatusName>;

/** What the protocol refuses. */
export const PROTOCOL_STATUS = {
  MALFORMED: 'INVALID_ARGUMENT',
  TOO_LARGE: 'INVALID_ARGUMENT',
  UNKNOWN_KIND: 'INVALID_ARGUMENT',
  UNKNOWN_VERSION: 'INVALID_ARGUMENT',
  BAD_SIGNATURE: 'UNAUTHENTICATED',
  BAD_KEY: 'INVALID_ARGUMENT',
  UNKNOWN_ACTOR: 'PERMISSION_DENIED',
  WRONG_ROLE: 'PERMISSION_DENIED',
  REVOKED: 'PERMISSION_DENIED',
  DUPLICATE_NAME: 'ALREADY_EXISTS',
  DUPLICATE_KEY: 'ALREADY_EXISTS',
  NO_POSSESSION: 'UNAUTHENTICATED',
  STALE_TLS_KEY: 'FAILED_PRECONDITION',
  NOT_APPROVED: 'PERMISSION_DENIED',
  GENESIS_NOT_FIRST: 'FAILED_PRECONDITION',
  GENESIS_INVALID: 'INVALID_ARGUMENT',
  UNKNOWN_ANNOUNCE: 'NOT_FOUND',
  DUPLICATE_ANNOUNCE: 'ALREADY_EXISTS',
  DUPLICATE_ROUND_KEY: 'ALREADY_EXISTS',
  LATE_ROUND_KEY: 'FAILED_PRECONDITION',
  ROUND_KEY_MISSING: 'FAILED_PRECONDITION',
  ROUND_KEY_REUSED: 'INVALID_ARGUMENT',
  UNKNOWN_ROUND: 'NOT_FOUND',
  ROUND_EXISTS: 'ALREADY_EXISTS',
  ROUND_ENDED: 'FAILED_PRECONDITION',
  ROUND_RUNNING: 'FAILED_PRECONDITION',
  PARAMETERS_MISMATCH: 'INVALID_ARGUMENT',
  QUORUM_MISMATCH: 'INVALID_ARGUMENT',
  BELOW_MINIMUM: 'INVALID_ARGUMENT',
  CHARGE_MISMATCH: 'INVALID_ARGUMENT',
  BUDGET_EXCEEDED: 'RESOURCE_EXHAUSTED',
  UNKNOWN_MODEL: 'NOT_FOUND',
  LATE_UPLOAD: 'FAILED_PRECONDITION',
  DUPLICATE_UPLOAD: 'ALREADY_EXISTS',
  PAYLOAD_SIZE: 'INVALID_ARGUMENT',
  PAYLOAD_HASH: 'INVALID_ARGUMENT',
  NONCE_REUSED: 'ALREADY_EXISTS',
  REPLAYED: 'ALREADY_EXISTS',
  BAD_COHORT: 'INVALID_ARGUMENT',
  COHORT_TOO_SMALL: 'FAILED_PRECONDITION',
  TOO_FEW_ORGS: 'FAILED_PRECONDITION',
  TOO_MANY_ATTEMPTS: 'FAILED_PRECONDITION',
  UNKNOWN_CLOSE: 'NOT_FOUND',
  STALE_ATTEMPT: 'FAILED_PRECONDITION',
  NOT_IN_COHORT: 'PERMISSION_DENIED',
  DUPLICATE_CONFIRM: 'ALREADY_EXISTS',
  MODEL_MISMATCH: 'FAILED_PRECONDITION',
  BOXES_MISMATCH: 'INVALID_ARGUMENT',
  SEED_REUSED: 'INVALID_ARGUMENT',
  NOT_CONFIRMED: 'FAILED_PRECONDITION',
  DUPLICATE_READY: 'ALREADY_EXISTS',
  DUPLICATE_COMPLAINT: 'ALREADY_EXISTS',
  UNKNOWN_CONFIRM: 'NOT_FOUND',
  DUPLICATE_RESEAL: 'ALREADY_EXISTS',
  NOT_READY: 'FAILED_PRECONDITION',
  ALREADY_DECIDED: 'FAILED_PRECONDITION',
  WINDOW_DECIDED: 'FAILED_PRECONDITION',
  BUCKET_MISMATCH: 'FAILED_PRECONDITION',
  NOT_IN_BUCKET: 'FAILED_PRECONDITION',
  MASKING_MISMATCH: 'FAILED_PRECONDITION',
  TOO_STALE: 'FAILED_PRECONDITION',
  BUCKETS_UNFINISHED: 'FAILED_PRECONDITION',
  SUM_MISMATCH: 'FAILED_PRECONDITION',
  UNKNOWN_DECISION: 'NOT_FOUND',
  DUPLICATE_ANSWER: 'ALREADY_EXISTS',
  SHARES_MISMATCH: 'INVALID_ARGUMENT',
  DUPLICATE_RELEASE: 'ALREADY_EXISTS',
  RESULT_MISMATCH: 'FAILED_PRECONDITION',
  NOT_RELEASED: 'FAILED_PRECONDITION',
  BAD_CHECKPOINT: 'INVALID_ARGUMENT',
  WRONG_ORIGIN: 'INVALID_ARGUMENT',
  NOT_COSIGNED: 'FAILED_PRECONDITION',
  ROLLED_BACK: 'FAILED_PRECONDITION',
  SPLIT_VIEW: 'FAILED_PRECONDITION',
  POLICY_REFUSES: 'PERMISSION_DENIED',
  MASKING_REFUSED: 'PERMISSION_DENIED',
  SEED_MISMATCH: 'INVALID_ARGUMENT',
  BOX_UNREADABLE: 'INVALID_ARGUMENT',
  CHECKSUM_MISMATCH: 'FAILED_PRECONDITION',
  SHARE_CONFLICT: 'FAILED_PRECONDITION',
  TOO_FEW_ANSWERS: 'FAILED_PRECONDITION',
  KEY_DOES_NOT_FIT: 'FAILED_PRECONDITION',
  SUM_MALFORMED: 'FAILED_PRECONDITION',
  BLOB_LOST: 'DATA_LOSS',
  OVER_DEADLINE: 'FAILED_PRECONDITION',
  KEY_LOST: 'FAILED_PRECONDITION',
} as const satisfies Record<RejectionCode, StatusName>;

const TRANSPORT_LAYER: ErrorLayer = {
  statusOf: (error) =>
    error instanceof TransportError
      ? { code: error.code, status: error.status ?? TRANSPORT_STATUS.INTERNAL, message: error.message }
      : null,
};

/** Every layer that this server knows. A store adds its own. */
export const ERROR_LAYERS: readonly ErrorLayer[] = [
  TRANSPORT_LAYER,
  errorLayer(ProtocolError, PROTOCOL_STATUS),
  errorLayer(CryptoError, CRYPTO_STATUS),
  errorLayer(TlsError, TLS_STATUS),
];

/**
 * What a caller is told about an error. Errors of no known layer are INTERNAL and say nothing else: their text may hold
 * anything.
 */
export function statusFor(error: unknown, layers: readonly ErrorLayer[]): StatusObject & { known: boolean } {
  const metadata = new Metadata();
  for (const layer of layers) {
    const found = layer.statusOf(error);
    if (found === null) continue;
    metadata.set(CODE_METADATA, found.code);
    return { code: Status[found.status], details: found.message, metadata, known: true };
  }
  metadata.set(CODE_METADATA, 'INTERNAL');
  return { code: Status.INTERNAL, details: 'the party failed', metadata, known: false };
}
