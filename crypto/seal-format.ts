import { CryptoError } from './errors.ts';

/**
 * Microsoft SEAL 4.1 objects as bytes, uncompressed: how words cross between node-seal and our arrays.
 *
 * Source: SEAL native/src/seal/{serialization,ciphertext,plaintext,dynarray}.h. All integers little-endian.
 * Every object starts with 16 bytes: magic 0xA15E, header size 16, version 4.1, compression 0, two reserved bytes and the
 * total length in 64 bits. Residues are 64-bit words; ours are below 2^30, so the upper halves must be zero.
 */

const HEADER_BYTES = 16;
const MAGIC_AND_VERSION = [0x5e, 0xa1, HEADER_BYTES, 4, 1, 0, 0, 0];
const PARMS_ID_BYTES = 32;
/** Header, parms_id, is_ntt_form, size, poly_modulus_degree, coeff_modulus_size, scale, correction_factor. */
const CIPHERTEXT_BYTES = HEADER_BYTES + PARMS_ID_BYTES + 1 + 5 * 8;
/** Header, parms_id, coeff_count, scale. */
const PLAINTEXT_BYTES = HEADER_BYTES + PARMS_ID_BYTES + 2 * 8;
/** A nested object: header and element count, then the words. */
const ARRAY_BYTES = HEADER_BYTES + 8;

/** A ring level as SEAL names it. */
export interface SealLevel {
  /** 32 bytes: SEAL's hash of the level's parameters. */
  readonly parmsId: Uint8Array;
  readonly degree: number;
  readonly primes: number;
}

function writeHeader(bytes: Uint8Array, offset: number, length: number): void {
  bytes.set(MAGIC_AND_VERSION, offset);
  writeWord(bytes, offset + 8, length);
}

function writeWord(bytes: Uint8Array, offset: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(offset, BigInt(value), true);
}

function writeArray(bytes: Uint8Array, offset: number, polynomials: readonly Uint32Array[]): void {
  const count = polynomials.reduce((sum, polynomial) => sum + polynomial.length, 0);
  writeHeader(bytes, offset, ARRAY_BYTES + 8 * count);
  writeWord(bytes, offset + HEADER_BYTES, count);
  const words = new Uint32Array(2 * count);
  let at = 0;
  for (const polynomial of polynomials) for (const residue of polynomial) words[2 * at++] = residue;
  bytes.set(new Uint8Array(words.buffer), offset + ARRAY_BYTES);
  words.fill(0);
}

/** A ciphertext of scale 1 up to its words; the total length is still zero. */
function ciphertextHead(level: SealLevel, ntt: boolean, polynomials: number): Uint8Array {
  const bytes = new Uint8Array(CIPHERTEXT_BYTES);
  bytes.set(level.parmsId, HEADER_BYTES);
  let at = HEADER_BYTES + PARMS_ID_BYTES;
  bytes[at++] = ntt ? 1 : 0;
  for (const field of [polynomials, level.degree, level.primes]) {
    writeWord(bytes, at, field);
    at += 8;
  }
  new DataView(bytes.buffer).setFloat64(at, 1, true);
  writeWord(bytes, at + 8, 1);
  return bytes;
}

/** A plaintext of scale 1 up to its words; the total length is still zero. */
function plaintextHead(level: SealLevel, count: number): Uint8Array {
  const bytes = new Uint8Array(PLAINTEXT_BYTES);
  bytes.set(level.parmsId, HEADER_BYTES);
  writeWord(bytes, HEADER_BYTES + PARMS_ID_BYTES, count);
  new DataView(bytes.buffer).setFloat64(HEADER_BYTES + PARMS_ID_BYTES + 8, 1, true);
  return bytes;
}

function writeObject(head: Uint8Array, polynomials: readonly Uint32Array[]): Uint8Array {
  const count = polynomials.reduce((sum, polynomial) => sum + polynomial.length, 0);
  const bytes = new Uint8Array(head.length + ARRAY_BYTES + 8 * count);
  bytes.set(head);
  writeHeader(bytes, 0, bytes.length);
  writeArray(bytes, head.length, polynomials);
  return bytes;
}

/**
 * A ciphertext of scale 1.
 *
 * @param polynomials - each `primes` runs of `degree` residues.
 */
export function ciphertextBytes(level: SealLevel, ntt: boolean, polynomials: readonly Uint32Array[]): Uint8Array {
  return writeObject(ciphertextHead(level, ntt, polynomials.length), polynomials);
}

/** A plaintext in NTT form, scale 1; a secret key is one at SEAL's key level. */
export function plaintextBytes(level: SealLevel, residues: Uint32Array): Uint8Array {
  return writeObject(plaintextHead(level, residues.length), [residues]);
}

function check(condition: boolean): void {
  if (!condition) throw new CryptoError('ENGINE_FAILED', 'not a SEAL 4.1 object of the expected shape');
}

/** @param head - the object as we would write it, without its words; they begin at the nested array. */
function readArray(bytes: Uint8Array, head: Uint8Array, offset: number, count: number): Uint32Array {
  check(bytes.length === offset + ARRAY_BYTES + 8 * count);
  for (let i = HEADER_BYTES; i < offset; i++) check(bytes[i] === head[i]);
  for (const start of [0, offset]) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + start);
    check(MAGIC_AND_VERSION.every((byte, i) => bytes[start + i] === byte));
    check(view.getBigUint64(8, true) === BigInt(bytes.length - start));
  }
  check(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset + HEADER_BYTES, true) === BigInt(count));
  const words = new Uint32Array(bytes.slice(offset + ARRAY_BYTES).buffer);
  const residues = new Uint32Array(count);
  let upper = 0;
  for (let i = 0; i < count; i++) {
    residues[i] = words[2 * i]!;
    upper |= words[2 * i + 1]!;
  }
  check(upper === 0);
  words.fill(0);
  return residues;
}

/**
 * The polynomials of a ciphertext of this level and scale 1, one after another. Law: written again, in the form that the
 * object says it has, they are the same bytes.
 *
 * @throws CryptoError ENGINE_FAILED
 */
export function parseCiphertext(bytes: Uint8Array, level: SealLevel, polynomials: number): Uint32Array {
  const head = ciphertextHead(level, bytes[HEADER_BYTES + PARMS_ID_BYTES] === 1, polynomials);
  return readArray(bytes, head, CIPHERTEXT_BYTES, polynomials * level.degree * level.primes);
}

/** The residues of a plaintext in NTT form, by the same law. @throws CryptoError ENGINE_FAILED */
export function parsePlaintext(bytes: Uint8Array, level: SealLevel): Uint32Array {
  const count = level.degree * level.primes;
  return readArray(bytes, plaintextHead(level, count), PLAINTEXT_BYTES, count);
}

/** The parms_id in a saved ciphertext or secret key: how SEAL is asked for it. */
export function parmsIdOf(bytes: Uint8Array): Uint8Array {
  check(bytes.length >= HEADER_BYTES + PARMS_ID_BYTES);
  return bytes.slice(HEADER_BYTES, HEADER_BYTES + PARMS_ID_BYTES);
}
