import { ringShape } from '../../crypto/params.ts';
import { isRejection, type Rejection, reject } from '../../protocols/errors.ts';
import { sealModel } from '../../protocols/model-box.ts';
import {
  abortReasonOf,
  type Opening,
  openSum,
  type RecipientDuty,
  recipientDuties,
} from '../../protocols/recipient.ts';
import { recordHashOf } from '../../protocols/record.ts';
import type { Decision, Round } from '../../protocols/transcript.ts';
import { HolderProcess } from './holder-keys.ts';
import { splitBlocks } from './memory-world.ts';
import { CallFailed } from './network.ts';
import { asFailure, type Services, type Task } from './process.ts';

const MORE_ANSWERS_MS = 300;
const LATE_ANSWERS_MS = 60_000;

interface Gathered {
  readonly correctionSum: Uint8Array;
  readonly sum: Uint8Array;
  /** The recipient's own box of each node of U, where an aggregator has it. */
  readonly boxes: ReadonlyMap<string, Uint8Array>;
}

function isBeyondMending({ rejected }: Rejection, { attempt }: Decision, boxes: number, answers: number): boolean {
  if (rejected === 'CHECKSUM_MISMATCH' || rejected === 'SUM_MALFORMED') return true;
  return rejected === 'BOX_UNREADABLE' ? boxes === attempt.cohort.length : answers === attempt.ready.size;
}

interface KeptModel {
  readonly leaf: Uint8Array;
  readonly sealed: Uint8Array;
}

/** The model owner: opens sums and publishes the next model. Mirrors src/party/recipient.ts, write by write. */
export class RecipientProcess extends HolderProcess {
  readonly services: Services = {};
  #done = new Set<string>();
  #failedSince = new Map<string, number>();

  protected override begin(): void {
    this.#done = new Set();
    this.#failedSince = new Map();
    super.begin();
  }

  protected *act(): Task<boolean> {
    if (!this.t.parties.has(this.name)) return false;
    const duties = recipientDuties(this.t, this.name, (announce) => this.holds(announce));
    return yield* this.firstPossible(
      duties.filter((duty) => !this.#done.has(dutyKey(duty))),
      (duty) => this.#perform(duty),
    );
  }

  *#perform(duty: RecipientDuty): Task {
    if (duty.duty === 'first-model') {
      // Only the first recipient of the task has one to begin with.
      if (this.name === this.founding.recipients[0]) yield* this.#publish(Uint8Array.of(0), null);
    } else if (duty.duty === 'round-key') yield* this.logRoundKey(duty.announce.hash);
    else if (duty.duty === 'open') {
      yield* this.#open(duty.round);
      this.#failedSince.delete(duty.decision.hash);
    } else if (duty.duty === 'next-model') {
      const values = this.disk.get<Int32Array>(`results/${duty.round.id}`);
      if (values === undefined) throw new CallFailed('NOT_FOUND');
      const model = Uint8Array.of(this.t.models.length, ...new Uint8Array(values.buffer));
      yield* this.#publish(model, duty.decision.hash);
    } else yield* this.forgetRoundKey(duty.announce.hash);
    this.#done.add(dutyKey(duty));
  }

