import { type CryptoCode, CryptoError } from './errors.ts';

/** What a leaf or message may hold. Numbers are integers of at most 53 bits; anything larger travels as a string. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Deeper nesting than any of our messages has; bounds the recursion on a peer's input. */
const MAX_DEPTH = 32;

const encoder = new TextEncoder();
// Fatal: invalid UTF-8 throws. ignoreBOM: a byte order mark is kept and then refused by the parser.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function bad(message: string): CryptoError {
  return new CryptoError('BAD_ENCODING', message);
}

/**
 * UTF-8 bytes of a string.
 *
 * @throws CryptoError BAD_ENCODING on a lone surrogate (TextEncoder would replace it silently).
 */
export function utf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw bad('string with a lone surrogate');
  return encoder.encode(text);
}

/** Text of UTF-8 bytes. @throws CryptoError BAD_ENCODING on anything that does not re-encode equal. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw bad('invalid UTF-8');
  }
}

/**
 * Refuses what has no canonical form here.
 *
 * @returns whether every object's keys already stand in the order of RFC 8785 section 3.2.3: UTF-16 code units.
 */
function checkJson(value: Json, depth: number): boolean {
  if (value === null || typeof value === 'boolean') return true;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw bad('string with a lone surrogate');
    return true;
  }
  if (typeof value === 'number') {
    // RFC 8785 prints doubles as ECMAScript does; integers alone need no argument about rounding.
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw bad('number that is not a safe integer');
    return true;
  }
  if (depth >= MAX_DEPTH) throw bad('nested too deep');
  let ordered = true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) ordered = checkJson(value[i] as Json, depth + 1) && ordered;
    return ordered;
  }
  // Plain objects only: a Map, a Date, a byte array or a secret would print as something else.
  const prototype = typeof value === 'object' ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) throw bad('value that JSON does not have');
  const entries = value as { readonly [key: string]: Json };
  let last: string | undefined;
  for (const key of Object.keys(entries)) {
    // As an own key it is legal JSON, but the first copy by assignment would change a prototype.
    if (key === '__proto__') throw bad('reserved key');
    if (!key.isWellFormed()) throw bad('string with a lone surrogate');
    if (last !== undefined && last >= key) ordered = false;
    ordered = checkJson(entries[key]!, depth + 1) && ordered;
    last = key;
  }
  return ordered;
}

