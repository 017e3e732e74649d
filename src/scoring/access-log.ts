import type { Request, RequestHandler, Response } from 'express';
import { inertLine } from '../platform/inert-text.ts';

/** Takes one line at a time, without its newline. */
export type AccessLog = (line: string) => void;

/**
 * Logs each request as one line of JSON when its answer is over: who, which route, how it ended. Never what was looked
 * for or found: no id, no search, no query, no answer. The name of the seller is put into `response.locals` by whoever
 * checks the token.
 */
export function logAccess(write: AccessLog, now: () => Date): RequestHandler {
  return (request: Request, response: Response, next) => {
    const start = performance.now();
    response.once('close', () => {
      const line = {
        time: now().toISOString(),
        seller: (response.locals['seller'] as string | undefined) ?? null,
        address: request.ip ?? null,
        method: request.method,
        // The pattern that matched, such as /api/v1/organisations/:id.
        route: (request.route as { path?: unknown } | undefined)?.path ?? null,
        status: response.writableFinished ? response.statusCode : null,
        ms: Math.round(10 * (performance.now() - start)) / 10,
      };
      write(inertLine(JSON.stringify(line)));
    });
    next();
  };
}
