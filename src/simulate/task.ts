import type { Writes } from './disk.ts';
import type { Method } from './messages.ts';

/** What a task waits for. Between two waits it runs in one step, as JavaScript runs between two awaits. */
export type Wait =
  | {
      readonly on: 'call';
      readonly to: string;
      readonly method: Method;
      readonly request: unknown;
      readonly ms: number;
    }
  | { readonly on: 'sleep'; readonly ms: number; readonly isPoked: boolean }
  | { readonly on: 'write'; readonly writes: Writes }
  | { readonly on: 'latch'; readonly latch: Latch };

/** Code of a party, written as production's `async` code with `yield*` for `await`: a crash can stop it at every one. */
export type Task<T = void> = Generator<Wait, T, unknown>;

/** Something that happens once. */
export class Latch {
  isOpen = false;
  readonly waiting = new Set<() => void>();

  open(): void {
    this.isOpen = true;
    for (const wake of [...this.waiting]) wake();
    this.waiting.clear();
  }
}

/** A handler's answer, whether it had to wait for it or not. */
export function* taskOf(handle: () => unknown): Task<unknown> {
  const answer = handle();
  return typeof answer === 'object' && answer !== null && 'next' in answer ? yield* answer as Task<unknown> : answer;
}
