import type { Connection, TokenResponse } from 'jsforce';
import { z } from 'zod';
import { ConnectorError } from './errors.ts';
import type { Cell, RowBatch, RowSource } from './port.ts';
import { explainSalesforce } from './salesforce-errors.ts';
import { requestToken, type SalesforceLogin } from './salesforce-login.ts';

export interface SalesforceSettings {
  readonly login: SalesforceLogin;
  readonly loginUrl: string;
  /** API version, such as 62.0. */
  readonly version: string;
  /** One SOQL SELECT without subqueries. */
  readonly query: string;
  /** Reading stops when fewer of the org's requests of 24 hours are left than this percentage. */
  readonly leaveRequestsPercent: number;
  /** Longest time for one answer, in ms. */
  readonly timeoutMs: number;
  /** HTTP proxy that connects to Salesforce (CONNECT); null: none. */
  readonly proxy: string | null;
}

/** How often a token is asked for again in one reading. The library itself would ask without end. */
const RENEWALS_MAX = 2;
/** For answers 429 and 5xx and broken connections; waits of 0.5 s, 1 s. */
const RETRY = { maxRetries: 2, minTimeout: 500, timeoutFactor: 2 };

const pageField = z.looseObject({
  totalSize: z.int().min(0),
  done: z.boolean(),
  nextRecordsUrl: z.string().optional(),
  records: z.array(z.record(z.string(), z.unknown())),
});

const tokenField = z.looseObject({ access_token: z.string().min(1), instance_url: z.string().min(1) });

/**
 * One SOQL query of a Salesforce org, all its pages. Fields of parents arrive as `Account.Industry`.
 *
 * @throws (while reading) ConnectorError. PARTIAL_PAGE where the pages hold another number of records than the first one
 *   announced, also when a page is short without an error.
 */
export function salesforceSource(name: string, settings: SalesforceSettings): RowSource {
  return {
    name,
    batches: async function* () {
      let connection: Connection;
      try {
        connection = await connect(name, settings);
      } catch (error) {
        throw explainSalesforce(name, error);
      }
      yield* pages(name, connection, settings);
    },
  };
}

async function connect(
  name: string,
  { login, loginUrl, version, timeoutMs, proxy }: SalesforceSettings,
): Promise<Connection> {
  const { Connection, OAuth2 } = await import('jsforce');
  const through = proxy === null ? {} : { httpProxy: proxy };
  const base = { version, logLevel: 'NONE', ...through };
  if (login.flow === 'access-token') {
    const { accessToken, instanceUrl } = login;
    return new Connection({ ...base, accessToken, instanceUrl: requireSafe(name, instanceUrl) });
  }
  const clientSecret =
    'clientSecret' in login && login.clientSecret !== null ? { clientSecret: login.clientSecret } : {};
  const oauth2 = new OAuth2({
    loginUrl: requireSafe(name, loginUrl),
    clientId: login.clientId,
    ...clientSecret,
    ...through,
  });
  const ask = async (): Promise<{ accessToken: string; instanceUrl: string; token: TokenResponse }> => {
    const token = await inTime(timeoutMs, requestToken(oauth2, login, name));
    const checked = tokenField.safeParse(token);
    if (!checked.success)
      throw new ConnectorError('BAD_ANSWER', `${name}: ${loginUrl} did not answer as Salesforce does`);
    const { access_token: accessToken, instance_url: instanceUrl } = checked.data;
    return { accessToken, instanceUrl: requireSafe(name, instanceUrl), token };
  };
  const { accessToken, instanceUrl } = await ask();
  let renewals = 0;
  return new Connection({
    ...{ ...base, accessToken, instanceUrl },
    refreshFn: (_connection, callback) => {
      if (renewals++ >= RENEWALS_MAX) return callback(new Error('INVALID_SESSION_ID'));
      ask().then(
        (again) => callback(null, again.accessToken, again.token),
        (error: unknown) => callback(error instanceof Error ? error : new Error('INVALID_SESSION_ID')),
      );
    },
  });
}

