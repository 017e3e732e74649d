import { type ConnectorCode, ConnectorError } from './errors.ts';

/** Salesforce's error codes in words: REST API Developer Guide, status codes; OAuth codes of RFC 6749, section 5.2. */
const CODES: Readonly<Record<string, readonly [ConnectorCode, string]>> = {
  INVALID_SESSION_ID: ['TOKEN_EXPIRED', 'the access token is no longer valid, and no new one was granted'],
  invalid_grant: [
    'LOGIN_REFUSED',
    'the login is refused: user, password, key or refresh token, or the app is not approved for the user',
  ],
  invalid_client: ['LOGIN_REFUSED', 'the client secret is wrong'],
  invalid_client_id: ['LOGIN_REFUSED', 'the client id is unknown there'],
  unsupported_grant_type: ['LOGIN_REFUSED', "the org's connected app does not allow this flow"],
  inactive_user: ['LOGIN_REFUSED', 'the user is inactive'],
  inactive_org: ['LOGIN_REFUSED', 'the org is locked or closed'],
  invalid_app_access: ['LOGIN_REFUSED', 'the user is not approved for the app'],
  rate_limit_exceeded: ['RATE_LIMITED', 'too many logins; try later'],
  INVALID_LOGIN: ['LOGIN_REFUSED', 'the login is refused'],
  REQUEST_LIMIT_EXCEEDED: ['RATE_LIMITED', "the org's requests of the last 24 hours are used up; try later"],
  TXN_SECURITY_METERING_ERROR: ['RATE_LIMITED', 'a transaction security policy stopped the query'],
  QUERY_TIMEOUT: ['RATE_LIMITED', 'the query ran too long there; select less, or by an indexed field'],
  SERVER_UNAVAILABLE: ['RATE_LIMITED', 'the server is too busy; try later'],
  UNABLE_TO_LOCK_ROW: ['RATE_LIMITED', 'the server is too busy; try later'],
  API_DISABLED_FOR_ORG: ['ACCESS_DENIED', 'the org or the user may not use the API'],
  API_CURRENTLY_DISABLED: ['ACCESS_DENIED', 'the org may not use the API at present'],
  INSUFFICIENT_ACCESS: ['ACCESS_DENIED', 'the user may not read this object'],
  FUNCTIONALITY_NOT_ENABLED: ['ACCESS_DENIED', 'the org lacks what the query needs'],
  MALFORMED_QUERY: ['BAD_QUERY', 'it does not understand the query'],
  INVALID_FIELD: ['BAD_QUERY', 'the query names a field that the object lacks or the user may not see'],
  INVALID_TYPE: ['BAD_QUERY', 'the query names an object that is not there or the user may not see'],
  INVALID_QUERY_FILTER_OPERATOR: ['BAD_QUERY', 'the query compares a field with something of another type'],
  INVALID_QUERY_LOCATOR: ['PARTIAL_PAGE', 'the next page has expired'],
  NOT_FOUND: ['BAD_QUERY', 'it does not know the address: check version'],
  URL_NOT_RESET: ['BAD_ANSWER', 'the org has moved: check loginUrl'],
};

const BY_STATUS: readonly (readonly [RegExp, ConnectorCode, string])[] = [
  [/ERROR_HTTP_401/, 'TOKEN_EXPIRED', 'the access token is not accepted'],
  [/ERROR_HTTP_403/, 'ACCESS_DENIED', 'access is refused'],
  [/ERROR_HTTP_(420|429)/, 'RATE_LIMITED', 'too many requests; try later'],
  [/ERROR_HTTP_5/, 'SOURCE_UNREACHABLE', 'the server is out of order; try later'],
];

/** What went wrong there, by code alone: its messages quote queries, and pages of proxies anything. */
export function explainSalesforce(name: string, error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const { errorCode, name: errorName } = error as { errorCode?: unknown; name?: unknown };
  const code = [errorCode, errorName].find((value) => typeof value === 'string' && value !== 'Error');
  const known = Object.hasOwn(CODES, String(code)) ? CODES[String(code)] : undefined;
  if (known !== undefined) return new ConnectorError(known[0], `${name}: ${known[1]} (Salesforce: ${String(code)})`);
  const status = BY_STATUS.find(([pattern]) => pattern.test(String(code)));
  if (status !== undefined) return new ConnectorError(status[1], `${name}: ${status[2]} (Salesforce: ${String(code)})`);
  const system = systemCode(error);
  if (system !== null) {
    return new ConnectorError(
      'SOURCE_UNREACHABLE',
      `${name}: cannot reach Salesforce (${system}); check loginUrl and the network`,
    );
  }
  if (/timeout|aborted/i.test(String((error as Error).message))) {
    return new ConnectorError('SOURCE_UNREACHABLE', `${name}: Salesforce did not answer in time`);
  }
  const told = /^[A-Z][A-Z_]{2,60}$/.test(String(code)) ? ` (Salesforce: ${String(code)})` : '';
  return new ConnectorError('SOURCE_FAILED', `${name}: Salesforce gave up${told}`);
}

/** A code of the system, of TLS or of the HTTP client, wherever in the chain of causes. */
function systemCode(error: unknown): string | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && /^(E[A-Z_]+|UND_ERR_[A-Z_]+|[A-Z_]*CERT[A-Z_]*|ERR_TLS_[A-Z_]+)$/.test(code))
      return code;
  }
  return null;
}
