import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { ClientConfig } from 'pg';
import { ConnectorError } from './errors.ts';
import type { Cell, RowSource } from './port.ts';
import { explainPostgresql } from './postgresql-errors.ts';

export interface PostgresqlSettings {
  /** A name or address, or the folder of a Unix socket (begins with a slash). */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  /** PEM file of the authority that signed the server's certificate; null: those of the runtime. */
  readonly caFile: string | null;
  readonly query: string;
  /** Longest time for connecting, and for each fetch, in ms. */
  readonly timeoutMs: number;
}

/** Rows per fetch. */
const FETCH_ROWS = 5_000;
/** OID of boolean, the one type whose text other sources write differently. */
const BOOLEAN_OID = 16;

/** Whether bytes to this host stay in this machine. */
function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * One query of a PostgreSQL database, read through a cursor in one read-only snapshot: rows do not change between
 * fetches, and the query cannot write. TLS with a verified certificate, except to this machine itself.
 *
 * @throws (while reading) ConnectorError.
 */
export function postgresqlSource(name: string, settings: PostgresqlSettings): RowSource {
  return {
    name,
    batches: async function* () {
      const { default: pg } = await import('pg');
      const client = new pg.Client(clientConfig(name, settings));
      client.on('error', () => {}); // a connection that ends early is told by the query that waits for it
      const run = async (text: string) => {
        try {
          // In the extended protocol a text is one statement: nothing can end the read-only transaction.
          const request = { text, rowMode: 'array' as const, queryMode: 'extended' };
          return await client.query<Cell[]>(request);
        } catch (error) {
          throw explainPostgresql(name, error, settings.query);
        }
      };
      try {
        await client.connect().catch((error: unknown) => {
          throw explainPostgresql(name, error, settings.query);
        });
        await run('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
        await run("SET LOCAL TIME ZONE 'UTC'");
        await run("SET LOCAL datestyle TO 'ISO, YMD'");
        await run(`DECLARE veilsum NO SCROLL CURSOR FOR ${settings.query}`);
        for (;;) {
          const { fields, rows } = await run(`FETCH ${FETCH_ROWS} FROM veilsum`);
          const booleans = fields.flatMap(({ dataTypeID }, at) => (dataTypeID === BOOLEAN_OID ? [at] : []));
          for (const row of rows) for (const at of booleans) row[at] = row[at] === null ? null : row[at] === 't';
          yield { columns: fields.map((field) => field.name), rows };
          if (rows.length < FETCH_ROWS) break;
        }
        await run('COMMIT');
      } finally {
        await client.end().catch(() => {});
      }
    },
  };
}

function clientConfig(name: string, settings: PostgresqlSettings): ClientConfig {
  const { host, port, database, user, password, caFile, timeoutMs } = settings;
  return {
    ...{ host, port, database, user },
    ...(password === null ? {} : { password }),
    ssl: isLocal(host) ? false : tlsOf(caFile === null ? null : readAuthority(name, caFile)),
    application_name: 'veilsum',
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: timeoutMs,
    query_timeout: timeoutMs + 5_000,
    // Text as the server writes it: numbers keep their digits, dates their zone.
    types: { getTypeParser: () => (text: string) => text },
  } as ClientConfig;
}

/** The certificate has to be the host's, under an authority that is trusted or named. */
function tlsOf(ca: string | null): ConnectionOptions {
  return { rejectUnauthorized: true, minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) };
}

function readAuthority(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new ConnectorError('SOURCE_NOT_FOUND', `${name}: there is no readable certificate ${path}`);
  }
}
