import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cosign, openCheckpoint } from '../../crypto/checkpoint.ts';
import { utf8 } from '../../crypto/encoding.ts';
import { tilePath, tilesOf } from '../../crypto/tiles.ts';
import { ConnectionBound } from '../../src/grpc/connection-bound.ts';
import type { HttpOptions } from '../../src/http/app.ts';
import { escapeHtml, html } from '../../src/http/html.ts';
import { listenHttp } from '../../src/http/listen.ts';
import type { RoundRow } from '../../src/http/rounds-view.ts';
import { type ListeningHttp, serveHttp } from '../../src/http/serve.ts';
import type { LogStore } from '../../src/log/log-store.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { StoreError } from '../../src/store/errors.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { openLog, policy, witnesses } from '../faults/log-fixture.ts';
import { readLogFiles } from '../reference/log-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-http-'));
const SIZE = 300;
let store: Store;
let log: LogStore;
let server: ListeningHttp;

const row = (changes: Partial<RoundRow> = {}): RoundRow => ({
  id: 'ab'.repeat(32),
  openLeaf: 17,
  task: 'lead scoring',
  state: 'confirmed',
  reason: '',
  uploads: 4,
  cohort: 4,
  minCohort: 3,
  attempts: 1,
  epsilon: 0.125,
  bytes: 3_355_443,
  ...changes,
});
let rows: readonly RoundRow[] = [row()];

beforeAll(async () => {
  store = await openStore(folder);
  log = await openLog(store.records);
  await log.append(Array.from({ length: SIZE }, (_, i) => utf8(`entry ${i}`)));
  const { note } = await log.checkpoint();
  const lines = witnesses.map((witness) => cosign(p, witness, note, 1_700_000_000));
  await log.addCosignatures(SIZE, lines);
  await log.append([utf8('not published yet')]);
  server = await serveHttp({ log, rounds: async () => rows }, '127.0.0.1', 0);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const get = (path: string): Promise<Response> => fetch(server.url + path);

/** Sends the path as it stands: fetch would tidy it up first. */
function getRaw(path: string, method = 'GET'): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port: server.port, path, method }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode!, type: response.headers['content-type'] ?? '', body }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('log files over HTTP', () => {
  it('give a stranger the whole log: checkpoint, tiles and entries verify', async () => {
    const response = await get('/checkpoint');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const opened = openCheckpoint(p, new Uint8Array(await response.arrayBuffer()), policy);
    expect([opened.checkpoint.size, opened.quorum]).toEqual([SIZE, true]);
    const files = new Map<string, Uint8Array>();
    for (const ref of tilesOf(SIZE)) {
      const tile = await get(`/${tilePath(ref)}`);
      expect(tile.headers.get('content-type')).toBe('application/octet-stream');
      expect(tile.headers.get('cache-control')).toContain('immutable');
      files.set(tilePath(ref), new Uint8Array(await tile.arrayBuffer()));
    }
    const read = readLogFiles(SIZE, (path) => files.get(path));
    expect(read.findings).toEqual([]);
    expect(read.root).toEqual(opened.checkpoint.root);
  });

  it('do not show what is not published, nor anything but tiles', async () => {
    const absent = [
      '/tile/entries/001.p/45',
      '/tile/0/001.p/45',
      '/tile/0/002',
      '/tile/0/000.p/0',
      '/tile/0/%2e%2e/%2e%2e/store.sqlite',
      '/tile/../store.sqlite',
      '/tile/0/000/',
      '/tile/0/000?x=/../..',
      '/tile/00/000',
      '/tile/%ff',
      '/tile/%00',
      '/store.sqlite',
      '/.env',
      '/__proto__',
    ];
    for (const path of absent.filter((text) => !text.includes('?'))) {
      const { status, type, body } = await getRaw(path);
      expect([path, status, type]).toEqual([path, 404, 'application/problem+json; charset=utf-8']);
      expect(JSON.parse(body).code).toMatch(/^(NOT_FOUND|NO_SUCH_RESOURCE)$/);
      expect(body).not.toContain('store.sqlite');
    }
    expect((await getRaw('/tile/0/000?x=/../..')).status).toBe(200);
    // Control: the partial tile of the published size is there.
    expect((await get('/tile/entries/001.p/44')).status).toBe(200);
  });

  it('are read-only, and carry the headers of a page that loads nothing', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
      const { status, body } = await getRaw('/checkpoint', method);
      expect([method, status, JSON.parse(body).code]).toEqual([method, 405, 'METHOD_NOT_ALLOWED']);
    }
    const head = await fetch(`${server.url}/checkpoint`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const { headers } = await get('/');
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';style-src 'self'/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('set-cookie')).toBeNull();
  });
});

