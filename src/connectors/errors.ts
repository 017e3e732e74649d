/** Codes of errors in reading rows. Stable: callers and operators may rely on them. */
export type ConnectorCode =
  | 'SOURCE_NOT_FOUND'
  | 'SOURCE_UNREACHABLE'
  | 'SOURCE_FAILED'
  | 'SECRET_MISSING'
  | 'SECRET_EXPOSED'
  | 'LOGIN_REFUSED'
  | 'TOKEN_EXPIRED'
  | 'RATE_LIMITED'
  | 'ACCESS_DENIED'
  | 'BAD_QUERY'
  | 'PARTIAL_PAGE'
  | 'BAD_ANSWER'
  | 'CHANGED_SCHEMA'
  | 'UNSUPPORTED_TYPE'
  | 'BAD_ENCODING'
  | 'TOO_LARGE';

/**
 * Why a table could not be read, in the words of the person who owns it: which table, which column, what to do. Never a
 * cell, a token or what the far side wrote: it quotes both. For the same reason it never has a `cause`.
 */
export class ConnectorError extends Error {
  readonly code: ConnectorCode;

  constructor(code: ConnectorCode, message: string) {
    super(message);
    this.name = 'ConnectorError';
    this.code = code;
  }
}