async function* pages(name: string, connection: Connection, settings: SalesforceSettings): AsyncGenerator<RowBatch> {
  const { version, query, timeoutMs } = settings;
  const base = `/services/data/v${version}`;
  let columns: readonly string[] | null = null;
  let announced = 0;
  let received = 0;
  for (let url: string | null = `${base}/query?q=${encodeURIComponent(query)}`; url !== null; ) {
    const page = await fetchPage(name, connection, url, timeoutMs);
    if (columns === null) announced = page.totalSize;
    received += page.records.length;
    requireRequestsLeft(name, connection, settings);
    const next = page.done ? null : nextUrl(name, base, page.nextRecordsUrl);
    if (
      page.totalSize !== announced ||
      received > announced ||
      (next === null ? received < announced : page.records.length === 0)
    ) {
      const why = `${announced} records were announced, ${received} arrived`;
      throw new ConnectorError('PARTIAL_PAGE', `${name}: ${why}; nothing of them is used. Read it again`);
    }
    const records = page.records.map((record) => flatten(name, record));
    columns ??= selectedFields(query) ?? [...(records[0]?.keys() ?? [])];
    const rows = records.map((record) => columns!.map((column) => cellOf(name, record, column)));
    if (columns.length > 0) yield { columns, rows };
    url = next;
  }
}

async function fetchPage(name: string, connection: Connection, url: string, timeoutMs: number) {
  let answer: unknown;
  try {
    // Not Connection.query: that has no time limit, keeps every page, and cuts off after 10,000 records unasked.
    answer = await connection.request({ method: 'GET', url }, { timeout: timeoutMs, retry: RETRY });
  } catch (error) {
    if (/INVALID_SESSION_ID|Unable to refresh session/.test(String(error))) {
      throw explainSalesforce(name, { errorCode: 'INVALID_SESSION_ID' });
    }
    throw explainSalesforce(name, error);
  }
  const page = pageField.safeParse(answer);
  if (page.success) return page.data;
  throw new ConnectorError('BAD_ANSWER', `${name}: the server did not answer as Salesforce does`);
}

/** Only the locator is taken from a page: the access token goes to no other host. */
function nextUrl(name: string, base: string, url: string | undefined): string {
  const locator = url?.split('/').pop() ?? '';
  if (/^[A-Za-z0-9_.-]+$/.test(locator)) return `${base}/query/${locator}`;
  throw new ConnectorError('PARTIAL_PAGE', `${name}: a page says that more follow, but not where; read it again`);
}

function requireRequestsLeft(
  name: string,
  { limitInfo }: Connection,
  { leaveRequestsPercent }: SalesforceSettings,
): void {
  const { used, limit } = limitInfo.apiUsage ?? { used: 0, limit: 0 };
  if (limit === 0 || limit - used >= (limit * leaveRequestsPercent) / 100) return;
  const why = `${used} of the org's ${limit} requests of 24 hours are used, and ${leaveRequestsPercent} % stay free`;
  throw new ConnectorError('RATE_LIMITED', `${name}: ${why}; try later, or lower leaveRequestsPercent`);
}

/** The fields that a query selects, in its own spelling; null where it uses functions, whose names only records tell. */
function selectedFields(query: string): string[] | null {
  const list = /^\s*select\s+(.+?)\s+from\s/is.exec(query)?.[1]?.split(',') ?? [];
  const fields = list.map((field) => field.trim());
  return fields.length > 0 && fields.every((field) => /^[a-z_]\w*(\.[a-z_]\w*)*$/i.test(field)) ? fields : null;
}

/** A record without `attributes`, parents' fields by their path; names in lower case, as queries may spell them. */
function flatten(name: string, record: Readonly<Record<string, unknown>>, path = ''): Map<string, Cell> {
  const flat = new Map<string, Cell>();
  for (const [field, value] of Object.entries(record)) {
    if (field === 'attributes') continue;
    const key = `${path}${field}`.toLowerCase();
    if (typeof value !== 'object' || value === null) flat.set(key, value as Cell);
    else if ('records' in value) {
      throw new ConnectorError('UNSUPPORTED_TYPE', `${name}: "${key}" is a subquery; read it as a table of its own`);
    } else {
      for (const [inner, cell] of flatten(name, value as Record<string, unknown>, `${key}.`)) flat.set(inner, cell);
    }
  }
  return flat;
}

/** Empty for a field of a parent that the record does not have. */
function cellOf(name: string, record: ReadonlyMap<string, Cell>, column: string): Cell {
  const key = column.toLowerCase();
  if (record.has(key)) return record.get(key);
  const parts = key.split('.');
  if (parts.some((_, length) => length > 0 && record.get(parts.slice(0, length).join('.')) === null)) return null;
  throw new ConnectorError('CHANGED_SCHEMA', `${name}: a record came without the field "${column}"; read it again`);
}

/** Tokens go over TLS only, or to this machine itself. */
function requireSafe(name: string, address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  const isHere = url !== null && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isHere)) return url.origin;
  throw new ConnectorError('BAD_ANSWER', `${name}: an address is not https; a token is not sent there`);
}

async function inTime<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('timeout')), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
