/** Codes of everything a store can refuse. Stable: callers, the gRPC and the HTTP tables rely on them. */
export type StoreCode =
  | 'NOT_FOUND'
  | 'CONFLICT'
  /** Stored bytes are not the bytes that were written: bit rot, a truncated or a foreign file. */
  | 'CORRUPT'
  /** No room on the device, or above the store's own capacity. Nothing was changed; later calls may succeed. */
  | 'FULL'
  /** A write or fsync has failed before: what the device holds is unknown, so nothing more is acknowledged until reopened. */
  | 'READ_ONLY'
  | 'HASH_MISMATCH'
  | 'LENGTH_MISMATCH'
  | 'OFFSET_MISMATCH'
  | 'TOO_LARGE'
  /** Another process held the lock for longer than the deadline. */
  | 'BUSY'
  | 'IO_FAILED'
  | 'CLOSED';

/** Broken storage or a request it cannot serve. The message holds no stored value and no peer-controlled text. */
export class StoreError extends Error {
  readonly code: StoreCode;

  constructor(code: StoreCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** Primary SQLite result codes (the low byte of `errcode`) that have a meaning of their own here. */
const SQLITE_CODES: Readonly<Record<number, StoreCode>> = {
  // SQL logic error: our statements are fixed, so a table or column is not what it was made as.
  1: 'CORRUPT',
  5: 'BUSY',
  6: 'BUSY',
  8: 'READ_ONLY',
  11: 'CORRUPT',
  13: 'FULL',
  26: 'CORRUPT',
};
const FULL_ERRNO = new Set(['ENOSPC', 'EDQUOT']);

/** The store's error for what `node:sqlite` or `node:fs` threw. A StoreError passes unchanged. */
export function asStoreError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const { code, errcode } = cause as { readonly code?: string; readonly errcode?: number };
  if (typeof errcode === 'number') {
    const name = SQLITE_CODES[errcode & 0xff] ?? 'IO_FAILED';
    return new StoreError(name, `the database refused (SQLite ${errcode})`, { cause });
  }
  if (code !== undefined && FULL_ERRNO.has(code)) return new StoreError('FULL', 'no room on the device', { cause });
  if (code === 'EROFS') return new StoreError('READ_ONLY', 'the device is read-only', { cause });
  if (code === 'ENOENT') return new StoreError('NOT_FOUND', 'no such file', { cause });
  return new StoreError('IO_FAILED', `input or output failed (${code ?? 'unknown'})`, { cause });
}
