/** What reading or copying somebody's log can end in. Stable: the command line prints these codes. */
export type LogCode =
  | 'UNREACHABLE'
  | 'NOT_FOUND'
  | 'TOO_LARGE'
  /** Files that are not what the log's own signed head says. Nobody signed them: it proves nothing against the log. */
  | 'BAD_FILES'
  | 'BAD_CHECKPOINT'
  | 'NOT_COSIGNED'
  /** A signed head that is older than one seen, or of another history: the heads are evidence. */
  | 'ROLLED_BACK'
  | 'SPLIT_VIEW'
  | 'WRONG_ORIGIN'
  | 'NOT_PROVEN';

/** A log that is not there, is not whole, or contradicts itself. The message holds no text of the log's. */
export class LogError extends Error {
  readonly code: LogCode;

  constructor(code: LogCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LogError';
    this.code = code;
  }
}
