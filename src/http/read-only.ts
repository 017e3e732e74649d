import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { type Options, rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { StoreError } from '../store/errors.ts';
import { sendProblem } from './problems.ts';

/**
 * An application that reads only: GET and HEAD, no cookies, no body is ever read. Its pages may load nothing but the
 * style sheet, and what `directives` adds, of their own server.
 *
 * @param proxies - whose forwarding headers are believed: none, or the machine's own.
 */
export function readOnlyApp(
  directives: Readonly<Record<string, readonly string[]>> = {},
  proxies: false | 'loopback' = false,
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', proxies);
  const own = Object.fromEntries(Object.entries(directives).map(([name, values]) => [name, [...values]]));
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          styleSrc: ["'self'"],
          imgSrc: ['data:'],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
          ...own,
        },
      },
      referrerPolicy: { policy: 'no-referrer' },
    }),
  );
  app.use((request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') return next();
    response.set('Allow', 'GET, HEAD');
    return sendProblem(response, 'METHOD_NOT_ALLOWED');
  });
  return app;
}

/** So many requests a minute of one address, or of whom `keyGenerator` says. */
export function perMinute(limit: number, options: Partial<Options> = {}): ReturnType<typeof rateLimit> {
  return rateLimit({
    windowMs: 60_000,
    limit,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    // Forwarding headers are ignored on purpose where no proxy is trusted; the library would warn about each.
    validate: { xForwardedForHeader: false },
    handler: (_request, response) => sendProblem(response, 'TOO_MANY_REQUESTS'),
    ...options,
  });
}

/** To be called last: what is nowhere, and what fails. Errors are told by their code, never by their message. */
export function endReadOnly(app: Express): void {
  app.use((_request, response) => sendProblem(response, 'NO_SUCH_RESOURCE'));
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    if (error instanceof URIError) return sendProblem(response, 'NO_SUCH_RESOURCE');
    return sendProblem(response, error instanceof StoreError ? error.code : 'INTERNAL');
  });
}
