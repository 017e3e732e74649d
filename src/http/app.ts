import type { Express } from 'express';
import type { SignedCheckpoint } from '../log/log-store.ts';
import { sendProblem } from './problems.ts';
import { endReadOnly, perMinute, readOnlyApp } from './read-only.ts';
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
 * The read-only HTTP surface of a coordinator: log, health, rounds.
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
  // No proxy is trusted: the address that is counted is the one that connected.
  const app = readOnlyApp();
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
  app.use(perMinute(options.requestsPerMinute ?? 6000));
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
  endReadOnly(app);
  return app;
}
