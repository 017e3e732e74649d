/**
 * A keyed 64-bit mixing hash in plain JavaScript: two 32-bit lanes, each word multiplied into both (the rounds of
 * MurmurHash3), the length last. Not cryptographic: whoever tries finds collisions. Nobody in a simulation tries, and a
 * run makes fewer than 2^20 hashes, so that an accidental one comes once in 2^24 runs.
 */
export class ToyHash {
  #low: number;
  #high: number;
  #length = 0;
  #lastLow = 0;
  #lastHigh = 0;

  constructor(key: number) {
    this.#low = key | 0;
    this.#high = ~key | 0;
  }

  add(bytes: Uint8Array): this {
    const { length } = bytes;
    let low = this.#low;
    let high = this.#high;
    const whole = length & ~3;
    for (let i = 0; i < whole; i += 4) {
      const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
      low = Math.imul(low ^ word, 0xcc9e2d51);
      low ^= low >>> 15;
      high = Math.imul((high + word) ^ low, 0x1b873593);
      high ^= high >>> 13;
    }
    let last = length - whole;
    for (let i = whole; i < length; i++) last = (last << 8) | bytes[i]!;
    low = Math.imul(low ^ last, 0x85ebca6b);
    low ^= low >>> 16;
    high = Math.imul((high + last) ^ low, 0xc2b2ae35);
    high ^= high >>> 14;
    this.#low = low;
    this.#high = high;
    this.#length += length;
    return this;
  }

  /** The 64 bits as a Map key: 53 of them are plenty. */
  number(): number {
    this.#finish();
    return (this.#lastHigh & 0x1fffff) * 2 ** 32 + this.#lastLow;
  }

  /** `length` bytes that depend on all 64 bits. */
  bytes(length: number): Uint8Array {
    this.#finish();
    let low = this.#lastLow;
    let high = this.#lastHigh;
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let i = 0; i < words.length; i++) {
      low = Math.imul(low ^ (low >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
      high = Math.imul(high ^ (high >>> 12), 0x297a2d39) ^ low;
      words[i] = high;
    }
    return new Uint8Array(words.buffer, 0, length);
  }

  #finish(): void {
    let low = this.#low ^ this.#length;
    let high = this.#high;
    low = Math.imul(low ^ (low >>> 16), 0x85ebca6b);
    high = Math.imul((high + low) ^ (high >>> 13), 0xc2b2ae35);
    low = Math.imul(low ^ (high >>> 16), 0x7feb352d);
    this.#lastLow = (low ^ (low >>> 15)) >>> 0;
    this.#lastHigh = (high ^ (high >>> 16)) >>> 0;
  }
}
