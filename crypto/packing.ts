import type { PublicStream, RingShape } from './engine.ts';
import { CryptoError } from './errors.ts';
import { ceilLog2, GROUP } from './params.ts';

/**
 * Reference of the three formats that engines share (`engine.ts`), written to be read: slots, wire and uniform residues.
 * node-seal's engine runs on it, the kernel is tested against it. Typed-array views assume a little-endian machine, as
 * WebAssembly does.
 */

const LANES = 4;

/** x mod q for an exact integer |x| < 2^53 and q < 2^30, without a branch: the quotient may be off by one either way. */
function reduce(x: number, q: number): number {
  let r = (x - Math.floor(x / q) * q - q) | 0;
  r += q & (r >> 31);
  r += q & (r >> 31);
  return r;
}

/** a*b mod q for residues below 2^30. */
export function multiplyModulo(a: number, b: number, q: number): number {
  const high = reduce(a * (b >>> 15), q);
  return reduce(high * 0x8000 + a * (b & 0x7fff), q);
}

/** @throws CryptoError BAD_LENGTH unless L is a multiple of 128 from 128 to N. */
export function checkCoefficients(shape: RingShape, coefficients: number): void {
  if (!Number.isInteger(coefficients) || coefficients < GROUP || coefficients > shape.degree || coefficients % GROUP)
    throw new CryptoError('BAD_LENGTH', 'coefficients must be a multiple of 128, at most the ring degree');
}

export function wireBytes(shape: RingShape, coefficients: number): number {
  checkCoefficients(shape, coefficients);
  return shape.primes.reduce((sum, q) => sum + (coefficients / 8) * ceilLog2(q), 0);
}

/** Packs residues below 2^bits in groups of 128; see `engine.ts`, Wire. */
export function packResidues(residues: Uint32Array, bits: number): Uint8Array {
  const words = new Uint32Array((residues.length * bits) / 32);
  for (let index = 0; index < residues.length; index++) {
    const lane = index % LANES;
    const group = Math.floor(index / GROUP);
    const bit = Math.floor((index % GROUP) / LANES) * bits;
    const word = group * LANES * bits + (bit >>> 5) * LANES + lane;
    const shift = bit & 31;
    words[word]! |= residues[index]! << shift;
    if (shift + bits > 32) words[word + LANES]! |= residues[index]! >>> (32 - shift);
  }
  return new Uint8Array(words.buffer);
}

/** Inverse of `packResidues` for bits < 32. No range check. */
export function unpackResidues(bytes: Uint8Array, bits: number): Uint32Array {
  const words = new Uint32Array(bytes.slice().buffer);
  const residues = new Uint32Array((words.length * 32) / bits);
  const mask = 2 ** bits - 1;
  for (let index = 0; index < residues.length; index++) {
    const lane = index % LANES;
    const bit = Math.floor((index % GROUP) / LANES) * bits;
    const word = Math.floor(index / GROUP) * LANES * bits + (bit >>> 5) * LANES + lane;
    const shift = bit & 31;
    const high = shift + bits > 32 ? words[word + LANES]! << (32 - shift) : 0;
    residues[index] = ((words[word]! >>> shift) | high) & mask;
  }
  return residues;
}

/** Wire bytes of a block. @param residues - per prime, at least L residues of which the first L are taken. */
export function packBlock(shape: RingShape, residues: readonly Uint32Array[], coefficients: number): Uint8Array {
  const wire = new Uint8Array(wireBytes(shape, coefficients));
  let at = 0;
  shape.primes.forEach((q, i) => {
    const packed = packResidues(residues[i]!.subarray(0, coefficients), ceilLog2(q));
    wire.set(packed, at);
    at += packed.length;
  });
  return wire;
}

/**
 * Residues of a block, L per prime.
 *
 * @throws CryptoError BAD_LENGTH, RESIDUE_OUT_OF_RANGE.
 */
export function unpackBlock(shape: RingShape, wire: Uint8Array, coefficients: number): Uint32Array[] {
  if (wire.length !== wireBytes(shape, coefficients))
    throw new CryptoError('BAD_LENGTH', 'a block of another length than its coefficients take');
  let at = 0;
  return shape.primes.map((q) => {
    const bits = ceilLog2(q);
    const end = at + (coefficients / 8) * bits;
    const residues = unpackResidues(wire.subarray(at, end), bits);
    at = end;
    if (residues.some((residue) => residue >= q))
      throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a residue is not below its prime');
    return residues;
  });
}

