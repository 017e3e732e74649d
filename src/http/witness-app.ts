import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { formatSignatures } from '../../crypto/note.ts';
import { MAX_WITNESS_REQUEST_BYTES } from '../../crypto/witness-request.ts';
import type { RejectionCode } from '../../protocols/errors.ts';
import type { LogWitness } from '../log/log-witness.ts';

export interface WitnessAppOptions {
  readonly witness: Pick<LogWitness, 'addCheckpoint' | 'checkpointOf'>;
  /** Requests per address and minute. Default 1200: a log that is in a hurry asks a few times a second. */
  readonly requestsPerMinute?: number;
  /** Told of what should not happen: the store fails. */
  readonly onFault?: (error: unknown) => void;
}

/** Statuses of C2SP tlog-witness, by what the witness says. */
const STATUS: Partial<Record<RejectionCode, number>> = {
  MALFORMED: 400,
  ROLLED_BACK: 400,
  BAD_SIGNATURE: 403,
  WRONG_ORIGIN: 404,
  STALE_ATTEMPT: 409,
  SPLIT_VIEW: 422,
};

function say(response: Response, status: number, text: string): void {
  response.status(status).set('Cache-Control', 'no-store').type('text/plain; charset=utf-8').send(text);
}

/**
 * A C2SP tlog-witness over HTTP, for logs of other people too. Callers are not known: a checkpoint's signature is all
 * that counts.
 *
 * | call | answer |
 * |---|---|
 * | `POST /add-checkpoint` | 200 cosignature; 400, 403, 404, 409 with the size held, 422; 413, 429, 503 |
 * | `GET /<SHA-256 of origin>/checkpoint` | the last head cosigned of that log |
 */
export function createWitnessApp({ witness, requestsPerMinute, onFault }: WitnessAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', false);
  app.use(helmet());
  app.use(
    rateLimit({
      windowMs: 60_000,
      limit: requestsPerMinute ?? 1200,
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      validate: { xForwardedForHeader: false },
      handler: (_request, response) => say(response, 429, 'too many requests from this address\n'),
    }),
  );
  const body = express.raw({ type: () => true, limit: MAX_WITNESS_REQUEST_BYTES, inflate: false });
  app.post('/add-checkpoint', body, async (request: Request, response: Response) => {
    const bytes = request.body instanceof Uint8Array ? new Uint8Array(request.body) : new Uint8Array(0);
    const answer = await witness.addCheckpoint(bytes);
    if ('line' in answer) return say(response, 200, formatSignatures([answer.line]));
    if ('busy' in answer) {
      response.set('Retry-After', '1');
      return say(response, 503, 'requests of this log are waiting already\n');
    }
    const { refusal, knownSize } = answer;
    if (refusal.rejected !== 'STALE_ATTEMPT') {
      return say(response, STATUS[refusal.rejected] ?? 500, `${refusal.rejected}: ${refusal.why}\n`);
    }
    // Not `type`: it would add a character set, and the specification names the type alone.
    response.status(409).set('Cache-Control', 'no-store').setHeader('Content-Type', 'text/x.tlog.size');
    return void response.end(`${knownSize}\n`);
  });
  app.all('/add-checkpoint', (_request, response) => {
    response.set('Allow', 'POST');
    say(response, 405, 'add-checkpoint is a POST\n');
  });
  app.get('/:origin/checkpoint', async (request: Request, response: Response) => {
    const note = await witness.checkpointOf(String(request.params['origin']));
    if (note === undefined) return say(response, 404, 'no head of this log has been cosigned here\n');
    response.set('Cache-Control', 'no-store').type('text/plain; charset=utf-8').send(Buffer.from(note));
  });
  app.use((_request, response) => say(response, 404, 'there is nothing at this address\n'));
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    const { status } = error as { readonly status?: unknown };
    // What the body parser refuses: too long, cut short, compressed.
    if (typeof status === 'number' && status >= 400 && status < 500) return say(response, status, 'bad request\n');
    onFault?.(error);
    response.set('Retry-After', '5');
    return say(response, 503, 'the witness cannot write\n');
  });
  return app;
}
