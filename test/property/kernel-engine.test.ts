import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GaussianStream, RingEngine, RingShape } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { GAUSSIAN_TOPS } from '../../crypto/key-sampler.ts';
import { packBlock, splitBlock } from '../../crypto/packing.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { gaussian, publicStream, randomValues, runRound, shapeFor, stream } from '../reference/engine-lab.ts';
import { primeBelow } from '../reference/kernel-lab.ts';

/** The kernel as a ring engine: equal to node-seal word for word, exact in what it opens, unchanged by what it refuses. */
/** A shape of the limits' form at one degree, whatever degree its parameters would choose. */
function shapeAt(degree: number, sizes: readonly number[], slots: Partial<RingShape> = {}): RingShape {
  const primes = sizes.map((bits) => primeBelow(bits, degree));
  const base = { valueBits: 16, slotBits: 23, slotsPerCoefficient: 1, logDelta: 12, errorBound: 869 };
  return { degree, primes: [...new Set(primes)], ...base, ...slots };
}

const kernelFor = (shape: RingShape): Promise<RingEngine> => createKernelEngine(loadKernelModule(), shape);

describe.each([
  [4096, shapeFor(3e3)],
  [8192, shapeFor(5e4, 8, 1024)],
  [16384, shapeAt(16384, [30, 29, 28], { slotsPerCoefficient: 3 })],
  [4096, shapeFor(3e3, 28, 16)],
])('against node-seal at N = %i', (degree, shape) => {
  let kernel: RingEngine;
  let seal: RingEngine;
  const key = new Int16Array(degree);

  beforeAll(async () => {
    [kernel, seal] = await Promise.all([kernelFor(shape), createSealEngine(shape)]);
    kernel.sampleGaussian(gaussian(1), key);
  });
  afterAll(() => {
    kernel[Symbol.dispose]();
    seal[Symbol.dispose]();
  });

  it('samples the same key', () => {
    expect(shape.degree).toBe(degree);
    const other = new Int16Array(degree);
    seal.sampleGaussian(gaussian(1), other);
    expect(key).toEqual(other);
  });

  it.each([
    ['a full block', degree, 0],
    ['a half empty block', 1024, shape.slotsPerCoefficient * 500],
    ['a truncated block', 256, 5],
  ])('%s: seals, adds, opens and checks the same', (_, coefficients, missing) => {
    const [mine, theirs] = [kernel, seal].map((engine) => runRound(engine, key, coefficients, missing));
    expect(mine).toEqual(theirs);
    expect(mine).toMatchObject({ fits: true, exact: true, bytes: mine!.block.length });
  });
});