describe('page of rounds', () => {
  it('shows each round in words and figures', async () => {
    rows = [row(), row({ state: 'aborted', reason: 'COHORT_TOO_SMALL', cohort: 2, epsilon: null, attempts: 3 })];
    const page = await (await get('/')).text();
    for (const text of ['2 rounds, 1 running', 'abababababab', 'lead scoring', 'confirmed', '0.125', '3.2 MiB']) {
      expect(page).toContain(text);
    }
    expect(page).toContain('<b>aborted</b><small>COHORT_TOO_SMALL</small>');
    expect(page).toContain(`<dd>${SIZE}</dd>`);
    rows = [];
    expect(await (await get('/')).text()).toContain('No round has been opened yet');
  });

  it('lets no name become markup or turn the text around', async () => {
    const attack = `</th><script>alert(1)</script><img src=x onerror="alert(1)">'&\u202egnp\u0007`;
    rows = [row({ task: attack, id: `"><script>${attack}`, reason: attack, state: 'aborted' })];
    const page = await (await get('/')).text();
    for (const text of ['<script', '<img', 'onerror="', '\u202e', '\u0007']) expect(page).not.toContain(text);
    expect(page).toContain('&lt;script&gt;');
    // Control: without the escaping the same name does become markup.
    expect(page.replaceAll('&lt;', '<').replaceAll('&gt;', '>')).toMatch(/<script>/);
    expect(html`<b title="${attack}">${attack}</b>`.text).toBe(
      `<b title="${escapeHtml(attack)}">${escapeHtml(attack)}</b>`,
    );
    rows = [row()];
  });
});

describe('trouble', () => {
  async function serve(options: Partial<HttpOptions>): Promise<ListeningHttp> {
    return serveHttp({ log, rounds: async () => rows, ...options }, '127.0.0.1', 0);
  }

  it('tells health without telling why', async () => {
    expect([(await get('/healthz')).status, await (await get('/healthz')).text()]).toEqual([200, 'ok\n']);
    const health = async (): Promise<void> => {
      throw new Error('secret path /var/lib/veilsum');
    };
    await using sick = await serve({ health });
    const response = await fetch(`${sick.url}/healthz`);
    const body = await response.text();
    expect([response.status, JSON.parse(body).code]).toEqual([503, 'NOT_READY']);
    expect(body).not.toContain('secret');
  });

  it('answers inner errors by their code, never their message', async () => {
    for (const [error, status, code] of [
      [new StoreError('CORRUPT', 'inner detail'), 500, 'CORRUPT'],
      [new StoreError('BUSY', 'inner detail'), 503, 'BUSY'],
      [new Error('inner detail'), 500, 'INTERNAL'],
    ] as const) {
      await using broken = await serve({
        rounds: async () => {
          throw error;
        },
      });
      const response = await fetch(broken.url);
      const body = await response.text();
      expect([response.status, JSON.parse(body)]).toEqual([
        status,
        { type: 'about:blank', title: expect.any(String), status, code },
      ]);
      expect(body).not.toContain('inner detail');
    }
  });

  it('limits requests per address, but not the health check', async () => {
    await using limited = await serve({ requestsPerMinute: 3 });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await fetch(`${limited.url}/checkpoint`)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect((await fetch(`${limited.url}/healthz`)).status).toBe(200);
    // A header cannot make it another address.
    const forwarded = await fetch(`${limited.url}/checkpoint`, { headers: { 'X-Forwarded-For': '203.0.113.9' } });
    expect(forwarded.status).toBe(429);
  });

  it('answers others while a connection sends nothing', async () => {
    const idle = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    idle.write('GET /checkpoint HTTP/1.1\r\nHost: x\r\n');
    expect((await get('/checkpoint')).status).toBe(200);
    idle.destroy();
  });

  describe('to whoever asks for a tile and reads nothing of it', () => {
    /** More than the sockets' buffers take in. */
    const tile = new Uint8Array(64 << 20);
    const answers = (request: IncomingMessage, response: ServerResponse): void => {
      response.end(request.url === '/tile/0/000' ? tile : 'ok');
    };

    async function askAndNotRead(port: number): Promise<Socket> {
      const socket = connect(port, '127.0.0.1').pause();
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write('GET /tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n');
      return socket;
    }

    /** What another one is told while 16 of them hold what there is of 8 connections. */
    async function toldToAnother(): Promise<string> {
      await using busy = await listenHttp(answers, '127.0.0.1', 0, null, { connections: 8, silentMs: 60_000 });
      const silent: Socket[] = [];
      for (let i = 0; i < 16; i++) silent.push(await askAndNotRead(busy.port));
      const told = await fetch(busy.url).then(
        (response) => response.text(),
        () => 'cut',
      );
      for (const socket of silent) socket.destroy();
      return told;
    }

    it('no place is kept: the oldest gives way', async () => {
      expect(await toldToAnother()).toBe('ok');
    });

    it('control: where nobody gives way, they keep everybody else out', async () => {
      vi.spyOn(ConnectionBound.prototype, 'take').mockReturnValue();
      expect(await toldToAnother()).toBe('cut');
      vi.restoreAllMocks();
    });

    it('nothing is held for ever: the connection is cut, and what was not read is dropped', async () => {
      const cut = Promise.withResolvers<boolean>();
      const watched = (request: IncomingMessage, response: ServerResponse): void => {
        response.once('close', () => cut.resolve(!response.writableFinished));
        answers(request, response);
      };
      await using short = await listenHttp(watched, '127.0.0.1', 0, null, { connections: 8, silentMs: 200 });
      const socket = await askAndNotRead(short.port);
      expect(await cut.promise).toBe(true);
      socket.destroy();
    });
  });

  it('shows that nothing is published yet', async () => {
    await using empty = await serve({
      log: { origin: 'log.example/new', published: undefined, file: async () => undefined },
    });
    expect((await fetch(`${empty.url}/checkpoint`)).status).toBe(404);
    expect(await (await fetch(empty.url)).text()).toContain('nothing is published');
  });
});
