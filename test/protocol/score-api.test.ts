import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EvidenceAnswer, OrganisationsAnswer, SummaryAnswer } from '../../src/scoring/api-types.ts';
import { openApi } from '../../src/scoring/openapi.ts';
import type { RunningScores } from '../../src/scoring/serve.ts';
import { removeSeller, watchTokens } from '../../src/scoring/tokens.ts';
import { ScoreLab } from './score-lab.ts';

let lab: ScoreLab;
let server: RunningScores;
let anna: string;
let everywhere: string;

beforeAll(async () => {
  lab = await ScoreLab.make();
  anna = lab.token('anna', ['emea', 'latam']);
  everywhere = lab.token('root', ['*']);
  server = await lab.serve();
});
afterAll(async () => {
  await server.stop();
  lab[Symbol.dispose]();
});
afterEach(() => vi.restoreAllMocks());

function get(path: string, token: string | null, at = server.address): Promise<Response> {
  return fetch(at + path, token === null ? {} : { headers: { authorization: `Bearer ${token}` } });
}

async function read<T>(path: string, token: string): Promise<T> {
  const response = await get(path, token);
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as T;
}

async function refusal(response: Response): Promise<[number, string]> {
  return [response.status, ((await response.json()) as { code: string }).code];
}

/** The best organisation of a territory. */
function firstOf(territory: string): string {
  return lab.scores.organisations.find((organisation) => organisation.territory === territory)!.id;
}

describe('who is let in', () => {
  const paths = ['/api/v1/about', '/api/v1/organisations', '/api/v1/summaries/industry', '/api/v1/nothing'];

  it('nobody without a token, or with a wrong one', async () => {
    const wrong = [
      null,
      '',
      'vss_',
      'x',
      `${anna}x`,
      anna.slice(0, -1),
      anna.toUpperCase(),
      // The hash that the file keeps is no token.
      ...(JSON.parse(readFileSync(lab.tokensFile, 'utf8')) as { sellers: { sha256: string }[] }).sellers.map(
        ({ sha256 }) => sha256,
      ),
    ];
    for (const path of [...paths, `/api/v1/organisations/${firstOf('emea')}`]) {
      for (const token of wrong.slice(0, path === paths[0] ? undefined : 2)) {
        const response = await get(path, token);
        expect(response.headers.get('www-authenticate')).toContain('Bearer');
        expect(await refusal(response)).toEqual([401, 'NO_VALID_TOKEN']);
      }
    }
    // Control: the right one is let in, and knows what is not there.
    for (const path of paths.slice(0, 3)) expect((await get(path, anna)).status).toBe(200);
    expect((await get(paths[3]!, anna)).status).toBe(404);
  });

  it('not by other schemes, query or cookie', async () => {
    const other = [
      { headers: { authorization: `Basic ${anna}` } },
      { headers: { authorization: anna } },
      { headers: { cookie: `veilsum-token=${anna}` } },
    ];
    for (const options of other) expect((await fetch(`${server.address}/api/v1/about`, options)).status).toBe(401);
    expect((await get(`/api/v1/about?access_token=${anna}`, null)).status).toBe(401);
  });

  it('not after the token has expired; control: before it has', () => {
    const token = lab.token('brief', ['emea'], 2_000_000_000);
    let now = 1_999_999_999_000;
    const tokens = watchTokens(
      lab.tokensFile,
      () => now,
      () => {},
    );
    expect(tokens.find(token)?.name).toBe('brief');
    now += 1000;
    expect(tokens.find(token)).toBeNull();
    removeSeller(lab.tokensFile, 'brief');
  });

  it('not after it was revoked, in a server that runs', async () => {
    const token = lab.token('carl', ['emea']);
    let now = 0;
    const seen: (string | null)[] = [];
    const tokens = watchTokens(
      lab.tokensFile,
      () => now,
      (fault) => seen.push(fault?.message ?? null),
    );
    expect(tokens.find(token)?.name).toBe('carl');
    removeSeller(lab.tokensFile, 'carl');
    now += 1000;
    expect(tokens.find(token)).toBeNull();
    expect(tokens.find(anna)?.name).toBe('anna');
    // A file that cannot be read lets nobody in; mended, it does again.
    const good = readFileSync(lab.tokensFile, 'utf8');
    writeFileSync(lab.tokensFile, '{"version": 1, "sellers": [');
    now += 1000;
    expect(tokens.find(anna)).toBeNull();
    writeFileSync(lab.tokensFile, good);
    utimesSync(lab.tokensFile, 1, 1);
    now += 1000;
    expect(tokens.find(anna)?.name).toBe('anna');
    expect(seen).toEqual([null, expect.stringContaining('tokens file'), null]);
  });

  it('keeps hashes only, in a file of its owner', () => {
    const file = readFileSync(lab.tokensFile, 'utf8');
    for (const token of [anna, everywhere]) {
      expect(token).toMatch(/^vss_[\w-]{43}$/);
      expect(file).not.toContain(token.slice(4, 20));
    }
    expect(statSync(lab.tokensFile).mode & 0o077).toBe(0);
  });
});

