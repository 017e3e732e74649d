import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import type { SignedCheckpoint } from '../log/log-store.ts';
import { StoreError } from '../store/errors.ts';
import { sendProblem } from './problems.ts';
import { renderRoundsPage } from './rounds-page.ts';
import { ROUNDS_CSS } from './rounds-style.ts';
import type { RoundsView } from './rounds-view.ts';

/** The part of the log that is served. `LogStore` is one. */
export interface PublishedLog {
  readonly origin: string;
  readonly published: SignedCheckpoint | undefined;
  /** `checkpoint` or a path of tlog-tiles; undefined where the published log has no such file. */
  file(path: string): Promise<Uint8Array | undefined>;
}

export interface HttpOptions {
  readonly log: PublishedLog;
  readonly rounds: RoundsView;
  /** Resolves while the process can do its work: the store takes writes, peers are reachable. Default: always. */
  readonly health?: () => Promise<void>;
  /** Requests per address and minute. A tile costs microseconds: the default of 6000 bounds a flood, not an auditor. */
  readonly requestsPerMinute?: number;
}

const YEAR_SECONDS = 31_536_000;

/**
 * The read-only HTTP surface of a coordinator: log, health, rounds. GET and HEAD only, no cookies, no body is ever read.
 * Nothing here is trusted by anybody: readers verify signatures.
 *
 * | path | answer |
 * |---|---|
 * | `/checkpoint` | the published checkpoint, a signed note |
 * | `/tile/...` | tiles and entry bundles, immutable |
 * | `/healthz` | 200 or 503 |
 * | `/` | the page of rounds |
 */
export function createHttpApp(options: HttpOptions): Express {
  const { log, rounds } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // No proxy is trusted: the address that is counted is the one that connected.
  app.set('trust proxy', false);
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
  app.get('/healthz', async (_request, response) => {
    try {
      await options.health?.();
    } catch {
      // Why is for the operator's own log; strangers learn only that.
      return sendProblem(response, 'NOT_READY');
    }
    return void response.set('Cache-Control', 'no-store').type('text/plain').send('ok\n');
  });
  // After the health check, which a flood must not turn off.
  app.use(
    rateLimit({
      windowMs: 60_000,
      limit: options.requestsPerMinute ?? 6000,
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      // Forwarding headers are ignored on purpose; the library would warn about each.
      validate: { xForwardedForHeader: false },
      handler: (_request, response) => sendProblem(response, 'TOO_MANY_REQUESTS'),
    }),
  );
  app.get('/checkpoint', async (_request, response) => {
    const note = await log.file('checkpoint');
    if (note === undefined) return sendProblem(response, 'NOT_FOUND');
    return void response.set('Cache-Control', 'no-store').type('text/plain; charset=utf-8').send(Buffer.from(note));
  });
  app.get('/tile/*path', async (request, response) => {
    const tile = await log.file(request.path.slice(1));
    if (tile === undefined) return sendProblem(response, 'NOT_FOUND');
    response.set('Cache-Control', `public, max-age=${YEAR_SECONDS}, immutable`);
    return void response.type('application/octet-stream').send(Buffer.from(tile));
  });
  app.get('/', async (_request, response) => {
    const page = renderRoundsPage({ origin: log.origin, published: log.published, rows: await rounds() });
    response.set('Cache-Control', 'no-store').type('text/html; charset=utf-8').send(page.text);
  });
  app.get('/rounds.css', (_request, response) => {
    response.set('Cache-Control', 'public, max-age=300').type('text/css; charset=utf-8').send(ROUNDS_CSS);
  });
  app.use((_request, response) => sendProblem(response, 'NO_SUCH_RESOURCE'));
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    if (error instanceof URIError) return sendProblem(response, 'NO_SUCH_RESOURCE');
    return sendProblem(response, error instanceof StoreError ? error.code : 'INTERNAL');
  });
  return app;
}
