import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';
import type { SecretBytes } from './secret.ts';
import { wipe } from './secret.ts';

/**
 * Vectors over Z_M, M a power of two of at most 2^16, one coefficient per 16-bit word. All arithmetic is modulo 2^16,
 * which typed arrays do for free, and is brought below M once at the end: M divides 2^16.
 */
const MAX_MODULUS_BITS = 16;

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new CryptoError('BAD_VALUE', 'the wire format is little-endian and so must be the machine');
}

/** @throws CryptoError BAD_VALUE unless log2 M is an integer from 1 to 16. */
export function requireModulusBits(modulusBits: number): void {
  if (!(Number.isInteger(modulusBits) && modulusBits >= 1 && modulusBits <= MAX_MODULUS_BITS)) {
    throw new CryptoError('BAD_VALUE', 'log2 M is 1 to 16');
  }
}

/** @throws CryptoError BAD_LENGTH unless both vectors have as many coefficients. */
function requireSameLength(a: ArrayLike<number>, b: ArrayLike<number>): void {
  if (a.length !== b.length) throw new CryptoError('BAD_LENGTH', 'vectors of different lengths');
}

/** target += values, modulo 2^16. Reduce with `reduceResidues` after the last addition. */
export function addResidues(target: Uint16Array, values: Uint16Array | Int16Array): void {
  requireSameLength(target, values);
  for (let i = 0; i < target.length; i++) target[i]! += values[i]!;
}

/** target -= values, modulo 2^16. */
export function subtractResidues(target: Uint16Array, values: Uint16Array | Int16Array): void {
  requireSameLength(target, values);
  for (let i = 0; i < target.length; i++) target[i]! -= values[i]!;
}

/** Brings every word below M = 2^modulusBits, in place. @returns the same array. */
export function reduceResidues(values: Uint16Array, modulusBits: number): Uint16Array {
  requireModulusBits(modulusBits);
  const lowBits = 2 ** modulusBits - 1;
  for (let i = 0; i < values.length; i++) values[i]! &= lowBits;
  return values;
}

/** Keystream words for `length` coefficients, aligned to four bytes; the caller wipes them. */
function expandWords(p: Primitives, seed: SecretBytes, length: number): Uint16Array {
  const stream = p.aes256Ctr(seed.bytes, 2 * length);
  if (stream.byteOffset % 4 === 0) return new Uint16Array(stream.buffer, stream.byteOffset, length);
  const aligned = new Uint16Array(stream.slice().buffer);
  wipe(stream);
  return aligned;
}

/**
 * target += PRG(seed) or target -= PRG(seed), modulo 2^16; the expansion is wiped. PRG(seed): AES-256-CTR from counter block
 * zero, little-endian words of 16 bits. Deterministic; one seed is used for one vector only.
 *
 * @param seed - 32 secret bytes, already bound to what they are for. Not wiped here.
 * @throws CryptoError BAD_LENGTH if the seed is not 32 bytes.
 */
export function applyExpanded(p: Primitives, target: Uint16Array, seed: SecretBytes, sign: 1 | -1): void {
  const words = expandWords(p, seed, target.length);
  if (sign === 1) addResidues(target, words);
  else subtractResidues(target, words);
  wipe(words);
}

const LOW_LANE = 0x0000ffff;
const HIGH_LANE = 0xffff0000;

/** Streams that one pass over the target adds. */
const STREAMS = 4;

/** target += a + b + c + d in both 16-bit lanes of each word; the lanes' carries are cut off by the masks. */
function addFour(target: Uint32Array, a: Uint32Array, b: Uint32Array, c: Uint32Array, d: Uint32Array): void {
  for (let i = 0; i < target.length; i++) {
    const low =
      (target[i]! & LOW_LANE) + (a[i]! & LOW_LANE) + (b[i]! & LOW_LANE) + (c[i]! & LOW_LANE) + (d[i]! & LOW_LANE);
    const high =
      (target[i]! & HIGH_LANE) + (a[i]! & HIGH_LANE) + (b[i]! & HIGH_LANE) + (c[i]! & HIGH_LANE) + (d[i]! & HIGH_LANE);
    target[i] = (low & LOW_LANE) | (high & HIGH_LANE);
  }
}

/**
 * The sum of PRG(seed) over many seeds, modulo 2^16: what applyExpanded gives one by one, in a third of the time for the
 * additions (four streams a pass, two words at once). The expansions are wiped.
 *
 * @returns secret words, not yet below M: see reduceResidues.
 */
export function sumExpanded(p: Primitives, seeds: Iterable<SecretBytes>, length: number): Uint16Array {
  const all = [...seeds];
  const target = new Uint16Array(length);
  const whole = length % 2 === 0 ? all.length - (all.length % STREAMS) : 0;
  for (let at = 0; at < whole; at += STREAMS) {
    const streams = all.slice(at, at + STREAMS).map((seed) => expandWords(p, seed, length));
    const [a, b, c, d] = streams.map((words) => new Uint32Array(words.buffer, words.byteOffset, length / 2));
    addFour(new Uint32Array(target.buffer), a!, b!, c!, d!);
    for (const words of streams) wipe(words);
  }
  for (const seed of all.slice(whole)) applyExpanded(p, target, seed, 1);
  return target;
}

/** Bytes of `length` residues packed to `modulusBits` bits each. */
export function packedBytes(modulusBits: number, length: number): number {
  return Math.ceil((modulusBits * length) / 8);
}

/**
 * Packs residues one after the other, lowest bit first, unused bits of the last byte zero.
 *
 * @throws CryptoError OUT_OF_RANGE if a value is not below M
 */
export function packResidues(values: Uint16Array, modulusBits: number): Uint8Array {
  requireModulusBits(modulusBits);
  const packed = new Uint8Array(packedBytes(modulusBits, values.length));
  let held = 0;
  let heldBits = 0;
  let at = 0;
  let above = 0;
  for (let i = 0; i < values.length; i++) {
    above |= values[i]! >>> modulusBits;
    held |= values[i]! << heldBits;
    heldBits += modulusBits;
    while (heldBits >= 8) {
      packed[at++] = held;
      held >>>= 8;
      heldBits -= 8;
    }
  }
  if (heldBits > 0) packed[at] = held;
  if (above !== 0) throw new CryptoError('OUT_OF_RANGE', 'a residue is not below the modulus');
  return packed;
}

/**
 * Inverse of packResidues. Law: packing the result gives the same bytes.
 *
 * @throws CryptoError BAD_ENCODING for another length or a set unused bit
 */
export function unpackResidues(packed: Uint8Array, modulusBits: number, length: number): Uint16Array {
  requireModulusBits(modulusBits);
  if (packed.length !== packedBytes(modulusBits, length)) {
    throw new CryptoError('BAD_ENCODING', 'packed residues of another length');
  }
  const values = new Uint16Array(length);
  const lowBits = 2 ** modulusBits - 1;
  let held = 0;
  let heldBits = 0;
  let at = 0;
  for (let i = 0; i < length; i++) {
    while (heldBits < modulusBits) {
      held |= packed[at++]! << heldBits;
      heldBits += 8;
    }
    values[i] = held & lowBits;
    held >>>= modulusBits;
    heldBits -= modulusBits;
  }
  if (held !== 0) throw new CryptoError('BAD_ENCODING', 'stray bits after the last residue');
  return values;
}