describe('opening', () => {
  // Slots in one part and in two, primes of very different sizes, room above the slots, and hardly any.
  const shapes: readonly RingShape[] = [
    shapeAt(4096, [30, 29], { slotBits: 22, slotsPerCoefficient: 2, logDelta: 13 }),
    shapeAt(4096, [30, 17, 29, 25], { slotsPerCoefficient: 3 }),
    shapeAt(4096, [16, 30, 29, 28], { valueBits: 28, slotBits: 32, slotsPerCoefficient: 1 }),
    shapeAt(4096, [17, 19, 20], { valueBits: 2, slotBits: 3, slotsPerCoefficient: 13, errorBound: 1024 }),
    shapeAt(4096, [30, 29, 28, 27, 26, 25, 24, 23, 22], { slotBits: 29, slotsPerCoefficient: 7, errorBound: 100 }),
  ];

  it.each(shapes.map((shape) => [shape.primes.join(), shape] as const))(
    'decides like bigints: primes %s',
    async (_, shape) => {
      using engine = await kernelFor(shape);
      using opener = engine.opener(new Int32Array(shape.degree));
      const { primes, logDelta, errorBound, slotBits, slotsPerCoefficient } = shape;
      const modulus = primes.reduce((product, q) => product * BigInt(q), 1n);
      const half = 2 ** (slotBits - 1);
      const slot = fc.oneof(fc.constantFrom(-half, half - 1, 0, -1), fc.integer({ min: -half, max: half - 1 }));
      const remainder = fc.oneof(
        { weight: 400, arbitrary: fc.integer({ min: -errorBound, max: errorBound }) },
        { weight: 400, arbitrary: fc.constantFrom(errorBound, -errorBound) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(errorBound + 1, -errorBound - 1, 2 ** (logDelta - 1) - 1, -(2 ** (logDelta - 1))),
        },
      );
      const good = fc
        .tuple(fc.array(slot, { minLength: slotsPerCoefficient, maxLength: slotsPerCoefficient }), remainder)
        .map(([digits, e]) => {
          const m = digits.reduceRight((sum, digit) => (sum << BigInt(slotBits)) + BigInt(digit), 0n);
          return ((((m << BigInt(logDelta)) + BigInt(e)) % modulus) + modulus) % modulus;
        });
      const bad = fc.constantFrom(modulus >> 1n, (modulus >> 1n) + 1n, modulus - 1n - (modulus >> 2n), modulus >> 3n);
      const number = fc.oneof({ weight: 2000, arbitrary: good }, { weight: 1, arbitrary: bad });
      const verdicts = new Set<boolean>();
      fc.assert(
        fc.property(
          fc.array(number, { minLength: 128, maxLength: 128 }),
          fc.nat(200).map((x) => (x < 150 ? 0 : x - 150)),
          (numbers, missing) => {
            const residues = primes.map((q) => Uint32Array.from(numbers, (x) => Number(x % BigInt(q))));
            const count = Math.max(1, slotsPerCoefficient * 128 - missing);
            const expected = new Int32Array(count);
            const fits = splitBlock(shape, residues, 128, expected);
            const got = new Int32Array(count).fill(-7);
            expect(opener.open(packBlock(shape, residues, 128), 128, publicStream(8), got)).toBe(fits);
            expect(got).toEqual(expected);
            verdicts.add(fits);
          },
        ),
        { numRuns: 60 },
      );
      expect(verdicts.size).toBe(2);
    },
  );

  it('refuses a key that is off by one in one coefficient, and gives zeros', async () => {
    const shape = shapes[0]!;
    using engine = await kernelFor(shape);
    const key = new Int16Array(shape.degree).fill(-3);
    using sealer = engine.sealer(key);
    const values = randomValues(512, 2 ** 15, 6);
    const block = sealer.seal(values, 256, publicStream(3), gaussian(4));
    const off = Int32Array.from(key);
    off[4095]! += 1;
    using right = engine.opener(Int32Array.from(key));
    using wrong = engine.opener(off);
    const opened = new Int32Array(512);
    expect(right.open(block, 256, publicStream(3), opened)).toBe(true);
    expect(opened).toEqual(values);
    expect(wrong.open(block, 256, publicStream(3), opened)).toBe(false);
    expect(opened).toEqual(new Int32Array(512));
  });
});

