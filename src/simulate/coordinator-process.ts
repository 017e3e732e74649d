import { toHex } from '../../crypto/encoding.ts';
import { type CoordinatorDuty, coordinatorDuties, type Patience } from '../../protocols/coordinator.ts';
import { isRejection } from '../../protocols/errors.ts';
import { available } from '../../protocols/ledger.ts';
import { nextRetryOf } from '../../protocols/retry.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import { checkRecipients } from '../../protocols/rules-register.ts';
import { cohortHashOf } from '../../protocols/rules-round.ts';
import { chargeOfTask, nextNumber, type Task as RoundTask, recordOf, taskHashOf } from '../../protocols/task.ts';
import { findParty, newestModel, type Round } from '../../protocols/transcript.ts';
import { isKind } from '../../protocols/verified.ts';
import { agreedAsking } from '../party/agreeing.ts';
import type { Asking } from '../party/asking.ts';
import { LogProcess } from './log-process.ts';
import { CallFailed } from './network.ts';
import { accepted, asFailure, REPLICA_MS, type Services, type Task } from './process.ts';
import { FAILURES, type Replica } from './replicas.ts';

/** What `patienceFor` of src/party/coordinator.ts comes to for payloads as small as these. */
const SUM_MS = 60_000;
const requestKey = (requestId: string): string => `round-requests/${requestId}`;
const blobKey = (hash: string): string => `blobs/${hash}`;

/** Mirrors `runCoordinator`, `roundDesk` and `modelService` of src/party. */
export class CoordinatorProcess extends LogProcess {
  #replicas: readonly Replica[] = [];
  readonly services: Services = {
    append: (bytes, peer) => this.appendFor(bytes, peer),
    follow: ({ from, shown }, peer) => {
      if (findParty(this.transcript, peer)?.revoked === true) throw new CallFailed('REVOKED');
      return this.follow(from, shown);
    },
    openRound: ({ task, requestId }) => this.#announce(this.setting.founding.task(task), task, requestId),
    putModel: ({ leaf, sealed }, peer) => this.#putModel(leaf, sealed, peer),
    getModel: (hash) => this.#getModel(hash),
  };

  protected override begin(): void {
    this.#replicas = this.setting.founding.aggregators.map((name) => ({ name }));
    super.begin();
    this.spawn(this.dutyLoop(250, () => this.act()));
  }

  protected *act(): Task<boolean> {
    const patience: Patience = {
      now: this.world.clock,
      since: (hash) => this.firstSeen(hash),
      roundKeyMs: 10_000,
      announceMs: 60_000,
      readyMs: 3_000,
      holderMs: 60_000,
      answerMs: 60_000,
    };
    return yield* this.firstPossible(coordinatorDuties(this.transcript, patience), (duty) =>
      this.#performOrAbort(duty),
    );
  }

