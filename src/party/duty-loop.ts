import type { Say } from './events.ts';

/** How long a failed duty waits before it is tried again: grows from the first to the last. */
const PAUSES_MS = [50, 100, 200, 500, 1000, 2000, 5000];

/**
 * Does the first duty that can be done. One that fails holds up no other: it belongs to one round, and is tried again.
 *
 * @returns whether one was done. @throws what the last failed one threw, when none could be done.
 */
export async function firstPossible<T>(duties: Iterable<T>, perform: (duty: T) => Promise<void>): Promise<boolean> {
  const failures: unknown[] = [];
  for (const duty of duties) {
    try {
      await perform(duty);
      return true;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.at(-1);
  return false;
}

/**
 * Does a party's duties one after the other. A duty is whatever `next` finds in the log and the party's own state at that
 * moment, so doing it again after a crash or a failure is safe, and a restart needs no memory of what was going on.
 */
export class DutyLoop {
  readonly #next: () => Promise<boolean>;
  readonly #say: Say;
  #wake: (() => void) | null = null;
  #poked = false;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  /** @param next - does one duty; false when there is none. */
  constructor(next: () => Promise<boolean>, say: Say) {
    this.#next = next;
    this.#say = say;
  }

  start(everyMs: number): void {
    this.#running = this.#run(everyMs);
  }

  /** Something changed: look again now. */
  poke(): void {
    this.#poked = true;
    this.#wake?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#running;
  }

  async #run(everyMs: number): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      this.#poked = false;
      let again = false;
      try {
        again = await this.#next();
        failures = 0;
      } catch (error) {
        const { name, code, message } = error as Error & { code?: string };
        this.#say('duty failed', { error: name, code: code ?? '', message });
        failures++;
      }
      if (again || this.#stopped) continue;
      const waitMs = failures === 0 ? everyMs : PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1]!;
      if (!this.#poked || failures > 0) await this.#sleep(waitMs);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
