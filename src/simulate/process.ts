import { CryptoError } from '../../crypto/errors.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import { Disk, ROUNDS, type Writes } from './disk.ts';
import type { Method, Request, Response } from './messages.ts';
import { CallFailed, type Network } from './network.ts';
import type { Secrecy } from './secrecy.ts';
import { Latch, type Task, taskOf, type Wait } from './task.ts';
import type { Scheduled, World } from './world.ts';

export { Latch, type Task };

export type Services = {
  readonly [M in Method]?: (request: Request<M>, peer: string) => Task<Response<M>> | Response<M>;
};

/** What all processes of a run share. */
export interface Machines {
  readonly world: World;
  readonly network: Network;
  readonly processes: Map<string, Process>;
  /** Searches what leaves a party, and what it keeps. */
  readonly secrecy: Secrecy;
  /** Who is reached under a name: two different ones where a log is forked. */
  readonly route: (from: string, to: string) => string;
}

/** Duration of a durable write, in ms: at most. */
const WRITE_MS = 4;
const SLOW_WRITE_MS = 400;
/** How long one replica may take: `REPLICA_MS` of src/party/fetch.ts. */
export const REPLICA_MS = 5000;
const PAUSES_MS = [50, 100, 200, 500, 1000, 2000, 5000];

/**
 * One party's process: tasks, a disk, calls to others. A crash drops every task at the wait where it is; `start` begins
 * again with what is on the disk.
 */
export abstract class Process {
  readonly name: string;
  readonly disk: Disk;
  readonly machines: Machines;
  isUp = false;
  #epoch = 0;
  #dutySleep: (() => void) | null = null;
  #isPoked = false;
  /** Calls that this process is serving: their callers hear that the connection broke. */
  readonly #serving = new Set<(error: CallFailed) => void>();

  constructor(machines: Machines, name: string, disk = new Disk()) {
    this.machines = machines;
    this.name = name;
    this.disk = disk;
    machines.processes.set(name, this);
  }

  abstract readonly services: Services;
  /** A fresh process: memory empty, everything else from the disk. */
  protected abstract begin(): void;

  get world(): World {
    return this.machines.world;
  }

  say(what: string): void {
    this.machines.secrecy.searchText(`an event of ${this.name}`, what);
    this.world.say(this.name, what);
  }

  start(): void {
    this.isUp = true;
    this.#dutySleep = null;
    this.#isPoked = false;
    this.begin();
  }

  crash(): void {
    this.isUp = false;
    this.#epoch++;
    this.disk.crash(this.world.draw);
    const broken = [...this.#serving];
    this.#serving.clear();
    for (const hear of broken) hear(new CallFailed('UNAVAILABLE'));
  }

  /** Runs a task until it waits. */
  spawn(task: Task<unknown>, done: (value: unknown) => void = () => {}, failed?: (error: unknown) => void): void {
    const epoch = this.#epoch;
    const resume = (value: unknown, error?: unknown): void => {
      if (epoch !== this.#epoch) return;
      this.machines.secrecy.actor = this.name;
      let next: IteratorResult<Wait, unknown>;
      try {
        next = error === undefined ? task.next(value) : task.throw(error);
      } catch (thrown) {
        if (failed === undefined) throw thrown;
        failed(thrown);
        return;
      }
      if (next.done === true) done(next.value);
      else this.#wait(next.value, resume);
    };
    resume(undefined);
  }

  #wait(wait: Wait, resume: (value: unknown, error?: unknown) => void): void {
    const { world } = this;
    if (wait.on === 'call') this.#call(wait, resume);
    else if (wait.on === 'write') {
      this.#searchWrites(wait.writes);
      this.disk.begin(wait.writes);
      const isSlow = this.machines.network.isFaulty && world.draw.chance(0.05);
      world.schedule(world.draw.below(isSlow ? SLOW_WRITE_MS : WRITE_MS), 'write', () => {
        if (this.disk.finish(wait.writes)) resume(undefined);
      });
    } else if (wait.on === 'latch') {
      const { latch } = wait;
      const wake = (): void => void world.schedule(0, 'duty', () => resume(undefined));
      if (latch.isOpen) wake();
      else latch.waiting.add(wake);
    } else if (!wait.isPoked) world.schedule(wait.ms, 'timer', () => resume(undefined));
    else if (this.#isPoked) world.schedule(0, 'duty', () => resume(undefined));
    else {
      const timer = world.schedule(wait.ms, 'timer', () => {
        this.#dutySleep = null;
        resume(undefined);
      });
      this.#dutySleep = () => {
        this.#dutySleep = null;
        timer.cancel();
        world.schedule(0, 'duty', () => resume(undefined));
      };
    }
  }

  /** Secrets of a running round have a folder of their own, which is wiped when it ends. */
  #searchWrites(writes: Writes): void {
    for (const [key, value] of writes)
      if (!key.startsWith(ROUNDS)) this.machines.secrecy.search(`${key} on the disk of ${this.name}`, value);
  }