  /** Mirrors `doOrAbort`: bytes that every replica has lost end their round. */
  *#performOrAbort(duty: CoordinatorDuty): Task {
    try {
      yield* this.#perform(duty);
    } catch (error) {
      const failure = asFailure(error);
      if (failure.code !== 'BLOB_LOST' || (duty.duty !== 'close' && duty.duty !== 'decide')) throw failure;
      yield* this.#perform({ duty: 'abort', round: duty.round, reason: 'BLOB_LOST' });
    }
  }

  *#perform(duty: CoordinatorDuty): Task {
    const { founding } = this.setting;
    if (duty.duty === 'open') {
      const { announce, members } = duty;
      const model = newestModel(this.transcript);
      const window = this.disk.get<number>(`tasks/${announce.hash}`);
      if (model === null || window === undefined) throw new CallFailed('UNKNOWN_MODEL');
      const record = recordOf(this.p, this.transcript, founding.task(window), announce, members, model);
      if (record.retryOf !== null) this.setting.truth.isByHashes = true;
      yield* this.append(this.leaf('open', { record }));
    } else if (duty.duty === 'withdraw') {
      yield* this.append(this.leaf('abort', { round: duty.announce.hash, reason: 'ROUND_KEY_MISSING' }));
    } else if (duty.duty === 'abort') {
      yield* this.append(this.leaf('abort', { round: duty.round.id, reason: duty.reason }));
    } else if (duty.duty === 'close') {
      const { round, attempt, cohort } = duty;
      const payloadHashes = cohort.map((upload) => upload.body.payloadHash);
      const asker = this;
      const sumHash = yield* this.answered(this.#agreement(round, SUM_MS), function* ({ name }, ms) {
        return yield* asker.call(name, 'sum', { round: round.id, payloadHashes }, ms);
      });
      const uploads = cohort.map((upload) => upload.index);
      const cohortHash = cohortHashOf(this.p, cohort);
      yield* this.append(this.leaf('close', { round: round.id, attempt, uploads, cohortHash, sumHash }));
    } else {
      const { attempt, record, id } = duty.round;
      const asker = this;
      const correctionSumHash = yield* this.answered(this.#agreement(duty.round, REPLICA_MS), function* ({ name }, ms) {
        return toHex(asker.p.sha256(yield* asker.call(name, 'fetchMaskSum', attempt.close, ms)));
      });
      const body = {
        round: id,
        attempt: attempt.number,
        close: attempt.close,
        confirms: attempt.cohort.map((upload) => attempt.confirms.get(upload.node)!.index),
        sumHash: attempt.sumHash,
        correctionSumHash,
        rhoNano: record.charge.rhoNano,
      };
      yield* this.append(this.leaf('decide', body));
    }
  }

  /** A hash that every aggregator can compute: `askAgreed` of src/party/agreed.ts. */
  #agreement({ record }: Round, firstMs: number): Asking<Replica, string, string> {
    return agreedAsking(this.#replicas, FAILURES, {
      firstMs,
      othersMs: REPLICA_MS,
      turn: record.number,
      now: () => this.world.clock,
      onDispute: () => {
        this.setting.truth.isByHashes = true;
        this.say('aggregators disagree');
      },
    });
  }

  /** The announcement of a request: made once, whatever is lost on the way. */
  *#announce(task: RoundTask, window: number, requestId: string): Task<string> {
    const t = this.transcript;
    const unserved = checkRecipients(t, task.recipients);
    if (unserved !== null) throw new CallFailed(unserved.rejected, unserved.why);
    if (chargeOfTask(task) > available(t.ledger)) throw new CallFailed('BUDGET_EXCEEDED');
    const model = newestModel(t);
    if (model === null) throw new CallFailed('UNKNOWN_MODEL');
    const own = { taskHash: taskHashOf(this.p, task), modelHash: model.modelHash, window: task.window };
    const asked = this.disk.get<Uint8Array>(requestKey(requestId));
    if (asked === undefined && nextRetryOf(t, own) === undefined) throw new CallFailed('WINDOW_DECIDED');
    const { recipients } = task;
    const leaf = asked ?? this.leaf('announce', { task: task.task, number: nextNumber(t, task.task), recipients });
    const signed = accepted(verifyNext(this.p, this.transcript, leaf));
    yield* this.write([
      [requestKey(requestId), leaf],
      [`tasks/${signed.hash}`, window],
    ]);
    yield* this.append(leaf);
    return signed.hash;
  }

  *#putModel(leaf: Uint8Array, sealed: Uint8Array, peer: string): Task<number> {
    const signed = accepted(verifyNext(this.p, this.transcript, leaf));
    if (!isKind(signed, 'model') || signed.leaf.actor !== peer) throw new CallFailed('WRONG_ROLE');
    const { sealedHash } = signed.leaf.body;
    const known = this.transcript.models.some((model) => model.sealedHash === sealedHash);
    const verdict = known ? null : judge(this.p, this.transcript, signed);
    if (verdict !== null && isRejection(verdict)) throw new CallFailed(verdict.rejected, verdict.why);
    if (toHex(this.p.sha256(sealed)) !== sealedHash) throw new CallFailed('PAYLOAD_HASH');
    yield* this.write([[blobKey(sealedHash), sealed]]);
    return yield* this.append(leaf);
  }

  #getModel(hash: string): Uint8Array {
    const sealed = this.disk.get<Uint8Array>(blobKey(hash));
    if (sealed === undefined) throw new CallFailed('NOT_FOUND');
    return sealed;
  }
}
