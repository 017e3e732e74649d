import { ringShape } from '../../crypto/params.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { CheckedSum } from '../../protocols/checked-sum.ts';
import { boxesKey } from '../../protocols/disputes.ts';
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
import type { Attempt, Decision, Round } from '../../protocols/transcript.ts';
import { ROUNDS } from './disk.ts';
import { type Seeds, wipeSeeds } from './holder-keys.ts';
import { splitBlocks } from './memory-world.ts';
import { CallFailed } from './network.ts';
import { type Gathered, OpeningProcess } from './opening-process.ts';
import type { Services, Task } from './process.ts';
import { FAILURES } from './replicas.ts';

const MORE_ANSWERS_MS = 300;
const LATE_ANSWERS_MS = 60_000;

function isBeyondMending({ rejected }: Rejection, { attempt }: Decision, answers: number): boolean {
  return rejected === 'CHECKSUM_MISMATCH' || rejected === 'SUM_MALFORMED' || answers === attempt.ready.size;
}

const seedsKey = (announce: string, close: string): string => `${ROUNDS}${announce}/seeds-${close}`;

interface KeptModel {
  readonly leaf: Uint8Array;
  readonly sealed: Uint8Array;
}

/** The model owner: opens sums and publishes the next model. Mirrors src/party/recipient.ts, write by write. */
export class RecipientProcess extends OpeningProcess {
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
    const keeps = (announce: string): boolean => this.holds(announce);
    for (const round of this.t.rounds.values()) {
      if (round.phase !== 'decided' || !keeps(round.record.announce)) continue;
      if (!this.#done.has(`open ${round.decision.hash}`)) this.gather(round, round.decision);
    }
    const duties = recipientDuties(this.t, this.name, keeps);
    return yield* this.firstPossible(
      duties.filter((duty) => !this.#done.has(dutyKey(duty, this.name))),
      (duty) => this.#perform(duty),
    );
  }

  *#perform(duty: RecipientDuty): Task {
    if (duty.duty === 'first-model') {
      // Only the first recipient of the task has one to begin with.
      if (this.name === this.founding.recipients[0]) yield* this.#publish(Uint8Array.of(0), null);
    } else if (duty.duty === 'round-key') yield* this.logRoundKey(duty.announce.hash);
    else if (duty.duty === 'check-boxes') yield* this.#checkOwnBoxes(duty.round, duty.attempt);
    else if (duty.duty === 'open') {
      yield* this.#open(duty.round);
      this.#failedSince.delete(duty.decision.hash);
    } else if (duty.duty === 'next-model') {
      const sums = duty.sums.map(({ id }) => this.disk.get<Int32Array>(`results/${id}`));
      const bytes = sums.flatMap((values) => {
        if (values === undefined) throw new CallFailed('NOT_FOUND');
        return [...new Uint8Array(values.buffer)];
      });
      const model = Uint8Array.of(this.t.models.length, ...bytes);
      yield* this.#publish(model, duty.decision.hash);
    } else {
      yield* this.forgetRoundKey(duty.announce.hash);
      const round = this.t.rounds.get(duty.announce.openedAs ?? '');
      if (round?.phase === 'aborted') this.forgetGathered(round.decision);
    }
    this.#done.add(dutyKey(duty, this.name));
  }

