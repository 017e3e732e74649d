import { createChecksum } from '../../crypto/checksum.ts';
import { concat, fromHex } from '../../crypto/encoding.ts';
import { createEncryptor } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { isRejection } from '../../protocols/errors.ts';
import {
  makeConfirmation,
  makeOneShot,
  mayUpload,
  nodeDuties,
  RoundSecrets,
  resealFor,
  uploadBody,
} from '../../protocols/node.ts';
import type { Attempt, Round } from '../../protocols/transcript.ts';
import { type MemoryWorld, splitBlocks } from './memory-world.ts';

interface Kept {
  readonly secrets: RoundSecrets;
  readonly payload: Uint8Array;
  /** By close leaf. */
  readonly fresh: Map<string, SecretBytes>;
  /** Of an upload that shares its key itself. */
  readonly ofRound: SecretBytes;
}

/** The nodes of a run in memory, with what each keeps of a running round. */
export class MemoryNodes {
  readonly #world: MemoryWorld;
  readonly #kept = new Map<string, Kept>();

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  /** Rounds whose one-time keys are still held. */
  get held(): number {
    return this.#kept.size;
  }

  /** Does a node's next duty. @returns whether anything was done. */
  act(name: string, updates: ReadonlyMap<string, Int32Array>): boolean {
    const world = this.#world;
    const t = world.log.transcript;
    const duty = nodeDuties(t, name, (id) => this.#kept.has(`${name} ${id}`))[0];
    if (duty === undefined) return false;
    const slot = `${name} ${duty.round.id}`;
    if (duty.duty === 'forget') {
      this.#kept.get(slot)!.secrets[Symbol.dispose]();
      return this.#kept.delete(slot);
    }
    if (duty.duty === 'upload') {
      const values = updates.get(name);
      return values !== undefined && !world.gone(name, 'upload') && this.#upload(name, duty.round, values);
    }
    if (duty.duty === 'confirm') return !world.gone(name, 'confirm') && this.#confirm(name, duty.round, duty.attempt);
    const kept = this.#kept.get(slot)!;
    const { primitives, rng } = world.setting;
    const place = { round: duty.round, attempt: duty.attempt, node: name };
    if (world.gone(name, 'reseal')) return false;
    const fresh = kept.fresh.get(duty.attempt.close) ?? kept.ofRound;
    const again = world.tamper('reseal', name, resealFor(primitives, rng, t, place, kept.secrets, fresh, duty.holder));
    world.put(again.sealed);
    return world.post(name, 'reseal', again.body) !== null;
  }

  #upload(name: string, round: Round, values: Int32Array): boolean {
    const world = this.#world;
    const { primitives: p, rng } = world.setting;
    const refusal = mayUpload(world.policy, world.log.transcript, round, name, 0);
    if (refusal !== null) {
      world.refusals.push(refusal);
      return false;
    }
    const context = world.context(round.record, name);
    using seed = new SecretBytes('upload seed', rng(32));
    using encryptor = createEncryptor(context, values, seed);
    const blocks = Array.from({ length: context.parameters.blocks }, (_, block) => encryptor.block(block));
    const payload = world.tamper('payload', name, concat(...blocks));
    const secrets = new RoundSecrets(
      encryptor.key.slice(),
      new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
      new SecretBytes('mask key', rng(round.record.masking === 'none' ? 0 : 32)),
    );
    const fresh = new SecretBytes('round seed', rng(32));
    this.#kept.set(`${name} ${round.id}`, { secrets, payload, fresh: new Map(), ofRound: fresh });
    const seen = { size: world.log.leaves.length, root: world.log.root() };
    const sent = { hash: world.put(payload), bytes: payload.length };
    if (round.record.masking !== 'none')
      return world.post(name, 'upload', uploadBody(p, rng, round, secrets, sent, seen)) !== null;
    const t = world.log.transcript;
    const { number, modelHash } = t.models[world.trainedFrom.get(name) ?? round.record.modelNumber]!;
    const place = { round, node: name };
    const made = makeOneShot(p, rng, t, place, secrets, fresh, { number, hash: modelHash }, sent, seen);
    const { body, correction, boxes } = world.tamper('one-shot', name, made);
    world.put(correction);
    for (const box of boxes) world.put(box.sealed);
    return world.post(name, 'one-shot', body) !== null;
  }

  #confirm(name: string, round: Round, attempt: Attempt): boolean {
    const world = this.#world;
    const { primitives: p, rng } = world.setting;
    const { secrets, payload, fresh } = this.#kept.get(`${name} ${round.id}`)!;
    const context = world.context(round.record, name);
    using checksum = createChecksum(context, fromHex(attempt.close, 32));
    for (const [block, wire] of splitBlocks(context, payload)) checksum.add(block, wire);
    const seed = new SecretBytes('attempt seed', rng(32));
    fresh.set(attempt.close, seed);
    const place = { round, attempt, node: name };
    const made = makeConfirmation(p, rng, world.log.transcript, world.policy, place, secrets, seed, checksum.value());
    if (isRejection(made)) {
      world.refusals.push(made);
      return false;
    }
    const sent = world.tamper('box', name, made);
    world.put(sent.correction);
    for (const box of sent.boxes) world.put(box.sealed);
    return world.post(name, 'confirm', sent.body) !== null;
  }
}
