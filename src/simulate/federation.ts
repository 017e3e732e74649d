import { toHex } from '../../crypto/encoding.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { decisionOf, findParty, isOver, isRunning, isWithdrawn } from '../../protocols/transcript.ts';
import { AggregatorProcess } from './aggregator-process.ts';
import { SPARE } from './changes.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { CorruptAggregator } from './corrupt-aggregator.ts';
import { CorruptCoordinator } from './corrupt-coordinator.ts';
import { CorruptMember, CorruptWitness } from './corrupt-member.ts';
import { CorruptNode, SINKING } from './corrupt-node.ts';
import { CorruptRecipient } from './corrupt-recipient.ts';
import type { Corruption } from './corruption.ts';
import { Disk, ROUNDS } from './disk.ts';
import { BRANCH, branch, Fork } from './fork.ts';
import { FounderProcess } from './founder-process.ts';
import type { Founding } from './founding.ts';
import { judgeLog } from './log-judge.ts';
import { MemberProcess } from './member-process.ts';
import { Network } from './network.ts';
import { NodeProcess } from './node-process.ts';
import { OfficerProcess } from './officer-process.ts';
import type { Process } from './process.ts';
import { ReaderProcess, type Setting } from './reader-process.ts';
import { RecipientProcess } from './recipient-process.ts';
import type { Scenario } from './scenario.ts';
import { Truth, Violation } from './truth.ts';
import { WitnessProcess } from './witness-process.ts';
import type { World } from './world.ts';

/** From the end of the faults: what has not ended by then never will. Longer than all patience together. */
const PATIENCE_MS = 400_000;
/** From the last round's end: everybody reads it and wipes. */
const WIPE_MS = 12_000;
/** From the end of the faults, where the coordinator is corrupt: nothing need end. */
const CORRUPT_MS = 45_000;

function corruptNames(founding: Founding, corruption: Corruption): Set<string> {
  const of = (names: readonly string[], numbers: Iterable<number>): string[] => [...numbers].map((i) => names[i]!);
  return new Set([
    ...of(founding.nodes, corruption.nodes.keys()),
    ...of(founding.members, corruption.members.keys()),
    ...of(founding.witnesses, corruption.witnesses),
    ...of(founding.aggregators, corruption.aggregators.keys()),
    ...of(founding.recipients, corruption.recipients.keys()),
    ...(corruption.coordinator === null ? [] : ['coordinator', BRANCH]),
  ]);
}

/** All parties of one run, the faults that hit them, and what must hold in the end. */
export class Federation {
  readonly world: World;
  readonly founding: Founding;
  readonly scenario: Scenario;
  readonly truth: Truth;
  readonly coordinator: CoordinatorProcess;
  readonly nodes: readonly NodeProcess[];
  readonly members: readonly MemberProcess[];
  readonly recipients: readonly RecipientProcess[];
  readonly officer: OfficerProcess;
  readonly founder: FounderProcess;
  readonly #processes = new Map<string, Process>();
  readonly #network: Network;
  #fork: Fork | null = null;
  readonly #backups = new Map<string, ReadonlyMap<string, unknown>>();

  constructor(world: World, founding: Founding, scenario: Scenario) {
    this.world = world;
    this.founding = founding;
    this.scenario = scenario;
    this.truth = new Truth({ corrupt: corruptNames(founding, scenario.corruption), restored: new Set() });
    founding.secrecy.corrupt = this.truth.trust.corrupt;
    this.#network = new Network(world, world.draw.fork('network'), scenario.faults);
    const { nodes, members, witnesses, aggregators, recipients, coordinator, isEager } = scenario.corruption;
    const setting: Setting = {
      world,
      network: this.#network,
      processes: this.#processes,
      secrecy: founding.secrecy,
      founding,
      truth: this.truth,
      coordinator: 'coordinator',
      isLogHonest: coordinator === null,
      route: (from, to) => this.#fork?.route(from, to) ?? to,
    };
    this.coordinator =
      coordinator === null
        ? new CoordinatorProcess(setting, 'coordinator')
        : new CorruptCoordinator(setting, 'coordinator', coordinator, isEager);
    const state = new Disk();
    for (const [i, name] of founding.aggregators.entries()) {
      const trick = aggregators.get(i);
      if (trick === undefined) new AggregatorProcess(setting, name, state.shared(), false);
      else new CorruptAggregator(setting, name, state.shared(), trick);
    }
    for (const [i, name] of founding.witnesses.entries()) {
      if (witnesses.has(i)) new CorruptWitness(setting, name);
      else new WitnessProcess(setting, name);
    }
    this.nodes = founding.nodes.map((name, i) => {
      const trick = nodes.get(i);
      return trick === undefined ? new NodeProcess(setting, name) : new CorruptNode(setting, name, trick);
    });
    const quorum = founding.members.map((name, i) => {
      const trick = members.get(i);
      return trick === undefined ? new MemberProcess(setting, name) : new CorruptMember(setting, name, trick);
    });
    this.members = [...quorum, new MemberProcess(setting, SPARE)];
    this.recipients = founding.recipients.map((name, i) => {
      const trick = recipients.get(i);
      return trick === undefined ? new RecipientProcess(setting, name) : new CorruptRecipient(setting, name, trick);
    });
    this.officer = new OfficerProcess(setting, scenario.requests);
    this.founder = new FounderProcess(setting, scenario.changes);
    for (const process of this.#processes.values()) process.start();
    if (coordinator === 'forks the log') this.#planFork(setting, isEager);
  }

  #planFork(setting: Setting, isEager: boolean): void {
    const draw = this.world.draw.fork('fork');
    this.world.schedule(draw.between(200, 15_000), 'crash', () => {
      const fork = new Fork(draw, this.founding);
      const second = new CorruptCoordinator(setting, BRANCH, 'forks the log', isEager);
      branch(draw, this.coordinator as CorruptCoordinator, second, this.founding.firstLeaves.length);
      this.#fork = fork;
    });
  }

