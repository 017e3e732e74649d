/** Codes of errors in the learning layer. Stable: callers and operators may rely on them. */
export type LearningCode =
  | 'DATA_NOT_FOUND'
  | 'BAD_TABLE'
  | 'BAD_SCHEMA'
  | 'MISSING_COLUMN'
  | 'MISSING_VALUE'
  | 'BAD_NUMBER'
  | 'BAD_LABEL'
  | 'BAD_DATE'
  | 'DATE_IN_FUTURE'
  | 'BAD_KEY'
  | 'ALL_MISSING'
  | 'TOO_FEW_ROWS'
  | 'LEAKAGE'
  | 'ONE_CLASS'
  | 'EMPTY_REGION'
  | 'TOO_LARGE'
  | 'BAD_MODEL'
  | 'NOT_FINITE'
  | 'BAD_SETTING'
  | 'BAD_TENSOR_FILE'
  | 'LAYER_MISMATCH'
  | 'NO_BACKEND';

/**
 * What is wrong with a table, a schema, a model or a setting, in the words of the person who owns the table: its name,
 * the column, the row's number. Never a cell's content: messages travel further than rows may.
 */
export class LearningError extends Error {
  readonly code: LearningCode;

  constructor(code: LearningCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LearningError';
    this.code = code;
  }
}
