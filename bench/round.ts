import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalBytes, type Json, utf8 } from '../crypto/encoding.ts';
import type { Task } from '../protocols/task.ts';
import { foundLocally, type LocalFederation, type LocalParty } from '../src/demo/local-federation.ts';
import { Connection } from '../src/grpc/connection.ts';
import { RoundService } from '../src/grpc/services.ts';
import { loadTlsIdentity } from '../src/tls/files.ts';
import { benchTask } from './bench-task.ts';
import { digestOf, type PartyNews, type PartyOrder, type SeenLeaf, updateOf } from './round-party.ts';
import type { BenchRow } from './row.ts';

const NODES = ['node-1', 'node-2', 'node-3', 'node-4'];
const MEMBERS = 5;
const THRESHOLD = 3;
/** Rounds measured, after two that warm up compilers and connections. */
const ROUNDS = 7;
const WARM = 2;
type Mode = PartyOrder['mode'];

function parties(): LocalParty[] {
  const party = (name: string, role: LocalParty['role'], organisation: string): LocalParty => ({
    name,
    role,
    organisation,
    region: 'eu',
  });
  return [
    party('coordinator', 'coordinator', 'hub'),
    party('aggregator-1', 'aggregator', 'hub'),
    party('aggregator-2', 'aggregator', 'hub'),
    ...Array.from({ length: MEMBERS }, (_, i) => party(`member-${i + 1}`, 'member', `org-${i + 1}`)),
    ...[1, 2].map((i) => party(`witness-${i}`, 'witness', `auditor-${i}`)),
    party('recipient', 'recipient', 'hub'),
    ...NODES.map((name) => party(name, 'node', name)),
  ];
}

/** All parties of one kind of rounds, each a process. */
class Federation {
  readonly mode: Mode;
  readonly #local: LocalFederation;
  readonly #task: Task;
  readonly #officer: Connection;
  readonly #children = new Map<string, ChildProcess>();
  readonly #listeners = new Set<(name: string, news: PartyNews) => void>();
  #rounds = 0;
  #heads = 0;

  private constructor(mode: Mode, local: LocalFederation, task: Task, officer: Connection) {
    this.mode = mode;
    this.#local = local;
    this.#task = task;
    this.#officer = officer;
  }

