import { generateKeyPairSync, verify } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readTable } from '../../src/connectors/port.ts';
import { type SalesforceSettings, salesforceSource } from '../../src/connectors/salesforce.ts';
import type { SalesforceLogin } from '../../src/connectors/salesforce-login.ts';
import { type Answer, type Answering, type Request, SalesforceServer, shapes } from './salesforce-server.ts';

if (shapes === null) console.log('test/learning/salesforce: 34 tests skipped, VEILSUM_VECTORS is not set');

const CREDENTIALS = { flow: 'client-credentials', clientId: 'app', clientSecret: 'app-secret' } as const;
const QUERY = 'SELECT LastName, Industry, NumberOfEmployees, Owner.Name FROM Lead';
const COLUMNS = ['LastName', 'Industry', 'NumberOfEmployees', 'Owner.Name'];

interface Setting extends Partial<SalesforceSettings> {
  readonly columns?: readonly string[];
}

async function read(server: SalesforceServer, { columns = COLUMNS, ...changed }: Setting = {}) {
  const source = salesforceSource('leads', {
    ...{
      login: CREDENTIALS,
      loginUrl: server.url,
      version: '62.0',
      query: QUERY,
      leaveRequestsPercent: 10,
      timeoutMs: 5000,
      proxy: null,
    },
    ...changed,
  });
  const { table } = await readTable(source, { columns: new Set(columns), ownNames: {} });
  return [...table.columns.values()];
}

/** What reading throws; its message must tell nothing of what the server wrote. */
async function failure(server: SalesforceServer, setting: Setting = {}) {
  try {
    await read(server, setting);
  } catch (error) {
    const { code, message, cause } = error as Error & { code?: string };
    expect(`${message}${String(cause)}`).not.toMatch(/c4nary|token-|app-secret|Serena/);
    return `${code}: ${message}`;
  }
  return 'nothing';
}

const isToken = ({ path }: Request) => path === '/services/oauth2/token';
const isQuery = ({ path }: Request) => path.startsWith('/services/data/v62.0/query');

/** The sample's leads as the query would give them: absent fields are null. */
function leads(): Record<string, unknown>[] {
  return shapes!.leads.map((lead, index) => ({
    attributes: { type: 'Lead', url: `/services/data/v62.0/sobjects/Lead/${index}` },
    LastName: lead['LastName'],
    Industry: lead['Industry'] ?? null,
    NumberOfEmployees: lead['NumberOfEmployees'] ?? null,
    Owner: index === 0 ? null : { attributes: { type: 'User' }, Name: `owner ${index}` },
  }));
}

const withToken = (answer: Answering) =>
  SalesforceServer.start((request, server) => (isToken(request) ? server.token() : answer(request, server)));

