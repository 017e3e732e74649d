/** Codes of errors in the scoring layer. Stable: callers and operators may rely on them. */
export type ScoringCode =
  | 'BAD_WORDS'
  | 'BAD_ORGANISATION'
  | 'SCHEMA_MISMATCH'
  | 'BAD_SETTING'
  | 'NO_HEAD'
  | 'TOO_MANY_GROUPS'
  | 'TOKENS_UNUSABLE'
  | 'TOKEN_EXISTS'
  | 'UNKNOWN_TOKEN'
  | 'INSECURE_LISTEN';

/** What is wrong with what scoring was given, in words that say what to do. Never a cell's content. */
export class ScoringError extends Error {
  readonly code: ScoringCode;

  constructor(code: ScoringCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ScoringError';
    this.code = code;
  }
}
