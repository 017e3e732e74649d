import type { RingShape } from './engine.ts';
import { CryptoError } from './errors.ts';

/**
 * A round's parameters, derived from what the round must carry; `docs/parameters.md` writes the derivation out.
 * Nobody chooses a ring, a prime or a bound: `checkParameters` refuses anything that is not equal to its derivation.
 */

/** What a round is asked to carry. */
export interface RoundRequest {
  /** d: values per update. */
  readonly dimension: number;
  /** Bits of one node's signed value, its noise's tail included: |x| < 2^(bits-1). */
  readonly bits: number;
  /** n_max: most nodes in one sum. */
  readonly nodesMax: number;
  /** Fewest nodes in one sum that may be opened. */
  readonly minCohort: number;
  /** Honest nodes whose noise alone reaches the target. */
  readonly minHonest: number;
  /** n: members of the quorum. */
  readonly members: number;
  /** t: members that open a sum; fewer learn nothing. */
  readonly threshold: number;
}

/** Safe integers only, so that a round's record can hold it in canonical JSON. */
export interface RoundParameters extends RoundRequest {
  /** N. */
  readonly ringDegree: number;
  readonly primes: readonly number[];
  /** ceil(log2 q) of each prime: bits of a residue on the wire. */
  readonly primeBits: readonly number[];
  /** w = bits + ceil(log2 n_max). */
  readonly slotBits: number;
  /** v: values per coefficient. */
  readonly slotsPerCoefficient: number;
  /** log2 Delta; Delta >= 4B. */
  readonly logDelta: number;
  /** B: 12 sigma of the summed error, also of the summed key. */
  readonly errorBound: number;
  /** log2 M, M > 2B. */
  readonly maskModulusBits: number;
  readonly blocks: number;
  /** Coefficients sent in all blocks together. */
  readonly coefficients: number;
  readonly lastBlockCoefficients: number;
  readonly payloadBytes: number;
}

/** Standard deviation of k_i and e_ij: 6.4 (docs/parameters.md says why), in tenths to stay with integers. */
const SIGMA_TENTHS = 64;
/** Coefficients per group of the wire format. */
export const GROUP = 128;
/**
 * Fewest coefficients sent per block: each refuses a wrong key with probability 3/4, and a key that is wrong on purpose
 * has to satisfy all of them (docs/parameters.md).
 */
const MIN_COEFFICIENTS = 512;
export const MAX_SETS = 256;
const MAX_DIMENSION = 2 ** 30;

/**
 * Largest log2 Q per ring degree. `quantum`: Microsoft SEAL 4.1, seal_he_std_parms_128_tq (128 bits against quantum
 * attackers, ternary secret, sigma 3.2; Homomorphic Encryption Standard 2018). `classical`: seal_he_std_parms_128_tc
 * (109, 218, 438) less the special prime that SEAL's context asks for and we never use, at its smallest.
 */
export const LIMITS: readonly { degree: number; quantum: number; classical: number; specialPrime: number }[] = [
  { degree: 4096, quantum: 101, classical: 93, specialPrime: 40961 },
  { degree: 8192, quantum: 202, classical: 201, specialPrime: 65537 },
  { degree: 16384, quantum: 411, classical: 421, specialPrime: 65537 },
];

function refuse(code: 'UNSAFE_PARAMETERS' | 'OUT_OF_RANGE', reason: string): never {
  throw new CryptoError(code, reason);
}

function requireInteger(name: string, value: number, low: number, high: number): void {
  if (!Number.isSafeInteger(value) || value < low || value > high)
    refuse('OUT_OF_RANGE', `${name} must be an integer from ${low} to ${high}`);
}

/** Number of sets T of n-t+1 members: C(n, t-1). */
export function setCount(members: number, threshold: number): number {
  let count = 1;
  for (let i = 1; i < threshold; i++) count = (count * (members - i + 1)) / i;
  return count;
}

