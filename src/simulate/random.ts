/**
 * The one source of chance of a run: Chris Doty-Humphrey's sfc32 (PractRand), seeded by numbers. Deterministic, fast, not
 * cryptographic. Laws: equal seeds draw equal numbers; `fork(name)` depends on the seed and the name only, so that what
 * one part of a run draws never moves what another part draws.
 */
export class Draw {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#a = this.#seed;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** A stream of its own. */
  fork(name: string): Draw {
    let mixed = this.#seed ^ 0x811c9dc5;
    for (let i = 0; i < name.length; i++) mixed = Math.imul(mixed ^ name.charCodeAt(i), 0x01000193);
    return new Draw((mixed >>> 0) + 2 ** 32 * (Math.imul(mixed ^ this.#seed, 0x85ebca6b) >>> 0));
  }

  /** Uniform 32-bit word. */
  word(): number {
    const sum = (this.#a + this.#b + this.#count++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** Integer in [0, end). */
  below(end: number): number {
    return this.word() % end;
  }

  /** Integer in [from, to]. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(probability: number): boolean {
    return this.word() < probability * 2 ** 32;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Some of them, each once, in their own order. */
  some<T>(from: readonly T[], count: number): T[] {
    const left = from.map((_, i) => i);
    const chosen = Array.from(
      { length: Math.min(count, from.length) },
      () => left.splice(this.below(left.length), 1)[0]!,
    );
    return chosen.sort((a, b) => a - b).map((i) => from[i]!);
  }

  bytes(length: number): Uint8Array {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let i = 0; i < words.length; i++) words[i] = this.word();
    return new Uint8Array(words.buffer, 0, length);
  }
}
