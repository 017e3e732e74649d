import { parseCheckpoint } from '../../crypto/checkpoint.ts';
import { formatSignatures, parseNote } from '../../crypto/note.ts';
import type { CheckedBox } from '../../protocols/boxes.ts';
import type { Answer, MemberDuty } from '../../protocols/member.ts';
import type { Decision } from '../../protocols/transcript.ts';
import { cosignHead } from '../../protocols/witness.ts';
import type { Seeds } from './holder-keys.ts';
import { MemberProcess } from './member-process.ts';
import type { Request, Response } from './messages.ts';
import type { Process, Services, Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import { WitnessProcess } from './witness-process.ts';

export const MEMBER_TRICKS = [
  "answers with one node's seeds twice",
  'seals other bytes than it logged',
  'complains falsely',
  'is ready without looking and never answers',
  'does as it should',
] as const;
export type MemberTrick = (typeof MEMBER_TRICKS)[number];

/** Cosigns whatever it is shown: C2SP's checks, and its own memory, left out. */
function cosignAnything(
  process: Process,
  setting: Setting,
  { note }: Request<'addCheckpoint'>,
): Response<'addCheckpoint'> {
  const { founding } = setting;
  const { size } = parseCheckpoint(parseNote(note).text);
  const signer = founding.witnessSigner(process.name);
  return {
    knownSize: size,
    line: formatSignatures([cosignHead(founding.kit.primitives, signer, note, 1_700_000_000)]),
  };
}

/** A member that does what its trick says, and cosigns every head of every fork. */
export class CorruptMember extends MemberProcess {
  readonly #trick: MemberTrick;
  override readonly services: Services = {
    addCheckpoint: (request) => cosignAnything(this, this.setting, request),
    approve: (change) => this.signChange(change),
  };

  constructor(setting: Setting, name: string, trick: MemberTrick) {
    super(setting, name);
    this.#trick = trick;
  }

  protected override *perform(duty: MemberDuty): Task {
    if (this.#trick === 'is ready without looking and never answers') {
      if (duty.duty === 'check-boxes') {
        yield* this.append(this.leaf('ready', { close: duty.attempt.close }));
        this.markDone(duty);
        return;
      }
      if (duty.duty === 'answer') {
        this.markDone(duty);
        return;
      }
    }
    yield* super.perform(duty);
  }

  protected override tamperCheck(checked: CheckedBox, confirm: string): CheckedBox {
    if (this.#trick !== 'complains falsely' || this.world.draw.chance(0.3)) return checked;
    return { confirm, code: this.world.draw.pick(['BOX_UNREADABLE', 'SEED_MISMATCH'] as const) };
  }

  protected override tamperSeeds(_decision: Decision, seeds: Seeds): Seeds {
    if (this.#trick !== "answers with one node's seeds twice") return seeds;
    const [first, second] = [...seeds.keys()];
    return new Map([...seeds, [second!, seeds.get(first!)!]]);
  }

  protected override tamperAnswer(answer: Answer): Answer {
    if (this.#trick !== 'seals other bytes than it logged') return answer;
    const sealed = answer.sealed.map((box) => ({ ...box, sealed: this.founding.rng(box.sealed.length) }));
    const named = sealed.map((box) => ({ recipient: box.recipient, hash: this.founding.hash(box.sealed) }));
    return { body: { ...answer.body, sealed: named }, sealed };
  }
}

/** An outside witness that cosigns every head of every fork. */
export class CorruptWitness extends WitnessProcess {
  override readonly services: Services;

  constructor(setting: Setting, name: string) {
    super(setting, name);
    this.services = { addCheckpoint: (request) => cosignAnything(this, setting, request) };
  }
}
