/** Codes of errors in matching. Stable: callers and operators may rely on them. */
export type MatchingCode =
  | 'BAD_ELEMENT'
  | 'BATCH_SIZE'
  | 'BUDGET_SPENT'
  | 'KEY_REPLACED'
  | 'MATCHING_OFF'
  | 'NAME_TOO_LONG'
  | 'TOO_FEW_HOLDERS'
  | 'BAD_STATEMENT'
  | 'WRONG_EVALUATION'
  | 'OTHER_JOIN'
  | 'NOT_A_KEY'
  | 'TOO_FEW_SHARED';

/** Why names were not matched, in words that say what to do. Never a name, nor a key made from one. */
export class MatchingError extends Error {
  readonly code: MatchingCode;

  constructor(code: MatchingCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MatchingError';
    this.code = code;
  }
}
