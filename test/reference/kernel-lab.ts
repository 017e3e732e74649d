import fc from 'fast-check';
import { KernelMemory } from '../../crypto/kernel-module.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';

/** One kernel and a prime's tables, with vectors written and read as arrays. Nothing is ever given back. */
export class KernelLab {
  readonly memory: KernelMemory;

  static async open(): Promise<KernelLab> {
    return new KernelLab(await KernelMemory.instantiate(loadKernelModule()));
  }

  private constructor(memory: KernelMemory) {
    this.memory = memory;
  }

  get kernel() {
    return this.memory.kernel;
  }

  tables(prime: number, degree: number): number {
    const at = this.memory.allocate(this.kernel.tableBytes(degree));
    if (this.kernel.initTables(at, prime, degree) === 0) throw new Error(`no tables for ${prime}`);
    return at;
  }

  /** A fresh vector, with room for 16 words more. */
  put(words: ArrayLike<number>, spare = 16): number {
    const at = this.memory.allocate(4 * (words.length + spare));
    this.memory.words(at, words.length).set(words);
    return at;
  }

  get(at: number, words: number): number[] {
    return [...this.memory.words(at, words)];
  }

  getSigned(at: number, words: number): number[] {
    return [...this.memory.signedWords(at, words)];
  }
}

function isPrime(q: number): boolean {
  for (let f = 2; f * f <= q; f++) if (q % f === 0) return false;
  return q > 1;
}

/** The largest prime below 2^bits that is 1 modulo 2N. */
export function primeBelow(bits: number, degree: number): number {
  for (let q = 2 ** bits - 2 * degree + 1; q > 1; q -= 2 * degree) if (isPrime(q)) return q;
  throw new Error('no such prime');
}

/** Primes of every size the kernel serves, for small N; the extremes of a size among them. */
export const SMALL_DEGREE = 64;
export const SMALL_PRIMES: readonly number[] = [16, 17, 20, 25, 28, 29, 30].map((bits) =>
  primeBelow(bits, SMALL_DEGREE),
);

export const anyPrime = fc.constantFrom(...SMALL_PRIMES);

/** Residues below `bound`, the boundaries 0, 1, q-1, q, 2q-1 and bound-1 often among them. */
export function residues(prime: number, bound: number, length: number): fc.Arbitrary<number[]> {
  const edges = [0, 1, prime - 1, prime, 2 * prime - 1, bound - 1].filter((x) => x < bound);
  const residue = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: bound - 1 }));
  return fc.array(residue, { minLength: length, maxLength: length });
}

export function signed(bound: number, length: number): fc.Arbitrary<number[]> {
  const value = fc.oneof(
    fc.constantFrom(0, 1, -1, bound - 1, 1 - bound),
    fc.integer({ min: 1 - bound, max: bound - 1 }),
  );
  return fc.array(value, { minLength: length, maxLength: length });
}

export function modulo(x: bigint, q: number): number {
  const m = BigInt(q);
  return Number(((x % m) + m) % m);
}

export function power(base: bigint, exponent: bigint, q: number): bigint {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * b) % BigInt(q);
    b = (b * b) % BigInt(q);
  }
  return result;
}
