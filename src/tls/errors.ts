/** Why a certificate, a request or a key file was not accepted. Stable. */
export type TlsCode =
  | 'BAD_CERTIFICATE'
  | 'BAD_REQUEST'
  | 'BAD_SUBJECT'
  | 'BAD_TLS_KEY'
  | 'CERTIFICATE_EXPIRED'
  | 'KEY_FILE_READABLE'
  | 'FILE_UNREADABLE'
  | 'NO_PIN'
  | 'PIN_MISMATCH';

/** Refused TLS material. Its message never holds a secret or a peer-controlled value. */
export class TlsError extends Error {
  readonly code: TlsCode;

  constructor(code: TlsCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TlsError';
    this.code = code;
  }
}