/** N residues by rejection; see `engine.ts`, Uniform residues. */
export function expandUniform(stream: PublicStream, index: number, q: number, degree: number): Uint32Array {
  const mask = 2 ** ceilLog2(q) - 1;
  const residues = new Uint32Array(degree);
  // The share of words kept is q / 2^bits; 64 spare words make a second, longer call rare.
  for (let words = Math.ceil((degree * (mask + 1)) / q) + 64; ; words += degree) {
    const bytes = stream(index, 4 * words);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let kept = 0;
    for (let i = 0; i < words && kept < degree; i++) {
      const candidate = view.getUint32(4 * i, true) & mask;
      if (candidate < q) residues[kept++] = candidate;
    }
    if (kept === degree) return residues;
  }
}

/**
 * Residues of Delta*m + e for one prime, m's slots filled from `values` slot-major.
 *
 * @param values - at most v*L, each |x| < 2^(valueBits-1) (checked by the caller).
 * @param error - L samples.
 */
export function messageResidues(shape: RingShape, q: number, values: Int32Array, error: Int16Array): Uint32Array {
  const coefficients = error.length;
  const out = new Uint32Array(shape.degree);
  const slots = Math.ceil(values.length / coefficients);
  const [low, high] = [2 ** Math.min(shape.slotBits, 20), 2 ** Math.max(0, shape.slotBits - 20)];
  for (let c = 0; c < coefficients; c++) {
    let sum = 0;
    for (let slot = slots - 1; slot >= 0; slot--) {
      const value = values[slot * coefficients + c] ?? 0;
      sum = reduce(reduce(sum * low, q) * high + value, q);
    }
    out[c] = reduce(sum * 2 ** shape.logDelta + error[c]!, q);
  }
  return out;
}

/** @throws CryptoError OUT_OF_RANGE unless every |x| < 2^(valueBits-1); all are looked at. */
export function checkValues(shape: RingShape, values: Int32Array): void {
  const bound = 2 ** (shape.valueBits - 1);
  let outside = 0;
  for (const x of values) outside |= Number(x >= bound) | Number(x <= -bound);
  if (outside) throw new CryptoError('OUT_OF_RANGE', 'a value does not fit the bits of this round');
}

/**
 * Splits opened residues into values; the law is `BlockOpener.open`'s.
 *
 * @param residues - per prime, at least L residues of c + a*K.
 */
export function splitBlock(
  shape: RingShape,
  residues: readonly Uint32Array[],
  coefficients: number,
  values: Int32Array,
): boolean {
  const primes = shape.primes.map(BigInt);
  const modulus = primes.reduce((product, q) => product * q, 1n);
  const basis = primes.map((q) => {
    const rest = modulus / q;
    return rest * inverseModulo(rest % q, q);
  });
  const delta = BigInt(shape.logDelta);
  const bound = BigInt(shape.errorBound);
  const width = BigInt(shape.slotBits);
  let fits = true;
  for (let c = 0; c < coefficients; c++) {
    let x = 0n;
    for (let i = 0; i < basis.length; i++) x += basis[i]! * BigInt(residues[i]![c]!);
    x %= modulus;
    if (2n * x > modulus) x -= modulus;
    const remainder = BigInt.asIntN(shape.logDelta, x);
    if (remainder > bound || remainder < -bound) fits = false;
    let m = (x - remainder) >> delta;
    for (let slot = 0; slot < shape.slotsPerCoefficient; slot++) {
      const digit = BigInt.asIntN(shape.slotBits, m);
      m = (m - digit) >> width;
      const index = slot * coefficients + c;
      if (index < values.length) values[index] = Number(digit);
      else if (digit !== 0n) fits = false;
    }
    if (m !== 0n) fits = false;
  }
  if (!fits) values.fill(0);
  return fits;
}

/** a^-1 mod q for a prime q, by Fermat. */
export function inverseModulo(a: bigint, q: bigint): bigint {
  let result = 1n;
  let base = a % q;
  for (let e = q - 2n; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * base) % q;
    base = (base * base) % q;
  }
  return result;
}
