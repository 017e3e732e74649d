import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { exactGaussian, GAUSSIAN_TOPS } from '../../crypto/key-sampler.ts';
import { expandUniform, packResidues } from '../../crypto/packing.ts';
import { ceilLog2 } from '../../crypto/params.ts';
import { anyPrime, KernelLab, modulo, residues, SMALL_DEGREE, SMALL_PRIMES, signed } from '../reference/kernel-lab.ts';

/** The wire, the sampler, uniform residues and messages, against bigints and the formats' reference. */
const RUNS = { numRuns: 40 };
let lab: KernelLab;
const tables = new Map<number, number>();
let region: number;

beforeAll(async () => {
  lab = await KernelLab.open();
  for (const q of SMALL_PRIMES) tables.set(q, lab.tables(q, SMALL_DEGREE));
  region = lab.memory.allocate(1 << 20);
});

/** Scratch vectors, 64 KiB each; `slot` below 16. */
const place = (slot: number): number => region + (slot << 16);

function write(slot: number, words: ArrayLike<number>): number {
  lab.memory.signedWords(place(slot), words.length).set(words as number[]);
  return place(slot);
}

describe('wire', () => {
  const sizes = Array.from({ length: 15 }, (_, i) => 16 + i);

  it.each(sizes)('packs and unpacks fields of %i bits as the reference does', (bits) => {
    const words = residues(2 ** bits - 1, 2 ** bits, 256);
    fc.assert(
      fc.property(words, (x) => {
        const expected = packResidues(Uint32Array.from(x), bits);
        const guard = place(1) + expected.length;
        lab.memory.words(guard, 4).fill(0xa5a5a5a5);
        lab.kernel.writePacked(place(1), write(0, x), 2, bits);
        expect(lab.memory.bytes.slice(place(1), guard)).toEqual(expected);
        expect(lab.get(guard, 4)).toEqual(new Array(4).fill(0xa5a5a5a5));
        const largest = lab.kernel.readPacked(place(2), place(1), 2, bits) >>> 0;
        expect(lab.get(place(2), 256)).toEqual(x);
        expect(largest).toBe(Math.max(...x));
      }),
      { numRuns: 10 },
    );
  });

  it('sees a residue out of range in any place', () => {
    fc.assert(
      fc.property(anyPrime, fc.nat(255), fc.boolean(), (q, index, far) => {
        const bits = ceilLog2(q);
        const x = new Uint32Array(256).fill(q - 1);
        x[index] = far ? 2 ** bits - 1 : q;
        lab.memory.bytes.set(packResidues(x, bits), place(1));
        expect(lab.kernel.readPacked(place(2), place(1), 2, bits) >>> 0).toBe(x[index]);
      }),
      RUNS,
    );
  });

  it('adds packed residues, and what was added can be taken off exactly, in range or not', () => {
    const cases = anyPrime.chain((q) =>
      fc.tuple(fc.constant(q), residues(q, q, 128), residues(q, 2 ** ceilLog2(q), 128)),
    );
    fc.assert(
      fc.property(cases, ([q, sum, x]) => {
        const bits = ceilLog2(q);
        lab.memory.bytes.set(packResidues(Uint32Array.from(x), bits), place(1));
        const largest = lab.kernel.addPacked(write(0, sum), place(1), 1, q, bits) >>> 0;
        expect(largest).toBe(Math.max(...x));
        const got = lab.get(place(0), 128);
        for (const [i, r] of x.entries()) if (r < q) expect(got[i]).toBe((sum[i]! + r) % q);
        lab.kernel.readPacked(place(2), place(1), 1, bits);
        lab.kernel.subtractVectors(place(0), place(0), place(2), tables.get(q)!, 128);
        expect(lab.get(place(0), 128)).toEqual(sum);
      }),
      RUNS,
    );
  });

  it('reports a size it does not know as out of range', () => {
    for (const bits of [0, 15, 31, 32]) {
      expect(lab.kernel.readPacked(place(2), place(1), 1, bits) >>> 0).toBe(2 ** 32 - 1);
      expect(lab.kernel.addPacked(place(2), place(1), 1, 40961, bits) >>> 0).toBe(2 ** 32 - 1);
    }
  });
});