  #call(wait: Extract<Wait, { on: 'call' }>, resume: (value: unknown, error?: unknown) => void): void {
    const { world, network, processes, route, secrecy } = this.machines;
    secrecy.search(`${wait.method} from ${this.name} to ${wait.to}`, wait.request);
    let isAnswered = false;
    let timer: Scheduled | null = null;
    const answer = (value: unknown, error?: CallFailed): void => {
      if (isAnswered) return;
      isAnswered = true;
      timer?.cancel();
      resume(value, error);
    };
    timer = world.schedule(wait.ms, 'timer', () => answer(undefined, new CallFailed('DEADLINE')));
    const to = route(this.name, wait.to);
    network.send(this.name, to, true, () => {
      const server = processes.get(to);
      const reply = (value: unknown, error?: CallFailed): void => {
        secrecy.search(`the answer to ${wait.method} from ${to} to ${this.name}`, value);
        network.send(to, this.name, false, () => answer(value, error));
      };
      if (server?.isUp !== true) reply(undefined, new CallFailed('UNAVAILABLE'));
      else server.serve(wait.method, wait.request, this.name, reply);
    });
  }

  serve(method: Method, request: unknown, peer: string, reply: (value: unknown, error?: CallFailed) => void): void {
    const handler = this.services[method] as ((request: unknown, peer: string) => unknown) | undefined;
    if (handler === undefined) {
      reply(undefined, new CallFailed('UNKNOWN_KIND', '', true));
      return;
    }
    const broken = (error: CallFailed): void => reply(undefined, error);
    this.#serving.add(broken);
    this.spawn(
      taskOf(() => handler.call(this, request, peer)),
      (value) => {
        this.#serving.delete(broken);
        reply(value);
      },
      (error) => {
        this.#serving.delete(broken);
        const { code } = asFailure(error);
        reply(undefined, new CallFailed(code, '', true));
      },
    );
  }

  *call<M extends Method>(to: string, method: M, request: Request<M>, ms = 5000): Task<Response<M>> {
    return (yield { on: 'call', to, method, request, ms }) as Response<M>;
  }

  *write(writes: Writes): Task {
    yield { on: 'write', writes };
  }

  *sleep(ms: number): Task {
    yield { on: 'sleep', ms, isPoked: false };
  }

  *waitFor(latch: Latch): Task {
    yield { on: 'latch', latch };
  }

  /** Something changed: the duty loop looks again now. */
  poke(): void {
    this.#isPoked = true;
    this.#dutySleep?.();
  }

  /** Whether its own state may contradict what it said before: it is corrupt, or came back from a backup. */
  protected get isMistaken(): boolean {
    return false;
  }

  #failureOf(error: unknown): CallFailed {
    if (this.isMistaken && error instanceof CryptoError) return new CallFailed('FAULT', error.message);
    return asFailure(error);
  }

  /** Mirrors `DutyLoop` of src/party/duty-loop.ts. */
  *dutyLoop(everyMs: number, next: () => Task<boolean>): Task {
    for (let failures = 0; ; ) {
      this.#isPoked = false;
      let again = false;
      try {
        again = yield* next();
        failures = 0;
      } catch (error) {
        this.say(`duty failed: ${this.#failureOf(error).message}`);
        failures++;
      }
      if (again) continue;
      // After a failure only what happens from now on wakes it early.
      if (failures > 0) this.#isPoked = false;
      const ms = failures > 0 ? PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1]! : everyMs;
      if (!this.#isPoked) yield { on: 'sleep', ms, isPoked: true };
    }
  }

  /** Mirrors `firstPossible` of src/party/duty-loop.ts. */
  *firstPossible<T>(duties: Iterable<T>, perform: (duty: T) => Task): Task<boolean> {
    let failure: unknown;
    for (const duty of duties) {
      try {
        yield* perform(duty);
        return true;
      } catch (error) {
        failure = this.#failureOf(error);
      }
    }
    if (failure !== undefined) throw failure;
    return false;
  }
}

/** What a caller hears of an error. Anything but a refusal or a lost call is a fault of the code and ends the run. */
export function asFailure(error: unknown): CallFailed {
  if (error instanceof CallFailed) return error;
  if (error instanceof ProtocolError) return new CallFailed(error.code, error.message);
  throw error;
}

/** @throws CallFailed with the rule's code where a step refused. */
export function accepted<T extends object>(value: T | Rejection): T {
  if (isRejection(value)) throw new CallFailed(value.rejected, value.why);
  return value;
}
