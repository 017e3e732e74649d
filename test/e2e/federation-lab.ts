import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalBytes, fromBase64, fromHex, type Json, toHex } from '../../crypto/encoding.ts';
import type { Policy } from '../../crypto/policy.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round, Transcript } from '../../protocols/transcript.ts';
import { foundLocally, type LocalFederation } from '../../src/demo/local-federation.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { download } from '../../src/grpc/download.ts';
import { ResultService, RoundService } from '../../src/grpc/services.ts';
import type { OutsideWitness } from '../../src/keys/outside-witness.ts';
import type { RunningCoordinator } from '../../src/party/coordinator.ts';
import { LogReader } from '../../src/party/log-reader.ts';
import type { Running } from '../../src/party/running.ts';
import { nodePrimitives as primitives } from '../../src/platform/primitives-node.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';
import type { TlsRole } from '../../src/tls/identity.ts';
import { BASE_TASK } from '../reference/base-task.ts';
import { COMPILED } from './compile-cache.ts';
import { type PartySetting, runParty } from './lab-parties.ts';

export interface LabRequest {
  readonly nodes: readonly string[];
  readonly members?: number;
  readonly threshold?: number;
  readonly task?: Partial<Task>;
  readonly policy?: Partial<SitePolicy>;
  readonly coordinator?: PartySetting['coordinator'];
  readonly outsideWitnesses?: readonly OutsideWitness[];
  /** Parties that the test starts itself, or not at all. */
  readonly absent?: readonly string[];
}

/** A party in a process of its own, which a kill point may end. */
export interface Child {
  readonly process: ChildProcess;
  /** The signal that ended it. */
  readonly ended: Promise<string | null>;
}

/**
 * A whole small federation over real gRPC and mutual TLS on loopback: founded, enrolled, running in this process, any
 * party of it movable to a process of its own. Reads the log as an outside observer under the cosigned heads.
 */
export class FederationLab implements AsyncDisposable {
  readonly folder: string;
  readonly local: LocalFederation;
  readonly request: LabRequest;
  readonly tasks: readonly Task[];
  readonly policy: SitePolicy;
  readonly origin: string;
  /** Log and witness keys, as every party of the federation has them. */
  readonly logPolicy: Policy;
  readonly officer: Connection;
  readonly officerTls: TlsIdentity;
  readonly log: LogReader;
  /** What the parties of this process said, parsed. */
  readonly events: { party: string; event: string; code?: string; [field: string]: unknown }[] = [];
  readonly #running = new Map<string, Running>();
  readonly #children = new Set<Child>();
  readonly #write = process.stderr.write.bind(process.stderr);
  #opened = 0;