describe('other territories', () => {
  it('are refused, and their organisations look as if they did not exist', async () => {
    expect(await refusal(await get('/api/v1/organisations?territory=amer', anna))).toEqual([403, 'OTHER_TERRITORY']);
    expect(await refusal(await get('/api/v1/organisations?territory=nowhere', anna))).toEqual([403, 'OTHER_TERRITORY']);
    const hidden = await get(`/api/v1/organisations/${firstOf('amer')}`, anna);
    const absent = await get('/api/v1/organisations/org-99999', anna);
    expect([hidden.status, await hidden.text()]).toEqual([absent.status, await absent.text()]);
    expect(hidden.status).toBe(404);
    // Control: a token for all reads both.
    expect((await get('/api/v1/organisations?territory=amer', everywhere)).status).toBe(200);
    expect((await get(`/api/v1/organisations/${firstOf('amer')}`, everywhere)).status).toBe(200);
  });

  it('are in no list, no search, no count and no rank', async () => {
    const mine = lab.scores.organisations.filter(({ territory }) => ['emea', 'latam'].includes(territory));
    const all: OrganisationsAnswer['organisations'][number][] = [];
    for (let page = 1; page <= Math.ceil(mine.length / 100); page++) {
      const answer = await read<OrganisationsAnswer>(`/api/v1/organisations?size=100&page=${page}`, anna);
      expect([answer.matches, answer.pages]).toEqual([mine.length, Math.ceil(mine.length / 100)]);
      all.push(...answer.organisations);
    }
    expect(all.map(({ id, rank }) => [id, rank])).toEqual(mine.map(({ id }, i) => [id, i + 1]));
    const foreign = firstOf('amer');
    expect((await read<OrganisationsAnswer>(`/api/v1/organisations?search=${foreign}`, anna)).matches).toBe(0);
    expect((await read<OrganisationsAnswer>(`/api/v1/organisations?search=${foreign}`, everywhere)).matches).toBe(1);
  });

  it('do not move the evidence: it is against the own territory alone', async () => {
    const id = firstOf('emea');
    const answer = await read<EvidenceAnswer>(`/api/v1/organisations/${id}`, anna);
    expect(answer.reference).toContain('of emea');
    const sum = answer.signals.reduce((total, { contribution }) => total + contribution, 0);
    const odds = (p: number): number => Math.log(p / (1 - p));
    const { logOdds } = lab.scores.organisations.find((organisation) => organisation.id === id)!;
    // Each part is told to two digits, and those below half a hundredth are not told.
    expect(sum).toBeCloseTo(logOdds - odds(answer.referenceProbability), 0);
    expect(answer.signals.length).toBeGreaterThan(3);
  });
});

