/** Why an invitation or a request to enrol was not accepted. Stable. */
export type EnrolmentCode =
  | 'NOT_INVITED'
  | 'WRONG_TOKEN'
  | 'INVITATION_EXPIRED'
  | 'INVITATION_REVOKED'
  | 'INVITATION_USED'
  | 'NO_SUCH_REQUEST'
  | 'NOT_THE_REQUEST'
  | 'DECLINED'
  | 'ALREADY_APPROVED';

/** A refused request to enrol. Its message holds nothing secret and nothing that a peer chose. */
export class EnrolmentError extends Error {
  readonly code: EnrolmentCode;

  constructor(code: EnrolmentCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EnrolmentError';
    this.code = code;
  }
}