  /** Runs to the end. @throws Violation */
  run(): void {
    const draw = this.world.draw.fork('faults');
    const { faults } = this.scenario;
    const isLive = this.scenario.corruption.coordinator === null;
    const endMs = faults.untilMs + (isLive ? PATIENCE_MS : CORRUPT_MS);
    let quietSince: number | null = null;
    while (this.world.step()) {
      if (this.#network.isFaulty) this.#harm(draw);
      if (this.world.steps % 16 !== 0) continue;
      if (this.world.clock > endMs) {
        if (isLive) throw new Violation('S11', this.#whatRuns());
        break;
      }
      if (this.#isOver()) quietSince ??= this.world.clock;
      else quietSince = null;
      if (quietSince !== null && this.world.clock - quietSince > WIPE_MS) break;
    }
    if (isLive) this.#judge();
    else this.#judgeReaders();
  }

  #harm(draw: ReturnType<World['draw']['fork']>): void {
    const { faults } = this.scenario;
    if (draw.chance(faults.crash)) this.#crash(draw);
    if (draw.chance(faults.partition)) {
      const names = [...this.#processes.keys()];
      this.#network.cut(new Set(draw.some(names, draw.between(1, names.length - 1))), draw.between(200, 8000));
      this.world.say('network', 'partition');
    }
  }

  #crash(draw: ReturnType<World['draw']['fork']>): void {
    const process = draw.pick([...this.#processes.values()]);
    if (!process.isUp || process === this.officer) return;
    const { name } = process;
    process.say('crashes');
    process.crash();
    this.world.counts.crash++;
    const backup = this.#backups.get(name);
    if (backup !== undefined && draw.chance(this.scenario.faults.restore) && this.#mayRestore(name)) {
      process.say('comes back from a backup');
      process.disk.restore(backup);
      this.truth.trust.restored.add(name);
    } else if (draw.chance(0.5)) {
      // Copies of a whole machine are no backups (README of the product), and are made all the same.
      this.#backups.set(name, draw.chance(0.5) ? process.disk.backup() : process.disk.snapshot());
    }
    this.world.schedule(draw.between(50, 4000), 'crash', () => process.start());
  }

  /** Nodes may always; fewer than t members and f witnesses may, corrupt ones counted in. */
  #mayRestore(name: string): boolean {
    const { corrupt, restored } = this.truth.trust;
    if (this.founding.nodes.includes(name)) return true;
    if (!this.founding.members.includes(name) && !this.founding.witnesses.includes(name)) return false;
    const quorum = [...this.founding.members, ...this.founding.witnesses];
    const holders = new Set([...corrupt, ...restored].filter((other) => quorum.includes(other)));
    return holders.add(name).size < this.founding.sizes.threshold;
  }

  /** Everything asked for has ended, or can never begin. */
  #isOver(): boolean {
    if (this.#network.isFaulty || !this.officer.isDone || !this.founder.isDone || !this.coordinator.isUp) return false;
    const t = this.coordinator.transcript;
    for (const announce of t.announces.values())
      if (announce.openedAs === null && !isWithdrawn(t, announce)) return false;
    for (const round of t.rounds.values()) {
      if (isRunning(round)) return false;
      if (round.phase === 'released' && round.releasedBy.length < this.founding.recipients.length) {
        // A second recipient may have nothing to open with: it came back without its key.
        if (!this.founding.recipients.some((name) => this.truth.trust.restored.has(name))) continue;
      }
    }
    return true;
  }

  #whatRuns(): string {
    const t = this.coordinator.transcript;
    const running = [...t.rounds.values()].filter(isRunning).map((r) => `round ${r.record.number} is ${r.phase}`);
    const closed = [...t.announces.values()]
      .filter((a) => a.openedAs === null && !isWithdrawn(t, a))
      .map((a) => `round ${a.number} never opened`);
    return [
      ...running,
      ...closed,
      this.officer.isDone ? '' : 'an officer waits',
      this.founder.isDone ? '' : 'a change waits',
    ].join(', ');
  }

  /** Under a corrupt coordinator nothing must end; but what honest parties took in must be right. */
  #judgeReaders(): void {
    const readers = [...this.#processes.values()].filter((process) => process instanceof ReaderProcess);
    const honest = readers.filter(({ name }) => this.truth.isHonest(name)).map(({ taken }) => taken);
    const longest = honest.reduce((a, b) => (a.length >= b.length ? a : b), []);
    if (longest.length > 0)
      judgeLog(this.founding.kit.primitives, this.founding.genesis, this.truth.approvals, longest);
  }

  #judge(): void {
    const { primitives: p } = this.founding.kit;
    const leaves = this.coordinator.durable;
    for (const [index, hash] of this.truth.acknowledged) {
      const leaf = leaves[index];
      if (leaf === undefined || toHex(leafHash(p, leaf)) !== hash) throw new Violation('S7', `leaf ${index} is gone`);
    }
    judgeLog(p, this.founding.genesis, this.truth.approvals, leaves);
    const t = this.coordinator.transcript;
    const decided = [...t.rounds.values()].filter((round) => decisionOf(round) !== null);
    const charged = decided.reduce((sum, round) => sum + round.record.charge.rhoNano, 0);
    if (t.ledger.spentRhoNano !== charged) {
      throw new Violation('S9', `${t.ledger.spentRhoNano} of ${charged} nano-rho are in the ledger`);
    }
    this.#judgeResults();
    this.#judgeSecrets();
  }

  #judgeResults(): void {
    const { restored } = this.truth.trust;
    const { nodes, aggregators, recipients } = this.scenario.corruption;
    const t = this.coordinator.transcript;
    for (const round of t.rounds.values()) {
      if (round.phase === 'released' && !this.truth.opened.has(round.id)) {
        throw new Violation('S1', `round ${round.record.number} has a result that nobody opened`);
      }
      if (round.phase !== 'aborted' || round.decision === null) continue;
      const isRevoked = (name: string): boolean => findParty(t, name)?.revoked !== false;
      const ready = [...round.decision.attempt.ready].filter((name) => this.truth.isFaithful(name) && !isRevoked(name));
      const isSunk = [...nodes.values()].some((trick) => SINKING.has(trick)) || aggregators.size + recipients.size > 0;
      const isExcused = isSunk || this.founding.recipients.some((name) => restored.has(name) || isRevoked(name));
      if (ready.length >= this.founding.sizes.threshold && !isExcused) {
        throw new Violation('S12', `round ${round.record.number} was aborted: ${round.reason}`);
      }
    }
  }