/** @throws CryptoError OUT_OF_RANGE for values outside the format, UNSAFE_PARAMETERS for what would hurt. */
export function checkRequest(request: RoundRequest): void {
  const { dimension, bits, nodesMax, minCohort, minHonest, members, threshold } = request;
  requireInteger('dimension', dimension, 1, MAX_DIMENSION);
  requireInteger('bits', bits, 2, 28);
  requireInteger('nodesMax', nodesMax, 2, 1024);
  requireInteger('minCohort', minCohort, 1, nodesMax);
  requireInteger('minHonest', minHonest, 1, minCohort);
  requireInteger('members', members, 1, 64);
  requireInteger('threshold', threshold, 1, members);
  if (bits + ceilLog2(nodesMax) > 32) refuse('OUT_OF_RANGE', 'bits + ceil(log2 nodesMax) must be at most 32');
  if (minCohort < 2) refuse('UNSAFE_PARAMETERS', 'minCohort below 2: a sum of one node is that node');
  if (minHonest < 2) refuse('UNSAFE_PARAMETERS', 'minHonest below 2: a single honest node is not hidden by a sum');
  if (threshold < 2) refuse('UNSAFE_PARAMETERS', 'threshold below 2: one member could open alone');
  if (members < 2 * threshold - 1)
    refuse('UNSAFE_PARAMETERS', 'members below 2*threshold-1: no honest majority to tell a wrong share');
  if (setCount(members, threshold) > MAX_SETS)
    refuse('UNSAFE_PARAMETERS', `more than ${MAX_SETS} sets of members-threshold+1 members`);
}

/** ceil(log2 x) of a positive integer. */
export function ceilLog2(x: number): number {
  return x <= 1 ? 0 : 32 - Math.clz32(x - 1);
}

/** B = ceil(12 * 6.4 * sqrt(n)): exact, by integers. */
export function errorBoundOf(nodes: number): number {
  const square = (12 * SIGMA_TENTHS) ** 2 * nodes; // of 10*B
  let bound = Math.floor(Math.sqrt(square) / 10);
  while (100 * bound * bound < square) bound++;
  return bound;
}

function isPrime(q: number): boolean {
  if (q % 2 === 0) return q === 2;
  for (let f = 3; f * f <= q; f += 2) if (q % f === 0) return false;
  return q > 1;
}

/** The largest `count` primes below 2^bits that are 1 mod 2N, descending; undefined if there are not so many. */
function largestPrimes(degree: number, bits: number, count: number): number[] | undefined {
  const found: number[] = [];
  const step = 2 * degree;
  for (let q = 2 ** bits - step + 1; q > 2 ** (bits - 1) && found.length < count; q -= step)
    if (isPrime(q)) found.push(q);
  return found.length === count ? found : undefined;
}

/**
 * Fewest primes below 2^30, of two neighbouring sizes, whose product is at least 2^bitsNeeded and whose sizes add up to
 * as little as possible. Law: 2^bitsNeeded <= Q < 2^(sum of sizes), and the sum is bitsNeeded + 1 wherever enough primes
 * lie just below a power of two.
 */
export function fitPrimes(degree: number, bitsNeeded: number): readonly number[] {
  const known = fitted.get(`${degree} ${bitsNeeded}`);
  if (known !== undefined) return known;
  const primes = searchPrimes(degree, bitsNeeded);
  fitted.set(`${degree} ${bitsNeeded}`, primes);
  return primes;
}

/** Every reader of a log derives every round's parameters; the search takes ms. At most a few hundred entries. */
const fitted = new Map<string, readonly number[]>();

function searchPrimes(degree: number, bitsNeeded: number): number[] {
  for (let total = bitsNeeded + 1; ; total++) {
    const count = Math.max(2, Math.ceil(total / 30));
    const small = Math.floor(total / count);
    const large = total - small * count;
    const primes = [largestPrimes(degree, small + 1, large), largestPrimes(degree, small, count - large)];
    if (primes.some((found) => found === undefined)) continue;
    const all = primes.flatMap((found) => found ?? []);
    if (all.reduce((product, q) => product * BigInt(q), 1n) >= 1n << BigInt(bitsNeeded)) return all;
  }
}

