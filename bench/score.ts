import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../src/learning/random.ts';
import { addSeller } from '../src/scoring/tokens.ts';
import type { BenchRow } from './row.ts';
import type { ScoreServerOrder, ScoreServerReady } from './score-server.ts';

const SELLERS = 200;
const ORGANISATIONS = 10_000;
/** Requests of one seller, one after the other; the first few warm up and are not counted. */
const REQUESTS = 60;
const WARM_UP = 10;

interface Load {
  /** Milliseconds of each counted request, ascending. */
  readonly times: readonly number[];
  /** Counted requests per second of wall time. */
  readonly perSecond: number;
  /** Mean length of an answer. */
  readonly bytes: number;
}

/** One answer, read to its end. @throws Error for any status but 200. */
function ask(url: string, token: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(bytes) : reject(new Error(`${url}: status ${response.statusCode}`)),
      );
    });
    request.on('error', reject);
  });
}

/** All sellers at once, each with a connection and a token of its own, and no rest between two requests. */
async function load(tokens: readonly string[], urlOf: (seller: number, request: number) => string): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: tokens.length });
  const times: number[] = [];
  let bytes = 0;
  let started = 0;
  await Promise.all(
    tokens.map(async (token, seller) => {
      for (let request = 0; request < REQUESTS; request++) {
        const start = performance.now();
        const length = await ask(urlOf(seller, request), token, agent);
        if (request < WARM_UP) continue;
        if (started === 0) started = start;
        times.push(performance.now() - start);
        bytes += length;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  agent.destroy();
  return { times: times.sort((a, b) => a - b), perSecond: times.length / seconds, bytes: bytes / times.length };
}

function quantile({ times }: Load, share: number): number {
  return times[Math.min(times.length - 1, Math.floor(share * times.length))]!;
}

/** What sellers do: pages of the ranking mostly, searches, evidence, now and then a summary. */
function pathOf(random: ReturnType<typeof seededRandom>, organisations: number): string {
  const kind = random.uniform();
  if (kind < 0.5) return `organisations?page=${1 + random.integer(20)}`;
  if (kind < 0.7) return `organisations?search=${['nor', 'capital', 'vale', 'org-01'][random.integer(4)]}`;
  if (kind < 0.95) return `organisations/org-${String(1 + random.integer(organisations)).padStart(5, '0')}`;
  return `summaries/${['territory', 'industry', 'size'][random.integer(3)]}`;
}

async function startServer(order: ScoreServerOrder): Promise<{ child: ChildProcess; ready: ScoreServerReady }> {
  const child = fork(fileURLToPath(new URL('./score-server.ts', import.meta.url)), { silent: true });
  child.stderr!.resume();
  child.send(order);
  const [ready] = (await once(child, 'message')) as [ScoreServerReady];
  return { child, ready };
}

/** 200 sellers at once over 10,000 organisations, in another process, against a static answer of the same length. */
export async function run(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-bench-'));
  const tokensFile = join(folder, 'tokens.json');
  const expires = Math.floor(Date.now() / 1000) + 86_400;
  const tokens = Array.from({ length: SELLERS }, (_, i) =>
    addSeller(tokensFile, { name: `seller-${i}`, territories: ['*'], expires }),
  );
  const accessLogFile = join(folder, 'access.log');
  const { child, ready } = await startServer({ tokensFile, accessLogFile, organisations: ORGANISATIONS });
  try {
    const random = seededRandom('bench/score');
    const scores = await load(tokens, () => `${ready.scores}/api/v1/${pathOf(random, ready.organisations)}`);
    child.send({ bytes: Math.round(scores.bytes) });
    await once(child, 'message');
    const fixed = await load(tokens, () => `${ready.fixed}/`);
    const against = (text: string): string => `an express route with a static answer as long on average: ${text}`;
    const row = (name: string, share: number): BenchRow => ({
      name,
      value: quantile(scores, share),
      unit: `ms, ${SELLERS} sellers at once without rest, ${ready.organisations} organisations`,
      baseline: against(`${quantile(fixed, share).toFixed(1)} ms`),
      ratio: quantile(fixed, share) / quantile(scores, share),
    });
    return [
      row('p50', 0.5),
      row('p99', 0.99),
      {
        name: 'requests',
        value: scores.perSecond,
        unit: `requests/s, ${scores.times.length} counted, ${Math.round(scores.bytes)} bytes an answer`,
        baseline: against(`${Math.round(fixed.perSecond)}/s`),
        ratio: scores.perSecond / fixed.perSecond,
      },
      {
        name: 'scoring',
        value: ready.scoreMs,
        unit: `ms for ${ready.organisations} organisations`,
        baseline: '',
        ratio: null,
      },
    ];
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
