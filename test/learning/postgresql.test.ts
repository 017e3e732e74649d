import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTable } from '../../src/connectors/port.ts';
import { type PostgresqlSettings, postgresqlSource } from '../../src/connectors/postgresql.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { hasPostgresql, PostgresqlServer } from './postgresql-server.ts';

if (!hasPostgresql) console.log('test/learning/postgresql: 19 tests skipped, there is no PostgreSQL server here');

let server: PostgresqlServer;

beforeAll(async () => {
  if (!hasPostgresql) return;
  server = await PostgresqlServer.start();
  server.run(`
    CREATE ROLE reader LOGIN PASSWORD 'pw-reader';
    CREATE TABLE usage (id int, account text, calls bigint, share float8, price numeric, ok boolean, day date,
      at timestamptz, plain timestamp, note text, tags text[]);
    INSERT INTO usage VALUES
      (1, 'a', 9007199254740993, 0.1, 12.3400, true, '2026-03-31', '2026-03-31 12:30:00+02', '2026-03-31 10:30', 'käse "x"', '{}'),
      (2, 'b', NULL, 'NaN', NULL, false, NULL, NULL, NULL, '', NULL);
    CREATE TABLE many AS SELECT n, 'k' || n AS key FROM generate_series(1, 12345) n;
    CREATE TABLE hidden (x int);
    CREATE SEQUENCE counter;
    CREATE TABLE words (w text);
    INSERT INTO words VALUES ('c4nary');
    GRANT SELECT ON usage, many, words TO reader;
    ALTER ROLE reader SET timezone = 'Asia/Tokyo';
    ALTER ROLE reader SET datestyle = 'German';
  `);
}, 120_000);

afterAll(async () => {
  if (hasPostgresql) await server[Symbol.asyncDispose]();
});

function source(query: string, changed: Partial<PostgresqlSettings> = {}) {
  return postgresqlSource('usage', {
    ...{
      host: '127.0.0.1',
      port: server.port,
      database: 'postgres',
      user: 'reader',
      password: 'pw-reader',
      caFile: null,
    },
    ...{ query, timeoutMs: 10_000, ...changed },
  });
}

async function read(query: string, columns: readonly string[], changed: Partial<PostgresqlSettings> = {}) {
  const { table } = await readTable(source(query, changed), { columns: new Set(columns), ownNames: {} });
  return table;
}

async function failure(query: string, changed: Partial<PostgresqlSettings> = {}) {
  try {
    await read(query, ['x'], changed);
  } catch (error) {
    const { code, message, cause } = error as Error & { code?: string };
    expect(`${message}${String(cause)}`).not.toMatch(/c4nary|pw-/);
    return `${code}: ${message}`;
  }
  return 'nothing';
}

