import { type StoreCode, StoreError } from '../store/errors.ts';
import type { StatusName } from './errors.ts';
import { errorLayer } from './status.ts';

/** What a caller is told when a party's store refuses. */
const STORE_STATUS = {
  NOT_FOUND: 'NOT_FOUND',
  CONFLICT: 'ABORTED',
  CORRUPT: 'DATA_LOSS',
  FULL: 'RESOURCE_EXHAUSTED',
  READ_ONLY: 'UNAVAILABLE',
  HASH_MISMATCH: 'INVALID_ARGUMENT',
  LENGTH_MISMATCH: 'INVALID_ARGUMENT',
  OFFSET_MISMATCH: 'ABORTED',
  TOO_LARGE: 'INVALID_ARGUMENT',
  BUSY: 'UNAVAILABLE',
  IO_FAILED: 'INTERNAL',
  CLOSED: 'UNAVAILABLE',
} as const satisfies Record<StoreCode, StatusName>;

export const STORE_LAYER = errorLayer(StoreError, STORE_STATUS);
