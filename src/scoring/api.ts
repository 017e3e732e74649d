import type { Express, NextFunction, Request, Response } from 'express';
import { z } from 'zod';
import { sendProblem } from '../http/problems.ts';
import { endReadOnly, perMinute, readOnlyApp } from '../http/read-only.ts';
import { type AccessLog, logAccess } from './access-log.ts';
import type { AboutAnswer, SummaryAnswer } from './api-types.ts';
import type { CalibrationBand } from './calibration.ts';
import { openApi } from './openapi.ts';
import { pageFiles } from './page-files.ts';
import type { Scores } from './scores.ts';
import { SellerView, territoriesOf } from './seller-view.ts';
import type { Summaries } from './summaries.ts';
import type { Seller, TokenRegister } from './tokens.ts';

export interface ScoringApi {
  readonly scores: Scores;
  readonly calibration: readonly CalibrationBand[] | null;
  /** Asked at each request: they change when readers change. */
  readonly summaries: () => Summaries;
  readonly about: Pick<AboutAnswer, 'outcome' | 'modelHash' | 'schema' | 'scoredAt'>;
  readonly tokens: TokenRegister;
  readonly accessLog: AccessLog;
  /** Requests of one token a minute. */
  readonly requestsPerMinute: number;
  /** Whether a proxy on this machine says where a request is from. */
  readonly behindProxy: boolean;
}

/** Wrong tokens of one address a minute, after which it is told to wait; good tokens from there are still served. */
const REFUSALS_PER_MINUTE = 60;
/** Requests for the page of one address a minute. */
const PUBLIC_PER_MINUTE = 6000;

const whole = (most: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,6}$/)
    .transform(Number)
    .pipe(z.number().max(most));

const listQuery = z.strictObject({
  search: z.string().max(100).default(''),
  territory: z.string().min(1).max(200).optional(),
  page: whole(1_000_000).default(1),
  size: whole(100).default(25),
});

/**
 * The sellers' API and their page. Everything under `/api/v1` but the description takes a token; a token reads its own
 * territories' organisations one by one, and summaries of all.
 */
export function createScoringApp(api: ScoringApi): Express {
  const { tokens, scores, calibration } = api;
  const app = readOnlyApp(
    {
      scriptSrc: ["'self'"],
      connectSrc: ["'self'"],
      requireTrustedTypesFor: ["'script'"],
      trustedTypes: ["'none'"],
    },
    api.behindProxy ? 'loopback' : false,
  );
  app.use(logAccess(api.accessLog, () => new Date()));
  app.get('/healthz', (_request, response) => void noStore(response).type('text/plain').send('ok\n'));

  const refused = perMinute(REFUSALS_PER_MINUTE);
  const requireToken = (request: Request, response: Response, next: NextFunction): void => {
    const given = /^Bearer ([!-~]+)$/i.exec(request.get('authorization') ?? '');
    const seller = given === null ? null : tokens.find(given[1]!);
    if (seller !== null) {
      response.locals['seller'] = seller.name;
      response.locals['view'] = viewOf(seller);
      next();
      return;
    }
    void refused(request, response, () => {
      response.set('WWW-Authenticate', 'Bearer realm="veilsum score"');
      sendProblem(response, 'NO_VALID_TOKEN');
    });
  };
  const limitSeller = perMinute(api.requestsPerMinute, {
    keyGenerator: (_request, response) => String(response.locals['seller']),
  });

  // Sellers of the same territories see the same list; a token that was read again is a new object.
  const views = new Map<string, SellerView>();
  const viewOfSeller = new WeakMap<Seller, SellerView>();
  const viewOf = (seller: Seller): SellerView => {
    const known = viewOfSeller.get(seller);
    if (known !== undefined) return known;
    const territories = territoriesOf(scores, seller);
    const key = JSON.stringify([...territories]);
    const view = views.get(key) ?? new SellerView(scores, calibration, territories);
    views.set(key, view);
    viewOfSeller.set(seller, view);
    return view;
  };

  const publicLimit = perMinute(PUBLIC_PER_MINUTE);
  app.get('/api/v1/openapi.json', publicLimit, (_request, response) => void noStore(response).json(openApi));
  app.use('/api', requireToken, limitSeller);

  app.get('/api/v1/about', (_request, response) => {
    const answer: AboutAnswer = {
      ...api.about,
      seller: String(response.locals['seller']),
      territories: [...view(response).territories].map(([name, organisations]) => ({ name, organisations })),
      summaries: api.summaries().summaries.map(({ by }) => by),
      least: api.summaries().least,
    };
    noStore(response).json(answer);
  });
  app.get('/api/v1/organisations', (request, response) => {
    const query = listQuery.safeParse(request.query);
    if (!query.success) return sendProblem(response, 'BAD_QUERY');
    const { territory = null, ...rest } = query.data;
    if (territory !== null && !view(response).territories.has(territory))
      return sendProblem(response, 'OTHER_TERRITORY');
    return void noStore(response).json(view(response).page({ ...rest, territory }));
  });
  app.get('/api/v1/organisations/:id', (request, response) => {
    const answer = view(response).evidence(String(request.params['id']));
    return answer === null ? sendProblem(response, 'NOT_FOUND') : void noStore(response).json(answer);
  });
  app.get('/api/v1/summaries/:by', (request, response) => {
    const { summaries, least, total } = api.summaries();
    const summary = summaries.find(({ by }) => by === request.params['by']);
    if (summary === undefined) return sendProblem(response, 'NOT_FOUND');
    return void noStore(response).json({ ...summary, least, total } satisfies SummaryAnswer);
  });

  app.use(publicLimit);
  for (const { path, type, text } of pageFiles()) {
    app.get(path, (_request, response) => {
      response.set('Cache-Control', 'no-cache').type(type).send(text);
    });
  }
  endReadOnly(app);
  return app;
}

function view(response: Response): SellerView {
  return response.locals['view'] as SellerView;
}

/** What a token has read is kept by no cache. */
function noStore(response: Response): Response {
  return response.set('Cache-Control', 'no-store');
}
