import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';

const KEY_BYTES = 32;
/** Keys made from one keystream call; one more carries the chain on. */
const KEYS_PER_BLOCK = 256;

/** A sequence of AES-256 keys from one seed, so that no keystream has to be longer than what the cache holds. */
export interface KeyChain extends Disposable {
  /** The next 32 bytes; a view that the chain owns, valid until the next call. */
  next(): Uint8Array;
}

/**
 * Keys 0, 1, ... = AES-256-CTR(seed) in blocks of 256; the 257th key of a block is the seed of the next one.
 *
 * @param seed - 32 secret bytes for this chain alone. Not wiped here.
 * @throws CryptoError BAD_LENGTH
 */
export function createKeyChain(primitives: Pick<Primitives, 'aes256Ctr'>, seed: Uint8Array): KeyChain {
  if (seed.length !== KEY_BYTES) throw new CryptoError('BAD_LENGTH', 'a seed has 32 bytes');
  const expand = (key: Uint8Array) => primitives.aes256Ctr(key, (KEYS_PER_BLOCK + 1) * KEY_BYTES);
  let block = expand(seed);
  let used = 0;
  return {
    next() {
      if (used === KEYS_PER_BLOCK) {
        const spent = block;
        block = expand(spent.subarray(used * KEY_BYTES));
        spent.fill(0);
        used = 0;
      }
      used += 1;
      return block.subarray((used - 1) * KEY_BYTES, used * KEY_BYTES);
    },
    [Symbol.dispose]() {
      block.fill(0);
    },
  };
}
