import { fromBase64, fromHex } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';

/** Bytes of a secret that are looked for. Whatever is shorter is none. */
const NEEDLE = 32;
const TABLE_BITS = 18;
/** What may be bytes in a text: hexadecimal or base64 of 24 bytes and more. */
const ENCODED = /[0-9a-f]{48,}|[A-Za-z0-9+/]{32,}={0,2}/g;

interface Secret {
  readonly bytes: Uint8Array;
  readonly what: string;
}

/**
 * Every secret of an honest party's rounds, and a search for them in everything that leaves the party or is kept outside of its
 * folder of the round: as bytes at any offset, and as hexadecimal or base64 in leaves and texts. What was searched is not
 * searched again, so a secret must be known before it is sent; whoever sends one has made it.
 */
export class Secrecy {
  /** Who runs now. */
  actor = '';
  /** Parties whose secrets are nobody's concern. */
  corrupt: ReadonlySet<string> = new Set();
  /** By the first four bytes. */
  readonly #secrets = new Map<number, Secret[]>();
  readonly #table = new Uint8Array(1 << TABLE_BITS);
  readonly #searched = new WeakSet<object>();
  readonly #found: (what: string) => never;

  /** @param found - told of a secret that is where it must not be. */
  constructor(found: (what: string) => never) {
    this.#found = found;
  }

  /** Primitives whose agreements and derived seeds are secrets of whoever runs. */
  watching(p: Primitives): Primitives {
    return {
      ...p,
      hkdfSha256: (inputKey, salt, info, length) => {
        const seed = p.hkdfSha256(inputKey, salt, info, length);
        this.made('a derived seed', seed);
        return seed;
      },
      x25519Agree: (secret, publicKey) => {
        const shared = p.x25519Agree(secret, publicKey);
        this.made('an agreement', shared);
        return shared;
      },
    };
  }

  /** A secret of who runs now. Copied: its owner wipes it. */
  made(what: string, bytes: Uint8Array): void {
    if (this.actor === '' || this.corrupt.has(this.actor) || bytes.length < NEEDLE) return;
    const word = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24);
    const same = this.#secrets.get(word) ?? [];
    const kept = bytes.slice(0, NEEDLE);
    if (same.some((other) => isAt(kept, 0, other.bytes))) return;
    this.#secrets.set(word, [...same, { bytes: kept, what: `${what} of ${this.actor}` }]);
    this.#table[placeOf(word)] = 1;
  }

  /** Searches a message, a leaf or what is written: bytes wherever they stand in it. */
  search(where: string, value: unknown): void {
    if (typeof value === 'string') this.searchText(where, value);
    if (typeof value !== 'object' || value === null) return;
    if (this.#searched.has(value)) return;
    this.#searched.add(value);
    if (value instanceof Uint8Array) this.#searchBytes(where, value);
    else if (ArrayBuffer.isView(value))
      this.#searchBytes(where, new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else if (value instanceof Map) for (const entry of value.values()) this.search(where, entry);
    else for (const entry of Object.values(value)) this.search(where, entry);
  }

  searchText(where: string, text: string): void {
    if (text.length < NEEDLE) return;
    for (const [found] of text.matchAll(ENCODED)) {
      const bytes = decoded(found);
      if (bytes !== null) this.#searchRaw(where, bytes);
    }
  }

  #searchBytes(where: string, bytes: Uint8Array): void {
    this.#searchRaw(where, bytes);
    if (bytes[0] === 0x7b) this.searchText(where, new TextDecoder().decode(bytes)); // '{': a leaf
  }

  #searchRaw(where: string, bytes: Uint8Array): void {
    const table = this.#table;
    let word = 0;
    for (let i = 0; i < bytes.length; i++) {
      word = (word >>> 8) | (bytes[i]! << 24);
      if (table[placeOf(word)] === 0 || i < 3) continue;
      for (const { bytes: secret, what } of this.#secrets.get(word) ?? [])
        if (isAt(bytes, i - 3, secret)) this.#found(`${what} is in ${where}`);
    }
  }
}

function placeOf(word: number): number {
  return (word ^ (word >>> 14)) & ((1 << TABLE_BITS) - 1);
}

function isAt(bytes: Uint8Array, at: number, secret: Uint8Array): boolean {
  if (at + secret.length > bytes.length) return false;
  for (let i = 0; i < secret.length; i++) if (bytes[at + i] !== secret[i]) return false;
  return true;
}

function decoded(text: string): Uint8Array | null {
  try {
    return /^[0-9a-f]+$/.test(text) ? fromHex(text) : fromBase64(text);
  } catch {
    return null;
  }
}
