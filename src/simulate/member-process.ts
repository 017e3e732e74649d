import { DOMAIN } from '../../crypto/domain.ts';
import { toBase64 } from '../../crypto/encoding.ts';
import { sign } from '../../crypto/signature.ts';
import { boxesKey } from '../../protocols/disputes.ts';
import { type Answer, type MemberDuty, makeAnswer, memberDuties } from '../../protocols/member.ts';
import { approvalBytes, checkChange, type QuorumChange } from '../../protocols/rules-membership.ts';
import type { Decision, Round } from '../../protocols/transcript.ts';
import { HolderProcess, type Seeds, wipeSeeds } from './holder-keys.ts';
import type { Sealed } from './messages.ts';
import { CallFailed } from './network.ts';
import type { Services, Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import { Witnessing } from './witness-process.ts';

interface KeptAnswer {
  readonly leaf: Uint8Array;
  readonly sealed: readonly Sealed[];
}

/** A quorum member, which also witnesses the log. Mirrors src/party/member.ts, write by write. */
export class MemberProcess extends HolderProcess {
  readonly #witnessing: Witnessing;
  readonly services: Services = {
    addCheckpoint: (request) => this.#witnessing.addCheckpoint(request),
    approve: (change) => this.approve(change),
  };
  #done = new Set<string>();
  #opened = new Map<string, Seeds>();

  constructor(setting: Setting, name: string) {
    super(setting, name);
    this.#witnessing = new Witnessing(this, setting);
  }

  protected override begin(): void {
    this.#done = new Set();
    this.#opened = new Map();
    this.#witnessing.reset();
    super.begin();
  }

  protected *act(): Task<boolean> {
    const keeps = (announce: string): boolean => this.holds(announce);
    const duties = memberDuties(this.t, this.name, keeps, () => false);
    return yield* this.firstPossible(
      duties.filter((duty) => !this.#done.has(dutyKey(duty, this.name))),
      (duty) => this.perform(duty),
    );
  }

  protected *perform(duty: MemberDuty): Task {
    if (duty.duty === 'round-key') yield* this.logRoundKey(duty.announce.hash);
    else if (duty.duty === 'check-boxes') {
      const seeds = yield* this.openCohort(duty.round, duty.attempt);
      if (seeds !== null) {
        this.#opened.set(duty.attempt.close, seeds);
        yield* this.append(this.leaf('ready', { close: duty.attempt.close }));
      }
    } else if (duty.duty === 'answer') {
      const { close } = duty.decision.attempt;
      yield* this.#answer(duty.round, duty.decision, this.#opened.get(close) ?? null);
      this.#opened.delete(close);
    } else {
      yield* this.forgetRoundKey(duty.announce.hash);
      for (const { close } of this.t.rounds.get(duty.announce.openedAs ?? '')?.attempts ?? []) {
        wipeSeeds(this.#opened.get(close) ?? new Map());
        this.#opened.delete(close);
      }
    }
    this.markDone(duty);
  }

  /** Its officer reads the log and signs: `veilsum quorum approve`. */
  protected approve(change: QuorumChange): string {
    const problem = checkChange(this.t, change);
    if (problem !== null) throw new CallFailed(problem.rejected, problem.why);
    return this.signChange(change);
  }

  protected signChange(change: QuorumChange): string {
    this.setting.truth.approved(this.name, change);
    const secret = this.founding.secret(this.name);
    return toBase64(sign(this.primitives, secret, DOMAIN.quorumChange, approvalBytes(this.t.logId, change)));
  }

  protected markDone(duty: MemberDuty): void {
    this.#done.add(dutyKey(duty, this.name));
  }

  /** The answer is made once, kept, and only then sent: every retry sends the same bytes. */
  *#answer(round: Round, decision: Decision, opened: Seeds | null): Task {
    const key = `answers/${decision.hash}`;
    let kept = this.disk.get<KeptAnswer>(key);
    if (kept === undefined) {
      if (decision.answers.has(this.name)) return; // an older copy of the member: the log has its answer
      const seeds = opened ?? (yield* this.openCohort(round, decision.attempt));
      if (seeds === null) return;
      this.setting.truth.answered(this.name, this.t, round, decision);
      const told = this.tamperSeeds(decision, seeds);
      const { primitives: p } = this.founding.kit;
      const made = this.tamperAnswer(makeAnswer(p, this.founding.rng, this.t, round, decision, this.name, told));
      wipeSeeds(seeds);
      kept = { leaf: this.leaf('answer', made.body), sealed: made.sealed };
      yield* this.write([[key, kept]]);
    }
    yield* this.append(kept.leaf);
    yield* this.askReplicas(this.replicas, 'putAnswer', kept);
  }

  /** An honest member answers what it saw. Corrupt ones override these. */
  protected tamperSeeds(_decision: Decision, seeds: Seeds): Seeds {
    return seeds;
  }
  protected tamperAnswer(answer: Answer): Answer {
    return answer;
  }
}

function dutyKey(duty: MemberDuty, name: string): string {
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  if (duty.duty === 'answer') return `answer ${duty.decision.hash}`;
  return boxesKey(duty.attempt, name);
}
