import type { Connection } from './connection.ts';

/** When a replica failed last, counted in failures of this process; absent since it last answered. */
const failedAt = new WeakMap<object, number>();
let failures = 0;

/**
 * Interchangeable replicas in the order in which they are asked next: those that answered last, as they are listed, then
 * those that failed, the one whose failure is oldest first. So no question starts at a replica that just failed.
 */
export function inTurn<R extends object>(replicas: readonly R[]): readonly R[] {
  const since = (replica: R): number => failedAt.get(replica) ?? 0;
  return replicas.toSorted((one, other) => since(one) - since(other));
}

export function noteAnswer(replica: object): void {
  failedAt.delete(replica);
}

export function noteFailure(replica: object): void {
  failedAt.set(replica, ++failures);
}

/**
 * Which replica a transfer tries next. A cut is worth another try at any of them; one that refused or failed otherwise is
 * not asked again in this transfer: the refusal is believed once nobody is left to say otherwise.
 */
export class Rotation {
  readonly #waiting: Connection[];

  /** @param replicas - at least one. */
  constructor(replicas: readonly Connection[]) {
    this.#waiting = [...inTurn(replicas)];
  }

  get current(): Connection {
    return this.#waiting[0]!;
  }

  answered(): void {
    noteAnswer(this.current);
  }

  /** @returns whether there is another attempt to make. */
  failed(mayPass: boolean): boolean {
    const replica = this.#waiting.shift()!;
    noteFailure(replica);
    if (mayPass) this.#waiting.push(replica);
    return this.#waiting.length > 0;
  }
}
