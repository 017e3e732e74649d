import { fromBase64 } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { sealSeeds } from '../../crypto/share-box.ts';
import { heldBy, subsets } from '../../crypto/sharing.ts';
import { holderOf } from '../../protocols/disputes.ts';
import type { Confirmation, NodeDuty } from '../../protocols/node.ts';
import { shareContext } from '../../protocols/share-key.ts';
import type { Round } from '../../protocols/transcript.ts';
import { DIMENSION } from './founding.ts';
import { NodeProcess } from './node-process.ts';
import type { Task } from './process.ts';
import type { Setting } from './reader-process.ts';

export const NODE_TRICKS = [
  'shifts the sum',
  'seals other seeds than it commits to',
  'seals unreadable boxes',
  'signs a wrong checksum',
  'shares another key',
  'uploads and confirms twice',
  'confirms nothing',
] as const;
/** The last one is for whom a lying recipient has bought: it leaves a retry that it uploaded for. */
export type NodeTrick = (typeof NODE_TRICKS)[number] | 'confirms now and then';

/** Tricks that nobody can see before the sum is opened: the round is lost, and the node is among its suspects. */
export const SINKING: ReadonlySet<NodeTrick> = new Set([
  'signs a wrong checksum',
  'shares another key',
  'uploads and confirms twice',
]);

/** A node that does what its trick says, and everything else as it should: that harms most. */
export class CorruptNode extends NodeProcess {
  readonly #trick: NodeTrick;
  /** Members and recipients that get bad boxes: some of them, so that the others can be ready. */
  readonly #victims: ReadonlySet<string>;

  constructor(setting: Setting, name: string, trick: NodeTrick) {
    super(setting, name);
    this.#trick = trick;
    const { draw } = setting.world;
    const { members, recipients } = setting.founding;
    const holders = draw.chance(0.5) ? members : [...members, ...recipients];
    this.#victims = new Set(draw.some(holders, draw.between(1, holders.length)));
  }

  protected override values(round: Round): Int32Array {
    if (this.#trick !== 'shifts the sum') return super.values(round);
    return Int32Array.from({ length: DIMENSION }, () => this.world.draw.between(-100, 100));
  }

  protected override *perform(duty: NodeDuty): Task {
    const isSilent =
      this.#trick === 'confirms nothing' || (this.#trick === 'confirms now and then' && this.world.draw.chance(0.5));
    if (isSilent && duty.duty === 'confirm') {
      this.markDone(duty);
      return;
    }
    yield* super.perform(duty);
    if (this.#trick !== 'uploads and confirms twice' || this.world.draw.chance(0.3)) return;
    // Everything that was kept is forgotten and made again, under fresh keys: as a machine from a snapshot would.
    if (duty.duty === 'upload' || duty.duty === 'confirm') {
      yield* this.forgetDuty(duty);
      yield* super.perform(duty);
    }
  }

  protected override tamperKey(round: Round, key: Int16Array): Int16Array {
    if (this.#trick === 'shares another key') key[round.record.number]! += 1;
    return key;
  }

  protected override tamperConfirmation(round: Round, made: Confirmation): Confirmation {
    if (this.#trick === 'signs a wrong checksum') {
      const checksum = [...made.body.checksum];
      checksum[0] = (checksum[0]! + 1) % round.record.parameters.primes[0]!;
      return { ...made, body: { ...made.body, checksum } };
    }
    if (this.#trick !== 'seals other seeds than it commits to' && this.#trick !== 'seals unreadable boxes') return made;
    const boxes = made.boxes.map(({ holder, sealed }) => {
      return { holder, sealed: this.#victims.has(holder) ? this.#badBox(round, holder, sealed) : sealed };
    });
    const named = boxes.map(({ holder, sealed }) => ({ holder, hash: this.founding.hash(sealed) }));
    return { ...made, body: { ...made.body, boxes: named }, boxes };
  }

  protected override tamperReseal(sealed: Uint8Array): Uint8Array {
    const isBad = this.#trick.startsWith('seals') && this.world.draw.chance(0.5);
    return isBad ? this.founding.rng(sealed.length) : sealed;
  }

  #badBox(round: Round, holder: string, sealed: Uint8Array): Uint8Array {
    const { rng, kit } = this.founding;
    if (this.#trick === 'seals unreadable boxes') return rng(sealed.length);
    const to = holderOf(round.record, holder)!;
    const attempt = round.attempts.at(-1)!;
    const { members, threshold } = round.record.parameters;
    const sets = to.role === 'member' ? heldBy(subsets(members, threshold), to.index) : [0];
    const seeds = sets.map(() => new SecretBytes('other seed', rng(32)));
    const key = fromBase64(this.t.announces.get(round.record.announce)!.roundKeys.get(holder)!.kemKey, 1216);
    return sealSeeds(kit.primitives, rng, shareContext({ round, attempt, node: this.name }), to, key, seeds);
  }
}
