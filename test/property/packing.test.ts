import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addChecksums } from '../../crypto/checksum.ts';
import {
  checkCoefficients,
  checkValues,
  expandUniform,
  inverseModulo,
  messageResidues,
  multiplyModulo,
  packBlock,
  packResidues,
  splitBlock,
  unpackBlock,
  unpackResidues,
  wireBytes,
} from '../../crypto/packing.ts';
import { fitPrimes, ringShape } from '../../crypto/params.ts';
import { keystream, parametersOf, valuesOf } from '../reference/engines.ts';

const shape = ringShape(parametersOf({ dimension: 900 }));
const wide = ringShape(parametersOf({ dimension: 900, bits: 22, nodesMax: 1024 }));
const modulusOf = (primes: readonly number[]): bigint => primes.reduce((product, q) => product * BigInt(q), 1n);
const modulo = (x: bigint, q: bigint): bigint => ((x % q) + q) % q;

describe('arithmetic', () => {
  it('multiplies as bigints do, at the ends of the range too', () => {
    const prime = fc.constantFrom(...[4096, 8192, 16384].flatMap((n) => fitPrimes(n, 59)), 40961, 65537);
    const residue = (q: number) => fc.oneof(fc.constantFrom(0, 1, q - 2, q - 1), fc.integer({ min: 0, max: q - 1 }));
    const triple = prime.chain((q) => fc.tuple(fc.constant(q), residue(q), residue(q)));
    fc.assert(
      fc.property(triple, ([q, a, b]) => {
        expect(BigInt(multiplyModulo(a, b, q))).toBe((BigInt(a) * BigInt(b)) % BigInt(q));
        if (a !== 0) expect((inverseModulo(BigInt(a), BigInt(q)) * BigInt(a)) % BigInt(q)).toBe(1n);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('wire', () => {
  it('is what engine.ts says: lane by lane a little-endian stream of fields', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 30 }),
        fc.integer({ min: 1, max: 4 }),
        fc.string(),
        (bits, groups, seed) => {
          const words = new Uint32Array(keystream(seed, 512 * groups).slice().buffer);
          const residues = words.map((word, i) => (i % 5 === 0 ? 2 ** bits - 1 : word % 2 ** bits));
          const packed = packResidues(residues, bits);
          expect(packed.length).toBe(16 * bits * groups);
          expect(unpackResidues(packed, bits)).toEqual(residues);
          const view = new DataView(packed.buffer);
          for (let lane = 0; lane < 4; lane++) {
            let stream = 0n;
            for (let k = bits - 1; k >= 0; k--)
              stream = (stream << 32n) | BigInt(view.getUint32(16 * k + 4 * lane, true));
            for (let i = 0; i < 32; i++)
              expect((stream >> BigInt(i * bits)) & ((1n << BigInt(bits)) - 1n)).toBe(BigInt(residues[4 * i + lane]!));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('round-trips a block with every residue at q - 1 or 0 and refuses q', () => {
    for (const pick of [() => 0, (q: number) => q - 1]) {
      const block = shape.primes.map((q) => new Uint32Array(512).fill(pick(q)));
      const wire = packBlock(shape, block, 512);
      expect(wire.length).toBe(wireBytes(shape, 512));
      expect(unpackBlock(shape, wire, 512)).toEqual(block);
    }
    const over = shape.primes.map((q) => new Uint32Array(512).fill(q));
    expect(() => unpackBlock(shape, packBlock(shape, over, 512), 512)).toThrow('not below its prime');
  });

  it.each([0, -128, 64, 129, 4224, 1.5, Number.NaN])('refuses %d coefficients', (coefficients) => {
    expect(() => checkCoefficients(shape, coefficients)).toThrowError(expect.objectContaining({ code: 'BAD_LENGTH' }));
  });
});

describe('uniform residues', () => {
  it('skips words that are not below the prime, and asks for more where they run out', () => {
    const q = 40961; // 16 bits: three words of eight are skipped.
    const lengths: number[] = [];
    const stream = (_: number, length: number): Uint8Array => {
      lengths.push(length);
      const bytes = keystream('uniform', length).slice();
      bytes.fill(255, 0, 4 * 3000);
      return bytes;
    };
    const expected: number[] = [];
    const view = new DataView(stream(0, 4 * 40_000).buffer);
    for (let i = 0; expected.length < 4096; i++) {
      const candidate = view.getUint32(4 * i, true) % 2 ** 16;
      if (candidate < q) expected.push(candidate);
    }
    lengths.length = 0;
    expect([...expandUniform(stream, 0, q, 4096)]).toEqual(expected);
    expect(lengths.length).toBeGreaterThan(1);
  });
});

describe('slots', () => {
  it.each([
    ['16 bits, 128 nodes', shape],
    ['22 bits, 1024 nodes', wide],
  ])('encode as Delta*m + e and split again: %s', (_, ring) => {
    const { slotBits, slotsPerCoefficient, logDelta, errorBound, primes, valueBits } = ring;
    const values = valuesOf('slots', 128 * slotsPerCoefficient - 7, valueBits);
    const errors = Int16Array.from({ length: 128 }, (_, c) => (c % 3) * errorBound - errorBound);
    const residues = primes.map((q) => messageResidues(ring, q, values, errors));
    const modulus = modulusOf(primes);
    for (let c = 0; c < 128; c++) {
      let m = 0n;
      for (let slot = slotsPerCoefficient - 1; slot >= 0; slot--)
        m = (m << BigInt(slotBits)) + BigInt(values[slot * 128 + c] ?? 0);
      const x = modulo((m << BigInt(logDelta)) + BigInt(errors[c]!), modulus);
      for (const [i, q] of primes.entries()) expect(BigInt(residues[i]![c]!)).toBe(x % BigInt(q));
    }
    const opened = new Int32Array(values.length);
    expect(splitBlock(ring, residues, 128, opened)).toBe(true);
    expect(opened).toEqual(values);
  });

  /** Residues of 128 coefficients, all zero but the first. */
  const block = (x: bigint): Uint32Array[] =>
    shape.primes.map((q) => Uint32Array.of(Number(modulo(x, BigInt(q))), ...new Uint32Array(127)));
  const delta = 2n ** BigInt(shape.logDelta);
  const bound = BigInt(shape.errorBound);
  const half = 2n ** BigInt(shape.slotBits - 1);
  const base = 2n * half;
  const [least, most] = [-half * (1n + base + base * base), (half - 1n) * (1n + base + base * base)];

  it.each<[string, bigint, boolean]>([
    ['an error of B', bound, true],
    ['an error of -B', -bound, true],
    ['an error of B + 1', bound + 1n, false],
    ['an error of -B - 1', -bound - 1n, false],
    ['half of Delta', delta / 2n, false],
    ['the largest slots', most * delta, true],
    ['one more', (most + 1n) * delta, false],
    ['the least slots', least * delta, true],
    ['one less', (least - 1n) * delta, false],
    ['half of Q', modulusOf(shape.primes) / 2n, false],
  ])('%s in one coefficient: %s', (_, x, fits) => {
    expect(shape.slotsPerCoefficient).toBe(3);
    const values = new Int32Array(3 * 128).fill(7);
    expect(splitBlock(shape, block(x), 128, values)).toBe(fits);
    if (!fits) expect(values.some((value) => value !== 0)).toBe(false);
  });

  it('refuse a value at the first magnitude that does not fit, of either sign', () => {
    const largest = 2 ** (shape.valueBits - 1) - 1;
    checkValues(shape, Int32Array.of(largest, -largest, 0));
    for (const value of [largest + 1, -largest - 1, 2 ** 31 - 1, -(2 ** 31)])
      expect(() => checkValues(shape, Int32Array.of(0, value))).toThrowError(
        expect.objectContaining({ code: 'OUT_OF_RANGE' }),
      );
  });
});

describe('checksums', () => {
  const parameters = parametersOf({ dimension: 900 });
  const cells = 6 * parameters.primes.length;
  const primeOf = (i: number): number => parameters.primes[i % parameters.primes.length]!;

  it('add up mod each prime', () => {
    const top = Uint32Array.from({ length: cells }, (_, i) => primeOf(i) - 1);
    expect(addChecksums(parameters, [top, top])).toEqual(top.map((x) => x - 1));
    expect(addChecksums(parameters, [])).toEqual(new Uint32Array(cells));
  });

  it('are refused at another length or a residue of q', () => {
    expect(() => addChecksums(parameters, [new Uint32Array(cells - 1)])).toThrow('six residues');
    const over = new Uint32Array(cells);
    over[cells - 1] = primeOf(cells - 1);
    expect(() => addChecksums(parameters, [over])).toThrow('not below its prime');
  });
});
