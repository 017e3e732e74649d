import { type ConnectorCode, ConnectorError } from './errors.ts';

/** SQLSTATE, or its class of two characters, in words. PostgreSQL 15 manual, appendix A. */
const STATES: Readonly<Record<string, readonly [ConnectorCode, string]>> = {
  '08': ['SOURCE_UNREACHABLE', 'the connection broke'],
  '22': ['BAD_QUERY', 'a value in the table cannot be converted or computed as the query asks'],
  '25006': ['BAD_QUERY', 'the query writes; it may only read'],
  '28': ['LOGIN_REFUSED', 'the server refuses this user or password'],
  '3D000': ['SOURCE_NOT_FOUND', 'there is no such database'],
  '42': ['BAD_QUERY', 'the server does not understand the query'],
  '42501': ['ACCESS_DENIED', 'this user may not read a table of the query: grant SELECT on it'],
  '42601': ['BAD_QUERY', 'syntax error (it has to be one SELECT)'],
  '42703': ['BAD_QUERY', 'no such column'],
  '42P01': ['BAD_QUERY', 'no such table'],
  '53': ['RATE_LIMITED', 'the server is out of connections, memory or disk; try later'],
  '57014': ['RATE_LIMITED', 'the query was stopped: it took longer than timeoutSeconds, or somebody ended it'],
  '57P': ['SOURCE_UNREACHABLE', 'the server is starting or stopping'],
};

const CERTIFICATE = /CERT|SIGNATURE|ISSUER|ALTNAME|SELF_SIGNED/;

/** The server's own message is left out: it quotes cells. Where in the query it points is the owner's own text. */
export function explainPostgresql(name: string, error: unknown, query: string): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const { code, position, message } = error as { code?: unknown; position?: string; message?: string };
  const state = typeof code === 'string' ? code : '';
  const known = STATES[state] ?? STATES[state.slice(0, 3)] ?? STATES[state.slice(0, 2)];
  if (/^[0-9A-Z]{5}$/.test(state) && known !== undefined) {
    return new ConnectorError(known[0], `${name}: ${known[1]} (SQLSTATE ${state}${placeIn(query, position)})`);
  }
  if (CERTIFICATE.test(state)) {
    const advice = "name its authority's file in ca, and check host";
    return new ConnectorError(
      'SOURCE_UNREACHABLE',
      `${name}: the server's certificate is not trusted (${state}); ${advice}`,
    );
  }
  if (/does not support SSL/.test(message ?? '')) {
    const why = 'the server offers no TLS, and rows may not cross a network in the clear';
    return new ConnectorError('SOURCE_UNREACHABLE', `${name}: ${why}; switch it on there, or tunnel to 127.0.0.1`);
  }
  if (/password must be a string/.test(message ?? '')) {
    return new ConnectorError('SECRET_MISSING', `${name}: the server asks for a password; name one`);
  }
  if (/timeout/i.test(message ?? '')) {
    return new ConnectorError('SOURCE_UNREACHABLE', `${name}: the server did not answer in time`);
  }
  if (/^E[A-Z]+$/.test(state)) {
    return new ConnectorError('SOURCE_UNREACHABLE', `${name}: cannot reach the server (${state}); check host and port`);
  }
  if (/terminated/.test(message ?? ''))
    return new ConnectorError('SOURCE_UNREACHABLE', `${name}: the connection broke`);
  const told = /^[0-9A-Z]{5}$/.test(state) ? ` (SQLSTATE ${state})` : '';
  return new ConnectorError('SOURCE_FAILED', `${name}: the database gave up${told}`);
}

/** Characters that DECLARE puts before the query: positions count from 1 over the whole statement. */
const BEFORE = 'DECLARE veilsum NO SCROLL CURSOR FOR '.length;

function placeIn(query: string, position: string | undefined): string {
  const at = Number(position) - BEFORE - 1;
  if (!(at >= 0 && at < query.length)) return '';
  return ` at "${query.slice(at, at + 20).replaceAll(/\s+/g, ' ')}"`;
}
