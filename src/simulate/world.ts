import type { Draw } from './random.ts';

/** What happens in one step. `kind` is counted, so that a speed says what it is the speed of. */
export type StepKind = 'message' | 'duty' | 'write' | 'timer' | 'crash';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly kind: StepKind;
  readonly act: () => void;
  cancelled: boolean;
}

/** A step that was put off; it can be called off. */
export interface Scheduled {
  cancel(): void;
}

/** How many of the last events a failure shows. */
const REMEMBERED = 60;

/**
 * Virtual time: events in the order of (time, sequence), one at a time. Nothing in a run happens outside of an event, and
 * nothing reads another clock, so that equal seeds run alike to the last step.
 */
export class World {
  /** Virtual ms since the run began. */
  clock = 0;
  /** Events handled. */
  steps = 0;
  readonly counts: Record<StepKind, number> = { message: 0, duty: 0, write: 0, timer: 0, crash: 0 };
  readonly draw: Draw;
  /** Called with every remembered line: `--trace`. */
  readonly #show: ((line: string) => void) | null;
  readonly #remembered: string[] = [];
  readonly #heap: Event[] = [];
  #order = 0;

  constructor(draw: Draw, show: ((line: string) => void) | null = null) {
    this.draw = draw;
    this.#show = show;
  }

  schedule(delayMs: number, kind: StepKind, act: () => void): Scheduled {
    const event: Event = { atMs: this.clock + delayMs, order: this.#order++, kind, act, cancelled: false };
    this.#push(event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  /** Handles the next event. @returns false when there is none. */
  step(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) return false;
      if (event.cancelled) continue;
      this.clock = event.atMs;
      this.steps++;
      this.counts[event.kind]++;
      event.act();
      return true;
    }
  }

  /** Remembers what happened, for the report of a failure. */
  say(who: string, what: string): void {
    const line = `${String(this.steps).padStart(7)} ${String(Math.round(this.clock)).padStart(8)} ms  ${who}: ${what}`;
    if (this.#remembered.length === REMEMBERED) this.#remembered.shift();
    this.#remembered.push(line);
    this.#show?.(line);
  }

  get lastEvents(): readonly string[] {
    return this.#remembered;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
