import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  anyPrime,
  KernelLab,
  modulo,
  power,
  primeBelow,
  residues,
  SMALL_DEGREE,
  SMALL_PRIMES,
  signed,
} from '../reference/kernel-lab.ts';

/** Every exported function of the kernel's arithmetic against bigints, boundaries included. */
const N = SMALL_DEGREE;
const RUNS = { numRuns: 60 };
let lab: KernelLab;
const tables = new Map<number, number>();
const scratch: number[] = [];

beforeAll(async () => {
  lab = await KernelLab.open();
  for (const q of SMALL_PRIMES) tables.set(q, lab.tables(q, N));
  for (let i = 0; i < 3; i++) scratch.push(lab.put(new Array(N).fill(0)));
});

function write(slot: number, words: readonly number[]): number {
  lab.memory.signedWords(scratch[slot]!, words.length).set(words);
  return scratch[slot]!;
}

const inverseWord = (q: number): bigint => power(2n ** 32n % BigInt(q), BigInt(q - 2), q);

describe('roots and tables', () => {
  it('finds the least primitive 2N-th root, and none where there is none', () => {
    for (const q of SMALL_PRIMES) {
      const candidates: number[] = [];
      for (let odd = 1n, first = BigInt(lab.kernel.minimalRoot(q, N)); odd < 2n * BigInt(N); odd += 2n)
        candidates.push(Number(power(first, odd, q)));
      const root = lab.kernel.minimalRoot(q, N);
      expect(power(BigInt(root), BigInt(N), q)).toBe(BigInt(q - 1));
      expect(root).toBe(Math.min(...candidates));
    }
    expect(lab.kernel.minimalRoot(1_000_003, N)).toBe(0);
    expect(lab.kernel.initTables(scratch[0]!, 2 ** 20, N)).toBe(0);
    expect(lab.kernel.tableBytes(N)).toBe(64 + 16 * N);
  });
});

describe('number-theoretic transform', () => {
  const evaluate = (coefficients: readonly number[], q: number): number[] => {
    const root = BigInt(lab.kernel.minimalRoot(q, N));
    const bits = Math.log2(N);
    return coefficients.map((_, k) => {
      let reversed = 0;
      for (let b = 0; b < bits; b++) reversed |= ((k >> b) & 1) << (bits - 1 - b);
      const x = power(root, BigInt(2 * reversed + 1), q);
      return modulo(
        coefficients.reduceRight((sum, c) => (sum * x + BigInt(c)) % BigInt(q), 0n),
        q,
      );
    });
  };

  it('evaluates at the odd powers of the root, in bit-reversed order, for words below 4q', () => {
    fc.assert(
      fc.property(
        anyPrime.chain((q) => fc.tuple(fc.constant(q), residues(q, Math.min(4 * q, 2 ** 32), N))),
        ([q, words]) => {
          const at = write(0, words);
          lab.kernel.forwardTransform(at, tables.get(q)!, N);
          expect(lab.get(at, N)).toEqual(evaluate(words, q));
        },
      ),
      RUNS,
    );
  });

  it.each([64, 128, 256, 4096, 8192, 16384])('inverse undoes it at N = %i, for lazy words, canonically', (degree) => {
    const q = primeBelow(30, degree);
    const at = lab.tables(q, degree);
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 0, max: q - 1 })), fc.boolean(), (stream, edge) => {
        const words = Array.from({ length: degree }, () => (edge ? q - 1 : (stream.next().value as number)));
        const vector = lab.put(words);
        lab.kernel.forwardTransform(vector, at, degree);
        const lazy = lab.memory.words(vector, degree);
        for (let i = 0; i < degree; i += 3) lazy[i]! += q;
        lab.kernel.inverseTransform(vector, at, degree);
        expect(lab.get(vector, degree)).toEqual(words);
      }),
      { numRuns: 4 },
    );
  });

  it('turns pointwise products into negacyclic ones', () => {
    fc.assert(
      fc.property(
        anyPrime.chain((q) => fc.tuple(fc.constant(q), residues(q, q, N), signed(2 ** 24, N))),
        ([q, a, k]) => {
          const product = new Array<bigint>(N).fill(0n);
          for (const [i, x] of a.entries())
            for (const [j, y] of k.entries()) product[(i + j) % N]! += BigInt(x) * BigInt(y) * (i + j < N ? 1n : -1n);
          const [first, second] = [write(0, a), write(1, k)];
          lab.kernel.scaleSigned(second, second, 2 ** 32 % q, tables.get(q)!, N);
          for (const at of [first, second]) lab.kernel.forwardTransform(at, tables.get(q)!, N);
          lab.kernel.multiplyVectors(first, first, second, tables.get(q)!, N);
          lab.kernel.inverseTransform(first, tables.get(q)!, N);
          expect(lab.get(first, N)).toEqual(product.map((x) => modulo(x, q)));
        },
      ),
      RUNS,
    );
  });
});

