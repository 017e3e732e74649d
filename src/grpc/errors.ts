import type { status as Status } from '@grpc/grpc-js';

/** Names of gRPC statuses (google.rpc.Code), as they are spelt in tables. */
export type StatusName = Exclude<keyof typeof Status, 'OK'>;

/**
 * What the transport itself can refuse or suffer, with the gRPC status it travels as. The only table of these codes:
 * their type is made from it.
 */
export const TRANSPORT_STATUS = {
  // connecting
  UNREACHABLE: 'UNAVAILABLE',
  CONNECTION_LOST: 'UNAVAILABLE',
  CERTIFICATE_REQUIRED: 'UNAUTHENTICATED',
  CERTIFICATE_REFUSED: 'UNAUTHENTICATED',
  CERTIFICATE_EXPIRED: 'UNAUTHENTICATED',
  UNTRUSTED_SERVER: 'UNAUTHENTICATED',
  PIN_MISMATCH: 'UNAUTHENTICATED',
  TLS_VERSION: 'UNAUTHENTICATED',
  // who calls
  BAD_CERTIFICATE: 'UNAUTHENTICATED',
  CERTIFICATE_REVOKED: 'UNAUTHENTICATED',
  CERTIFICATE_REPLACED: 'UNAUTHENTICATED',
  ROLE_REFUSED: 'PERMISSION_DENIED',
  // calls
  NO_SUCH_CALL: 'UNIMPLEMENTED',
  TOO_MANY_CALLS: 'RESOURCE_EXHAUSTED',
  DEADLINE: 'DEADLINE_EXCEEDED',
  IDLE: 'DEADLINE_EXCEEDED',
  CANCELLED: 'CANCELLED',
  STOPPING: 'UNAVAILABLE',
  INTERNAL: 'INTERNAL',
  // messages
  MALFORMED_MESSAGE: 'INVALID_ARGUMENT',
  MESSAGE_TOO_LARGE: 'RESOURCE_EXHAUSTED',
  // transfers
  NO_HEADER: 'INVALID_ARGUMENT',
  HEADER_TWICE: 'INVALID_ARGUMENT',
  CHUNK_SIZE: 'INVALID_ARGUMENT',
  TRAILING_BYTES: 'INVALID_ARGUMENT',
  TRUNCATED_STREAM: 'INVALID_ARGUMENT',
  WRONG_HASH: 'INVALID_ARGUMENT',
  WRONG_LENGTH: 'DATA_LOSS',
  OFFSET_MISMATCH: 'ABORTED',
  SUPERSEDED: 'ABORTED',
  BAD_PROGRESS: 'DATA_LOSS',
  // following the log
  LOG_GAP: 'DATA_LOSS',
} as const satisfies Record<string, StatusName>;

export type TransportCode = keyof typeof TRANSPORT_STATUS;

/** Codes after which the same call may succeed, here or at another replica. */
const RETRYABLE: ReadonlySet<string> = new Set<TransportCode>([
  'UNREACHABLE',
  'CONNECTION_LOST',
  'CERTIFICATE_EXPIRED', // until it is renewed: whoever follows a log need not start again
  'CERTIFICATE_REPLACED', // until its party has taken the new one
  'STOPPING',
  'TOO_MANY_CALLS',
  'IDLE',
  'OFFSET_MISMATCH',
]);

/**
 * A call that did not succeed. `code` is one of ours when the transport failed or refused, else the code that the peer
 * named (its protocol's, its cryptography's, its store's).
 */
export class TransportError extends Error {
  readonly code: TransportCode | (string & {});
  readonly status: StatusName;
  /** True when the peer said so, false when this side noticed. */
  readonly remote: boolean;

  constructor(code: TransportCode, message: string, options?: ErrorOptions);
  constructor(code: string, message: string, options: ErrorOptions & { status: StatusName; remote: boolean });
  constructor(code: string, message: string, options?: ErrorOptions & { status?: StatusName; remote?: boolean }) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
    this.status = options?.status ?? TRANSPORT_STATUS[code as TransportCode];
    this.remote = options?.remote ?? false;
  }

  /** True when trying again, here or at another replica, makes sense. A refusal of the peer's own layers never is. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code) || (this.remote && this.status === 'UNAVAILABLE');
  }
}
