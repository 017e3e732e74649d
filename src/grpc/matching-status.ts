import { type MatchingCode, MatchingError } from '../matching/errors.ts';
import type { StatusName } from './errors.ts';
import { errorLayer } from './status.ts';

/** What a caller is told when names are not evaluated. Codes below the line are the asking side's own. */
const MATCHING_STATUS = {
  BAD_ELEMENT: 'INVALID_ARGUMENT',
  BATCH_SIZE: 'INVALID_ARGUMENT',
  BUDGET_SPENT: 'RESOURCE_EXHAUSTED',
  KEY_REPLACED: 'FAILED_PRECONDITION',
  MATCHING_OFF: 'FAILED_PRECONDITION',
  // ---
  NAME_TOO_LONG: 'INTERNAL',
  TOO_FEW_HOLDERS: 'INTERNAL',
  BAD_STATEMENT: 'INTERNAL',
  WRONG_EVALUATION: 'INTERNAL',
  OTHER_JOIN: 'INTERNAL',
  NOT_A_KEY: 'INTERNAL',
  TOO_FEW_SHARED: 'INTERNAL',
} as const satisfies Record<MatchingCode, StatusName>;

export const MATCHING_LAYER = errorLayer(MatchingError, MATCHING_STATUS);
