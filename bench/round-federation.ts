import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalBytes, type Json, utf8 } from '../crypto/encoding.ts';
import type { Task } from '../protocols/task.ts';
import { foundLocally, type LocalFederation, type LocalParty } from '../src/demo/local-federation.ts';
import { Connection } from '../src/grpc/connection.ts';
import { RoundService } from '../src/grpc/services.ts';
import { loadTlsIdentity } from '../src/tls/files.ts';
import type { Budget } from '../src/training/budget.ts';
import { digestOf, type PartyNews, type PartyOrder, type SeenLeaf, sentFile, updateOf } from './round-party.ts';

const NODES = ['node-1', 'node-2', 'node-3', 'node-4'];
const MEMBERS = 5;
const THRESHOLD = 3;
export type Mode = PartyOrder['mode'];

/** What the rounds sum, and what the federation is founded with for it. */
export interface BenchJob {
  readonly task: Task;
  readonly budget: Budget;
}

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
export class RoundFederation {
  readonly mode: Mode;
  readonly #local: LocalFederation;
  readonly #task: Task;
  readonly #officer: Connection;
  readonly #children = new Map<string, ChildProcess>();
  readonly #listeners = new Set<(name: string, news: PartyNews) => void>();
  #rounds = 0;
  #heads = 0;
  /** Processor time of this round's parts, all parties together, in ms. */
  #parts: Record<string, number> = {};

  private constructor(mode: Mode, local: LocalFederation, task: Task, officer: Connection) {
    this.mode = mode;
    this.#local = local;
    this.#task = task;
    this.#officer = officer;
  }

  static async start(mode: Mode, folder: string, { task, budget }: BenchJob): Promise<RoundFederation> {
    const local = await foundLocally({
      folder,
      origin: `bench.veilsum.example/${mode}`,
      parties: parties(),
      threshold: THRESHOLD,
      minimums: { cohort: 3, organisations: 2, honest: 2 },
      budget: { unit: task.unit, ...budget },
    });
    const { address, tlsKeySha256 } = local.federation.coordinator;
    const tls = await loadTlsIdentity(join(folder, 'founders', 'officer'));
    const officer = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
    const federation = new RoundFederation(mode, local, task, officer);
    mkdirSync(join(folder, 'orders'), { recursive: true });
    mkdirSync(join(dirname(folder), 'models'), { recursive: true });
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
      models: join(dirname(folder), 'models'),
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
      if (news.news === 'part') this.#parts[news.part] = (this.#parts[news.part] ?? 0) + news.ms;
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

  /** Processor time so far, in ms: all processes, and those of nodes, of recipient, and of the others. */
  async cpu(): Promise<RoundTimes> {
    const times: RoundTimes = { cpu: 0, 'cpu-nodes': 0, 'cpu-recipient': 0, 'cpu-others': 0 };
    for (const [name, child] of this.#children) {
      const answer = this.#news(name, (news) => (news.news === 'cpu' ? news.ms : null));
      child.send('cpu');
      const ms = await answer;
      const who = NODES.includes(name) ? 'nodes' : name === 'recipient' ? name : 'others';
      for (const key of ['cpu', `cpu-${who}`]) times[key] = times[key]! + ms;
    }
    return times;
  }

  async #leaves(): Promise<{ leaves: readonly SeenLeaf[]; heads: number }> {
    const told = this.#news('coordinator', (news) => (news.news === 'leaves' ? news : null));
    this.#children.get('coordinator')!.send('leaves');
    return told;
  }

  /**
   * One round from the officer's request to the logged release; where models are trained and encrypted, to the logged next model.
   *
   * @throws Error when the sum is not exact
   */
  async round(): Promise<RoundTimes> {
    const round = ++this.#rounds;
    const result = this.#news('recipient', (news) => (news.news === 'opened' && news.round === round ? news : null));
    const task = this.mode === 'plain' ? utf8(String(round)) : canonicalBytes(this.#task as unknown as Json);
    this.#parts = {};
    const cpuBefore = await this.cpu();
    const started = performance.timeOrigin + performance.now();
    const requestId = new Uint8Array(16);
    new DataView(requestId.buffer).setUint32(0, round);
    await this.#officer.call(RoundService.open, { task, requestId }, { deadlineMs: 70_000 });
    const { sha256 } = await result;
    const seen: SeenLeaf[] = [];
    const isModelDue = this.mode === 'sealed' && this.#task.learning !== null;
    const hasModel = (): boolean => seen.some(({ kind, at }) => kind === 'model' && at >= started);
    while (isModelDue && !hasModel()) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      seen.push(...(await this.#leaves()).leaves);
    }
    await new Promise((resolve) => setTimeout(resolve, 300)); // the last leaves and heads
    const cpuAfter = await this.cpu();
    const cpu = Object.fromEntries(Object.entries(cpuAfter).map(([key, ms]) => [key, ms - cpuBefore[key]!]));
    const parts = Object.fromEntries(Object.entries(this.#parts).map(([part, ms]) => [`cpu-${part}`, ms]));
    const expected = new Int32Array(this.#task.dimension);
    for (const name of NODES) {
      const update = this.#sent(name, round);
      for (let i = 0; i < expected.length; i++) expected[i] = expected[i]! + update[i]!;
    }
    if (sha256 !== digestOf(expected)) throw new Error('the opened sum is not the sum of the updates');
    const { leaves, heads } = await this.#leaves();
    const ofRound = [...seen, ...leaves].filter((leaf) => leaf.at >= started);
    const times = { ...phasesOf(ofRound, started, isModelDue), heads: heads - this.#heads };
    this.#heads = heads;
    return { ...times, ...cpu, ...parts };
  }

  /** What a node put into a round: worked out again, or as it wrote it down. */
  #sent(name: string, round: number): Int32Array {
    if (this.#task.learning === null) return updateOf(name, round, this.#task.dimension);
    const bytes = readFileSync(sentFile(this.#local.path(name), round));
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
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
export type RoundTimes = Record<string, number>;

/** Phases end when the log takes the leaf that ends them; the last one at the release, or at the next model. */
function phasesOf(leaves: readonly SeenLeaf[], started: number, withModel: boolean): RoundTimes {
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
        ...(withModel ? [['model', last('model')] satisfies [string, number]] : []),
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
