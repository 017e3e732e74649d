import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CryptoError } from '../../crypto/errors.ts';
import {
  ceilLog2,
  checkParameters,
  correctionBytes,
  deriveParameters,
  errorBoundOf,
  LIMITS,
  type RoundRequest,
  setCount,
} from '../../crypto/params.ts';

const SAFE: RoundRequest = {
  dimension: 1_000_000,
  bits: 16,
  nodesMax: 128,
  minCohort: 3,
  minHonest: 2,
  members: 5,
  threshold: 3,
};

const requests: fc.Arbitrary<RoundRequest> = fc
  .record({
    dimension: fc.integer({ min: 1, max: 2 ** 30 }),
    bits: fc.integer({ min: 2, max: 28 }),
    nodesMax: fc.integer({ min: 2, max: 1024 }),
  })
  .filter(({ bits, nodesMax }) => bits + ceilLog2(nodesMax) <= 32)
  .map((request) => ({ ...SAFE, ...request, minCohort: 2 }));

function refusal(request: Partial<RoundRequest>): string {
  try {
    deriveParameters({ ...SAFE, ...request });
  } catch (error) {
    if (error instanceof CryptoError) return `${error.code} ${error.message.split(' ')[0]}`;
    throw error;
  }
  return 'accepted';
}

describe('derivation', () => {
  it('holds its laws for every request', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const p = deriveParameters(request);
        const q = p.primes.reduce((product, prime) => product * BigInt(prime), 1n);
        const limit = LIMITS.find(({ degree }) => degree === p.ringDegree)!;
        // Secure: log2 Q within both tables.
        expect(q < 1n << BigInt(Math.min(limit.quantum, limit.classical))).toBe(true);
        // The largest sum of n_max values of `bits` bits fits a slot; B fits Delta; slots, sign and Delta fit Q.
        const half = 2 ** (p.slotBits - 1);
        expect(p.nodesMax * (2 ** (p.bits - 1) - 1)).toBeLessThan(half);
        expect(2 ** p.logDelta).toBeGreaterThanOrEqual(4 * p.errorBound);
        expect(2 ** (p.logDelta - 1)).toBeLessThan(4 * p.errorBound);
        const base = 1n << BigInt(p.slotBits);
        const largest = Array.from({ length: p.slotsPerCoefficient }).reduce<bigint>(
          (sum) => sum * base + BigInt(half),
          0n,
        );
        expect(2n * ((largest << BigInt(p.logDelta)) + BigInt(p.errorBound)) < q).toBe(true);
        // B = 12 sigma sqrt(n), M above twice the range of K.
        expect(p.errorBound).toBe(Math.ceil(12 * 6.4 * Math.sqrt(p.nodesMax) - 1e-9));
        expect(2 ** p.maskModulusBits).toBeGreaterThan(2 * p.errorBound);
        expect(2 ** (p.maskModulusBits - 1)).toBeLessThanOrEqual(2 * p.errorBound);
        // Primes: distinct, below 2^30, 1 mod 2N.
        expect(new Set(p.primes).size).toBe(p.primes.length);
        for (const prime of p.primes) {
          expect(prime).toBeLessThan(2 ** 30);
          expect(prime % (2 * p.ringDegree)).toBe(1);
        }
        // Every value has a slot; what is sent is enough for the opening's check, and nothing to spare.
        expect(p.coefficients).toBe((p.blocks - 1) * p.ringDegree + p.lastBlockCoefficients);
        expect(p.coefficients * p.slotsPerCoefficient).toBeGreaterThanOrEqual(p.dimension);
        expect(p.lastBlockCoefficients % 128).toBe(0);
        expect(p.lastBlockCoefficients).toBeGreaterThanOrEqual(512);
        expect(p.lastBlockCoefficients).toBeLessThanOrEqual(p.ringDegree);
        const bits = p.primeBits.reduce((sum, b) => sum + b, 0);
        expect(p.payloadBytes).toBe((p.coefficients * bits) / 8);
        // At most one bit and a bit of Q is not used by slots, sign and Delta.
        expect(bits - (p.slotsPerCoefficient * p.slotBits + 1 + p.logDelta)).toBeLessThanOrEqual(2);
        checkParameters(p);
      }),
      { numRuns: 150 },
    );
  });

  it('gives the figures that the documentation quotes', () => {
    const million = deriveParameters(SAFE);
    expect(million).toMatchObject({
      ringDegree: 16384,
      slotBits: 23,
      slotsPerCoefficient: 17,
      errorBound: 869,
      logDelta: 12,
      maskModulusBits: 11,
      blocks: 4,
      payloadBytes: 2_980_800,
    });
    expect(million.primes.length).toBe(14);
    expect(correctionBytes(million)).toBe(22_528);
    expect(deriveParameters({ ...SAFE, nodesMax: 1024 })).toMatchObject({
      errorBound: 2458,
      logDelta: 14,
      maskModulusBits: 13,
    });
    expect(deriveParameters({ ...SAFE, dimension: 900 })).toMatchObject({ ringDegree: 4096 });
    expect(deriveParameters({ ...SAFE, dimension: 30_000 })).toMatchObject({ ringDegree: 8192 });
  });

  it('bounds the error in integers', () => {
    for (let n = 1; n <= 1024; n++) {
      const bound = errorBoundOf(n);
      expect(100 * bound * bound).toBeGreaterThanOrEqual(768 * 768 * n);
      expect(100 * (bound - 1) * (bound - 1)).toBeLessThan(768 * 768 * n);
    }
  });

  it('counts sets as Pascal does', () => {
    expect([setCount(3, 2), setCount(5, 3), setCount(7, 4), setCount(9, 5)]).toEqual([3, 10, 35, 126]);
  });
});