describe('pointwise operations', () => {
  const pairs = (bound: (q: number) => number) =>
    anyPrime.chain((q) => fc.tuple(fc.constant(q), residues(q, bound(q), N), residues(q, bound(q), N)));

  it('multiplies lazy words, Montgomery, to lazy words', () => {
    fc.assert(
      fc.property(
        pairs((q) => 2 * q),
        ([q, x, y]) => {
          const out = scratch[2]!;
          lab.kernel.multiplyVectors(out, write(0, x), write(1, y), tables.get(q)!, N);
          const got = lab.get(out, N);
          expect(got.every((z) => z < 2 * q)).toBe(true);
          const expected = x.map((a, i) => modulo(BigInt(a) * BigInt(y[i]!) * inverseWord(q), q));
          expect(got.map((z) => z % q)).toEqual(expected);
        },
      ),
      RUNS,
    );
  });

  it('adds, adds with a constant, and subtracts', () => {
    fc.assert(
      fc.property(
        pairs((q) => q),
        ([q, x, y]) => {
          const at = tables.get(q)!;
          const out = scratch[2]!;
          lab.kernel.addVectors(out, write(0, x), write(1, y), at, N);
          expect(lab.get(out, N)).toEqual(x.map((a, i) => (a + y[i]!) % q));
          for (const constant of [0, 1, q - 1]) {
            lab.kernel.addVectorsAndConstant(out, scratch[0]!, scratch[1]!, constant, at, N);
            expect(lab.get(out, N)).toEqual(x.map((a, i) => (a + y[i]! + constant) % q));
          }
          lab.kernel.subtractVectors(out, scratch[0]!, scratch[1]!, at, N);
          expect(lab.get(out, N)).toEqual(x.map((a, i) => (a - y[i]! + q) % q));
        },
      ),
      RUNS,
    );
  });

  it('scales signed words by any residue', () => {
    const cases = anyPrime.chain((q) => fc.tuple(fc.constant(q), signed(2 ** 24, N), residues(q, q, 1)));
    fc.assert(
      fc.property(cases, ([q, k, [factor]]) => {
        const out = scratch[2]!;
        lab.kernel.scaleSigned(out, write(0, k), factor!, tables.get(q)!, N);
        const got = lab.get(out, N);
        expect(got.every((z) => z < 2 * q)).toBe(true);
        expect(got.map((z) => z % q)).toEqual(k.map((x) => modulo(BigInt(x) * BigInt(factor!), q)));
      }),
      RUNS,
    );
  });

  it('takes inner products of any length, the largest residues included', () => {
    const cases = fc.tuple(
      pairs((q) => q),
      fc.integer({ min: 1, max: N / 4 }),
    );
    const check = (q: number, x: number[], y: number[]) => {
      const got = lab.kernel.innerProduct(lab.put(x), lab.put(y), tables.get(q)!, x.length);
      expect(got).toBe(
        modulo(
          x.reduce((sum, a, i) => sum + BigInt(a) * BigInt(y[i]!), 0n),
          q,
        ),
      );
    };
    fc.assert(
      fc.property(cases, ([[q, x, y], quarter]) => check(q, x.slice(0, 4 * quarter), y.slice(0, 4 * quarter))),
      RUNS,
    );
    for (const q of SMALL_PRIMES) check(q, new Array(16384).fill(q - 1), new Array(16384).fill(q - 1));
  });

  it('multiplies and adds single residues', () => {
    fc.assert(
      fc.property(
        anyPrime.chain((q) => fc.tuple(fc.constant(q), residues(q, q, 3))),
        ([q, [x, y, z]]) => {
          expect(lab.kernel.multiplyAddPublic(x!, y!, z!, q)).toBe(modulo(BigInt(x!) * BigInt(y!) + BigInt(z!), q));
        },
      ),
    );
  });

  it('finds the largest magnitude, wherever it is', () => {
    const words = fc.array(fc.oneof(fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 0), fc.integer()), { maxLength: N });
    fc.assert(
      fc.property(words, (x) => {
        const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(lab.kernel.largestMagnitude(write(0, x), x.length) >>> 0).toBe(largest);
      }),
    );
  });
});