describe('what is asked', () => {
  it('is strict: unknown and malformed parameters are refused', async () => {
    const bad = [
      'page=0',
      'page=-1',
      'page=1e9',
      'page=x',
      'size=101',
      'size=0',
      'search=a&search=b',
      'q=a',
      'territory=',
    ];
    for (const query of [...bad, `search=${'x'.repeat(101)}`]) {
      expect([query, ...(await refusal(await get(`/api/v1/organisations?${query}`, anna)))]).toEqual([
        query,
        400,
        'BAD_QUERY',
      ]);
    }
    for (const path of [
      '/api/v1/organisations/%ff',
      '/api/v1/organisations/__proto__',
      '/api/v1/summaries/constructor',
    ])
      expect((await get(path, anna)).status).toBe(404);
  });

  it('finds parts of names and ids, whatever their case and accents', async () => {
    const [first] = (await read<OrganisationsAnswer>('/api/v1/organisations?size=1', anna)).organisations;
    const part = first!.name.slice(0, 5);
    for (const search of [part, part.toUpperCase(), `${part[0]!}\u0301${part.slice(1)}`]) {
      const answer = await read<OrganisationsAnswer>(
        `/api/v1/organisations?search=${encodeURIComponent(search)}&size=100`,
        anna,
      );
      expect(answer.organisations.map(({ id }) => id)).toContain(first!.id);
    }
  });

  it('is read-only', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const headers = { authorization: `Bearer ${anna}` };
      const response = await fetch(`${server.address}/api/v1/organisations`, { method, headers });
      expect(await refusal(response)).toEqual([405, 'METHOD_NOT_ALLOWED']);
    }
  });

  it('is answered for this reader only: no cache keeps it, no other page may read it', async () => {
    const response = await get('/api/v1/organisations', anna);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('set-cookie')).toBeNull();
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none';.*script-src 'self'/);
  });

  it('is what the description says', async () => {
    const described = (await (await get('/api/v1/openapi.json', null)).json()) as typeof openApi;
    expect(described).toEqual(openApi);
    const { schemas } = openApi.components;
    const required = (name: keyof typeof schemas): string[] =>
      (schemas[name] as unknown as { required: string[] }).required;
    for (const [path, name] of [
      ['/api/v1/about', 'About'],
      ['/api/v1/organisations', 'Organisations'],
      [`/api/v1/organisations/${firstOf('emea')}`, 'Evidence'],
      ['/api/v1/summaries/industry', 'Summary'],
    ] as const) {
      expect(Object.keys(await read<object>(path, anna)).sort()).toEqual(required(name).sort());
    }
  });
});

describe('summaries over HTTP', () => {
  it('are the same for every reader, and hold no group below the least', async () => {
    for (const by of ['territory', 'industry', 'size']) {
      const [mine, all] = [anna, everywhere].map((token) => read<SummaryAnswer>(`/api/v1/summaries/${by}`, token));
      const answer = await mine!;
      expect(answer).toEqual(await all);
      expect(answer.groups.every(({ organisations }) => organisations >= 10)).toBe(true);
    }
  });
});

describe('limits and the log', () => {
  it('bounds the requests of one token, not of another from the same address', async () => {
    const limited = await lab.serve({ requestsPerMinute: 3 });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < 5; i++) statuses.push((await get('/api/v1/about', anna, limited.address)).status);
      expect(statuses).toEqual([200, 200, 200, 429, 429]);
      expect((await get('/api/v1/about', everywhere, limited.address)).status).toBe(200);
    } finally {
      await limited.stop();
    }
  });

  it('bounds wrong tokens of one address, and still serves the right ones from there', async () => {
    const flooded = await lab.serve();
    try {
      const statuses = new Set<number>();
      for (let i = 0; i < 70; i++) statuses.add((await get('/api/v1/about', 'vss_wrong', flooded.address)).status);
      expect([...statuses]).toEqual([401, 429]);
      expect((await get('/api/v1/about', anna, flooded.address)).status).toBe(200);
    } finally {
      await flooded.stop();
    }
  });

  it('logs who asked which route and how it ended, and no value', async () => {
    const before = readFileSync(lab.accessLogFile, 'utf8').length;
    const id = firstOf('emea');
    await (await get(`/api/v1/organisations/${id}`, anna)).text();
    await (await get('/api/v1/organisations?search=needle&territory=emea', anna)).text();
    await (await get('/api/v1/about', 'vss_secret')).text();
    const written = () => readFileSync(lab.accessLogFile, 'utf8').slice(before);
    await vi.waitFor(() => expect(written().split('\n').length).toBe(4), 20_000);
    const added = written();
    const lines = added
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ seller, route, status }) => [seller, route, status])).toEqual([
      ['anna', '/api/v1/organisations/:id', 200],
      ['anna', '/api/v1/organisations', 200],
      [null, null, 401],
    ]);
    for (const value of [id, 'needle', 'emea', 'secret', anna]) expect(added).not.toContain(value);
    expect(statSync(lab.accessLogFile).mode & 0o077).toBe(0);
  });

  it('listens to no network in the clear', async () => {
    await expect(lab.serve({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'INSECURE_LISTEN' });
    // Control: behind a proxy that ends TLS it may.
    const behind = await lab.serve({ host: '0.0.0.0', behindProxy: true });
    await behind.stop();
  });

  it('answers health while nobody may read', async () => {
    expect((await get('/healthz', null)).status).toBe(200);
  });
});