function deriveAt(request: RoundRequest, degree: number, limitBits: number): RoundParameters | undefined {
  const { dimension, bits, nodesMax } = request;
  const slotBits = bits + ceilLog2(nodesMax);
  const errorBound = errorBoundOf(nodesMax);
  const logDelta = ceilLog2(4 * errorBound);
  // Q < 2^(needed + 1) must stay within the limit, and Q >= 2^needed must hold v slots, their sign and Delta.
  const slotsPerCoefficient = Math.floor((limitBits - 2 - logDelta) / slotBits);
  if (slotsPerCoefficient < 1) return undefined;
  const primes = fitPrimes(degree, slotsPerCoefficient * slotBits + 1 + logDelta);
  const primeBits = primes.map((q) => ceilLog2(q));
  if (primeBits.reduce((sum, b) => sum + b, 0) > limitBits) return undefined;
  const blocks = Math.ceil(dimension / (degree * slotsPerCoefficient));
  const lastValues = dimension - (blocks - 1) * degree * slotsPerCoefficient;
  const lastGroups = Math.ceil(Math.ceil(lastValues / slotsPerCoefficient) / GROUP);
  const lastBlockCoefficients = Math.max(MIN_COEFFICIENTS, lastGroups * GROUP);
  const coefficients = (blocks - 1) * degree + lastBlockCoefficients;
  const payloadBytes = primeBits.reduce((sum, b) => sum + (coefficients / GROUP) * 16 * b, 0);
  return {
    ...pickRequest(request),
    ringDegree: degree,
    primes,
    primeBits,
    slotBits,
    slotsPerCoefficient,
    logDelta,
    errorBound,
    maskModulusBits: ceilLog2(2 * errorBound + 1),
    blocks,
    coefficients,
    lastBlockCoefficients,
    payloadBytes,
  };
}

function pickRequest({
  dimension,
  bits,
  nodesMax,
  minCohort,
  minHonest,
  members,
  threshold,
}: RoundRequest): RoundRequest {
  return { dimension, bits, nodesMax, minCohort, minHonest, members, threshold };
}

/** Bytes of the correction z_i: N words of log2 M bits. */
export function correctionBytes(parameters: RoundParameters): number {
  return (parameters.ringDegree * parameters.maskModulusBits) / 8;
}

/**
 * The one set of parameters for a request: of the ring degrees that can carry it, the one with the fewest bytes per node
 * (payload and correction), the smaller on a tie.
 *
 * @throws CryptoError OUT_OF_RANGE, UNSAFE_PARAMETERS.
 */
export function deriveParameters(request: RoundRequest): RoundParameters {
  checkRequest(request);
  let best: RoundParameters | undefined;
  for (const { degree, quantum, classical } of LIMITS) {
    const found = deriveAt(request, degree, Math.min(quantum, classical));
    if (!found) continue;
    const bytes = found.payloadBytes + correctionBytes(found);
    if (!best || bytes < best.payloadBytes + correctionBytes(best)) best = found;
  }
  return best ?? refuse('UNSAFE_PARAMETERS', 'no ring carries a slot of this width at 128 bits');
}

/**
 * Parameters read from a record are accepted only as the derivation of their own request.
 *
 * @throws CryptoError UNSAFE_PARAMETERS if any field differs, is missing or is additional.
 */
export function checkParameters(parameters: RoundParameters): void {
  const derived: object = deriveParameters(parameters);
  const expected = Object.entries(derived);
  const given = parameters as unknown as Record<string, unknown>;
  const same = expected.every(([name, value]) => JSON.stringify(given[name]) === JSON.stringify(value));
  if (!same || Object.keys(given).length !== expected.length)
    refuse('UNSAFE_PARAMETERS', 'parameters are not the derivation of their request');
}

/** What a ring engine needs of a round's parameters. */
export function ringShape(parameters: RoundParameters): RingShape {
  const { ringDegree, primes, bits, slotBits, slotsPerCoefficient, logDelta, errorBound } = parameters;
  return { degree: ringDegree, primes, valueBits: bits, slotBits, slotsPerCoefficient, logDelta, errorBound };
}