describe('refusals', () => {
  it.each<[Partial<RoundRequest>, string]>([
    [{}, 'accepted'],
    [{ dimension: 0 }, 'OUT_OF_RANGE dimension'],
    [{ dimension: 1.5 }, 'OUT_OF_RANGE dimension'],
    [{ dimension: Number.NaN }, 'OUT_OF_RANGE dimension'],
    [{ dimension: 2 ** 30 + 1 }, 'OUT_OF_RANGE dimension'],
    [{ bits: 1 }, 'OUT_OF_RANGE bits'],
    [{ bits: 29 }, 'OUT_OF_RANGE bits'],
    [{ bits: 26 }, 'OUT_OF_RANGE bits'],
    [{ nodesMax: 1 }, 'OUT_OF_RANGE nodesMax'],
    [{ nodesMax: 1025 }, 'OUT_OF_RANGE nodesMax'],
    [{ minCohort: 129 }, 'OUT_OF_RANGE minCohort'],
    [{ minCohort: 1, minHonest: 1 }, 'UNSAFE_PARAMETERS minCohort'],
    [{ minHonest: 1 }, 'UNSAFE_PARAMETERS minHonest'],
    [{ minHonest: 4 }, 'OUT_OF_RANGE minHonest'],
    [{ threshold: 1 }, 'UNSAFE_PARAMETERS threshold'],
    [{ threshold: 6 }, 'OUT_OF_RANGE threshold'],
    [{ members: 4 }, 'UNSAFE_PARAMETERS members'],
    [{ members: 11, threshold: 6 }, 'UNSAFE_PARAMETERS more'],
    [{ members: 9, threshold: 5 }, 'accepted'],
    [{ members: 3, threshold: 2 }, 'accepted'],
  ])('%j: %s', (request, verdict) => {
    expect(refusal(request)).toBe(verdict);
  });

  it('takes parameters from a record only as the derivation of their request', () => {
    const good = deriveParameters(SAFE);
    checkParameters(JSON.parse(JSON.stringify(good)));
    const altered: object[] = [
      { logDelta: good.logDelta - 1 },
      { errorBound: 2 ** 11 },
      { primes: [...good.primes.slice(1), 65537] },
      { ringDegree: 8192 },
      { lastBlockCoefficients: 128 },
      { maskModulusBits: 10 },
      { extra: 1 },
    ];
    for (const change of altered)
      expect(() => checkParameters({ ...good, ...change }), JSON.stringify(change)).toThrow('not the derivation');
    const { blocks: _, ...missing } = good;
    expect(() => checkParameters(missing as typeof good)).toThrow('not the derivation');
  });
});

describe('the table of crypto/docs/parameters.md', () => {
  /** `7*10^4`, `2^12` or a plain number. */
  const numberOf = (cell: string): number =>
    cell.split('*').reduce((product, factor) => {
      const [base, exponent = '1'] = factor.split('^');
      return product * Number(base) ** Number(exponent);
    }, 1);
  const text = readFileSync(new URL('../../crypto/docs/parameters.md', import.meta.url), 'utf8');
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith('| d | n | w | N |'));
  const rows = lines.slice(start + 2, lines.indexOf('', start)).map((line) => {
    return line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  });

  it('has rows', () => {
    expect(start).toBeGreaterThan(0);
    expect(rows.length).toBeGreaterThanOrEqual(7);
  });

  it.each(rows)('d = %s, n = %s, w = %s is what is derived', (...row) => {
    const [d, n, w, N, primes, bits, v, delta, bound, modulus, blocks, bytes, correction] = row.map(numberOf);
    const derived = deriveParameters({
      ...SAFE,
      dimension: d!,
      nodesMax: n!,
      bits: w! - ceilLog2(n!),
      minCohort: 2,
      minHonest: 2,
    });
    expect({
      N: derived.ringDegree,
      primes: derived.primes.length,
      bits: derived.primeBits.reduce((sum, b) => sum + b, 0),
      v: derived.slotsPerCoefficient,
      delta: 2 ** derived.logDelta,
      bound: derived.errorBound,
      modulus: 2 ** derived.maskModulusBits,
      blocks: derived.blocks,
      bytes: (derived.payloadBytes / d!).toFixed(3),
      correction: correctionBytes(derived),
    }).toEqual({ N, primes, bits, v, delta, bound, modulus, blocks, bytes: bytes!.toFixed(3), correction });
  });
});
