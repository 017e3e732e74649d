import { toBase64 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { boxHashFor } from '../../protocols/member.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import { ROUNDS } from './disk.ts';
import type { Task } from './process.ts';
import { ReaderProcess } from './reader-process.ts';
import { FAILURES, isNotThere } from './replicas.ts';

/** A member or a recipient: whoever makes a key per round. Mirrors `logRoundKey` of src/party/member.ts and fetch.ts. */
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
    yield* this.write([[`${ROUNDS}${announce}`, null]]);
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
}