describe.skipIf(shapes === null)('Salesforce: reading', () => {
  it('follows pages to the end, flattens parents, and sends the token to this org alone', async () => {
    await using server = await withToken(({ path }, org) => {
      if (path.includes('/query?q=')) return org.page(leads().slice(0, 4), 11, '01gNEXT-4');
      if (path.endsWith('01gNEXT-4')) {
        const page = org.page(leads().slice(4, 8), 11, 'x');
        // As one of the recorded pages has it: another host. Only the locator is taken from it.
        return { ...page, body: { ...(page.body as object), nextRecordsUrl: 'https://example.com/query/01gNEXT-8' } };
      }
      return org.page(leads().slice(8), 11);
    });
    const [names, industries, employees, owners] = await read(server);
    expect(names).toEqual(shapes!.leads.map((lead) => lead['LastName']));
    expect(industries![1]).toBe('');
    expect(employees![2]).toBe('4807');
    expect(owners!.slice(0, 2)).toEqual(['', 'owner 1']);
    const queries = server.requests.filter(isQuery);
    expect(queries.map(({ path }) => path.split('/').pop())).toEqual([
      `query?q=${encodeURIComponent(QUERY)}`,
      '01gNEXT-4',
      '01gNEXT-8',
    ]);
    expect(new Set(queries.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer token-1']));
  });

  it('takes no rows for an empty table with known columns, and names of functions from the records', async () => {
    await using empty = await withToken((_, org) => org.page([], 0));
    expect(await read(empty)).toEqual([[], [], [], []]);
    await using grouped = await withToken((_, org) => org.page([{ Industry: 'Energy', n: 3 }], 1));
    const query = 'SELECT Industry, COUNT(Id) n FROM Lead GROUP BY Industry';
    expect(await read(grouped, { query, columns: ['industry', 'n'] })).toEqual([['Energy'], ['3']]);
  });
});

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

/** An HTTP proxy that forwards what it is asked for, and keeps the addresses. For https it would be asked to connect. */
async function startProxy(): Promise<{ url: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    const { method, headers } = incoming;
    asked.push(new URL(incoming.url!).host);
    const forwarded = request(incoming.url!, { method: method!, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server };
}

describe.skipIf(shapes === null)('Salesforce: through a proxy', () => {
  it('asks for the token and every page there', async () => {
    await using server = await withToken((_, org) => org.page(leads(), 11));
    const proxy = await startProxy();
    expect((await read(server, { proxy: proxy.url }))[0]).toHaveLength(11);
    expect(proxy.asked).toEqual(Array(server.requests.length).fill(new URL(server.url).host));
    expect(proxy.asked).toHaveLength(2);
    proxy.server.closeAllConnections();
    await new Promise((resolve) => proxy.server.close(resolve));
    expect(await failure(server, { proxy: proxy.url })).toMatch(/^SOURCE_UNREACHABLE: leads: /);
  });
});

describe.skipIf(shapes === null)('Salesforce: OAuth flows', () => {
  const flows: [SalesforceLogin, Record<string, string>][] = [
    [
      { flow: 'password', clientId: 'app', clientSecret: 'app-secret', username: 'u@eu', password: 'pw' },
      { grant_type: 'password', username: 'u@eu', password: 'pw', client_id: 'app', client_secret: 'app-secret' },
    ],
    [CREDENTIALS, { grant_type: 'client_credentials', client_id: 'app', client_secret: 'app-secret' }],
    [
      { flow: 'refresh-token', clientId: 'app', clientSecret: null, refreshToken: 'rt' },
      { grant_type: 'refresh_token', refresh_token: 'rt', client_id: 'app' },
    ],
  ];
  it.each(flows)('$flow asks as the flow says', async (login, form) => {
    await using server = await withToken((_, org) => org.page(leads(), 11));
    expect((await read(server, { login }))[0]).toHaveLength(11);
    expect(Object.fromEntries(server.requests[0]!.form)).toEqual(form);
  });

  it('jwt signs an assertion for this user, app and login server, valid for minutes', async () => {
    await using server = await withToken((_, org) => org.page(leads(), 11));
    await read(server, { login: { flow: 'jwt', clientId: 'app', username: 'u@eu', privateKey: pem } });
    const { form } = server.requests[0]!;
    expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [header, claims, signature] = form.get('assertion')!.split('.') as [string, string, string];
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'))).toBe(
      true,
    );
    const parsed = JSON.parse(Buffer.from(claims, 'base64url').toString());
    expect(parsed).toMatchObject({ iss: 'app', sub: 'u@eu', aud: server.url });
    expect(parsed.exp - Date.now() / 1000).toBeGreaterThan(60);
    expect(parsed.exp - Date.now() / 1000).toBeLessThan(180);
    expect(
      await failure(server, { login: { flow: 'jwt', clientId: 'app', username: 'u', privateKey: 'no key' } }),
    ).toMatch(/^SECRET_MISSING: leads: privateKey/);
  });

  it('access-token logs in nowhere, and an expired one is named', async () => {
    await using server = await SalesforceServer.start(({ authorization }, org) =>
      authorization === 'Bearer token-9' ? org.page(leads(), 11) : org.error(401),
    );
    const login = (accessToken: string) => ({ flow: 'access-token', accessToken, instanceUrl: server.url }) as const;
    expect((await read(server, { login: login('token-9') }))[0]).toHaveLength(11);
    expect(await failure(server, { login: login('token-8') })).toMatch(/^TOKEN_EXPIRED: leads: /);
    expect(server.requests.every(isQuery)).toBe(true);
  });

  it('renews an expired token once and goes on with the page; one that stays refused ends by name', async () => {
    let tokens = 0;
    await using renewing = await SalesforceServer.start((request, org) => {
      if (isToken(request)) return org.token(`token-${++tokens}`);
      if (request.path.includes('?q=')) return org.page(leads().slice(0, 6), 11, 'more');
      const expired = {
        status: 401,
        body: [{ errorCode: 'INVALID_SESSION_ID', message: 'Session expired or invalid' }],
      };
      return request.authorization === 'Bearer token-1' ? expired : org.page(leads().slice(6), 11);
    });
    expect((await read(renewing))[0]).toHaveLength(11);
    expect(tokens).toBe(2);
    await using refusing = await withToken(() => ({
      status: 401,
      body: [{ errorCode: 'INVALID_SESSION_ID', message: 'Session expired or invalid' }],
    }));
    expect(await failure(refusing)).toMatch(/^TOKEN_EXPIRED: leads: /);
    expect(refusing.requests.filter(isToken)).toHaveLength(3);
  });

  it.each([
    ['LOGIN_REFUSED', 400, 'invalid_grant'],
    ['LOGIN_REFUSED', 401, 'invalid_client'],
    ['LOGIN_REFUSED', 400, 'invalid_client_id'],
    ['RATE_LIMITED', 403, 'rate_limit_exceeded'],
    ['SOURCE_FAILED', 400, 'something new'],
    ['SOURCE_FAILED', 400, 'constructor'],
  ])('says %s for %i %s at the login', async (code, status, error) => {
    await using server = await SalesforceServer.start(() => ({
      status,
      body: { error, error_description: 'c4nary description' },
    }));
    expect(await failure(server)).toMatch(new RegExp(`^${code}: leads: `));
  });

  it('sends no token to an address that is not https, nor believes an answer that is none', async () => {
    await using server = await SalesforceServer.start((_, org) => ({
      body: { ...(org.token().body as object), instance_url: 'http://elsewhere.example' },
    }));
    expect(await failure(server)).toMatch(/^BAD_ANSWER: leads: an address is not https/);
    expect(await failure(server, { loginUrl: 'http://login.example' })).toMatch(/^BAD_ANSWER/);
    await using page = await SalesforceServer.start(() => ({
      body: '<html>c4nary',
      headers: { 'content-type': 'text/html' },
    }));
    expect(await failure(page)).toMatch(/^(BAD_ANSWER|SOURCE_FAILED): leads: /);
  });
});

describe.skipIf(shapes === null)('Salesforce: limits and errors', () => {
  it.each([
    ['RATE_LIMITED', 403, 'REQUEST_LIMIT_EXCEEDED'],
    ['RATE_LIMITED', 400, 'QUERY_TIMEOUT'],
    ['ACCESS_DENIED', 403, 'API_DISABLED_FOR_ORG'],
    ['BAD_QUERY', 400, 'MALFORMED_QUERY'],
    ['BAD_QUERY', 400, 'INVALID_FIELD'],
    ['BAD_QUERY', 400, 'INVALID_TYPE'],
    ['PARTIAL_PAGE', 400, 'INVALID_QUERY_LOCATOR'],
    ['SOURCE_FAILED', 400, 'UNHEARD_OF'],
  ])('says %s for %i %s', async (code, status, errorCode) => {
    await using server = await withToken((_, org) => org.error(status, errorCode));
    expect(await failure(server)).toMatch(new RegExp(`^${code}: leads: .*${errorCode}`));
  });

  it('stops where the org would have too few requests left, in the middle of paging too', async () => {
    let used = 40;
    await using server = await withToken((request, org) => {
      const page = request.path.includes('?q=')
        ? org.page(leads().slice(0, 6), 11, 'more')
        : org.page(leads().slice(6), 11);
      return { ...page, headers: { 'sforce-limit-info': `api-usage=${used++ * 100}/5000` } };
    });
    expect((await read(server))[0]).toHaveLength(11);
    used = 45;
    expect(await failure(server)).toMatch(/^RATE_LIMITED: leads: 4600 of the org's 5000 requests/);
    used = 45;
    expect((await read(server, { leaveRequestsPercent: 0 }))[0]).toHaveLength(11);
  });

  it.each<[string, (org: SalesforceServer) => Answer, string]>([
    [
      'a last page that is short',
      (org) => org.page(leads().slice(0, 9), 11),
      'PARTIAL_PAGE: leads: 11 records were announced, 9',
    ],
    ['more than was announced', (org) => org.page(leads(), 4), 'PARTIAL_PAGE'],
    [
      'a page that says more follow but not where',
      (org) => ({ body: { ...(org.page(leads().slice(0, 2), 11).body as object), done: false } }),
      'PARTIAL_PAGE: leads: a page says that more follow',
    ],
    ['an empty page for ever', (org) => org.page([], 11, 'more'), 'PARTIAL_PAGE'],
    ['a page without records', () => ({ body: { totalSize: 11, done: true } }), 'BAD_ANSWER'],
    ['a body cut off', (org) => ({ body: JSON.stringify(org.page(leads(), 11).body).slice(0, -40) }), 'BAD_ANSWER'],
    [
      'a field that is gone',
      (org) =>
        org.page(
          leads().map(({ Industry: _, ...rest }) => rest),
          11,
        ),
      'CHANGED_SCHEMA: leads: a record came without the field "Industry"',
    ],
    [
      'a subquery',
      (org) => org.page([{ ...leads()[0], Tasks: { totalSize: 1, done: true, records: [] } }], 1),
      'UNSUPPORTED_TYPE',
    ],
  ])('names %s, and uses nothing of it', async (_, answer, why) => {
    await using server = await withToken((_request, org) => answer(org));
    expect(await failure(server)).toContain(why);
  });

  it('says when the server is out of order, silent or not there', async () => {
    await using broken = await withToken(() => ({
      status: 503,
      body: 'c4nary',
      headers: { 'content-type': 'text/plain' },
    }));
    expect(await failure(broken)).toMatch(/^SOURCE_UNREACHABLE: leads: the server is out of order/);
    await using silent = await withToken(() => null);
    expect(await failure(silent, { timeoutMs: 300 })).toMatch(/^SOURCE_UNREACHABLE: leads: /);
    await using mute = await SalesforceServer.start(() => null);
    expect(await failure(mute, { timeoutMs: 300 })).toMatch(/^SOURCE_UNREACHABLE: leads: /);
    const url = broken.url;
    await broken[Symbol.asyncDispose]();
    expect(await failure({ url } as SalesforceServer)).toMatch(/^SOURCE_UNREACHABLE: leads: cannot reach Salesforce/);
  });
});