  private constructor(folder: string, local: LocalFederation, request: LabRequest, officerTls: TlsIdentity) {
    this.folder = folder;
    this.local = local;
    this.request = request;
    this.officerTls = officerTls;
    const base = { ...BASE_TASK, ...request.task };
    this.tasks = ['w1', 'w2', 'w3', 'w4', 'w5', 'w6'].map((window) => ({ ...base, window }));
    this.policy = {
      genesis: local.federation.genesisHash,
      tasks: [base.task],
      recipients: ['owner'],
      minCohort: 2,
      minOrganisations: 2,
      minHonest: 2,
      largestSharePercent: 60,
      budgetRhoNano: 1_000_000_000,
      allowCheckSums: false,
      ...request.policy,
    };
    this.officer = this.connect('officer', 'coordinator');
    const genesis = parseVerifiedGenesis(primitives, fromBase64(local.federation.genesis));
    if (isRejection(genesis)) throw new Error(genesis.why);
    this.origin = genesis.origin;
    this.logPolicy = policyOf(primitives, genesis);
    this.log = new LogReader({
      primitives,
      policy: this.logPolicy,
      genesisHash: local.federation.genesisHash,
      coordinator: this.officer,
      records: null,
      say: () => {},
    });
    process.stderr.write = ((chunk: string | Uint8Array, ...rest: never[]): boolean => {
      const text = typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk);
      if (!text.startsWith('{"time":')) return this.#write(chunk, ...rest);
      this.events.push(JSON.parse(text));
      if (process.env.LAB_TRACE) this.#write(text);
      return true;
    }) as typeof process.stderr.write;
  }

  static async start(request: LabRequest): Promise<FederationLab> {
    const folder = mkdtempSync(join(tmpdir(), 'veilsum-lab-'));
    const several = (count: number, name: string, role: 'member' | 'witness' | 'aggregator') =>
      Array.from({ length: count }, (_, i) => {
        return { name: `${name}-${i + 1}`, role, organisation: `${name}-${i + 1}`, region: 'eu' };
      });
    const local = await foundLocally({
      folder,
      origin: 'lab.veilsum.example/log',
      parties: [
        { name: 'coordinator', role: 'coordinator', organisation: 'hub', region: 'eu' },
        ...several(2, 'aggregator', 'aggregator'),
        ...several(request.members ?? 3, 'member', 'member'),
        ...several(3, 'witness', 'witness'),
        { name: 'owner', role: 'recipient', organisation: 'hub', region: 'eu' },
        ...request.nodes.map((name) => ({ name, role: 'node' as const, organisation: name, region: 'eu' })),
      ],
      ...(request.outsideWitnesses === undefined ? {} : { outsideWitnesses: request.outsideWitnesses }),
      threshold: request.threshold ?? 2,
      minimums: { cohort: 2, organisations: 2, honest: 2 },
      budget: { unit: 'record', rhoNano: 1_000_000_000, epsilonMicro: 100_000_000, deltaExponent: 5 },
    });
    const officerTls = await loadTlsIdentity(join(folder, 'founders', 'officer'));
    const lab = new FederationLab(folder, local, request, officerTls);
    const names = local.cards.map((card) => card.name).filter((name) => !request.absent?.includes(name));
    const early = names.filter((name) => /^(member|witness)-/.test(name));
    await Promise.all(early.map((name) => lab.run(name)));
    if (!names.includes('coordinator')) return lab;
    const coordinator = (await lab.run('coordinator')) as RunningCoordinator;
    for (const leaf of local.enrolments) await coordinator.keeper.append(leaf);
    lab.log.start();
    await Promise.all(
      names.filter((name) => name !== 'coordinator' && !early.includes(name)).map((name) => lab.run(name)),
    );
    return lab;
  }

  /** The coordinator, where it runs in this process. */
  get coordinator(): RunningCoordinator {
    return this.#running.get('coordinator') as RunningCoordinator;
  }

  path(name: string): string {
    return this.local.path(name);
  }

  setting(name: string): PartySetting {
    const card = this.local.cards.find((c) => c.name === name)!;
    const { coordinator } = this.request;
    return {
      name,
      role: card.role,
      folder: this.path(name),
      stateFolder: join(this.folder, 'aggregators'),
      tasks: this.tasks,
      policy: this.policy,
      ...(coordinator === undefined ? {} : { coordinator }),
    };
  }

  async run(name: string): Promise<Running> {
    const running = await runParty(this.setting(name));
    this.#running.set(name, running);
    return running;
  }

  async stop(name: string): Promise<void> {
    const running = this.#running.get(name);
    this.#running.delete(name);
    await running?.stop();
  }

  /**
   * Starts a party in a process of its own.
   *
   * @param killAt - where SIGKILL ends it (lab-child.ts).
   * @param sources - root of the checkout whose program it runs; default: this one's.
   */
  async spawn(name: string, killAt = '', sources = join(import.meta.dirname, '../..')): Promise<Child> {
    const script = join(sources, 'test/e2e/lab-child.ts');
    const flags = ['--disable-warning=ExperimentalWarning', script, JSON.stringify(this.setting(name)), killAt];
    const child = spawn(process.execPath, flags, { stdio: ['ignore', 'ignore', 'pipe'], env: COMPILED });
    const ended = new Promise<string | null>((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
    const entry: Child = { process: child, ended };
    this.#children.add(entry);
    let text = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (data: Buffer) => {
        if (process.env.LAB_TRACE) this.#write(data);
        text += data.toString();
        if (text.includes('"listening"')) resolve();
      });
      void ended.then(() => reject(new Error(`${name} ended early: ${text}`)));
    });
    return entry;
  }

  tlsOf(name: string): Promise<TlsIdentity> {
    return loadTlsIdentity(join(this.path(name), 'tls'));
  }

  /** A connection to a party, as another one. */
  connect(from: TlsIdentity | 'officer', to: string): Connection {
    const { address, tlsKeySha256, role } = this.local.cards.find((card) => card.name === to)!;
    const tls = from === 'officer' ? this.officerTls : from;
    return new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: role as TlsRole } });
  }

  /** Opens the next round as the officer does. @returns its id. */
  async open(window = 0): Promise<string> {
    const released = (t: Transcript): number => [...t.rounds.values()].filter((r) => r.phase === 'released').length;
    const made = (t: Transcript): number => t.models.filter(({ restores }) => restores === undefined).length;
    await this.log.until((t) => made(t) === released(t) + 1);
    const task = canonicalBytes(this.tasks[window] as unknown as Json);
    const requestId = new Uint8Array(16).fill(++this.#opened);
    const { roundId } = await this.officer.call(RoundService.open, { task, requestId }, { deadlineMs: 70_000 });
    await this.log.until((t) => t.rounds.get(toHex(roundId)));
    return toHex(roundId);
  }

  round(id: string): Round {
    return this.log.transcript.rounds.get(id)!;
  }

  /** Waits until a round satisfies something. */
  async until<R>(id: string, condition: (round: Round) => R | null | false | undefined, ms = 150_000): Promise<R> {
    return this.log.until((t) => condition(t.rounds.get(id)!), AbortSignal.timeout(ms));
  }

  /** Waits for a round's end. @returns 'released' or the abort's reason. */
  async end(id: string): Promise<string> {
    return this.until(id, (r) => (r.phase === 'released' ? 'released' : r.phase === 'aborted' ? r.reason : null));
  }

  /** The opened sum, as the recipient's own command line fetches it; asked for so often where there is none. */
  async result(id: string, attempts = 8): Promise<Int32Array> {
    const chunks: Uint8Array[] = [];
    const connection = this.connect(await this.tlsOf('owner'), 'owner');
    const request = (offsetBytes: bigint) => ({ roundId: fromHex(id, 32), offsetBytes });
    await download([connection], ResultService.fetch, request, (chunk) => void chunks.push(Uint8Array.from(chunk)), {
      maxBytes: 1 << 26,
      attempts,
    });
    connection.close();
    return new Int32Array(Uint8Array.from(Buffer.concat(chunks)).buffer);
  }

  /** All bytes of all files of a party, or of the whole federation. */
  files(folder = this.folder): Map<string, Buffer> {
    const found = new Map<string, Buffer>();
    for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) found.set(path, readFileSync(path));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: child } of this.#children) child.kill('SIGKILL');
    await Promise.all([...this.#children].map((child) => child.ended));
    await this.log.stop();
    const coordinatorLast = [...this.#running.keys()].reverse();
    await Promise.all(coordinatorLast.map((name) => this.stop(name)));
    process.stderr.write = this.#write;
    this.officer.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
