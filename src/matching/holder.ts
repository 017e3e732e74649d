import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bytesEqual, fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { checkElement, evaluateBlinded, holderPublicKey } from '../../crypto/oprf.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { readKeyFile, writeKeyFile } from '../config/files.ts';
import type { RecordStore, Transaction } from '../store/port.ts';
import { MatchingError } from './errors.ts';

/** The member's part of the matching key, mode 0600, in its folder. */
export const HOLDER_KEY_FILE = 'matching.key';
/** Elements of one call: what keeps the event loop busy for less than a tenth of a second. */
export const BATCH_MAX = 32;
/** Names that one organisation may have evaluated under one key, unless the member's settings say otherwise. */
export const DEFAULT_BUDGET = 50_000;

const TABLE = 'matching';
const SEEN = Uint8Array.of(1);

export interface HolderSetting {
  readonly primitives: Primitives;
  readonly rng: Rng;
  /** The member's folder. */
  readonly folder: string;
  readonly records: RecordStore;
  /** Elements per organisation and key; 0 answers nobody. */
  readonly budget: number;
}

export interface CountedEvaluation {
  readonly elements: readonly Uint8Array[];
  readonly proof: Uint8Array;
  /** Elements charged to the organisation under this key, this call included. */
  readonly spent: number;
}

/**
 * One holder of a part of the matching key.
 *
 * Laws: an element is evaluated only after it is counted, durably; an organisation has at most `budget` different
 * elements evaluated under one key, however often it asks and through however many nodes; an element that was counted
 * before is evaluated again at no charge.
 *
 * The key is read from its file at every call: when the file is gone, the member's part, and with it the whole key, is.
 */
export class MatchingHolder {
  readonly #setting: HolderSetting;
  /** One call at a time: draws and counts do not race, and other work of the member gets its turns in between. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(setting: HolderSetting) {
    this.#setting = setting;
  }

  /** The public key; draws the secret at the first call. @throws MatchingError MATCHING_OFF */
  publicKey(): Promise<Uint8Array> {
    return this.#next(async () => {
      using seed = await this.#seed();
      return holderPublicKey(seed);
    });
  }

  /**
   * @param organisation - of the caller, from its certificate.
   * @param expected - the public key that the caller knows.
   * @throws MatchingError MATCHING_OFF, BATCH_SIZE, BAD_ELEMENT, KEY_REPLACED, BUDGET_SPENT: nothing was evaluated, and
   *   nothing counted.
   */
  evaluate(organisation: string, expected: Uint8Array, blinded: readonly Uint8Array[]): Promise<CountedEvaluation> {
    return this.#next(async () => {
      if (blinded.length === 0 || blinded.length > BATCH_MAX) {
        throw new MatchingError('BATCH_SIZE', `a call takes 1 to ${BATCH_MAX} elements`);
      }
      for (const element of blinded) requireElement(element);
      using seed = await this.#seed();
      const publicKey = holderPublicKey(seed);
      if (!bytesEqual(publicKey, expected)) {
        throw new MatchingError(
          'KEY_REPLACED',
          "this member's matching key is another one now: every site runs 'veilsum match keys --renew', then joins again",
        );
      }
      const spent = await this.#charge(organisation, publicKey, blinded);
      return { ...evaluateBlinded(seed, blinded, this.#setting.rng), spent };
    });
  }

  #charge(organisation: string, publicKey: Uint8Array, blinded: readonly Uint8Array[]): Promise<number> {
    const { primitives, records, budget } = this.#setting;
    const who = `${toHex(publicKey)}/${toHex(primitives.sha256(utf8(organisation)))}`;
    return records.transact(async (tx) => {
      const before = await spentBy(tx, who);
      const fresh = new Map<string, Uint8Array>();
      for (const element of blinded) {
        const key = `${who}/${toHex(element)}`;
        if ((await tx.get(TABLE, key)) === undefined) fresh.set(key, element);
      }
      const spent = before + fresh.size;
      if (fresh.size > 0 && spent > budget) {
        throw new MatchingError(
          'BUDGET_SPENT',
          `${before} of ${budget} names of this organisation were evaluated, and ${fresh.size} more were asked for: the member's operator can raise --matching-budget`,
        );
      }
      for (const key of fresh.keys()) await tx.insert(TABLE, key, SEEN);
      if (fresh.size > 0) await tx.put(TABLE, who, utf8(String(spent)));
      return spent;
    });
  }

  async #seed(): Promise<SecretBytes> {
    const { folder, records, rng, budget } = this.#setting;
    if (budget === 0) {
      throw new MatchingError(
        'MATCHING_OFF',
        'this member takes no part in matching: its operator set --matching-budget 0',
      );
    }
    const path = join(folder, HOLDER_KEY_FILE);
    if (existsSync(path)) return readKeyFile(path, 'matching key');
    // Counts of an earlier key are of no use to anybody any more.
    await records.transact(async (tx) => {
      for (const { key } of await tx.list(TABLE)) await tx.delete(TABLE, key);
    });
    const seed = new SecretBytes('matching key', rng(32));
    writeKeyFile(path, seed);
    return seed;
  }

  #next<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve))).then(step);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

async function spentBy(tx: Transaction, who: string): Promise<number> {
  const kept = await tx.get(TABLE, who);
  return kept === undefined ? 0 : Number(fromUtf8(kept));
}

function requireElement(bytes: Uint8Array): void {
  try {
    checkElement(bytes);
  } catch (cause) {
    throw new MatchingError('BAD_ELEMENT', 'an element is not one of ristretto255, or is the identity', { cause });
  }
}