/** Text of a checked value, keys sorted. Needed where an object's own order differs, as always with keys 9 and 10. */
function sortedText(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sortedText).join(',')}]`;
  const entries = value as { readonly [key: string]: Json };
  const members = Object.keys(entries).sort();
  return `{${members.map((key) => `${JSON.stringify(key)}:${sortedText(entries[key]!)}`).join(',')}}`;
}

/** For a checked value with ordered keys, JSON.stringify is RFC 8785: ECMAScript's spelling of strings and integers. */
function canonicalText(value: Json): string {
  return checkJson(value, 0) ? JSON.stringify(value) : sortedText(value);
}

/**
 * RFC 8785 (JSON Canonicalization Scheme), restricted to safe integers and at most 32 levels.
 *
 * @throws CryptoError BAD_ENCODING for undefined, fractions, -0, lone surrogates, the key `__proto__`.
 */
export function canonicalBytes(value: Json): Uint8Array {
  return encoder.encode(canonicalText(value));
}

/**
 * Reads canonical JSON. Law: `canonicalBytes(parseCanonical(b)) = b`, so duplicate keys, white space, other number or
 * string spellings, other key orders, trailing bytes and a byte order mark are all refused.
 *
 * @param maxBytes - longer input is refused unread.
 * @throws CryptoError BAD_ENCODING
 */
export function parseCanonical(bytes: Uint8Array, maxBytes: number): Json {
  if (bytes.length > maxBytes) throw bad('longer than allowed');
  const text = fromUtf8(bytes);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw bad('not JSON'); // The parser's own message quotes the input: not passed on.
  }
  // Strict UTF-8 decoding is injective, so equal text is equal bytes.
  if (canonicalText(value) !== text) throw bad('not in canonical form');
  return value;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const HEX_VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < 16; i++) HEX_VALUE['0123456789abcdef'.charCodeAt(i)] = i;

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte]!;
  return text;
}

/** @throws CryptoError BAD_ENCODING unless lower-case digits, an even number, and `expectedBytes` long where given. */
export function fromHex(text: string, expectedBytes?: number): Uint8Array {
  if (text.length % 2 !== 0) throw bad('not lower-case hexadecimal');
  const bytes = new Uint8Array(text.length / 2);
  if (expectedBytes !== undefined && bytes.length !== expectedBytes) throw bad('hexadecimal of another length');
  for (let i = 0; i < bytes.length; i++) {
    const high = HEX_VALUE[text.charCodeAt(2 * i)] ?? -1;
    const low = HEX_VALUE[text.charCodeAt(2 * i + 1)] ?? -1;
    if (high < 0 || low < 0) throw bad('not lower-case hexadecimal');
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const BASE64_VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) BASE64_VALUE[BASE64.charCodeAt(i)] = i;

/** RFC 4648 section 4: standard alphabet, padded. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[group >> 18]! + BASE64[(group >> 12) & 63]!;
    text += (left > 1 ? BASE64[(group >> 6) & 63]! : '=') + (left > 2 ? BASE64[group & 63]! : '=');
  }
  return text;
}

/** @throws CryptoError BAD_ENCODING unless it re-encodes equal: padding complete, its unused bits zero, no white space. */
export function fromBase64(text: string, expectedBytes?: number): Uint8Array {
  if (text.length % 4 !== 0) throw bad('base64 of a broken length');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  const bytes = new Uint8Array(Math.floor((digits * 3) / 4));
  if (expectedBytes !== undefined && bytes.length !== expectedBytes) throw bad('base64 of another length');
  let at = 0;
  let i = 0;
  for (; i + 4 <= digits; i += 4) {
    const [a, b, c, d] = [text.charCodeAt(i), text.charCodeAt(i + 1), text.charCodeAt(i + 2), text.charCodeAt(i + 3)];
    if ((a | b | c | d) >= 128) throw bad('not base64');
    const [e, f, g, h] = [BASE64_VALUE[a]!, BASE64_VALUE[b]!, BASE64_VALUE[c]!, BASE64_VALUE[d]!];
    if ((e | f | g | h) < 0) throw bad('not base64');
    bytes[at++] = (e << 2) | (f >> 4);
    bytes[at++] = ((f << 4) | (g >> 2)) & 255;
    bytes[at++] = ((g << 6) | h) & 255;
  }
  // The last group, where it is padded.
  let held = 0;
  let heldBits = 0;
  for (; i < digits; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? BASE64_VALUE[code]! : -1;
    if (value < 0) throw bad('not base64');
    held = ((held << 6) | value) & 0xffff;
    heldBits += 6;
    if (heldBits >= 8) {
      heldBits -= 8;
      bytes[at++] = (held >> heldBits) & 255;
    }
  }
  if ((held & ((1 << heldBits) - 1)) !== 0) throw bad('base64 with stray bits');
  return bytes;
}

/** The parts one after the other, in a new buffer. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Equality of public bytes; takes less time the earlier they differ. For secrets use SecretBytes.equals. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lexicographic order of unsigned bytes: negative, zero or positive; a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function integerBytes(value: number | bigint, bytes: number, littleEndian: boolean): Uint8Array {
  const wide = typeof value === 'bigint' ? value : Number.isSafeInteger(value) ? BigInt(value) : -1n;
  if (wide < 0n || wide >> BigInt(8 * bytes) !== 0n) throw new CryptoError('OUT_OF_RANGE', `not a u${8 * bytes}`);
  const padded = new DataView(new ArrayBuffer(8));
  padded.setBigUint64(0, wide, littleEndian);
  return littleEndian ? new Uint8Array(padded.buffer, 0, bytes) : new Uint8Array(padded.buffer, 8 - bytes, bytes);
}

/** Fixed-width unsigned integers. @throws CryptoError OUT_OF_RANGE for a fraction, a negative or a wider value. */
export const u16be = (value: number): Uint8Array => integerBytes(value, 2, false);
export const u32le = (value: number): Uint8Array => integerBytes(value, 4, true);
export const u32be = (value: number): Uint8Array => integerBytes(value, 4, false);
export const u64be = (value: number | bigint): Uint8Array => integerBytes(value, 8, false);

/** @throws CryptoError `code` unless `bytes` has exactly that length. */
export function requireLength(bytes: Uint8Array, length: number, code: CryptoCode = 'BAD_LENGTH'): void {
  if (bytes.length !== length) throw new CryptoError(code, `expected ${length} bytes`);
}
