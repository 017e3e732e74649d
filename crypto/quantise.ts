import { CryptoError } from './errors.ts';
import { integerSqrt } from './fixed-point.ts';
import type { Variance } from './gaussian-table.ts';
import { createKeyChain } from './key-chain.ts';
import type { Primitives } from './primitives.ts';

/**
 * From real vectors to integers whose L2 sensitivity is known exactly. Kairouz, Liu, Steinke, "The Distributed Discrete
 * Gaussian Mechanism" (arXiv 2102.06387), section 4; the derivation for both units is in docs/noise.md.
 */

/** What a quantiser is derived from; public, part of the round. */
export interface QuantiserRequest {
  /**
   * 'node': the whole vector is one unit; it is clipped, then rounded until its norm fits. 'record': the vector is a sum
   * over records, each of norm at most `clip` already; it is rounded once, by a dither that does not depend on it.
   */
  readonly unit: 'node' | 'record';
  readonly dimension: number;
  /** L2 bound of one unit, in the vector's own units. */
  readonly clip: number;
  /** Quantisation steps per 1.0. */
  readonly scale: number;
  /** Of the noise that this node adds, in squared steps. */
  readonly variance: Variance;
  /** Most records in one node's sum; 1 for unit 'node'. */
  readonly recordsMax: number;
  /** Unit 'node': no coordinate is larger, in the vector's own units, which saves bits: at most the clip. */
  readonly peak?: number;
}

export interface Quantiser extends QuantiserRequest {
  /** Squared L2 sensitivity of one unit, in squared steps: an integer, since vectors are integers. */
  readonly sensitivity2: bigint;
  /** Probability, per sum and unit, that rounding exceeds `sensitivity2`: to be added to delta. 0 for unit 'node'. */
  readonly failure: number;
  /** No quantised value is larger in magnitude, before noise. */
  readonly largest: number;
  /** ceil(12 sigma): one sample exceeds it with probability below 2 e^-72 < 2^-102, to be added to delta. */
  readonly noiseTail: number;
  /** |value + noise| < 2^(bits - 1). */
  readonly bits: number;
}

/** Values are first rounded to 2^-20 steps; from there on everything is exact in integers. */
const GRID = 2 ** 20;
/** Doubles between 2^32 and 2^33 are multiples of 2^-20. */
const SNAP = 1.5 * 2 ** 32;
const TAIL_SIGMAS = 12;
const MAX_BITS = 31;
/** Of ln(1/beta): at beta = e^-1/2 (what the paper suggests) more than a third of all tries fits in the worst case. */
const NODE_LOG_BETA = 0.5;
const RECORD_LOG_BETA = 64 * Math.LN2;
/** A try fails with probability at most e^-1/2, so all do with less than 2^-720. */
const MAX_TRIES = 1000;
const WORDS_PER_KEY = 1 << 14;

/** @throws CryptoError BAD_VALUE for numbers out of range, OUT_OF_RANGE when a value would need more than 31 bits. */
export function deriveQuantiser(request: QuantiserRequest): Quantiser {
  const { unit, dimension, clip, scale, recordsMax, variance, peak } = request;
  if (!Number.isSafeInteger(dimension) || dimension < 1 || !Number.isSafeInteger(recordsMax) || recordsMax < 1) {
    throw new CryptoError('BAD_VALUE', 'dimension and records have to be positive integers');
  }
  if (!(clip > 0 && scale > 0 && clip * scale < 2 ** 30) || (unit === 'node' && recordsMax !== 1)) {
    throw new CryptoError('BAD_VALUE', 'clip, scale or records out of range');
  }
  if (peak !== undefined && !(peak > 0 && peak <= clip && unit === 'node')) {
    throw new CryptoError('BAD_VALUE', "a peak is at most the clip, and of unit 'node'");
  }
  const root = Math.sqrt(dimension);
  // Reaching the grid of 2^-20 moves a coordinate by less than 2^-20 steps (doubles included), a difference by twice that.
  const steps = clip * scale + (2 * root) / GRID;
  const spread = Math.sqrt(2 * (unit === 'node' ? NODE_LOG_BETA : RECORD_LOG_BETA));
  const bound = Math.min((steps + root) ** 2, steps * steps + dimension / 4 + spread * (steps + root / 2));
  if (!(bound < 2 ** 52)) throw new CryptoError('OUT_OF_RANGE', 'the sensitivity does not fit');
  // For a node any integer is a bound, since it is enforced; for records the slack covers the doubles above.
  const sensitivity2 = BigInt(unit === 'node' ? Math.floor(bound) : Math.ceil(bound * (1 + 1e-12)));
  const largest =
    unit === 'node'
      ? Math.min(Math.ceil(peak === undefined ? steps : peak * scale), Number(integerSqrt(sensitivity2)))
      : Math.ceil(recordsMax * clip * scale) + 1;
  const noiseTail = tailOf(variance);
  const bits = largest + noiseTail < 2 ** MAX_BITS ? 1 + (largest + noiseTail).toString(2).length : MAX_BITS + 1;
  if (bits > MAX_BITS) throw new CryptoError('OUT_OF_RANGE', 'values and noise need more than 31 bits');
  return { ...request, sensitivity2, failure: unit === 'node' ? 0 : 2 ** -64, largest, noiseTail, bits };
}

function tailOf({ sigma2Numerator, sigma2Denominator }: Variance): number {
  if (sigma2Numerator <= 0n || sigma2Denominator <= 0n) throw new CryptoError('BAD_VALUE', 'variance out of range');
  const squared = BigInt(TAIL_SIGMAS ** 2) * sigma2Numerator;
  const floor = integerSqrt(squared / sigma2Denominator);
  return Number(floor * floor * sigma2Denominator === squared ? floor : floor + 1n);
}

