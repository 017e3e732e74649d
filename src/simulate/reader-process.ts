import { bytesEqual } from '../../crypto/encoding.ts';
import { Frontier, leafHash } from '../../crypto/merkle.ts';
import { isRejection } from '../../protocols/errors.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { advance, newReader, type Reader } from '../../protocols/reader.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { AskingProcess } from './asking-process.ts';
import { type Disk, ROUNDS } from './disk.ts';
import type { Founding } from './founding.ts';
import type { Response } from './messages.ts';
import { CallFailed } from './network.ts';
import { asFailure, Latch, type Machines, type Task } from './process.ts';
import type { Replica } from './replicas.ts';
import { type Truth, Violation } from './truth.ts';

/** What every process of a federation is given. */
export interface Setting extends Machines {
  readonly founding: Founding;
  readonly truth: Truth;
  /** Where the log is read and leaves go: `coordinator`, or what stands in its place. */
  readonly coordinator: string;
  /** Whether the log is run by an honest coordinator. */
  readonly isLogHonest: boolean;
}

const HEAD = 'log-reader/head';
const KEEP_EVERY_MS = 1000;
const FOLLOW_MS = 10_000;

/**
 * A party that reads the log and does duties. Mirrors `LogReader` (src/party/log-reader.ts) and `runDuties`
 * (src/party/party.ts): it acts only on what `advance` took in, and only once it has caught up with the head it kept.
 */
export abstract class ReaderProcess extends AskingProcess {
  readonly setting: Setting;
  protected reader!: Reader;
  /** The aggregators, as this process knows them. */
  replicas: readonly Replica[] = [];
  /** Every leaf that was taken in. */
  taken: Uint8Array[] = [];
  readonly #keepsHead: boolean;
  #seen: { readonly size: number; readonly root: Uint8Array } | null = null;
  #keptAt = Number.NEGATIVE_INFINITY;
  #stopped = false;
  #isRevoked = false;
  /** Who waits for the next head. */
  #heads = new Set<Latch>();

  constructor(setting: Setting, name: string, disk?: Disk, keepsHead = true) {
    super(setting, name, disk);
    this.setting = setting;
    this.#keepsHead = keepsHead;
  }

  get t(): Transcript {
    return this.reader.transcript;
  }

  get head(): NonNullable<Reader['head']> {
    return this.reader.head!;
  }

  get founding(): Founding {
    return this.setting.founding;
  }

  get primitives() {
    return this.founding.kit.primitives;
  }

  protected override get isMistaken(): boolean {
    return !this.setting.truth.isFaithful(this.name);
  }

  /** One duty; false when there is none. */
  protected abstract act(): Task<boolean>;

  protected begin(): void {
    this.reader = newReader(this.primitives, this.founding.policy);
    this.taken = [];
    this.replicas = this.founding.aggregators.map((name) => ({ name }));
    this.#seen = this.disk.get(HEAD) ?? null;
    this.#keptAt = Number.NEGATIVE_INFINITY;
    this.#stopped = false;
    this.#isRevoked = false;
    this.#heads = new Set();
    this.spawn(this.#follow());
    const ready = this;
    this.spawn(
      this.dutyLoop(1000, function* () {
        if (!ready.#stopped) return ready.#isCaughtUp && (yield* ready.act());
        // Between duties, as src/party/party.ts has it: one that is under way would write after it.
        if (ready.#isRevoked) yield* ready.#wipe();
        return false;
      }),
    );
  }

  get #isCaughtUp(): boolean {
    return this.reader.head !== null && this.reader.head.size >= (this.#seen?.size ?? 0);
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  leaf<K extends Kind>(kind: K, body: Body<K>): Uint8Array {
    return this.founding.leaf(this.name, kind, body, this.world.clock);
  }

  *append(leaf: Uint8Array): Task<number> {
    return yield* this.call(this.setting.coordinator, 'append', leaf, 5000);
  }

  /** Waits until the log says so, or for so long. */
  *untilHead(isSo: (t: Transcript) => boolean, ms: number): Task {
    const end = this.world.clock + ms;
    while (!isSo(this.t) && this.world.clock < end) yield* this.#nextHead(end);
  }

  *#nextHead(end: number): Task {
    const latch = new Latch();
    this.#heads.add(latch);
    const timer = this.world.schedule(end - this.world.clock, 'timer', () => latch.open());
    yield* this.waitFor(latch);
    timer.cancel();
    this.#heads.delete(latch);
  }

  /** Waits until the log says something, at most so long. Mirrors `until` of src/party/aggregator.ts. */
  *until<T extends object | string>(find: (t: Transcript) => T | null | undefined, missing: CallFailed): Task<T> {
    const end = this.world.clock + 3000;
    for (;;) {
      const found = find(this.t);
      if (found !== null && found !== undefined) return found;
      if (this.world.clock >= end) throw missing;
      yield* this.#nextHead(end);
    }
  }

  *#follow(): Task {
    for (;;) {
      try {
        const from = this.reader.transcript.size;
        const request = { from, shown: this.reader.head?.size ?? -1 };
        const run = yield* this.call(this.setting.coordinator, 'follow', request, FOLLOW_MS);
        if (run.note !== null) yield* this.#take(run);
      } catch (error) {
        const { code } = asFailure(error);
        if (code === 'REVOKED') return this.#leave();
        if (code !== 'DEADLINE' && code !== 'UNAVAILABLE') return this.#stop(code);
        yield* this.sleep(100);
      }
    }
  }

  /** Mirrors `wipeIfRevoked` of src/party/revoked.ts: whoever is told so never reads how its rounds end. */
  #leave(): void {
    this.#stopped = true;
    this.#isRevoked = true;
    this.say('was revoked');
    this.poke();
  }

  *#wipe(): Task {
    this.#isRevoked = false;
    yield* this.write(this.disk.keys(ROUNDS).map((key) => [key, null]));
  }

  #stop(code: string): void {
    this.#stopped = true;
    this.say(`log refused: ${code}`);
    if (this.setting.isLogHonest) throw new Violation('S13', `${this.name} refuses it: ${code}`);
  }

  *#take({ leaves, note }: Response<'follow'>): Task {
    this.#checkSeen(leaves);
    const next = advance(this.primitives, this.reader, leaves, note!);
    if (isRejection(next)) throw new CallFailed(next.rejected, next.why);
    this.reader = next;
    this.setting.truth.took(this.name, this.taken.length, leaves);
    this.taken.push(...leaves);
    if (this.#keepsHead && this.#isCaughtUp && this.world.clock - this.#keptAt >= KEEP_EVERY_MS) {
      this.#keptAt = this.world.clock;
      yield* this.write([[HEAD, { size: this.head.size, root: this.head.root.slice() }]]);
    }
    for (const latch of [...this.#heads]) latch.open();
    this.poke();
  }

  /** While catching up: the head kept from before must be one that these leaves pass through. */
  #checkSeen(leaves: readonly Uint8Array[]): void {
    const p = this.primitives;
    const before = this.reader.transcript.size;
    const seen = this.#seen;
    if (seen === null || before >= seen.size || before + leaves.length < seen.size) return;
    const frontier = Frontier.restore(p, this.reader.frontier.snapshot());
    for (const bytes of leaves.slice(0, seen.size - before)) frontier.append(leafHash(p, bytes));
    if (!bytesEqual(frontier.root(), seen.root)) throw new CallFailed('SPLIT_VIEW');
  }
}
