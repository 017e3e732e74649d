import type { GaussianStream } from './engine.ts';
import { wipe } from './secret.ts';

/**
 * The discrete Gaussian of one-time keys and encryption errors, sigma 6.4, as a fixed function of secret random bits,
 * so that every engine draws the same samples from the same seed.
 *
 * Inversion of a cumulative table: a sample takes one sign bit s and 127 bits u, and is (-1)^s times the number of
 * thresholds C_m = floor(2^127 * P(|x| <= m)) with u >= C_m, m = 0..TAIL-1. Distance from the ideal: docs/parameters.md.
 *
 * Bits: first word, little-endian: bit 0 is s, bits 1..31 are the top 31 bits of u; the other 96 bits of u are three
 * little-endian words, most significant first, and matter only when the top bits equal a threshold's (a tie).
 *
 * Time: every sample's first word is compared with every threshold, with no branch or index that depends on it. Ties
 * take a slower path, so time tells that one occurred (probability below 2^-25 per sample) and perhaps where. It tells
 * next to nothing of the value: given a tie, the sample is one of all the values next to a threshold, about evenly, of
 * either sign, which is a wider distribution than the Gaussian it was drawn from.
 */

/** sigma^2 = 40.96, as in exp(-m^2 / (2 sigma^2)) = exp(-25 m^2 / 2048). */
const PRECISION = 320n;
/** P(|x| > TAIL) < 2^-127; samples are at most this large. */
const TAIL = 86;

function expMinus25Over2048(): bigint {
  let term = 1n << PRECISION;
  let sum = 0n;
  for (let i = 1n; term !== 0n; i++) {
    sum += term;
    term = (-term * 25n) / (2048n * i);
  }
  return sum;
}

/** The thresholds C_0..C_(TAIL-1), 127 bits each. */
export function gaussianThresholds(): bigint[] {
  const ratio = expMinus25Over2048();
  const times = (a: bigint, b: bigint): bigint => (a * b) >> PRECISION;
  const weights = [1n << PRECISION];
  // rho(m) = rho(m-1) * r^(2m-1)
  for (let m = 1, power = ratio; m <= TAIL + 30; m++, power = times(power, times(ratio, ratio)))
    weights.push(times(weights[m - 1]!, power));
  const cumulative: bigint[] = [];
  let total = 0n;
  for (const [m, weight] of weights.entries()) {
    total += m === 0 ? weight : 2n * weight;
    cumulative.push(total);
  }
  return cumulative.slice(0, TAIL).map((value) => (value << 127n) / total);
}

/** Thresholds as rows of four 32-bit limbs, the most significant (31 bits) first. */
const LIMBS = Uint32Array.from(
  gaussianThresholds().flatMap((c) => [96n, 64n, 32n, 0n].map((shift) => Number((c >> shift) & 0xffffffffn))),
);

/**
 * The thresholds' distinct top 31 bits, ascending; the last is 2^31 - 1, which no top exceeds and all larger thresholds
 * share. A sample whose top ties with none of them has magnitude = how many of them its top exceeds.
 */
export const GAUSSIAN_TOPS: Int32Array = Int32Array.from(
  [...new Set(LIMBS.filter((_, i) => i % 4 === 0))].sort((a, b) => a - b),
);

/**
 * One sample from all its 128 bits.
 *
 * @param word - its first word.
 * @param rest - words of 12 bytes per sample.
 * @param index - which sample.
 */
export function exactGaussian(word: number, rest: Uint8Array, index: number): number {
  const view = new DataView(rest.buffer, rest.byteOffset + 12 * index, 12);
  const limbs = [word >>> 1, view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  let magnitude = 0;
  for (let row = 0; row < LIMBS.length; row += 4) {
    let greater = 0;
    let equal = 1;
    for (let i = 0; i < 4; i++) {
      greater |= equal & Number(limbs[i]! > LIMBS[row + i]!);
      equal &= Number(limbs[i]! === LIMBS[row + i]!);
    }
    magnitude += greater | equal;
  }
  return applySign(magnitude, word);
}

function applySign(magnitude: number, word: number): number {
  const mask = -(word & 1);
  return (magnitude ^ mask) - mask;
}

/**
 * Reference sampler; the kernel's is equal word for word.
 *
 * @param out - one sample per element.
 */
export function sampleGaussian(stream: GaussianStream, out: Int16Array): void {
  const bytes = stream.first(4 * out.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ties: number[] = [];
  for (let c = 0; c < out.length; c++) {
    const word = view.getUint32(4 * c, true);
    const top = word >>> 1;
    let magnitude = 0;
    let tied = 0;
    for (let i = 0; i < GAUSSIAN_TOPS.length; i++) {
      // Both differences are exact in 32 bits: tops are below 2^31.
      const difference = GAUSSIAN_TOPS[i]! - top;
      magnitude += difference >>> 31;
      tied |= ((difference | -difference) >>> 31) ^ 1;
    }
    out[c] = applySign(magnitude, word);
    if (tied) ties.push(c);
  }
  resolveTies(stream, bytes, ties, out);
  wipe(bytes);
}

/** Replaces the samples at the tied indices by their exact values. @param first - the first words, not wiped here. */
export function resolveTies(stream: GaussianStream, first: Uint8Array, ties: readonly number[], out: Int16Array): void {
  if (ties.length === 0) return;
  const rest = stream.rest(12 * out.length);
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  for (const c of ties) out[c] = exactGaussian(view.getUint32(4 * c, true), rest, c);
  wipe(rest);
}