  *#fetchSum(hash: string): Task<Uint8Array> {
    const key = `blobs/${hash}`;
    if (!this.disk.has(key)) {
      const refuse = (sum: Uint8Array): CallFailed | null => this.#refuseUnless(hash, sum);
      const sum = yield* this.askReplicas(this.founding.aggregators, 'fetchSum', hash, refuse);
      yield* this.write([[key, sum]]);
    }
    return this.disk.get<Uint8Array>(key)!;
  }

  #refuseUnless(hash: string, bytes: Uint8Array): CallFailed | null {
    return this.founding.hash(bytes) === hash ? null : new CallFailed('SUM_MISMATCH');
  }

  /** Answers that the log names, as far as any replica has them. */
  *#fetchAnswers(decision: Decision): Task<Map<string, Uint8Array>> {
    const request = { decide: decision.hash, recipient: this.name };
    const found = new Map<string, Uint8Array>();
    let failure: CallFailed | null = null;
    const { aggregators } = this.founding;
    for (const replicas of [aggregators, ...aggregators.map((replica) => [replica])]) {
      if (found.size >= decision.answers.size) break;
      try {
        for (const { member, sealed } of yield* this.askReplicas(replicas, 'fetchAnswers', request)) {
          const logged = decision.answers.get(member)?.body.sealed.find((box) => box.recipient === this.name)?.hash;
          if (logged === this.founding.hash(sealed)) found.set(member, sealed);
        }
      } catch (error) {
        failure = asFailure(error);
      }
    }
    if (found.size === 0 && failure !== null) throw failure;
    return found;
  }

  /** What only the decision fixes; null where no aggregator gives the sums that were decided over. */
  *#gather({ attempt, body }: Decision): Task<Gathered | null> {
    const { aggregators } = this.founding;
    try {
      const correctionSum = yield* this.askReplicas(aggregators, 'fetchMaskSum', attempt.close, (bytes) =>
        this.#refuseUnless(body.correctionSumHash, bytes),
      );
      const sum = yield* this.#fetchSum(body.sumHash);
      const boxes = new Map<string, Uint8Array>();
      for (const confirm of attempt.confirms.values()) {
        const box = yield* this.fetchBox(attempt, confirm);
        if (box !== null) boxes.set(confirm.node, box);
      }
      return { correctionSum, sum, boxes };
    } catch (error) {
      const failure = asFailure(error);
      if (failure.code === 'NOT_FOUND' || failure.code === 'SUM_MISMATCH') return null;
      throw failure;
    }
  }

  *#open(before: Round): Task {
    if (before.phase !== 'decided') return;
    const gathered = yield* this.#gather(before.decision);
    const { answers, attempt } = before.decision;
    if (answers.size < attempt.ready.size) yield* this.sleep(MORE_ANSWERS_MS);
    const round = this.t.rounds.get(before.id);
    if (round?.phase !== 'decided') return;
    const { decision } = round;
    const { opened, isFinal } =
      gathered === null
        ? { opened: reject('BLOB_LOST', 'no aggregator gives the sums'), isFinal: false }
        : yield* this.#openGathered(round, gathered);
    if (isRejection(opened)) {
      if (!isFinal && !this.#isLate(decision.hash)) throw new CallFailed(opened.rejected, opened.why);
      this.say(`round not opened: ${opened.rejected}`);
      yield* this.append(this.leaf('abort', { round: round.id, reason: abortReasonOf(opened) }));
      return;
    }
    this.setting.truth.openedSum(this.name, round, decision, opened);
    yield* this.write([[`results/${round.id}`, opened.values.slice()]]);
    const release = { decide: decision.hash, resultHash: opened.resultHash, liars: [...opened.liars] };
    yield* this.append(this.leaf('release', release));
  }

  *#openGathered(
    round: Extract<Round, { phase: 'decided' }>,
    { correctionSum, sum, boxes }: Gathered,
  ): Task<{ readonly opened: Opening | Rejection; readonly isFinal: boolean }> {
    const { decision } = round;
    const { kit } = this.founding;
    const answers = yield* this.#fetchAnswers(decision);
    const { parameters } = round.record;
    const engine = this.founding.engine(ringShape(parameters));
    const recordHash = recordHashOf(this.primitives, round.record);
    const context = { parameters, recordHash, engine, primitives: kit.primitives };
    const blocks = new Map(splitBlocks(context, sum));
    using roundKey = this.roundKey(round.record.announce);
    const opened = openSum(kit.primitives, {
      context,
      round,
      decision,
      recipient: this.name,
      roundKey,
      correctionSum,
      boxes,
      answers,
      block: (block) => blocks.get(block)!,
    });
    return { opened, isFinal: isRejection(opened) && isBeyondMending(opened, decision, boxes.size, answers.size) };
  }

  #isLate(decide: string): boolean {
    const since = this.#failedSince.get(decide) ?? this.world.clock;
    this.#failedSince.set(decide, since);
    return this.world.clock - since >= LATE_ANSWERS_MS;
  }

  /** What goes out is kept first, so that a retry sends the same bytes. */
  *#publish(model: Uint8Array, decide: string | null): Task {
    const number = this.t.models.length;
    const key = `models/${number}`;
    let kept = this.disk.get<KeptModel>(key);
    if (kept === undefined) {
      const sealed = sealModel(this.primitives, this.founding.rng, this.t, model);
      const modelHash = this.founding.hash(model);
      const sealedHash = this.founding.hash(sealed);
      const body = { number, modelHash, modelBytes: model.length, sealedHash, decide };
      kept = { leaf: this.leaf('model', body), sealed };
      yield* this.write([[key, kept]]);
    }
    yield* this.call(this.setting.coordinator, 'putModel', kept);
  }
}

function dutyKey(duty: RecipientDuty): string {
  if (duty.duty === 'first-model') return duty.duty;
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  return `${duty.duty} ${duty.decision.hash}`;
}
