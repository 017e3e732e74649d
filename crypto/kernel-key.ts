import { CryptoError } from './errors.ts';
import type { Address, KernelRegion } from './kernel-module.ts';
import type { KernelRing } from './kernel-ring.ts';
import { wipe } from './secret.ts';

/** A key's NTT forms in the kernel's memory, one prime after the other, until disposed of. */
export class TransformedKey implements Disposable {
  readonly #ring: KernelRing;
  readonly #region: KernelRegion;

  /** @param sign - 1, or -1 for the negated key. */
  constructor(ring: KernelRing, key: Int16Array | Int32Array, sign: 1 | -1) {
    const { degree } = ring.shape;
    if (key.length !== degree) throw new CryptoError('BAD_LENGTH', 'a key has N coefficients');
    this.#ring = ring;
    this.#region = ring.memory.region(4 * degree * ring.primes.length);
    const words = ring.memory.signedWords(ring.polynomial, degree);
    words.set(key);
    for (const [i, prime] of ring.primes.entries())
      ring.transformKey(ring.polynomial, this.part(i), prime, sign === 1 ? prime.word : prime.prime - prime.word);
    wipe(words);
  }

  /** @throws CryptoError ALREADY_WIPED */
  part(index: number): Address {
    return this.#region.at + 4 * this.#ring.shape.degree * index;
  }

  [Symbol.dispose](): void {
    this.#region[Symbol.dispose]();
  }
}
