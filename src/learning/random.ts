import { createHash } from 'node:crypto';

/**
 * Reproducible randomness for synthetic tables, first weights and simulations: the same seed gives the same run on
 * every machine. Not for secrets, and never for privacy noise that is released.
 */
export interface SeededRandom {
  /** Uniform in [0, 1), 32 bits. */
  uniform(): number;
  /** Uniform integer in [0, below). */
  integer(below: number): number;
  /** Standard normal (Marsaglia's polar method). */
  normal(): number;
  /** Fisher-Yates, in place. */
  shuffle(order: Uint32Array): Uint32Array;
}

/** xoshiro128** 1.1 (Blackman and Vigna, 2018), its state taken from SHA-256 of the seed's text. */
export function seededRandom(seed: string | number): SeededRandom {
  const digest = createHash('sha256').update(`veilsum/learning/${seed}`).digest();
  let a = digest.readInt32LE(0);
  let b = digest.readInt32LE(4);
  let c = digest.readInt32LE(8);
  let d = digest.readInt32LE(12) | 1;
  let spare: number | undefined;

  const word = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = (): number => word() / 2 ** 32;
  const integer = (below: number): number => Math.floor(uniform() * below);
  const normal = (): number => {
    if (spare !== undefined) {
      const kept = spare;
      spare = undefined;
      return kept;
    }
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const s = u * u + v * v;
      if (s === 0 || s >= 1) continue;
      const factor = Math.sqrt((-2 * Math.log(s)) / s);
      spare = v * factor;
      return u * factor;
    }
  };
  const shuffle = (order: Uint32Array): Uint32Array => {
    for (let i = order.length - 1; i > 0; i--) {
      const j = integer(i + 1);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    return order;
  };
  return { uniform, integer, normal, shuffle };
}