describe('refusals', () => {
  const shape = shapeFor(3e3);
  const key = new Int16Array(shape.degree).fill(1);
  let engine: RingEngine;
  beforeAll(async () => {
    engine = await kernelFor(shape);
  });
  const code = (expected: string) => expect.objectContaining({ code: expected });

  it('a block out of range changes no sum and no checksum, wherever the residue is', () => {
    using sealer = engine.sealer(key);
    const block = sealer.seal(new Int32Array(700).fill(-5), 256, publicStream(3), gaussian(4));
    const { primes } = shape;
    fc.assert(
      fc.property(fc.nat(primes.length - 1), fc.nat(255), (prime, index) => {
        const residues = primes.map((q) => new Uint32Array(256).fill(q - 1));
        residues[prime]![index] = primes[prime]!;
        const bad = packBlock(shape, residues, 256);
        using sum = engine.sum(256);
        using checksum = engine.checksum(1, publicStream(5));
        using opener = engine.opener(Int32Array.from(key));
        const weights = new Uint32Array(primes.length).fill(3);
        sum.add(block);
        checksum.add(weights, block, 256);
        const before = [sum.wire(), checksum.value()];
        expect(() => sum.add(bad)).toThrow(code('RESIDUE_OUT_OF_RANGE'));
        expect(() => checksum.add(weights, bad, 256)).toThrow(code('RESIDUE_OUT_OF_RANGE'));
        expect(() => opener.open(bad, 256, publicStream(3), new Int32Array(1))).toThrow(code('RESIDUE_OUT_OF_RANGE'));
        expect([sum.wire(), checksum.value()]).toEqual(before);
      }),
      { numRuns: 30 },
    );
  });

  it('lengths that do not fit, and values that are too large', () => {
    using sealer = engine.sealer(key);
    using sum = engine.sum(256);
    using opener = engine.opener(Int32Array.from(key));
    const seal = (values: Int32Array, coefficients: number) =>
      sealer.seal(values, coefficients, publicStream(3), gaussian(4));
    for (const coefficients of [0, 1, 127, 129, shape.degree + 128, Number.NaN])
      expect(() => seal(new Int32Array(1), coefficients)).toThrow(code('BAD_LENGTH'));
    expect(() => seal(new Int32Array(shape.slotsPerCoefficient * 256 + 1), 256)).toThrow(code('BAD_LENGTH'));
    for (const value of [2 ** 15, -(2 ** 15), -(2 ** 31), 2 ** 31 - 1])
      expect(() => seal(new Int32Array(300).fill(value, 299), 256)).toThrow(code('OUT_OF_RANGE'));
    expect(() => seal(new Int32Array(300).fill(1 - 2 ** 15), 256)).not.toThrow();
    for (const length of [0, engine.wireBytes(256) - 1, engine.wireBytes(256) + 1]) {
      expect(() => sum.add(new Uint8Array(length))).toThrow(code('BAD_LENGTH'));
      const open = () => opener.open(new Uint8Array(length), 256, publicStream(3), new Int32Array(1));
      expect(open).toThrow(code('BAD_LENGTH'));
    }
    expect(() => engine.sealer(new Int16Array(shape.degree - 1))).toThrow(code('BAD_LENGTH'));
  });

  it('rings that it does not serve', async () => {
    const base = shapeAt(4096, [30, 29], { slotBits: 22, slotsPerCoefficient: 2, logDelta: 13 });
    const bad: Partial<RingShape>[] = [
      { degree: 2048 },
      { primes: [2 ** 20, base.primes[1]!] },
      { primes: [1_073_750_017, base.primes[1]!] },
      { primes: [base.primes[0]!] },
      { slotsPerCoefficient: 3 },
      { slotBits: 33, slotsPerCoefficient: 1 },
    ];
    for (const change of bad)
      await expect(kernelFor({ ...base, ...change }), JSON.stringify(change)).rejects.toThrow(code('ENGINE_FAILED'));
    await expect(kernelFor(base)).resolves.toBeDefined();
  });

  it('anything once disposed of; and memory given back holds nothing', async () => {
    const other = await kernelFor(shape);
    const sealer = other.sealer(key);
    const sum = other.sum(256);
    const block = sealer.seal(new Int32Array(700).fill(-5), 256, publicStream(3), gaussian(4));
    sum.add(block);
    for (const object of [sealer, sum, sealer, sum]) object[Symbol.dispose]();
    const seal = () => sealer.seal(new Int32Array(1), 256, publicStream(3), gaussian(4));
    expect(seal).toThrow(code('ALREADY_WIPED'));
    expect(() => sum.add(block)).toThrow(code('ALREADY_WIPED'));
    using first = other.sum(256);
    using second = other.sum(256);
    expect(first.wire()).toEqual(new Uint8Array(block.length));
    second.add(block);
    expect(first.wire()).toEqual(new Uint8Array(block.length));
    other[Symbol.dispose]();
    other[Symbol.dispose]();
    expect(() => other.sampleGaussian(gaussian(1), new Int16Array(8))).toThrow(code('ALREADY_WIPED'));
    expect(() => other.sealer(key)).toThrow(code('ALREADY_WIPED'));
    expect(() => first.wire()).toThrow(code('ALREADY_WIPED'));
  });
});

describe('sampler', () => {
  it('settles ties with all 128 bits, wherever in a long draw they are', async () => {
    const shape = shapeFor(3e3);
    using engine = await kernelFor(shape);
    using seal = await createSealEngine(shape);
    const count = 2 * shape.degree + 5;
    const tied = (tag: number): GaussianStream => ({
      first: (length) => {
        const bytes = stream(tag, 0, length).slice();
        const view = new DataView(bytes.buffer);
        for (const c of [0, 7, shape.degree - 1, shape.degree, count - 1])
          view.setUint32(4 * c, ((GAUSSIAN_TOPS[c % GAUSSIAN_TOPS.length]! << 1) | (c & 1)) >>> 0, true);
        return bytes;
      },
      rest: (length) => stream(tag, 1, length),
    });
    const [mine, theirs] = [new Int16Array(count), new Int16Array(count)];
    engine.sampleGaussian(tied(11), mine);
    seal.sampleGaussian(tied(11), theirs);
    expect(mine).toEqual(theirs);
  });
});