  static async start(mode: Mode, folder: string, dimension: number): Promise<Federation> {
    const local = await foundLocally({
      folder,
      origin: `bench.veilsum.example/${mode}`,
      parties: parties(),
      threshold: THRESHOLD,
      minimums: { cohort: 3, organisations: 2, honest: 2 },
      budget: { unit: 'record', rhoNano: 1_000_000_000, epsilonMicro: 100_000_000, deltaExponent: 5 },
    });
    const { address, tlsKeySha256 } = local.federation.coordinator;
    const tls = await loadTlsIdentity(join(folder, 'founders', 'officer'));
    const officer = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
    const federation = new Federation(mode, local, benchTask(dimension), officer);
    mkdirSync(join(folder, 'orders'), { recursive: true });
    const keepers = local.cards.filter(({ role }) => role === 'member' || role === 'witness');
    const others = local.cards.filter(({ role }) => role !== 'member' && role !== 'witness');
    // Two at a time: more that compile at once would only wait for one another.
    const cards = [...keepers, ...others];
    for (let i = 0; i < cards.length; i += 2) {
      await Promise.all(cards.slice(i, i + 2).map(({ name, role }) => federation.#start(name, role)));
    }
    return federation;
  }

  async #start(name: string, role: string): Promise<void> {
    const { folder, federation, enrolments, cards } = this.#local;
    const order: PartyOrder = {
      mode: this.mode,
      name,
      role,
      folder: this.#local.path(name),
      aggregatorState: join(folder, 'aggregators'),
      task: this.#task,
      genesisHash: federation.genesisHash,
      enrolments: enrolments.map((leaf) => Buffer.from(leaf).toString('base64')),
      keys: Object.fromEntries(cards.map((card) => [card.name, card.key])),
    };
    const file = join(folder, 'orders', name);
    writeFileSync(file, JSON.stringify(order));
    const profile = process.env['BENCH_PROFILE'];
    const execArgv =
      profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${this.mode}-${name}`];
    const child = fork(fileURLToPath(new URL('./round-party.ts', import.meta.url)), [file], {
      execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
      stdio: ['ignore', 'ignore', process.env['BENCH_VERBOSE'] === undefined ? 'ignore' : 'inherit', 'ipc'],
    });
    this.#children.set(name, child);
    child.on('message', (news: PartyNews) => {
      for (const listener of [...this.#listeners]) listener(name, news);
    });
    await this.#news(name, (news) => (news.news === 'listening' ? news : null));
  }

  #news<T>(from: string, find: (news: PartyNews) => T | null): Promise<T> {
    return new Promise((resolve, refuse) => {
      const ended = (): void => refuse(new Error(`${this.mode} ${from} ended`));
      const child = this.#children.get(from)!;
      child.once('exit', ended);
      const listener = (name: string, news: PartyNews): void => {
        const found = name === from ? find(news) : null;
        if (found === null) return;
        this.#listeners.delete(listener);
        child.off('exit', ended);
        resolve(found);
      };
      this.#listeners.add(listener);
    });
  }

  /** Processor time of all processes so far, in ms. */
  async cpu(): Promise<number> {
    let total = 0;
    for (const [name, child] of this.#children) {
      const answer = this.#news(name, (news) => (news.news === 'cpu' ? news.ms : null));
      child.send('cpu');
      total += await answer;
    }
    return total;
  }

  /** One round from the officer's request to the logged release. @throws Error when the sum is not exact */
  async round(): Promise<RoundTimes> {
    const round = ++this.#rounds;
    const result = this.#news('recipient', (news) => (news.news === 'opened' && news.round === round ? news : null));
    const task = this.mode === 'plain' ? utf8(String(round)) : canonicalBytes(this.#task as unknown as Json);
    const cpuBefore = await this.cpu();
    const started = performance.timeOrigin + performance.now();
    const requestId = new Uint8Array(16);
    new DataView(requestId.buffer).setUint32(0, round);
    await this.#officer.call(RoundService.open, { task, requestId }, { deadlineMs: 70_000 });
    const { sha256 } = await result;
    await new Promise((resolve) => setTimeout(resolve, 300)); // the last leaves and heads
    const cpuMs = (await this.cpu()) - cpuBefore;
    const expected = new Int32Array(this.#task.dimension);
    for (const name of NODES) {
      const update = updateOf(name, round, expected.length);
      for (let i = 0; i < expected.length; i++) expected[i] = expected[i]! + update[i]!;
    }
    if (sha256 !== digestOf(expected)) throw new Error('the opened sum is not the sum of the updates');
    const told = this.#news('coordinator', (news) => (news.news === 'leaves' ? news : null));
    this.#children.get('coordinator')!.send('leaves');
    const { leaves, heads } = await told;
    const times = {
      ...phasesOf(
        leaves.filter((leaf) => leaf.at >= started),
        started,
      ),
      heads: heads - this.#heads,
    };
    this.#heads = heads;
    return { ...times, cpu: cpuMs };
  }

  async stop(): Promise<void> {
    this.#officer.close();
    const running = [...this.#children.values()].filter((child) => child.exitCode === null && child.connected);
    const ended = running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of this.#children.values()) if (child.connected) child.send('exit');
    await Promise.all(ended);
  }
}

/** Milliseconds of each phase, cosigned heads, and the processor time of all processes. */
type RoundTimes = Record<string, number>;

/** Phases end when the log takes the leaf that ends them; the last one at the release. */
function phasesOf(leaves: readonly SeenLeaf[], started: number): RoundTimes {
  const of = (kind: string): number[] => leaves.filter((leaf) => leaf.kind === kind).map((leaf) => leaf.at);
  const last = (kind: string): number => Math.max(...of(kind));
  const nth = (kind: string, n: number): number => of(kind).sort((a, b) => a - b)[n - 1] ?? Number.NaN;
  const sealed = of('confirm').length > 0;
  const ends: [string, number][] = sealed
    ? [
        ['announce', last('open')],
        ['upload', last('upload')],
        ['close', last('close')],
        ['confirm', last('confirm')],
        ['ready', last('ready')],
        ['decide', last('decide')],
        ['answer', nth('answer', THRESHOLD)],
        ['open', last('release')],
      ]
    : [
        ['announce', last('open')],
        ['upload', last('upload')],
        ['close', last('close')],
        ['open', last('release')],
      ];
  const times: RoundTimes = {};
  let before = started;
  for (const [phase, end] of ends) {
    times[phase] = end - before;
    before = end;
  }
  return { ...times, wall: before - started };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/** Rounds of both kinds in turns, so that whatever else the machine does meets both. */
export async function measure(
  dimension: number,
  rounds = ROUNDS,
  modes: readonly Mode[] = ['sealed', 'plain'],
): Promise<Record<Mode, RoundTimes[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-round-'));
  const federations: Federation[] = [];
  const times: Record<Mode, RoundTimes[]> = { sealed: [], plain: [] };
  try {
    for (const mode of modes) {
      federations.push(await Federation.start(mode, join(folder, mode), dimension));
    }
    await new Promise((resolve) => setTimeout(resolve, 2000)); // enrolments, the first model
    for (let i = 0; i < WARM + rounds; i++) {
      for (const federation of federations) {
        const round = await federation.round();
        if (process.env['BENCH_VERBOSE'] !== undefined)
          console.error(
            federation.mode,
            JSON.stringify(round, (_, v) => (typeof v === 'number' ? Math.round(v) : v)),
          );
        if (i >= WARM) times[federation.mode].push(round);
      }
    }
  } finally {
    for (const federation of federations) await federation.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return times;
}

/** Rows of one dimension; `suffix` tells the small round's rows from the large one's. */
function rowsOf({ sealed, plain }: Record<Mode, RoundTimes[]>, suffix: string): BenchRow[] {
  const of = (times: RoundTimes[], name: string): number => median(times.map((round) => round[name]!));
  const phases = ['announce', 'upload', 'close', 'confirm', 'ready', 'decide', 'answer', 'open', 'wall', 'cpu'];
  return phases.map((name): BenchRow => {
    const value = of(sealed, name);
    const without = plain[0]![name] === undefined ? null : of(plain, name);
    const baseline = without === null ? '' : `the round without encryption: ${without.toFixed(0)} ms`;
    return { name: `${name}${suffix}`, value, unit: 'ms', baseline, ratio: without === null ? null : without / value };
  });
}

/**
 * Whole rounds among separate processes: 4 nodes, 3-of-5, two aggregators, two outside witnesses, gRPC over mutual TLS 1.3
 * on loopback, from the officer's request to the logged release. Medians; the sums of all rounds are checked.
 *
 * The baseline is round-plain.ts among as many processes, in turns with ours. It leaves out: encryption, masks, shares and
 * with them the announce, round-key, confirm, ready, decide, answer and model leaves, the rules of a round, the check of
 * residues, the checksum, the model's way to the nodes. Both leave out training and privacy noise.
 */
export async function run(): Promise<BenchRow[]> {
  return [...rowsOf(await measure(1_000_000), ''), ...rowsOf(await measure(60), '-d60')];
}
