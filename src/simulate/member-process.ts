import type { SecretBytes } from '../../crypto/secret.ts';
import { type Answer, checkBox, type MemberDuty, makeAnswer, memberDuties } from '../../protocols/member.ts';
import type { Attempt, Decision, Round } from '../../protocols/transcript.ts';
import { HolderProcess } from './holder-keys.ts';
import type { Sealed } from './messages.ts';
import type { Services, Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import { Witnessing } from './witness-process.ts';

export type Seeds = Map<string, readonly SecretBytes[]>;

interface KeptAnswer {
  readonly leaf: Uint8Array;
  readonly sealed: readonly Sealed[];
}

/** A quorum member, which also witnesses the log. Mirrors src/party/member.ts, write by write. */
export class MemberProcess extends HolderProcess {
  readonly #witnessing: Witnessing;
  readonly services: Services = { addCheckpoint: (request) => this.#witnessing.addCheckpoint(request) };
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
      duties.filter((duty) => !this.#done.has(dutyKey(duty))),
      (duty) => this.perform(duty),
    );
  }

  protected *perform(duty: MemberDuty): Task {
    if (duty.duty === 'round-key') yield* this.logRoundKey(duty.announce.hash);
    else if (duty.duty === 'check-boxes') {
      const seeds = yield* this.#openCohort(duty.round, duty.attempt);
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

  protected markDone(duty: MemberDuty): void {
    this.#done.add(dutyKey(duty));
  }

  /** Opens the boxes of all of U. @returns the seeds, or null after a complaint was logged. */
  *#openCohort(round: Round, attempt: Attempt): Task<Seeds | null> {
    const seeds: Seeds = new Map();
    using roundKey = this.roundKey(round.record.announce);
    const confirms = [...attempt.confirms.values()];
    const boxes = yield* this.all(confirms.map((confirm) => this.fetchBox(attempt, confirm)));
    for (const [i, confirm] of confirms.entries()) {
      const box = boxes[i] ?? null;
      const checked = this.tamperCheck(
        checkBox(this.primitives, roundKey, round, attempt, confirm, this.name, box),
        confirm.hash,
      );
      if (!('seeds' in checked)) {
        wipeSeeds(seeds);
        this.say(`box of ${confirm.node} refused: ${checked.code}`);
        yield* this.append(this.leaf('complaint', checked));
        return null;
      }
      seeds.set(confirm.node, checked.seeds);
    }
    return seeds;
  }

  /** The answer is made once, kept, and only then sent: every retry sends the same bytes. */
  *#answer(round: Round, decision: Decision, opened: Seeds | null): Task {
    const key = `answers/${decision.hash}`;
    let kept = this.disk.get<KeptAnswer>(key);
    if (kept === undefined) {
      if (decision.answers.has(this.name)) return; // an older copy of the member: the log has its answer
      const seeds = opened ?? (yield* this.#openCohort(round, decision.attempt));
      if (seeds === null) return;
      this.setting.truth.answered(this.name, round, decision);
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

  /** An honest member says what it saw. Corrupt ones override these. */
  protected tamperCheck(checked: ReturnType<typeof checkBox>, _confirm: string): ReturnType<typeof checkBox> {
    return checked;
  }
  protected tamperSeeds(_decision: Decision, seeds: Seeds): Seeds {
    return seeds;
  }
  protected tamperAnswer(answer: Answer): Answer {
    return answer;
  }
}

function wipeSeeds(seeds: Seeds): void {
  for (const ofNode of seeds.values()) for (const seed of ofNode) seed.wipe();
}

function dutyKey(duty: MemberDuty): string {
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  if (duty.duty === 'answer') return `answer ${duty.decision.hash}`;
  const complaints = [...duty.attempt.complaints.values()].flatMap((byMember) => [...byMember.values()]);
  return `check-boxes ${duty.attempt.close} ${complaints.map((c) => `${c.resealed} ${c.final}`).join()}`;
}
