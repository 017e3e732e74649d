import { type Chance, pick } from './random.ts';

/** Longest input that a target is given: what one gRPC message or leaf is about. */
export const MAX_INPUT_BYTES = 65_536;

const EDGES = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn];
/** Boundaries of every integer that a format declares, up to 64 bits. */
export const INTEGERS: readonly bigint[] = [
  ...EDGES,
  ...[1n << 20n, 1n << 30n, 1n << 40n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n],
];

const encoder = new TextEncoder();

/** Texts and byte sequences that readers stumble over. */
export const SPECIALS: readonly Uint8Array[] = [
  ...['__proto__', 'constructor', 'toString', '../', '..\\', '%2e%2e/', '%00', '\0', '\n', '\r\n', '\n\n', '\t', ' '],
  ...['\u001b[31m', '\u202e', '\ufeff', '\u2028', '\u0085', '\u00a0', '\u0301', '\ufffd', '\u{1f600}', '-0', '1e999'],
  ...[
    '0x10',
    '٣',
    '"',
    '\\',
    '\\u0000',
    '{',
    '[',
    ']',
    '}',
    '[[[[',
    '{"a":',
    ',',
    ':',
    '=',
    '==',
    '+',
    '/',
    '-----BEGIN ',
  ],
].map((text) => encoder.encode(text));
// Not UTF-8: an overlong slash, a lone surrogate, a bare continuation byte, a code point beyond U+10FFFF.
const BROKEN_UTF8 = [[0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x80], [0xf4, 0x90, 0x80, 0x80]].map((b) => Uint8Array.from(b));

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** `bytes` with [from, to) replaced. */
export function replace(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  return join(bytes.subarray(0, from), by, bytes.subarray(to));
}

/** An integer in `width` bytes; what does not fit is cut off. */
export function integerOf(value: bigint, width: number, littleEndian: boolean): Uint8Array {
  const bytes = Uint8Array.from({ length: width }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
  return littleEndian ? bytes : bytes.reverse();
}

/** LEB128, with `extra` bytes more than it needs. */
export function varintOf(value: bigint, extra = 0): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  for (let i = 0; i < extra; i++) {
    bytes[bytes.length - 1]! |= 0x80;
    bytes.push(0);
  }
  return Uint8Array.from(bytes);
}

/** A range of the input: mostly short, sometimes up to all of it. */
function range(chance: Chance, length: number): [number, number] {
  const from = chance.below(length + 1);
  const most = chance.below(4) === 0 ? length : 8;
  return [from, Math.min(length, from + 1 + chance.below(most))];
}

const random = (chance: Chance, length: number): Uint8Array => Uint8Array.from({ length }, () => chance.below(256));

