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

/**
 * A ciphertext of scale 1.
 *
 * @param polynomials - each `primes` runs of `degree` residues.
 */
export function ciphertextBytes(level: SealLevel, ntt: boolean, polynomials: readonly Uint32Array[]): Uint8Array {
  const count = polynomials.length * level.degree * level.primes;
  const bytes = new Uint8Array(CIPHERTEXT_BYTES + ARRAY_BYTES + 8 * count);
  writeHeader(bytes, 0, bytes.length);
  bytes.set(level.parmsId, HEADER_BYTES);
  let at = HEADER_BYTES + PARMS_ID_BYTES;
  bytes[at++] = ntt ? 1 : 0;
  for (const field of [polynomials.length, level.degree, level.primes]) {
    writeWord(bytes, at, field);
    at += 8;
  }
  new DataView(bytes.buffer).setFloat64(at, 1, true);
  writeWord(bytes, at + 8, 1);
  writeArray(bytes, CIPHERTEXT_BYTES, polynomials);
  return bytes;
}

/** A plaintext in NTT form, scale 1; a secret key is one at SEAL's key level. */
export function plaintextBytes(level: SealLevel, residues: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(PLAINTEXT_BYTES + ARRAY_BYTES + 8 * residues.length);
  writeHeader(bytes, 0, bytes.length);
  bytes.set(level.parmsId, HEADER_BYTES);
  writeWord(bytes, HEADER_BYTES + PARMS_ID_BYTES, residues.length);
  new DataView(bytes.buffer).setFloat64(HEADER_BYTES + PARMS_ID_BYTES + 8, 1, true);
  writeArray(bytes, PLAINTEXT_BYTES, [residues]);
  return bytes;
}

function check(condition: boolean): void {
  if (!condition) throw new CryptoError('ENGINE_FAILED', 'not a SEAL 4.1 object of the expected shape');
}

function readArray(bytes: Uint8Array, offset: number, count: number): Uint32Array {
  check(bytes.length === offset + ARRAY_BYTES + 8 * count);
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

/** The polynomials of a ciphertext, one after another. @throws CryptoError ENGINE_FAILED */
export function parseCiphertext(bytes: Uint8Array, level: SealLevel, polynomials: number): Uint32Array {
  return readArray(bytes, CIPHERTEXT_BYTES, polynomials * level.degree * level.primes);
}

/** The residues of a plaintext in NTT form. @throws CryptoError ENGINE_FAILED */
export function parsePlaintext(bytes: Uint8Array, level: SealLevel): Uint32Array {
  return readArray(bytes, PLAINTEXT_BYTES, level.degree * level.primes);
}

/** The parms_id in a saved ciphertext or secret key: how SEAL is asked for it. */
export function parmsIdOf(bytes: Uint8Array): Uint8Array {
  check(bytes.length >= HEADER_BYTES + PARMS_ID_BYTES);
  return bytes.slice(HEADER_BYTES, HEADER_BYTES + PARMS_ID_BYTES);
}
