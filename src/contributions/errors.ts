/** Why a report of contributions cannot be made. */
export type ContributionErrorCode = 'NOT_VERIFIED' | 'FILES_MISSING' | 'NO_SUMS' | 'SUM_DIFFERS';

export class ContributionError extends Error {
  readonly code: ContributionErrorCode;

  constructor(code: ContributionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ContributionError';
    this.code = code;
  }
}
