import { CryptoError } from './errors.ts';
import { createKeyChain } from './key-chain.ts';
import type { Primitives } from './primitives.ts';

const MILLION = 1_000_000;
/** Largest multiple of a million that a word holds: words from there on are dropped, one in 4,440. */
const WORDS_USED = 4_294_000_000;
const WORDS_PER_KEY = 1 << 12;

/**
 * Draws every one of `count` records independently with probability rateMicro / 10^6, exactly: a word below WORDS_USED is
 * uniform modulo a million. Which words were dropped is independent of what is drawn.
 *
 * @param seed - 32 fresh secret bytes for this call alone. Not wiped here.
 * @returns 1 for a record that was drawn, 0 for the others. Secret: amplification rests on nobody knowing it; wiped by the caller.
 * @throws CryptoError BAD_VALUE, BAD_LENGTH.
 */
export function poissonSample(
  primitives: Pick<Primitives, 'aes256Ctr'>,
  seed: Uint8Array,
  count: number,
  rateMicro: number,
): Uint8Array {
  if (
    !Number.isSafeInteger(count) ||
    count < 0 ||
    !Number.isInteger(rateMicro) ||
    rateMicro < 0 ||
    rateMicro > MILLION
  ) {
    throw new CryptoError('BAD_VALUE', 'records or rate out of range');
  }
  const drawn = new Uint8Array(count);
  using keys = createKeyChain(primitives, seed);
  let next = 0;
  while (next < count) {
    const keystream = primitives.aes256Ctr(keys.next(), 4 * WORDS_PER_KEY);
    const words = new Uint32Array(keystream.buffer, keystream.byteOffset, WORDS_PER_KEY);
    for (let i = 0; i < WORDS_PER_KEY && next < count; i += 1) {
      const word = words[i]!;
      drawn[next] = Number(word % MILLION < rateMicro);
      next += Number(word < WORDS_USED);
    }
    keystream.fill(0);
  }
  return drawn;
}
