import type { PublicStream, RingEngine, RingShape } from '../../crypto/engine.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { GROUP } from '../../crypto/params.ts';

/**
 * A ring engine for simulations. Its parameters are the production ones (nothing of their derivation is replaced); its
 * ring is not R_q but WORDS independent inner products modulo the first prime:
 *
 *   c_j = -<a_j, k> + e_j + Delta * m_j  mod q,   j = 0..31, one value per j, in the first 128 bytes of the block
 *
 * with a_j a rotation of one public vector. What a simulation needs of a ring stays true: ciphertexts add up under the
 * sum of their keys, a K that is wrong in one coefficient opens nothing (remainders below B in all 32 words by chance:
 * 2^-60), checksums are linear. Nothing is hidden from whoever solves 32 equations.
 */
const WORDS = 32;
const FOLDED = 512;
const ROTATION = 127;
const LOG_DELTA = 11;
const BOUND = 200;

export function toyRing(shape: RingShape): RingEngine {
  const { degree } = shape;
  const q = shape.primes[0]!;
  const primes = shape.primes.length;
  const blockBytes = (coefficients: number): number =>
    shape.primes.reduce((sum, prime) => sum + (coefficients / GROUP) * 16 * (32 - Math.clz32(prime - 1)), 0);
  const limit = Math.floor(q / 2 ** (LOG_DELTA + 1));

  /**
   * <a_j, k> mod q. The key is folded to FOLDED public odd combinations of its coefficients first; all sums stay exact in
   * a double: |k| < 2^10, 8-bit multipliers, 8 terms, then 20-bit words.
   */
  const products = (a: PublicStream, key: ArrayLike<number>): Float64Array => {
    const stream = a(0, degree + 4 * FOLDED);
    const words = new Uint32Array(stream.slice(degree).buffer);
    const folded = new Float64Array(FOLDED);
    for (let i = 0; i < degree; i++) folded[i & (FOLDED - 1)]! += (stream[i]! | 1) * key[i]!;
    const out = new Float64Array(WORDS);
    for (let j = 0; j < WORDS; j++) {
      let sum = 0;
      for (let i = 0; i < FOLDED; i++) sum += (words[(i + j * ROTATION) & (FOLDED - 1)]! >>> 12) * folded[i]!;
      out[j] = sum % q;
    }
    return out;
  };
  const modulo = (x: number): number => ((x % q) + q) % q;
  const read = (wire: Uint8Array, coefficients: number): Uint32Array => {
    if (wire.length !== blockBytes(coefficients)) throw new CryptoError('BAD_LENGTH', 'a block of another length');
    const words = new Uint32Array(wire.slice(0, 4 * WORDS).buffer);
    if (words.some((word) => word >= q)) throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a residue above its prime');
    return words;
  };
  const write = (words: Uint32Array, coefficients: number): Uint8Array => {
    const wire = new Uint8Array(blockBytes(coefficients));
    wire.set(new Uint8Array(words.buffer));
    return wire;
  };

  return {
    name: 'kernel',
    shape,
    wireBytes: blockBytes,
    sampleGaussian(stream, out) {
      const bytes = stream.first(out.length);
      for (let i = 0; i < out.length; i++) out[i] = (bytes[i]! & 15) - 8;
    },
    sealer(given) {
      const key = given.slice();
      return {
        seal(values, coefficients, a, error) {
          const bound = 2 ** (shape.valueBits - 1);
          if (values.some((x) => Math.abs(x) >= bound)) throw new CryptoError('OUT_OF_RANGE', 'a value too large');
          const noise = error.first(WORDS);
          const mask = products(a, key);
          const words = Uint32Array.from(mask, (product, j) =>
            modulo(2 ** LOG_DELTA * (values[j] ?? 0) + (noise[j]! & 15) - 8 - product),
          );
          return write(words, coefficients);
        },
        [Symbol.dispose]: () => void key.fill(0),
      };
    },
    sum(coefficients) {
      const words = new Uint32Array(WORDS);
      return {
        add(wire) {
          for (const [j, word] of read(wire, coefficients).entries()) words[j] = modulo(words[j]! + word);
        },
        wire: () => write(words.slice(), coefficients),
        [Symbol.dispose]() {},
      };
    },
    opener(given) {
      const key = given.slice();
      return {
        open(wire, coefficients, a, values) {
          const words = read(wire, coefficients);
          const mask = products(a, key);
          let fits = true;
          for (let j = 0; j < WORDS; j++) {
            const residue = modulo(words[j]! + mask[j]!);
            const lifted = residue > q / 2 ? residue - q : residue;
            const value = Math.round(lifted / 2 ** LOG_DELTA);
            if (Math.abs(lifted - value * 2 ** LOG_DELTA) > BOUND || Math.abs(value) > limit) fits = false;
            if (j >= values.length && value !== 0) fits = false;
            if (j < values.length) values[j] = value;
          }
          if (!fits) values.fill(0);
          return fits;
        },
        [Symbol.dispose]: () => void key.fill(0),
      };
    },
    checksum(rows, challenge) {
      const sums = new Uint32Array(rows * primes);
      return {
        add(weights, wire, coefficients) {
          const words = read(wire, coefficients);
          for (let row = 0; row < rows; row++) {
            const stream = challenge(row * primes, 4 * WORDS);
            const vector = new Uint32Array(stream.slice().buffer);
            let sum = 0;
            // Challenges cut to 20 bits: products stay exact in a double.
            for (let j = 0; j < WORDS; j++) sum = (sum + (vector[j]! & 0xfffff) * words[j]!) % q;
            sums[row * primes] = (sums[row * primes]! + sum * (weights[row * primes]! & 0xfffff)) % q;
          }
        },
        value: () => sums.slice(),
        [Symbol.dispose]() {},
      };
    },
    [Symbol.dispose]() {},
  };
}
