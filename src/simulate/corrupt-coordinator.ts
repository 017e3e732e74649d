import type { Body } from '../../protocols/leaves.ts';
import { cohortHashOf } from '../../protocols/rules-round.ts';
import { nextNumber } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { TASK } from './founding.ts';
import type { Task } from './process.ts';
import type { Setting } from './reader-process.ts';

export const COORDINATOR_TRICKS = [
  'forks the log',
  'closes without one of the uploads',
  'decides before t members are ready',
  'decides before a recipient is ready',
  'decides a second time',
  'decides after an abort',
  'logs a leaf twice',
  'charges less',
] as const;
export type CoordinatorTrick = (typeof COORDINATOR_TRICKS)[number];

/**
 * A coordinator that, at some moment, logs what may not stand there: its own log takes it, nobody else's may. (A fork is
 * made by the federation: two coordinators with one key, each honest on its own branch.)
 */
export class CorruptCoordinator extends CoordinatorProcess {
  readonly trick: CoordinatorTrick;
  protected override readonly isEager: boolean;
  #isDone = false;
  #padding = 12;

  constructor(setting: Setting, name: string, trick: CoordinatorTrick, isEager: boolean) {
    super(setting, name);
    this.trick = trick;
    this.isEager = isEager;
  }

  protected override *act(): Task<boolean> {
    if (this.trick === 'forks the log' && this.#padding > 0 && this.world.draw.chance(0.1)) {
      // Leaves of its own make a branch grow past what the witnesses hold of the other one.
      this.#padding--;
      const { recipients } = this.setting.founding;
      const number = nextNumber(this.transcript, TASK);
      yield* this.append(this.leaf('announce', { task: TASK, number, recipients: [...recipients] }));
      return true;
    }
    // Before the honest decision, and with one member less than it takes, there is but a moment.
    const isBrief = this.trick === 'charges less' || this.trick === 'decides before t members are ready';
    if (!this.#isDone && this.world.draw.chance(isBrief ? 1 : 0.2)) {
      for (const round of this.transcript.rounds.values()) {
        const leaf = this.#badLeaf(round);
        if (leaf === null) continue;
        this.#isDone = true;
        this.say(this.trick);
        yield* this.force(leaf);
        return true;
      }
    }
    return yield* super.act();
  }

  #badLeaf(round: Round): Uint8Array | null {
    const { trick } = this;
    if (trick === 'closes without one of the uploads') {
      if (round.phase !== 'uploading' || round.uploads.size < 3) return null;
      const cohort = [...round.uploads.values()].slice(1);
      const body: Body<'close'> = {
        round: round.id,
        attempt: 1,
        uploads: cohort.map(({ index }) => index),
        cohortHash: cohortHashOf(this.p, cohort),
        sumHash: this.setting.founding.hash(cohort[0] === undefined ? new Uint8Array(0) : new Uint8Array(1)),
      };
      return this.leaf('close', body);
    }
    if (trick === 'logs a leaf twice') return this.world.draw.pick(this.entries);
    if (trick === 'decides before t members are ready' || trick === 'charges less') {
      if (round.phase !== 'confirming' || round.attempt.confirms.size < round.attempt.cohort.length) return null;
      const missing = this.setting.founding.sizes.threshold - round.attempt.ready.size;
      if (trick === 'charges less') return missing <= 0 ? this.#decide(round, 1) : null;
      // One member too few, and nothing else amiss.
      const areRecipientsReady = round.attempt.readyRecipients.size === round.record.recipients.length;
      return missing === 1 && areRecipientsReady ? this.#decide(round, 0) : null;
    }
    if (trick === 'decides before a recipient is ready') {
      if (round.phase !== 'confirming' || round.attempt.ready.size < this.setting.founding.sizes.threshold) return null;
      const isEarly = round.attempt.readyRecipients.size < round.record.recipients.length;
      return isEarly ? this.#decide(round, 0) : null;
    }
    if (trick === 'decides a second time' && round.phase === 'decided') return this.#decide(round, 0);
    if (trick === 'decides after an abort' && round.phase === 'aborted') return this.#decide(round, 0);
    return null;
  }

  #decide(round: Round, less: number): Uint8Array | null {
    const attempt = round.attempts.at(-1);
    if (attempt === undefined || attempt.confirms.size < attempt.cohort.length) return null;
    return this.leaf('decide', {
      round: round.id,
      attempt: attempt.number,
      close: attempt.close,
      confirms: attempt.cohort.map(({ node }) => attempt.confirms.get(node)!.index),
      sumHash: attempt.sumHash,
      correctionSumHash: this.setting.founding.hash(new Uint8Array(2)),
      rhoNano: round.record.charge.rhoNano - less,
    });
  }
}
