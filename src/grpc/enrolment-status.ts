import { type EnrolmentCode, EnrolmentError } from '../keys/errors.ts';
import type { StatusName } from './errors.ts';
import { errorLayer } from './status.ts';

/** What a caller is told when a request to enrol is refused. */
const ENROLMENT_STATUS = {
  NOT_INVITED: 'PERMISSION_DENIED',
  WRONG_TOKEN: 'UNAUTHENTICATED',
  INVITATION_EXPIRED: 'FAILED_PRECONDITION',
  INVITATION_REVOKED: 'FAILED_PRECONDITION',
  INVITATION_USED: 'ALREADY_EXISTS',
  NO_SUCH_REQUEST: 'NOT_FOUND',
  NOT_THE_REQUEST: 'INVALID_ARGUMENT',
  DECLINED: 'FAILED_PRECONDITION',
  ALREADY_APPROVED: 'FAILED_PRECONDITION',
} as const satisfies Record<EnrolmentCode, StatusName>;

export const ENROLMENT_LAYER = errorLayer(EnrolmentError, ENROLMENT_STATUS);