type Change = (chance: Chance, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const addTo: Change = (chance, bytes) => {
  const width = pick(chance, [1, 2, 4, 8]);
  const little = chance.below(2) === 0;
  const at = chance.below(bytes.length);
  const digits = [...bytes.subarray(at, at + width)];
  const value = (little ? digits.reverse() : digits).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return replace(bytes, at, at + width, integerOf(value + BigInt(chance.below(71) - 35), digits.length, little));
};

const CHANGES: readonly Change[] = [
  (chance, bytes) => {
    const at = chance.below(bytes.length);
    return replace(bytes, at, at + 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << chance.below(8))));
  },
  (chance, bytes) => {
    const at = chance.below(bytes.length);
    return replace(bytes, at, at + 1, random(chance, 1));
  },
  (chance, bytes) => {
    const width = pick(chance, [1, 2, 4, 8]);
    const at = chance.below(bytes.length);
    return replace(bytes, at, at + width, integerOf(pick(chance, INTEGERS), width, chance.below(2) === 0));
  },
  addTo,
  (chance, bytes) => replace(bytes, ...range(chance, bytes.length), new Uint8Array(0)),
  (chance, bytes) => {
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, at, random(chance, 1 + chance.below(chance.below(8) === 0 ? 64 : 4)));
  },
  (chance, bytes) => {
    // A long run of one byte: a bracket, a zero, a high bit.
    const at = chance.below(bytes.length + 1);
    const run = new Uint8Array(pick(chance, [8, 64, 1024, 20_000])).fill(bytes[at] ?? chance.below(256));
    return replace(bytes, at, at, run);
  },
  (chance, bytes) => {
    const [from, to] = range(chance, bytes.length);
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, at, bytes.subarray(from, to));
  },
  (chance, bytes) => {
    const [from, to] = range(chance, bytes.length);
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, Math.min(bytes.length, at + to - from), bytes.subarray(from, to));
  },
  (chance, bytes) => bytes.slice(0, chance.below(bytes.length + 1)),
  (chance, bytes) => bytes.slice(0, bytes.length - Math.min(bytes.length, 1 + chance.below(4))),
  (chance, bytes, other) =>
    join(bytes.subarray(0, chance.below(bytes.length + 1)), other.subarray(chance.below(other.length + 1))),
  (chance, bytes, other) => {
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, at, other.subarray(...range(chance, other.length)));
  },
  (chance, bytes) => {
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, at, varintOf(pick(chance, INTEGERS), chance.below(3)));
  },
  (chance, bytes) => {
    const at = chance.below(bytes.length + 1);
    return replace(bytes, at, at, pick(chance, chance.below(8) === 0 ? BROKEN_UTF8 : SPECIALS));
  },
  (chance, bytes) => join(bytes, pick(chance, SPECIALS)),
];

/** One to four changes that know nothing of the format. @param words - byte strings that the format knows. */
export function mutateBytes(
  chance: Chance,
  bytes: Uint8Array,
  other: Uint8Array,
  words: readonly Uint8Array[] = [],
): Uint8Array {
  let changed = bytes;
  for (let left = 1 + chance.below(3); left >= 0; left--) {
    if (words.length > 0 && chance.below(6) === 0) {
      const at = chance.below(changed.length + 1);
      changed = replace(changed, at, at, pick(chance, words));
    } else changed = pick(chance, CHANGES)(chance, changed, other);
    if (chance.below(2) === 0) break;
  }
  return changed.length > MAX_INPUT_BYTES ? changed.slice(0, MAX_INPUT_BYTES) : changed;
}

const decoder = new TextDecoder('latin1');
const toLatin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Changes whole lines and numbers of a text; octets are kept as they are. */
export function mutateLines(chance: Chance, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const text = decoder.decode(bytes);
  if (chance.below(3) === 0) {
    const numbers = [...text.matchAll(/\d+/g)];
    const number = pick(chance, numbers);
    if (number !== undefined) {
      const value =
        chance.below(2) === 0 ? pick(chance, INTEGERS) : BigInt(number[0].slice(0, 20)) + BigInt(chance.below(3)) - 1n;
      const spelt = pick(chance, [String(value), `0${value}`, `-${value}`, `${value}.0`, `+${value}`]);
      return toLatin1(text.slice(0, number.index) + spelt + text.slice(number.index + number[0].length));
    }
  }
  const lines = text.split('\n');
  const from = chance.below(lines.length);
  const otherLines = decoder.decode(other).split('\n');
  switch (chance.below(5)) {
    case 0:
      lines.splice(from, 1);
      break;
    case 1:
      lines.splice(from, 0, pick(chance, lines));
      break;
    case 2:
      lines.splice(from, 0, pick(chance, otherLines));
      break;
    case 3: {
      const words = lines[from]!.split(' ');
      const word = chance.below(words.length);
      if (chance.below(2) === 0) words.splice(word, 1);
      else words.splice(word, 0, pick(chance, lines.join(' ').split(' ')));
      lines[from] = words.join(' ');
      break;
    }
    default:
      [lines[from], lines[0]] = [lines[0]!, lines[from]!];
  }
  return toLatin1(lines.join('\n')).slice(0, MAX_INPUT_BYTES);
}
