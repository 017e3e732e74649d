/** Codes of errors that pure cryptographic code throws. Stable: callers and peers may rely on them. */
export type CryptoCode =
  | 'BAD_LENGTH'
  | 'BAD_VALUE'
  | 'BAD_ENCODING'
  | 'BAD_KEY'
  | 'BAD_SIGNATURE'
  | 'BAD_CIPHERTEXT'
  | 'RESIDUE_OUT_OF_RANGE'
  | 'UNSAFE_PARAMETERS'
  | 'OUT_OF_RANGE'
  | 'KEY_DOES_NOT_FIT'
  | 'ENGINE_MISMATCH'
  | 'ENGINE_FAILED'
  | 'ALREADY_WIPED';

/** A broken contract or unusable input inside `crypto/`. Its message never holds a secret or a peer-controlled value. */
export class CryptoError extends Error {
  readonly code: CryptoCode;

  constructor(code: CryptoCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CryptoError';
    this.code = code;
  }
}
