import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy } from '../../crypto/policy.ts';
import { Connection } from '../grpc/connection.ts';
import { PartyService } from '../grpc/services.ts';
import { identityOf } from '../tls/identity.ts';
import type { LocalFederation } from './local-federation.ts';
import { type PartyEvent, PartyProcess } from './process.ts';
import { Watch } from './watch.ts';

/** How long parties may take to be ready, in ms; a round is opened then all the same. */
const READY_MS = 60_000;

/** The demonstration's processes, and the eyes that follow their log. */
export class DemoFederation {
  readonly local: LocalFederation;
  readonly processes = new Map<string, PartyProcess>();
  /** Every process that ever ran, with its pid: the report lists them. */
  readonly started: { name: string; pid: number }[] = [];
  /** SHA-256 of each party's certificate, from the folder that holds it. */
  readonly certificates = new Map<string, string>();
  readonly aggregatorState: string;
  url = '';
  #watch: Watch | null = null;
  #onEvent: (name: string, event: PartyEvent) => void = () => {};

  constructor(local: LocalFederation) {
    this.local = local;
    this.aggregatorState = join(local.folder, 'aggregators');
    mkdirSync(join(local.folder, 'output'), { recursive: true });
    for (const { name } of local.cards) {
      const certificate = readFileSync(join(local.path(name), 'tls', 'tls.crt'), 'utf8');
      this.certificates.set(name, identityOf(certificate).certSha256);
    }
  }

  get watch(): Watch {
    if (this.#watch === null) throw new Error('the federation has not been started');
    return this.#watch;
  }

  onEvent(listener: (name: string, event: PartyEvent) => void): void {
    this.#onEvent = listener;
  }

  #args(name: string): string[] {
    const { role } = this.local.cards.find((card) => card.name === name)!;
    const dir = ['--dir', this.local.path(name)];
    if (role === 'coordinator') return ['coordinator', ...dir, '--http', '127.0.0.1:0', '--ready-wait', '1500'];
    if (role === 'aggregator') return ['aggregator', ...dir, '--state', this.aggregatorState, '--keep-blobs'];
    if (role === 'node') return ['node', 'run', ...dir];
    if (role === 'recipient') return ['recipient', 'run', ...dir];
    return [role, ...dir];
  }

  /** Starts a party, or starts it again after it was killed. */
  async run(name: string): Promise<void> {
    const file = join(this.local.folder, 'output', `${name}.log`);
    const process =
      this.processes.get(name) ??
      new PartyProcess(name, this.#args(name), file, (from, event) => this.#event(from, event));
    this.processes.set(name, process);
    await process.start();
    this.started.push({ name, pid: process.pid });
  }

  #event(name: string, event: PartyEvent): void {
    if (event.event === 'serving http') this.url = String(event['url']);
    this.#onEvent(name, event);
  }

  /** The parties that keep the log alive: they must run before anybody can be enrolled. */
  async start(policy: Policy, print: (line: string) => void): Promise<void> {
    const names = this.local.cards.map((card) => card.name);
    const keepers = names.filter((name) => /^(member|witness)-/.test(name));
    print(`Starting ${names.length} processes …`);
    await this.#runAll(['coordinator', ...keepers], print);
    this.#watch = await Watch.start(this.local, join(this.local.folder, 'founders', 'officer'), policy);
  }

  async startWorkers(nodes: readonly string[], print: (line: string) => void): Promise<void> {
    await this.#runAll(['aggregator-1', 'aggregator-2', 'model-owner', ...nodes], print);
  }

  async #runAll(names: readonly string[], print: (line: string) => void): Promise<void> {
    const all = this.local.cards.length;
    await Promise.all(
      names.map(async (name) => {
        await this.run(name);
        print(`  ${String(this.started.length).padStart(2)} of ${all}: ${name}`);
      }),
    );
  }

  /** Waits until nodes have read the log up to the first model: the clock of round 1 runs for who is ready. */
  async allCaughtUp(names: readonly string[]): Promise<void> {
    const { log } = this.watch;
    await log.until((t) => t.models.length > 0, AbortSignal.timeout(READY_MS));
    const wanted = BigInt(log.head!.size);
    for (const name of names) {
      const { address, tlsKeySha256 } = this.local.cards.find((card) => card.name === name)!;
      const node = new Connection({ address, tls: this.watch.tls, expected: { pins: [tlsKeySha256], role: 'node' } });
      for (const end = performance.now() + READY_MS; performance.now() < end; ) {
        const seen = await node.callOnce(PartyService.status, {}, READY_MS).catch(() => null);
        if (seen !== null && seen.logSize >= wanted) break;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      node.close();
    }
  }

  async stop(): Promise<void> {
    await this.#watch?.log.stop();
    const late = ['coordinator'];
    const others = [...this.processes.values()].filter((process) => !late.includes(process.name));
    await Promise.all(others.map((process) => process.stop()));
    await Promise.all([...this.processes.values()].map((process) => process.stop()));
  }
}
