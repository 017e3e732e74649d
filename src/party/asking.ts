import { ProtocolError } from '../../protocols/errors.ts';
import { inTurn, noteAnswer, noteFailure } from '../grpc/replicas.ts';

/**
 * Which of several interchangeable replicas is asked, and what is made of the answers, without the asking itself: whoever runs
 * a question asks all that it names at once, and gives it their replies. So the parties (`answered` of fetch.ts) and the simulator
 * run the same one.
 */
export type Asking<R, S, T> = Generator<Asked<R>, T, readonly Reply<S>[]>;

export interface Asked<R> {
  readonly replicas: readonly R[];
  /** How long each of them may take, in ms. */
  readonly timeoutMs: number;
}

export type Reply<S> = { readonly answer: S } | { readonly error: unknown };

/** What an error says of the replica that it is about. */
export interface Failures {
  /** Whether it is a replica's at all, and not this party's own. */
  isReplicas(error: unknown): boolean;
  /** Whether there was no answer at all. */
  isDown(error: unknown): boolean;
  /** Whether there was an answer, but not the bytes asked for. */
  isWithoutBytes(error: unknown): boolean;
  /** Whether the same replica may answer a moment later. */
  mayPass(error: unknown): boolean;
}

/** Who answered, and what. */
interface Answered<R, S> {
  readonly replica: R;
  readonly answer: S;
}

/**
 * One after the other until one answers, starting at one that has not just failed. Every failure of one goes on to the next, a
 * refusal too: nothing that one replica says is believed against another one. Then those whose failure may have passed are asked
 * once more.
 *
 * @param onFailure - told of every failure of a replica.
 * @throws when all have failed, what stood in the way of one that is down, else of one that failed or refused, else of one
 *   that has not got what was asked for. What is no replica's failure, at once.
 */
export function* turnAsking<R extends object, S>(
  replicas: readonly R[],
  failures: Failures,
  timeoutMs: number,
  onFailure: (replica: R, error: unknown) => void = () => {},
): Asking<R, S, Answered<R, S>> {
  const failed = new Map<R, unknown>();
  for (const isAgain of [false, true]) {
    for (const replica of inTurn(replicas)) {
      if (isAgain && !failures.mayPass(failed.get(replica))) continue;
      const [reply] = yield { replicas: [replica], timeoutMs };
      if (reply === undefined) throw new TypeError('a replica was asked, and nothing came of it');
      if ('answer' in reply) {
        noteAnswer(replica);
        return { replica, answer: reply.answer };
      }
      const { error } = reply;
      if (!failures.isReplicas(error)) throw error;
      noteFailure(replica);
      failed.set(replica, error);
      onFailure(replica, error);
    }
  }
  const seen = [...failed.values()];
  throw seen.find(failures.isDown) ?? seen.find((error) => !failures.isWithoutBytes(error)) ?? seen[0];
}

/**
 * For what is made from bytes that the log says the replicas took.
 *
 * @throws ProtocolError BLOB_LOST as soon as every one of them says that it has not got them: nobody will ever have.
 */
export function* keptAsking<R extends object, S>(
  replicas: readonly R[],
  failures: Failures,
  timeoutMs: number,
): Asking<R, S, Answered<R, S>> {
  const lacking = new Set<R>();
  try {
    return yield* turnAsking<R, S>(replicas, failures, timeoutMs, (replica, error) => {
      if (failures.isWithoutBytes(error)) lacking.add(replica);
    });
  } catch (cause) {
    if (lacking.size < replicas.length) throw cause;
    throw new ProtocolError('BLOB_LOST', 'every aggregator has lost bytes that it took', { cause });
  }
}
