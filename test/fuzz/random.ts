/** A source of choices. The same source gives the same choices: a run is repeated by its seed. */
export interface Chance {
  /** An integer from 0 to limit - 1; 0 when limit is 0 or 1. */
  below(limit: number): number;
}

/** sfc32 (Chris Doty-Humphrey, PractRand), seeded by a string. Not for secrets: only for choosing inputs. */
export function seededChance(seed: string): Chance {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
  const next = (): number => {
    const out = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out;
    return out >>> 0;
  };
  for (const character of seed) {
    a ^= character.codePointAt(0)!;
    for (let i = 0; i < 4; i++) next();
  }
  for (let i = 0; i < 12; i++) next();
  return { below: (limit) => (limit <= 1 ? 0 : next() % limit) };
}

/**
 * Choices that an input's own bytes make, so that changing a byte changes one choice; zeros once they are used up. With
 * this, a target edits an example too large to keep in a corpus.
 */
export function chanceOf(bytes: Uint8Array): Chance & { readonly left: number } {
  let at = 0;
  const byte = (): number => bytes[at++] ?? 0;
  return {
    below: (limit) => (limit <= 1 ? 0 : (limit <= 256 ? byte() : (byte() << 16) | (byte() << 8) | byte()) % limit),
    get left() {
      return Math.max(0, bytes.length - at);
    },
  };
}

export function pick<T>(chance: Chance, from: readonly T[]): T {
  return from[chance.below(from.length)]!;
}
