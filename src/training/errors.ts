/** Codes of errors between learning and rounds. Stable: callers and operators may rely on them. */
export type TrainingCode =
  | 'BAD_PLAN'
  | 'BAD_BUDGET'
  | 'DOES_NOT_FIT'
  | 'TASK_MISMATCH'
  | 'SCHEMA_MISMATCH'
  | 'UNACCOUNTED'
  | 'NO_BOUNDS'
  | 'NOT_PRECEDED'
  | 'WRONG_LENGTH'
  | 'NOT_DECIDED';

/** A task, a plan or an update that cannot be used together. What is wrong with a table is a LearningError. */
export class TrainingError extends Error {
  readonly code: TrainingCode;

  constructor(code: TrainingCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TrainingError';
    this.code = code;
  }
}
