import { VERSION } from '../party/version.ts';

const text = { type: 'string' } as const;
const number = { type: 'number' } as const;
const integer = { type: 'integer' } as const;
const list = (items: object): object => ({ type: 'array', items });
const object = (properties: Record<string, object>): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
});
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });

const group = { organisations: integer, meanProbability: number };
const organisation = {
  rank: { ...integer, description: 'place among what the token may read, 1 first' },
  id: text,
  name: text,
  territory: text,
  probability: number,
  signals: list(ref('Signal')),
};

const PROBLEMS: Readonly<Record<string, string>> = {
  '400': 'BAD_QUERY: an unknown or malformed parameter',
  '401': 'NO_VALID_TOKEN: none, wrong, expired or revoked',
  '403': 'OTHER_TERRITORY',
  '404': 'NOT_FOUND: not there, or of another territory',
  '429': 'TOO_MANY_REQUESTS',
};

function answers(schema: string, ...problems: readonly string[]): object {
  const answer = { description: schema, content: { 'application/json': { schema: ref(schema) } } };
  const refusals = ['401', ...problems, '429'].map((status) => [
    status,
    { description: PROBLEMS[status], content: { 'application/problem+json': { schema: ref('Problem') } } },
  ]);
  return { '200': answer, ...Object.fromEntries(refusals) };
}

const query = (name: string, schema: object, description: string): object => ({
  name,
  in: 'query',
  schema,
  description,
});
const inPath = (name: string): object => ({ name, in: 'path', required: true, schema: text });

/** Description of the API for programs, OpenAPI 3.1. Served without a token: it tells nothing of anybody. */
export const openApi = {
  openapi: '3.1.0',
  info: {
    title: 'Veilsum scores',
    version: VERSION,
    description: 'Ranked organisations with evidence. Read-only. A token reads its territories; summaries are of all.',
  },
  security: [{ token: [] }],
  paths: {
    '/api/v1/about': {
      get: { summary: 'What is ranked, and what this token may read', responses: answers('About') },
    },
    '/api/v1/organisations': {
      get: {
        summary: 'One page of the ranking',
        parameters: [
          query('search', { ...text, maxLength: 100 }, 'part of a name or an id; case and accents do not matter'),
          query('territory', text, 'one of those in about'),
          query('page', { ...integer, minimum: 1, default: 1 }, ''),
          query('size', { ...integer, minimum: 1, maximum: 100, default: 25 }, ''),
        ],
        responses: answers('Organisations', '400', '403'),
      },
    },
    '/api/v1/organisations/{id}': {
      get: {
        summary: 'One organisation with all its evidence',
        parameters: [inPath('id')],
        responses: answers('Evidence', '404'),
      },
    },
    '/api/v1/summaries/{by}': {
      get: {
        summary: 'Groups of at least so many organisations, over all territories',
        parameters: [inPath('by')],
        responses: answers('Summary', '404'),
      },
    },
  },
  components: {
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Signal: object({ text, contribution: { ...number, description: 'log-odds against the reference' } }),
      Organisation: object(organisation),
      Organisations: object({
        matches: integer,
        page: integer,
        pages: integer,
        organisations: list(ref('Organisation')),
      }),
      Evidence: object({
        ...organisation,
        of: integer,
        reference: text,
        referenceProbability: number,
        calibration: text,
      }),
      About: object({
        ...{ outcome: text, modelHash: text, schema: text, scoredAt: { ...text, format: 'date-time' }, seller: text },
        territories: list(object({ name: text, organisations: integer })),
        summaries: list(text),
        least: integer,
      }),
      Summary: object({
        by: text,
        least: { ...integer, description: 'fewest organisations in a group that is shown' },
        groups: list(object({ value: text, ...group })),
        hidden: { ...integer, description: 'groups that are not shown' },
        total: { anyOf: [object(group), { type: 'null' }] },
      }),
      Problem: object({ type: text, title: text, status: integer, code: text }),
    },
  },
} as const;