/**
 * Clips (unit 'node'), scales and rounds at random without bias.
 *
 * Law: unit 'node': the squared norm of the result is at most `sensitivity2`, always. The number of tries depends on the
 * vector, so the running time tells something about it to whoever can measure it on the node.
 *
 * @param seed - 32 fresh secret bytes for this call alone. Not wiped here.
 * @param values - `dimension` finite numbers. Not changed, not wiped.
 * @throws CryptoError BAD_LENGTH, BAD_VALUE (NaN or infinite), OUT_OF_RANGE (a sum of more records than agreed, a coordinate
 *   beyond the agreed peak).
 */
export function quantise(
  quantiser: Quantiser,
  primitives: Pick<Primitives, 'aes256Ctr'>,
  seed: Uint8Array,
  values: Float32Array | Float64Array,
): Int32Array {
  const { unit, clip, peak, scale, largest, sensitivity2 } = quantiser;
  if (values.length !== quantiser.dimension) throw new CryptoError('BAD_LENGTH', 'the vector has another dimension');
  const size = measure(values);
  if (unit === 'record' && size.largest * scale > largest - 1) {
    throw new CryptoError('OUT_OF_RANGE', 'a value exceeds what the agreed number of records can add up to');
  }
  // The factor first: it is at most 1, so that no finite value overflows.
  const factor = unit === 'node' && size.norm > clip ? clip / size.norm : 1;
  if (peak !== undefined && size.largest * factor > peak) {
    throw new CryptoError('OUT_OF_RANGE', 'a value exceeds the agreed peak');
  }
  const out = new Int32Array(values.length);
  using keys = createKeyChain(primitives, seed);
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const squaredNorm = roundOnce(values, factor * scale, primitives, keys, out);
    if (unit === 'record' || squaredNorm <= Number(sensitivity2)) return out;
  }
  out.fill(0);
  throw new CryptoError('ENGINE_FAILED', 'no rounding fits');
}

/** L2 norm and largest magnitude. @throws CryptoError BAD_VALUE for NaN or an infinity. */
function measure(values: Float32Array | Float64Array): { norm: number; largest: number } {
  let sum = 0;
  let largest = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]!;
    sum += value * value;
    const magnitude = Math.abs(value);
    if (magnitude > largest) largest = magnitude;
  }
  // NaN makes the sum NaN, an infinity makes it infinite; so do squares that overflow, which is settled by scaling.
  if (Number.isNaN(sum) || largest === Number.POSITIVE_INFINITY) {
    throw new CryptoError('BAD_VALUE', 'the vector holds a value that is not finite');
  }
  if (sum < Number.POSITIVE_INFINITY && sum > 1e-200) return { norm: Math.sqrt(sum), largest };
  if (largest === 0) return { norm: 0, largest };
  sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += (values[i]! / largest) ** 2;
  return { norm: largest * Math.sqrt(sum), largest };
}

/**
 * x rounded to 2^-20 steps, then floor(x + u) with u uniform on multiples of 2^-20 in [0, 1): up with exactly the
 * probability of the fraction, independently in every coordinate.
 *
 * @param steps - quantisation steps per 1.0 of `values`; every product is below 2^31.
 * @returns the squared norm of `out`.
 */
function roundOnce(
  values: Float32Array | Float64Array,
  steps: number,
  primitives: Pick<Primitives, 'aes256Ctr'>,
  keys: { next(): Uint8Array },
  out: Int32Array,
): number {
  let squaredNorm = 0;
  for (let start = 0; start < values.length; start += WORDS_PER_KEY) {
    const end = Math.min(values.length, start + WORDS_PER_KEY);
    const keystream = primitives.aes256Ctr(keys.next(), 4 * (end - start));
    const words = new Uint32Array(keystream.buffer, keystream.byteOffset, end - start);
    for (let i = start; i < end; i += 1) {
      // Adding and taking away 1.5 * 2^32 rounds to the nearest multiple of 2^-20, exact from there on.
      const snapped = values[i]! * steps + SNAP - SNAP;
      const rounded = Math.floor(snapped + (words[i - start]! >>> 12) * (1 / GRID));
      out[i] = rounded;
      // Exact up to the sensitivity, which is below 2^52; past it only that it is past counts.
      squaredNorm += rounded * rounded;
    }
    keystream.fill(0);
  }
  return squaredNorm;
}

/** Adds noise in place. @throws CryptoError BAD_LENGTH; OUT_OF_RANGE when a sum leaves `bits`: the vector is wiped then. */
export function addNoise(quantiser: Quantiser, values: Int32Array, noise: Int32Array): void {
  if (values.length !== quantiser.dimension || noise.length !== quantiser.dimension) {
    throw new CryptoError('BAD_LENGTH', 'vector and noise have the same dimension');
  }
  const limit = 2 ** (quantiser.bits - 1);
  let inside = true;
  for (let i = 0; i < values.length; i += 1) {
    const sum = values[i]! + noise[i]!;
    inside &&= Math.abs(sum) < limit;
    values[i] = sum;
  }
  if (!inside) {
    values.fill(0);
    throw new CryptoError('OUT_OF_RANGE', 'a noised value does not fit the agreed number of bits');
  }
}

/** Integers of an opened sum back to the vector's own units. */
export function dequantise(quantiser: Pick<Quantiser, 'scale'>, sums: ArrayLike<number>): Float64Array {
  const values = new Float64Array(sums.length);
  for (let i = 0; i < values.length; i += 1) values[i] = sums[i]! / quantiser.scale;
  return values;
}
