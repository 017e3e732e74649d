import { type Asking, type Reply, turnAsking } from '../party/asking.ts';
import type { Method, Request, Response } from './messages.ts';
import { Latch, Process, REPLICA_MS, type Task } from './process.ts';
import { FAILURES, type Replica } from './replicas.ts';

/** A process that asks replicas: the questions are production's own (src/party/asking.ts). */
export abstract class AskingProcess extends Process {
  /** Runs tasks side by side, as `Promise.all` does. @throws what the first one that fails throws, when all have ended */
  *all<T>(tasks: readonly Task<T>[]): Task<T[]> {
    const ended = new Latch();
    const values: T[] = [];
    const failures: unknown[] = [];
    let running = tasks.length;
    const end = (): void => {
      if (--running === 0) ended.open();
    };
    for (const [i, task] of tasks.entries()) {
      const done = (value: unknown): void => {
        values[i] = value as T;
        end();
      };
      this.spawn(task, done, (error) => {
        failures.push(error);
        end();
      });
    }
    if (tasks.length > 0) yield* this.waitFor(ended);
    if (failures.length > 0) throw failures[0];
    return values;
  }

  /** Brings a question to its end, as `answered` of src/party/fetch.ts does. */
  *answered<S, T>(asking: Asking<Replica, S, T>, ask: (replica: Replica, ms: number) => Task<S>): Task<T> {
    function* reply(replica: Replica, ms: number): Task<Reply<S>> {
      try {
        return { answer: yield* ask(replica, ms) };
      } catch (error) {
        return { error };
      }
    }
    let step = asking.next();
    while (step.done !== true) {
      const { replicas, timeoutMs } = step.value;
      const [only] = replicas;
      const replies =
        replicas.length === 1
          ? [yield* reply(only!, timeoutMs)]
          : yield* this.all(replicas.map((replica) => reply(replica, timeoutMs)));
      step = asking.next(replies);
    }
    return step.value;
  }

  /** @param check - throws a ProtocolError over an answer that is not what was asked for. */
  *askReplicas<M extends Method>(
    replicas: readonly Replica[],
    method: M,
    request: Request<M>,
    check: (answer: Response<M>, replica: Replica) => void = () => {},
  ): Task<Response<M>> {
    const asker = this;
    const asking = turnAsking<Replica, Response<M>>(replicas, FAILURES, REPLICA_MS);
    const { answer } = yield* this.answered(asking, function* (replica, ms) {
      const given = yield* asker.call(replica.name, method, request, ms);
      check(given, replica);
      return given;
    });
    return answer;
  }
}
