import type { CheckedBox } from '../../protocols/boxes.ts';
import type { Opening } from '../../protocols/recipient.ts';
import type { Round } from '../../protocols/transcript.ts';
import type { Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import { RecipientProcess } from './recipient-process.ts';

export const RECIPIENT_TRICKS = [
  'says that what it opened does not open',
  'releases another result',
  'names others as liars',
  'complains falsely',
] as const;
export type RecipientTrick = (typeof RECIPIENT_TRICKS)[number];

/** What it may say of a decided round so that the window is tried again. */
const REASONS = ['KEY_DOES_NOT_FIT', 'BOX_UNREADABLE', 'CHECKSUM_MISMATCH', 'SUM_MALFORMED', 'BLOB_LOST'] as const;

/** A recipient that opens sums as it should, and lies about them: what it saw, it saw. */
export class CorruptRecipient extends RecipientProcess {
  readonly #trick: RecipientTrick;

  constructor(setting: Setting, name: string, trick: RecipientTrick) {
    super(setting, name);
    this.#trick = trick;
  }

  protected override *end(round: Extract<Round, { phase: 'decided' }>, opened: Opening): Task {
    const { draw } = this.world;
    if (this.#trick === 'complains falsely' || draw.chance(0.2)) yield* super.end(round, opened);
    else if (this.#trick === 'says that what it opened does not open') {
      yield* this.append(this.leaf('abort', { round: round.id, reason: draw.pick(REASONS) }));
    } else if (this.#trick === 'releases another result') {
      yield* super.end(round, { ...opened, resultHash: this.founding.hash(this.founding.rng(32)) });
    } else {
      const members = round.record.members.map(({ name }) => name);
      yield* super.end(round, { ...opened, liars: draw.some(members, draw.between(1, members.length - 1)) });
    }
  }

  protected override tamperCheck(checked: CheckedBox, confirm: string): CheckedBox {
    const { draw } = this.world;
    if (this.#trick !== 'complains falsely' || draw.chance(0.3)) return checked;
    return { confirm, code: draw.pick(['BOX_UNREADABLE', 'SEED_MISMATCH'] as const) };
  }
}