describe('uniform residues', () => {
  it('are the reference, in one piece or several, for any keystream', () => {
    const word = (q: number) => {
      const top = 2 ** ceilLog2(q) - 1;
      const special = fc.constantFrom(0, q - 1, q, top, 2 ** 32 - 1, 2 ** 32 - 2 ** ceilLog2(q));
      return fc.oneof(special, fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    };
    const cases = anyPrime.chain((q) =>
      fc.tuple(
        fc.constant(q),
        fc.array(word(q), { minLength: 40, maxLength: 120 }),
        fc.nat(40),
        fc.integer({ min: 1, max: 64 }),
      ),
    );
    fc.assert(
      fc.property(cases, ([q, words, cut, wanted]) => {
        const bits = ceilLog2(q);
        const kept = words.map((w) => (w & (2 ** bits - 1)) >>> 0).filter((w) => w < q);
        const source = write(
          0,
          words.map((w) => w | 0),
        );
        let have = lab.kernel.expandUniform(place(1), 0, wanted, source, cut, bits, tables.get(q)!);
        const rest = words.length - cut;
        have = lab.kernel.expandUniform(place(1), have, wanted, source + 4 * cut, rest, bits, tables.get(q)!);
        expect(lab.get(place(1), have)).toEqual(kept.slice(0, wanted));
        if (have === wanted) {
          const padded = new Uint8Array(Uint32Array.from([...words, ...new Array(400).fill(0)]).buffer);
          expect(lab.get(place(1), have)).toEqual([...expandUniform((_, n) => padded.slice(0, n), 0, q, wanted)]);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('sampler', () => {
  const top = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    fc.constantFrom(...GAUSSIAN_TOPS).chain((t) => fc.constantFrom(t - 1, Math.min(t + 1, 2 ** 31 - 1))),
  );
  const words = fc.array(fc.tuple(top, fc.nat(1)), { minLength: 16, maxLength: 16 });
  const draw = (first: readonly number[]): number => {
    const tops = write(2, GAUSSIAN_TOPS);
    return lab.kernel.sampleTops(place(1), write(0, first), first.length, tops, GAUSSIAN_TOPS.length);
  };

  it('equals the exact sampler wherever no word ties, whatever the other bits are', () => {
    const tied = new Set(GAUSSIAN_TOPS);
    fc.assert(
      fc.property(words, fc.uint8Array({ minLength: 192, maxLength: 192 }), (pairs, rest) => {
        const first = pairs.map(([t, sign]) => (t << 1) | sign);
        const ties = draw(first);
        expect(ties).toBe(Number(pairs.some(([t]) => tied.has(t))));
        for (const [i, sample] of lab.memory.shorts(place(1), 16).entries())
          if (!tied.has(pairs[i]![0])) expect(sample).toBe(exactGaussian(first[i]! >>> 0, rest, i) + 0);
      }),
      { numRuns: 200 },
    );
  });

  it('reports a tie with any threshold, in any lane', () => {
    const clear = new Array<number>(16).fill(2);
    expect(draw(clear)).toBe(0);
    for (const [i, t] of GAUSSIAN_TOPS.entries()) expect(draw(clear.with(i % 16, (t << 1) | (i & 1)))).toBe(1);
  });
});

describe('messages', () => {
  it('adds e + sum of value * weight / 2^32, at the largest values too', () => {
    const shapes = fc.constantFrom([1, 28], [3, 16], [14, 28], [17, 16], [60, 2]);
    const cases = fc
      .tuple(anyPrime, shapes)
      .chain(([q, [slots, bits]]) =>
        fc.tuple(
          fc.constant([q, slots!] as const),
          residues(q, q, 16),
          signed(2 ** (bits! - 1), 16 * slots!),
          signed((q + 1) / 2, slots!),
          signed(87, 16),
        ),
      );
    fc.assert(
      fc.property(cases, ([[q, slots], t, values, weights, errors]) => {
        lab.memory.shorts(place(3), 16).set(errors);
        const [at, valuesAt, weightsAt] = [write(0, t), write(1, values), write(2, weights)];
        lab.kernel.addMessage(at, valuesAt, 64, weightsAt, slots, place(3), 16, tables.get(q)!);
        const word = 2n ** 32n;
        const expected = t.map((residue, c) => {
          let sum = 0n;
          for (let s = 0; s < slots; s++) sum += BigInt(values[16 * s + c]!) * BigInt(weights[s]!);
          // Law: result * 2^32 = sum + (t + e) * 2^32 mod q.
          return modulo(sum + BigInt(residue + errors[c]!) * word, q);
        });
        const got = lab.get(place(0), 16);
        expect(got.every((x) => x < q)).toBe(true);
        expect(got.map((x) => modulo(BigInt(x) * word, q))).toEqual(expected);
      }),
      { numRuns: 120 },
    );
  });
});
