import type { Draw } from './random.ts';

/** One atomic write: values by key; null removes. Values are never changed after they were written. */
export type Writes = readonly (readonly [key: string, value: unknown])[];

/** Keys of secrets of running rounds: outside backups, as `src/party/round-files.ts` keeps them. */
export const ROUNDS = 'rounds/';

/**
 * A party's disk. What was written is durable when the write's step has run, and not before; at a crash every write under
 * way is lost or done, whole, as the draw has it. Reads see durable state only: production's stores return after fsync.
 */
export class Disk {
  readonly #durable: Map<string, unknown>;
  readonly #underWay = new Set<Writes>();

  constructor(durable = new Map<string, unknown>()) {
    this.#durable = durable;
  }

  /** The same disk for another process: a crash of one loses only what that one was writing. */
  shared(): Disk {
    return new Disk(this.#durable);
  }

  get<T>(key: string): T | undefined {
    return this.#durable.get(key) as T | undefined;
  }

  has(key: string): boolean {
    return this.#durable.has(key);
  }

  keys(prefix: string): string[] {
    return [...this.#durable.keys()].filter((key) => key.startsWith(prefix));
  }

  begin(writes: Writes): void {
    this.#underWay.add(writes);
  }

  /** @returns false when a crash came between: the writer is gone too. */
  finish(writes: Writes): boolean {
    if (!this.#underWay.delete(writes)) return false;
    this.#apply(writes);
    return true;
  }

  /** At once: for what is there before the run begins. */
  put(writes: Writes): void {
    this.#apply(writes);
  }

  crash(draw: Draw): void {
    for (const writes of this.#underWay) if (draw.chance(0.5)) this.#apply(writes);
    this.#underWay.clear();
  }

  /** A backup: everything but secrets of running rounds. */
  backup(): ReadonlyMap<string, unknown> {
    return new Map([...this.#durable].filter(([key]) => !key.startsWith(ROUNDS)));
  }

  /** A snapshot of the whole machine: the secrets of running rounds, too. */
  snapshot(): ReadonlyMap<string, unknown> {
    return new Map(this.#durable);
  }

  /** A machine from a backup or a snapshot: what the backup did not hold is gone. */
  restore(backup: ReadonlyMap<string, unknown>): void {
    this.#durable.clear();
    this.#underWay.clear();
    for (const [key, value] of backup) this.#durable.set(key, value);
  }

  #apply(writes: Writes): void {
    for (const [key, value] of writes) {
      if (value === null) this.#durable.delete(key);
      else this.#durable.set(key, value);
    }
  }
}