  /** The seeds that an opening needs are durable before the recipient says that it is ready. */
  *#checkOwnBoxes(round: Round, attempt: Attempt): Task {
    const seeds = yield* this.openCohort(round, attempt);
    if (seeds === null) return;
    const kept = new Map([...seeds].map(([node, [seed]]) => [node, seed!.bytes.slice()]));
    wipeSeeds(seeds);
    yield* this.write([[seedsKey(round.record.announce, attempt.close), kept]]);
    yield* this.append(this.leaf('ready', { close: attempt.close }));
  }

  /** The seeds kept with `ready`; where a copy from a backup has none, from the boxes again. */
  *#seedsFor(round: Round, { attempt }: Decision): Task<Seeds | Rejection> {
    const kept = this.disk.get<Map<string, Uint8Array>>(seedsKey(round.record.announce, attempt.close));
    if (kept !== undefined)
      return new Map([...kept].map(([node, seed]) => [node, [new SecretBytes('share seed', seed.slice())]]));
    const { seeds, complaints } = yield* this.checkBoxes(round, attempt);
    if (complaints.length === 0) return seeds;
    wipeSeeds(seeds);
    return reject('BOX_UNREADABLE', 'boxes of the recipient do not open');
  }

  *#open(before: Round): Task {
    if (before.phase !== 'decided') return;
    const fetching = this.gather(before, before.decision);
    const wanted = before.decision.attempt.ready.size;
    yield* this.untilHead((t) => {
      const now = t.rounds.get(before.id);
      return now?.phase === 'decided' && now.decision.answers.size >= wanted;
    }, MORE_ANSWERS_MS);
    yield* this.waitFor(fetching.ended);
    const round = this.t.rounds.get(before.id);
    if (round?.phase !== 'decided') return;
    const { opened, isFinal } = yield* this.#tryToOpen(round, fetching);
    if (isRejection(opened)) {
      if (!isFinal && !this.#isLate(round.decision.hash)) throw new CallFailed(opened.rejected, opened.why);
      this.say(`round not opened: ${opened.rejected}`);
      yield* this.append(this.leaf('abort', { round: round.id, reason: abortReasonOf(opened) }));
      return;
    }
    this.setting.truth.openedSum(this.name, round, round.decision, opened);
    yield* this.end(round, opened);
  }

  protected *end(round: Extract<Round, { phase: 'decided' }>, opened: Opening): Task {
    yield* this.write([[`results/${round.id}`, opened.values.slice()]]);
    const release = { decide: round.decision.hash, resultHash: opened.resultHash, liars: [...opened.liars] };
    yield* this.append(this.leaf('release', release));
  }

  *#tryToOpen(
    round: Extract<Round, { phase: 'decided' }>,
    { gathered, failure }: ReturnType<RecipientProcess['gather']>,
  ): Task<{ readonly opened: Opening | Rejection; readonly isFinal: boolean }> {
    try {
      if (gathered === null) throw failure;
      return yield* this.#openGathered(round, gathered);
    } catch (error) {
      if (!FAILURES.isReplicas(error) || FAILURES.isDown(error)) throw error;
      return { opened: reject('BLOB_LOST', 'no aggregator gives what was decided over'), isFinal: false };
    }
  }

  *#openGathered(
    round: Extract<Round, { phase: 'decided' }>,
    { correctionSum, sum }: Gathered,
  ): Task<{ readonly opened: Opening | Rejection; readonly isFinal: boolean }> {
    const { decision } = round;
    const { kit } = this.founding;
    const answers = yield* this.fetchAnswers(decision);
    const { parameters } = round.record;
    const engine = this.founding.engine(ringShape(parameters));
    const recordHash = recordHashOf(this.primitives, round.record);
    const context = { parameters, recordHash, engine, primitives: kit.primitives };
    const blocks = new Map(splitBlocks(context, sum));
    const seeds = yield* this.#seedsFor(round, decision);
    if (isRejection(seeds)) return { opened: seeds, isFinal: false };
    using roundKey = this.roundKey(round.record.announce);
    const checked = CheckedSum.of(context, decision.attempt, (j) => blocks.get(j)!);
    const own = { recipient: this.name, roundKey, seeds };
    const input = { context, round, decision, ...own, correctionSum, answers, sum: checked };
    let opened = openSum(kit.primitives, input);
    if (isRejection(opened) && (opened.rejected === 'KEY_DOES_NOT_FIT' || opened.rejected === 'SUM_MALFORMED')) {
      const again = yield* this.addUpAgain(round, decision);
      if (again !== null) opened = openSum(kit.primitives, { ...input, correctionSum: again });
    }
    wipeSeeds(seeds);
    return { opened, isFinal: isRejection(opened) && isBeyondMending(opened, decision, answers.size) };
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

function dutyKey(duty: RecipientDuty, name: string): string {
  if (duty.duty === 'first-model') return duty.duty;
  if (duty.duty === 'check-boxes') return boxesKey(duty.attempt, name);
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  return `${duty.duty} ${duty.decision.hash}`;
}
