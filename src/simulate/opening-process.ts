import { CryptoError } from '../../crypto/errors.ts';
import { addCorrections } from '../../protocols/aggregator.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Confirm, Decision, Round } from '../../protocols/transcript.ts';
import { HolderProcess } from './holder-keys.ts';
import type { Task } from './process.ts';
import { FAILURES, type Replica } from './replicas.ts';
import { Latch } from './task.ts';

/** What an opening needs besides the answers and the recipient's own seeds: all of it is fixed by the decision. */
export interface Gathered {
  readonly correctionSum: Uint8Array;
  readonly sum: Uint8Array;
}

/** Something that is being fetched: whoever waits for it later waits for the same. */
interface Fetching {
  readonly ended: Latch;
  gathered: Gathered | null;
  failure: unknown;
}

/** A recipient's fetching. Mirrors src/party/opening-input.ts and corrections.ts, call by call. */
export abstract class OpeningProcess extends HolderProcess {
  #fetching = new Map<string, Fetching>();

  protected override begin(): void {
    this.#fetching = new Map();
    super.begin();
  }

  /** Begins to fetch what a decision fixes; once, until it fails. */
  protected gather(round: Round, decision: Decision): Fetching {
    const known = this.#fetching.get(decision.hash);
    if (known !== undefined) return known;
    const fetching: Fetching = { ended: new Latch(), gathered: null, failure: null };
    this.#fetching.set(decision.hash, fetching);
    const done = (gathered: unknown): void => {
      fetching.gathered = gathered as Gathered;
      fetching.ended.open();
    };
    this.spawn(this.#gather(round, decision), done, (error) => {
      this.#fetching.delete(decision.hash); // the next one to ask fetches again
      fetching.failure = error;
      fetching.ended.open();
    });
    return fetching;
  }

  protected forgetGathered(decision: Decision | null): void {
    this.#fetching.delete(decision?.hash ?? '');
  }

  *#gather(round: Round, decision: Decision): Task<Gathered> {
    const fetched = [this.#correctionSum(round, decision), this.#fetchSum(decision.body.sumHash)];
    const [correctionSum, sum] = yield* this.all(fetched);
    return { correctionSum: correctionSum!, sum: sum! };
  }

  #checkHash(hash: string): (bytes: Uint8Array) => void {
    return (bytes) => {
      if (this.founding.hash(bytes) !== hash) throw new ProtocolError('SUM_MISMATCH', 'not what was decided over');
    };
  }

  *#fetchSum(hash: string): Task<Uint8Array> {
    const key = `blobs/${hash}`;
    if (!this.disk.has(key)) {
      const sum = yield* this.askReplicas(this.replicas, 'fetchSum', hash, this.#checkHash(hash));
      yield* this.write([[key, sum]]);
    }
    return this.disk.get<Uint8Array>(key)!;
  }

  /** The sum of corrections that was decided over; the recipient's own where no replica gives that one. */
  *#correctionSum(round: Round, decision: Decision): Task<Uint8Array> {
    const check = this.#checkHash(decision.body.correctionSumHash);
    try {
      return yield* this.askReplicas(this.replicas, 'fetchMaskSum', decision.attempt.close, check);
    } catch (cause) {
      if (!FAILURES.isReplicas(cause) || FAILURES.isDown(cause)) throw cause;
      try {
        return yield* this.#addUp(round, decision);
      } catch (error) {
        throw FAILURES.isReplicas(error) || error instanceof CryptoError ? cause : error;
      }
    }
  }

  /** The corrections added up by the recipient itself, each checked against its node's leaf. */
  *#addUp(round: Round, { attempt }: Decision): Task<Uint8Array> {
    const fetchOne = ({ node, body }: Confirm): Task<Uint8Array> =>
      this.askReplicas(this.replicas, 'fetchCorrection', { close: attempt.close, node }, (correction) => {
        if (this.founding.hash(correction) !== body.correctionHash)
          throw new ProtocolError('PAYLOAD_HASH', 'not the correction that the log names');
      });
    return addCorrections(round.record, yield* this.all([...attempt.confirms.values()].map(fetchOne)));
  }

  /** Null where it comes to what was decided over, or where a correction is nowhere to be had. */
  protected *addUpAgain(round: Round, decision: Decision): Task<Uint8Array | null> {
    try {
      const sum = yield* this.#addUp(round, decision);
      return this.founding.hash(sum) === decision.body.correctionSumHash ? null : sum;
    } catch (error) {
      if (FAILURES.isWithoutBytes(error) || error instanceof CryptoError) return null;
      throw error;
    }
  }

  *#takeAnswers(decision: Decision, found: Map<string, Uint8Array>, replicas: readonly Replica[]): Task {
    for (let before = -1; before < found.size && found.size < decision.answers.size; ) {
      before = found.size;
      const request = { decide: decision.hash, recipient: this.name, except: [...found.keys()] };
      for (const { member, sealed } of yield* this.askReplicas(replicas, 'fetchAnswers', request)) {
        const logged = decision.answers.get(member)?.body.sealed.find((box) => box.recipient === this.name)?.hash;
        if (logged === this.founding.hash(sealed)) found.set(member, sealed);
      }
    }
  }

  /** Answers that the log names, as far as any replica has them. */
  protected *fetchAnswers(decision: Decision): Task<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    let failure: unknown = null;
    for (const replicas of [this.replicas, ...this.replicas.map((replica) => [replica])]) {
      if (found.size >= decision.answers.size) break;
      try {
        yield* this.#takeAnswers(decision, found, replicas);
      } catch (error) {
        failure = error;
      }
    }
    if (found.size === 0 && failure !== null && !FAILURES.isWithoutBytes(failure)) throw failure;
    return found;
  }
}
