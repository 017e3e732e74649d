import { createKeyChain } from '../../crypto/key-chain.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

const WORDS_PER_KEY = 1 << 10;
const WORD = 2 ** 32;

/**
 * What everybody draws alike from one public seed. Nothing here is secret: whoever has the task and the model knows it.
 *
 * Words: AES-256-CTR under the keys of a chain (crypto/key-chain.ts), 2^10 words of 32 bits, little-endian, a key.
 */
function* wordsOf(seed: Uint8Array): Generator<number, never> {
  using keys = createKeyChain(nodePrimitives, seed);
  for (;;) {
    const stream = nodePrimitives.aes256Ctr(keys.next(), 4 * WORDS_PER_KEY);
    const view = new DataView(stream.buffer, stream.byteOffset, stream.length);
    for (let i = 0; i < WORDS_PER_KEY; i++) yield view.getUint32(4 * i, true);
  }
}

/** @returns `count` times 1 or -1, a bit each, the low ones of a word first. */
export function drawSigns(seed: Uint8Array, count: number): Int8Array {
  const words = wordsOf(seed);
  const signs = new Int8Array(count);
  for (let i = 0, word = 0; i < count; i++) {
    if (i % 32 === 0) word = words.next().value;
    signs[i] = 1 - 2 * ((word >>> (i % 32)) & 1);
  }
  return signs;
}

/**
 * A uniform subset: the first steps of a Fisher-Yates shuffle; words past the largest multiple of what is left are dropped.
 *
 * @returns `kept` of the indices below `count`, in rising order.
 */
export function drawKept(seed: Uint8Array, count: number, kept: number): Uint32Array {
  const words = wordsOf(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < kept; i++) {
    const left = count - i;
    const usable = WORD - (WORD % left);
    let word = words.next().value;
    while (word >= usable) word = words.next().value;
    const other = i + (word % left);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order.subarray(0, kept).sort();
}
