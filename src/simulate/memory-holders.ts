import { toBase64 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { checkBox } from '../../protocols/boxes.ts';
import { CheckedSum } from '../../protocols/checked-sum.ts';
import { boxHashFor } from '../../protocols/disputes.ts';
import { isRejection } from '../../protocols/errors.ts';
import { makeAnswer, memberDuties } from '../../protocols/member.ts';
import { abortReasonOf, openSum, recipientDuties } from '../../protocols/recipient.ts';
import type { Attempt, Round } from '../../protocols/transcript.ts';
import { type MemoryWorld, splitBlocks } from './memory-world.ts';

/** Members and recipients of a run in memory: whoever has a key per round. */
export class MemoryHolders {
  readonly #world: MemoryWorld;
  readonly #roundKeys = new Map<string, SecretBytes>();

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  /** Round keys that are still held. */
  get held(): number {
    return this.#roundKeys.size;
  }

  #roundKey(name: string, announce: string): boolean {
    const world = this.#world;
    const seed = new SecretBytes('round key', world.setting.rng(32));
    this.#roundKeys.set(`${name} ${announce}`, seed);
    const kemKey = toBase64(xwingKeyPair(world.setting.primitives, seed).publicKey);
    return world.post(name, 'round-key', { announce, kemKey }) !== null;
  }

  #forget(name: string, announce: string): boolean {
    this.#roundKeys.get(`${name} ${announce}`)!.wipe();
    return this.#roundKeys.delete(`${name} ${announce}`);
  }

  /** The holder's seeds of U by node; null after a complaint about every bad box. */
  #openBoxes(name: string, round: Round, attempt: Attempt): Map<string, readonly SecretBytes[]> | null {
    const world = this.#world;
    const roundKey = this.#roundKeys.get(`${name} ${round.record.announce}`)!;
    const seeds = new Map<string, readonly SecretBytes[]>();
    for (const confirm of attempt.confirms.values()) {
      const box = world.blobs.get(boxHashFor(attempt, confirm, name)) ?? null;
      const found = checkBox(world.setting.primitives, roundKey, round, attempt, confirm, name, box);
      const { checked } = world.tamper('check', name, { confirm, checked: found });
      if ('seeds' in checked) seeds.set(confirm.node, checked.seeds);
      else world.post(name, 'complaint', checked);
    }
    return seeds.size === attempt.cohort.length ? seeds : null;
  }

  /** Does a member's next duty. @returns whether anything was done. */
  actMember(name: string): boolean {
    const world = this.#world;
    const { primitives: p, rng } = world.setting;
    const t = world.log.transcript;
    const [duty] = memberDuties(t, name, (announce) => this.#roundKeys.has(`${name} ${announce}`));
    if (duty === undefined) return false;
    if (duty.duty === 'round-key') return !world.gone(name, 'round-key') && this.#roundKey(name, duty.announce.hash);
    if (duty.duty === 'forget') return this.#forget(name, duty.announce.hash);
    if (world.gone(name, duty.duty === 'answer' ? 'answer' : 'ready')) return false;
    const { round } = duty;
    const attempt = duty.duty === 'answer' ? duty.decision.attempt : duty.attempt;
    const seeds = this.#openBoxes(name, round, attempt);
    if (seeds === null) return true;
    if (duty.duty === 'check-boxes') return world.post(name, 'ready', { close: attempt.close }) !== null;
    const answer = makeAnswer(p, rng, t, round, duty.decision, name, world.tamper('share-seeds', name, seeds));
    for (const { sealed } of answer.sealed) world.put(sealed);
    return world.post(name, 'answer', answer.body) !== null;
  }

  /** Does a recipient's next duty, but models. @returns whether anything was done. */
  actRecipient(name: string): boolean {
    const world = this.#world;
    const { primitives: p } = world.setting;
    const t = world.log.transcript;
    const duties = recipientDuties(t, name, (announce) => this.#roundKeys.has(`${name} ${announce}`));
    const duty = duties.find((d) => d.duty !== 'next-model' && d.duty !== 'first-model');
    if (duty === undefined) return false;
    if (duty.duty === 'round-key') return this.#roundKey(name, duty.announce.hash);
    if (duty.duty === 'forget') return this.#forget(name, duty.announce.hash);
    if (duty.duty === 'check-boxes') {
      if (world.gone(name, 'ready')) return false;
      const seeds = this.#openBoxes(name, duty.round, duty.attempt);
      return seeds === null || world.post(name, 'ready', { close: duty.attempt.close }) !== null;
    }
    if (duty.duty !== 'open') return false;
    const { round, decision } = duty;
    const seeds = this.#openBoxes(name, round, decision.attempt);
    if (seeds === null) return world.post(name, 'abort', { round: round.id, reason: 'BOX_UNREADABLE' }) !== null;
    // All that will answer have: an opening that fails is final, so it is not tried before.
    const context = world.context(round.record, name);
    const sum = new Map(splitBlocks(context, world.blobs.get(decision.body.sumHash)!));
    const opened = openSum(p, {
      context,
      round,
      decision,
      recipient: name,
      roundKey: this.#roundKeys.get(`${name} ${round.record.announce}`)!,
      correctionSum: world.blobs.get(decision.body.correctionSumHash)!,
      seeds,
      answers: new Map(
        [...decision.answers].map(([member, { body }]) => [
          member,
          world.tamper('answer', member, world.blobs.get(body.sealed[0]!.hash)!),
        ]),
      ),
      sum: CheckedSum.of(context, decision.attempt, (block) => sum.get(block)!),
    });
    if (isRejection(opened)) {
      world.refusals.push(opened);
      const reason = abortReasonOf(opened);
      return world.post(name, 'abort', { round: round.id, reason }) !== null;
    }
    world.openings.set(round.id, opened);
    return (
      world.post(name, 'release', {
        decide: decision.hash,
        resultHash: opened.resultHash,
        liars: [...opened.liars],
      }) !== null
    );
  }
}
