import { sha256 } from '@noble/hashes/sha2.js';
import { utf8 } from '../crypto/encoding.ts';
import type { SeenSet } from './transcript.ts';

/** Bytes of every value kept. */
const BYTES = 32;
/** Values in one piece of memory: 128 KiB each, so that growing never copies what is there. */
const PER_PIECE = 4096;

/** Digit values of lower-case hexadecimal and of base64 by character code; 255 for what is none. */
const HEX = digits('0123456789abcdef');
const BASE64 = digits('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

function digits(alphabet: string): Uint8Array {
  const values = new Uint8Array(128).fill(255);
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

/** Values of one spelling, 32 bytes each, found through a table of their places. */
class Table {
  #pieces: Uint32Array[] = [];
  /** Places, counted from one; 0 is free. */
  #slots = new Uint32Array(1024);
  /** Eight bits of each slot's value, so that the value itself is rarely looked at in vain. */
  #tags = new Uint8Array(1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The slot that holds the value or where it would go. */
  #slotOf(value: Uint32Array): number {
    const mask = this.#slots.length - 1;
    const hash = hashOf(value);
    const tag = hash >>> 24;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots[slot]!;
      if (place === 0 || (this.#tags[slot] === tag && this.#isAt(place - 1, value))) return slot;
    }
  }

  #isAt(place: number, value: Uint32Array): boolean {
    const piece = this.#pieces[Math.floor(place / PER_PIECE)]!;
    const at = (place % PER_PIECE) * 8;
    for (let i = 0; i < 8; i++) if (piece[at + i] !== value[i]) return false;
    return true;
  }

  has(value: Uint32Array): boolean {
    return this.#slots[this.#slotOf(value)] !== 0;
  }

  add(value: Uint32Array): void {
    const slot = this.#slotOf(value);
    if (this.#slots[slot] !== 0) return;
    const place = this.#count++;
    if (place % PER_PIECE === 0) this.#pieces.push(new Uint32Array(PER_PIECE * 8));
    this.#pieces.at(-1)!.set(value, (place % PER_PIECE) * 8);
    this.#slots[slot] = this.#count;
    this.#tags[slot] = hashOf(value) >>> 24;
    if (this.#count * 3 > this.#slots.length * 2) this.#grow();
  }

  #grow(): void {
    const size = this.#slots.length * 2;
    this.#slots = new Uint32Array(size);
    this.#tags = new Uint8Array(size);
    for (let place = 0; place < this.#count; place++) {
      const at = (place % PER_PIECE) * 8;
      const value = this.#pieces[Math.floor(place / PER_PIECE)]!.subarray(at, at + 8);
      const slot = this.#slotOf(value);
      this.#slots[slot] = place + 1;
      this.#tags[slot] = hashOf(value) >>> 24;
    }
  }
}

/** Values are hashes and keys, so two of their words are as good as all. Who crafts a log can at most make it slow. */
function hashOf(value: Uint32Array): number {
  const mixed = Math.imul(value[0]! ^ value[5]!, 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/**
 * Everything of a log that may not occur twice in it: 32 bytes a value and 7 to 15 for finding it, where a set of strings
 * takes 150. Exact, not probabilistic: the values themselves are compared.
 *
 * Law: as a `Set<string>`. Two spellings of the same bytes (hexadecimal and base64) are two values; longer texts are kept
 * as their SHA-256, the one place where a collision of SHA-256 would count.
 */
export class DigestSet implements SeenSet {
  readonly #hex = new Table();
  readonly #base64 = new Table();
  readonly #long = new Table();
  readonly #others = new Set<string>();
  /** The value that is looked for. Little or big endian does not matter: it never leaves this process. */
  readonly #value = new Uint32Array(BYTES / 4);
  readonly #bytes = new Uint8Array(this.#value.buffer);

  get size(): number {
    return this.#hex.count + this.#base64.count + this.#long.count + this.#others.size;
  }

  has(text: string): boolean {
    const table = this.#read(text);
    return table === null ? this.#others.has(text) : table.has(this.#value);
  }

  add(text: string): void {
    const table = this.#read(text);
    if (table === null) this.#others.add(text);
    else table.add(this.#value);
  }

  /** Decodes a text into `#value`. @returns the table of its spelling, null for a short text of another. */
  #read(text: string): Table | null {
    if (text.length === 64 && this.#readHex(text)) return this.#hex;
    if (text.length === 44 && this.#readBase64(text)) return this.#base64;
    if (text.length <= 64) return null;
    this.#bytes.set(sha256(utf8(text)));
    return this.#long;
  }

  #readHex(text: string): boolean {
    for (let i = 0; i < BYTES; i++) {
      const high = HEX[text.charCodeAt(2 * i)] ?? 255;
      const low = HEX[text.charCodeAt(2 * i + 1)] ?? 255;
      if (high > 15 || low > 15) return false;
      this.#bytes[i] = (high << 4) | low;
    }
    return true;
  }

  /** 43 digits and one sign of padding; the last digit's two unused bits must be zero, else it is another text. */
  #readBase64(text: string): boolean {
    if (text.charCodeAt(43) !== 61) return false;
    let held = 0;
    let bits = 0;
    let at = 0;
    for (let i = 0; i < 43; i++) {
      const digit = BASE64[text.charCodeAt(i)] ?? 255;
      if (digit > 63) return false;
      held = ((held << 6) | digit) & 0xfff;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      this.#bytes[at++] = (held >> bits) & 255;
    }
    return (held & 3) === 0;
  }
}
