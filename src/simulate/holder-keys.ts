import { toBase64 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { type CheckedBox, checkBox } from '../../protocols/boxes.ts';
import { boxHashFor } from '../../protocols/disputes.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Body } from '../../protocols/leaves.ts';
import type { Attempt, Confirm, Round } from '../../protocols/transcript.ts';
import { ROUNDS } from './disk.ts';
import type { Task } from './process.ts';
import { ReaderProcess } from './reader-process.ts';
import { FAILURES, isNotThere } from './replicas.ts';

export type Seeds = Map<string, readonly SecretBytes[]>;

export function wipeSeeds(seeds: Seeds): void {
  for (const ofNode of seeds.values()) for (const seed of ofNode) seed.wipe();
}

/** A member or a recipient: whoever makes a key per round. Mirrors src/party/holder.ts and fetch.ts. */
export abstract class HolderProcess extends ReaderProcess {
  holds(announce: string): boolean {
    return this.disk.has(`${ROUNDS}${announce}`);
  }

  /** The key is durable before its leaf is sent. */
  protected *logRoundKey(announce: string): Task {
    const key = `${ROUNDS}${announce}`;
    if (!this.disk.has(key)) yield* this.write([[key, this.founding.rng(32)]]);
    using seed = this.roundKey(announce);
    this.founding.secrecy.made('a round key', seed.bytes);
    this.setting.truth.usedKey(this.name, this.founding.hash(seed.bytes), announce);
    const kemKey = toBase64(xwingKeyPair(this.primitives, seed).publicKey);
    yield* this.append(this.leaf('round-key', { announce, kemKey }));
  }

  protected roundKey(announce: string): SecretBytes {
    return new SecretBytes('round key', this.disk.get<Uint8Array>(`${ROUNDS}${announce}`)!.slice());
  }

  protected *forgetRoundKey(announce: string): Task {
    yield* this.write(this.disk.keys(`${ROUNDS}${announce}`).map((key) => [key, null]));
  }

  /** A box, checked against the hash that the log has; null where no replica has it. */
  protected *fetchBox(attempt: Attempt, confirm: Confirm): Task<Uint8Array | null> {
    const request = { close: attempt.close, node: confirm.node, holder: this.name };
    const hash = boxHashFor(attempt, confirm, this.name);
    try {
      return yield* this.askReplicas(this.replicas, 'fetchBox', request, (sealed) => {
        if (this.founding.hash(sealed) !== hash)
          throw new ProtocolError('PAYLOAD_HASH', 'not the box that the log names');
      });
    } catch (error) {
      if (FAILURES.isWithoutBytes(error) || isNotThere(error)) return null;
      throw error;
    }
  }

  /** Fetches and opens the boxes of all of U. */
  protected *checkBoxes(round: Round, attempt: Attempt): Task<{ seeds: Seeds; complaints: Body<'complaint'>[] }> {
    const seeds: Seeds = new Map();
    const complaints: Body<'complaint'>[] = [];
    using roundKey = this.roundKey(round.record.announce);
    const confirms = [...attempt.confirms.values()];
    const boxes = yield* this.all(confirms.map((confirm) => this.fetchBox(attempt, confirm)));
    for (const [i, confirm] of confirms.entries()) {
      const found = checkBox(this.primitives, roundKey, round, attempt, confirm, this.name, boxes[i]!);
      const checked = this.tamperCheck(found, confirm.hash);
      if ('seeds' in checked) seeds.set(confirm.node, checked.seeds);
      else {
        this.say(`box of ${confirm.node} refused: ${checked.code}`);
        complaints.push(checked);
      }
    }
    return { seeds, complaints };
  }

  /** Opens the boxes of all of U. @returns the seeds, or null after complaints were logged. */
  protected *openCohort(round: Round, attempt: Attempt): Task<Seeds | null> {
    const { seeds, complaints } = yield* this.checkBoxes(round, attempt);
    if (complaints.length === 0) return seeds;
    wipeSeeds(seeds);
    for (const complaint of complaints) yield* this.append(this.leaf('complaint', complaint));
    return null;
  }

  /** An honest holder says what it saw. Corrupt ones override it. */
  protected tamperCheck(checked: CheckedBox, _confirm: string): CheckedBox {
    return checked;
  }
}
