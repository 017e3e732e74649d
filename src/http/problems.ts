import type { Response } from 'express';
import type { StoreCode } from '../store/errors.ts';

/** What this server itself refuses. */
export type HttpCode =
  | 'NO_SUCH_RESOURCE'
  | 'METHOD_NOT_ALLOWED'
  | 'TOO_MANY_REQUESTS'
  | 'NOT_READY'
  | 'INTERNAL'
  | 'NO_VALID_TOKEN'
  | 'OTHER_TERRITORY'
  | 'BAD_QUERY';

interface Problem {
  readonly status: number;
  readonly title: string;
}

/** One row per code: a code without a row does not compile. */
const PROBLEMS: Readonly<Record<StoreCode | HttpCode, Problem>> = {
  NO_SUCH_RESOURCE: { status: 404, title: 'There is nothing at this address' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Only GET and HEAD are served here' },
  TOO_MANY_REQUESTS: { status: 429, title: 'Too many requests' },
  NOT_READY: { status: 503, title: 'Not ready' },
  INTERNAL: { status: 500, title: 'The server failed' },
  NO_VALID_TOKEN: { status: 401, title: 'A valid token is needed: Authorization: Bearer vss_...' },
  OTHER_TERRITORY: { status: 403, title: 'The token is not for this territory' },
  BAD_QUERY: { status: 400, title: 'The query is not one that is understood' },
  NOT_FOUND: { status: 404, title: 'There is no such object' },
  CONFLICT: { status: 409, title: 'Another value is there' },
  CORRUPT: { status: 500, title: 'Stored bytes have changed' },
  FULL: { status: 507, title: 'No room' },
  READ_ONLY: { status: 503, title: 'The store takes no writes' },
  HASH_MISMATCH: { status: 422, title: 'The bytes do not have the declared hash' },
  LENGTH_MISMATCH: { status: 422, title: 'The bytes do not have the declared length' },
  OFFSET_MISMATCH: { status: 409, title: 'Bytes before this chunk are missing' },
  TOO_LARGE: { status: 413, title: 'Too large' },
  BUSY: { status: 503, title: 'The store is busy' },
  IO_FAILED: { status: 500, title: 'Input or output failed' },
  CLOSED: { status: 503, title: 'The server is closing' },
};

/** Answers with RFC 9457 problem details: the code, never a message of the error, which may tell of the inside. */
export function sendProblem(response: Response, code: StoreCode | HttpCode): void {
  const { status, title } = PROBLEMS[code];
  response.status(status).type('application/problem+json');
  response.set('Cache-Control', 'no-store').send(JSON.stringify({ type: 'about:blank', title, status, code }));
}