  #judgeSecrets(): void {
    for (const process of [...this.nodes, ...this.members, ...this.recipients]) {
      if (!(process instanceof ReaderProcess) || !this.truth.isHonest(process.name)) continue;
      const isRevoked = findParty(this.coordinator.transcript, process.name)?.revoked === true;
      if (isRevoked && process.disk.keys(ROUNDS).length > 0)
        throw new Violation('S10', `${process.name} was revoked and holds secrets of rounds`);
      for (const announce of process.t.announces.values()) {
        if (isWithdrawn(process.t, announce) && process.holds(announce.hash)) {
          throw new Violation('S10', `${process.name} still holds its key of round ${announce.number}`);
        }
      }
      for (const round of process.t.rounds.values()) {
        if (!isOver(process.t, round)) continue;
        if (process.holds(round.id) || process.holds(round.record.announce)) {
          throw new Violation('S10', `${process.name} still holds those of round ${round.record.number}`);
        }
      }
    }
  }

  /** What came of it, in words that do not depend on keys: equal for toy and real primitives. */
  get outcome(): string[] {
    return [...this.coordinator.transcript.rounds.values()].map((round) => {
      const last = round.attempts.at(-1);
      const cohort = last?.cohort.map((upload) => upload.node).join(' ') ?? '';
      const opened = this.truth.opened.get(round.id);
      const values = opened === undefined ? '' : [...opened.values].join('');
      const why = round.phase === 'aborted' ? round.reason : '';
      const liars = round.phase === 'released' ? round.liars.join(' ') : '';
      return `${round.record.number} ${round.phase} ${why} ${round.attempts.length} [${cohort}] ${values} (${liars})`;
    });
  }
}