describe.skipIf(!hasPostgresql)('PostgreSQL', () => {
  it.each(['127.0.0.1', 'socket'])('gives cells as text, whatever the role has set (%s)', async (where) => {
    const columns = ['account', 'calls', 'share', 'price', 'ok', 'day', 'at', 'plain', 'note', 'tags'];
    const host = where === 'socket' ? server.folder : where;
    const { columns: cells } = await read('SELECT * FROM usage ORDER BY id', columns, { host });
    expect(Object.fromEntries(cells)).toEqual({
      account: ['a', 'b'],
      calls: ['9007199254740993', ''],
      share: ['0.1', 'NaN'],
      price: ['12.3400', ''],
      ok: ['true', 'false'],
      day: ['2026-03-31', ''],
      at: ['2026-03-31 10:30:00+00', ''],
      plain: ['2026-03-31 10:30:00', ''],
      note: ['käse "x"', ''],
      tags: ['{}', ''],
    });
  });

  it('fetches all of many rows through its cursor, and the columns of none', async () => {
    const { columns, rowCount } = await read('SELECT key FROM many ORDER BY n', ['key']);
    expect(rowCount).toBe(12_345);
    expect(columns.get('key')![12_344]).toBe('k12345');
    const empty = await readTable(source('SELECT n, key FROM many WHERE false'), {
      columns: new Set(['n']),
      ownNames: {},
    });
    expect({ found: empty.found, rows: empty.table.rowCount }).toEqual({ found: ['n', 'key'], rows: 0 });
  });

  it('reads one snapshot: rows that are written meanwhile are not seen', async () => {
    const batches = source('SELECT n FROM many').batches();
    let rows = (await batches.next()).value!.rows.length;
    server.run('INSERT INTO many SELECT n FROM generate_series(1, 5000) n');
    for await (const batch of batches) rows += batch.rows.length;
    expect(rows).toBe(12_345);
    expect((await read('SELECT n FROM many', ['n'])).rowCount).toBe(17_345);
  });

  it.each<[string, string, Partial<PostgresqlSettings>]>([
    ['LOGIN_REFUSED: usage: .*28P01', 'SELECT 1 x', { password: 'pw-wrong' }],
    ['SECRET_MISSING: usage', 'SELECT 1 x', { password: null }],
    ['SOURCE_NOT_FOUND: usage: .*3D000', 'SELECT 1 x', { database: 'nope' }],
    ['ACCESS_DENIED: usage: .*42501', 'SELECT x FROM hidden', {}],
    ['BAD_QUERY: usage: no such table .*at "nowhere"', 'SELECT x FROM nowhere', {}],
    ['BAD_QUERY: usage: no such column .*at "nope FROM usage"', 'SELECT nope FROM usage', {}],
    ['BAD_QUERY: usage: syntax error', 'SELEC 1', {}],
    ['BAD_QUERY: usage: a value in the table cannot be converted', 'SELECT w::int x FROM words', {}],
    ['BAD_QUERY', "SELECT 1 x; COMMIT; INSERT INTO usage VALUES (3, 'z')", {}],
    ['BAD_QUERY: usage: the query writes', "SELECT nextval('counter') x", { user: 'super', password: 'pw-superuser' }],
    ['RATE_LIMITED: usage: the query was stopped', 'SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(30) x', {}],
    ['CHANGED_SCHEMA: usage has two columns "x"', 'SELECT 1 x, 2 x', {}],
  ])('says %s', async (why, query, changed) => {
    expect(await failure(query, changed)).toMatch(new RegExp(`^${why}`));
  });

  it('leaves rows as they were, and neither a cursor nor a connection behind', async () => {
    expect((await read('SELECT id FROM usage', ['id'])).rowCount).toBe(2);
    expect((await read("SELECT count(*) n FROM pg_cursors WHERE name = 'veilsum'", ['n'])).columns.get('n')).toEqual([
      '1',
    ]);
    // A server's process may outlive its connection for a moment.
    const others =
      "SELECT count(*) n FROM pg_stat_activity WHERE application_name = 'veilsum' AND pid <> pg_backend_pid()";
    const asSuper = { user: 'super', password: 'pw-superuser' };
    const left = async () => (await read(others, ['n'], asSuper)).columns.get('n');
    await expect.poll(left, { timeout: 20_000 }).toEqual(['0']);
  });
});

describe.skipIf(!hasPostgresql)('PostgreSQL over a network', () => {
  it("is read through TLS under the named authority's certificate for that host, and under no other", async () => {
    const authority = (name: string) => join(server.folder, `${name}.crt`);
    const far = { host: '0.0.0.0', caFile: authority('server') };
    const query = 'SELECT ssl::text AS tls FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    expect((await read(query, ['tls'], far)).columns.get('tls')).toEqual(['true']);
    expect(await failure(query, { host: '0.0.0.0' })).toMatch(/^SOURCE_UNREACHABLE: .*not trusted/);
    expect(await failure(query, { ...far, caFile: authority('other') })).toMatch(/^SOURCE_UNREACHABLE: .*not trusted/);
    // Another spelling of this machine's address, for which the certificate is not.
    expect(await failure(query, { ...far, host: '127.1' })).toMatch(/not trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/);
    expect(await failure(query, { ...far, caFile: authority('nothing') })).toMatch(/^SOURCE_NOT_FOUND: .*nothing\.crt/);
  });

  it('is spoken to in TLS alone: a server that offers none gets neither a password nor a query', async () => {
    const received: Buffer[] = [];
    const sockets: Socket[] = [];
    const plain = createServer((socket) => {
      sockets.push(socket);
      socket.on('data', (data) => {
        received.push(Buffer.from(data as Buffer));
        socket.write('N'); // "no TLS here"
      });
    });
    const port = await freePort();
    await new Promise<void>((resolve) => plain.listen(port, '0.0.0.0', resolve));
    // Any name that is not this machine's own counts as far away.
    expect(await failure('SELECT 1 x', { host: '0.0.0.0', port })).toMatch(
      /^SOURCE_UNREACHABLE: usage: the server offers no TLS/,
    );
    expect(Buffer.concat(received).toString('hex')).toBe('0000000804d2162f'); // SSLRequest, and nothing after it
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => plain.close(resolve));
    expect(await failure('SELECT 1 x', { port })).toMatch(
      /^SOURCE_UNREACHABLE: usage: cannot reach the server \(ECONNREFUSED\)/,
    );
  });
});
