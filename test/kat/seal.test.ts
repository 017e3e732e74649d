import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RingShape } from '../../crypto/engine.ts';
import { ReferenceEngine } from '../../crypto/engine-reference.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { fitPrimes, ringShape } from '../../crypto/params.ts';
import { ciphertextBytes, parseCiphertext, parsePlaintext, plaintextBytes } from '../../crypto/seal-format.ts';
import { gaussian, parametersOf, uniform, valuesOf } from '../reference/engines.ts';
import { modelOperations } from '../reference/ring-model.ts';

const level = { parmsId: new Uint8Array(32).fill(7), degree: 4096, primes: 2 };
const residues = Uint32Array.from({ length: 8192 }, (_, i) => i * 1000);

describe('SEAL serialisation', () => {
  it('reads what it wrote', () => {
    expect(parseCiphertext(ciphertextBytes(level, true, [residues, residues]), level, 2)).toEqual(
      new Uint32Array([...residues, ...residues]),
    );
    expect(parsePlaintext(plaintextBytes(level, residues), level)).toEqual(residues);
  });

  it('refuses every change of length, version, compression or upper half', () => {
    const good = plaintextBytes(level, residues);
    expect(() => parsePlaintext(good.slice(0, -1), level)).toThrow('SEAL 4.1');
    expect(() => parsePlaintext(new Uint8Array([...good, 0]), level)).toThrow('SEAL 4.1');
    // Header fields, the nested header, the count and the upper half of the first word; parms_id and scale are SEAL's.
    for (const at of [0, 1, 2, 3, 4, 5, 8, 64, 69, 72, 80, 92]) {
      const bad = good.slice();
      bad[at]! ^= 1;
      expect(() => parsePlaintext(bad, level), `byte ${at}`).toThrow('SEAL 4.1');
    }
  });

  const vector = `${process.env['VEILSUM_VECTORS']}/he/seal_header.json`;
  it.skipIf(!existsSync(vector))("has the header of SEAL's own description", () => {
    const { layout } = JSON.parse(readFileSync(vector, 'utf8')) as {
      layout: { offset: number; len: number; field: string; value?: number | string }[];
    };
    const bytes = ciphertextBytes(level, true, [residues, residues]);
    let compared = 0;
    for (const { offset, len, value } of layout) {
      if (value === undefined) continue;
      const read = bytes.slice(offset, offset + len).reduceRight((sum, byte) => sum * 256 + byte, 0);
      expect(read).toBe(Number(value));
      compared++;
    }
    expect(compared).toBeGreaterThan(2);
  });
});

describe('node-seal engine', () => {
  it('equals the bigint model word for word, sealing, adding, opening and summing up', async () => {
    const shape = ringShape(parametersOf({ dimension: 900 }));
    expect(shape.degree).toBe(4096);
    using seal = await createSealEngine(shape);
    using model = new ReferenceEngine('node-seal', shape, modelOperations(shape));
    const values = valuesOf('seal', 900, 16);
    const keys = ['k0', 'k1'].map((name) => {
      const key = new Int16Array(shape.degree);
      seal.sampleGaussian(gaussian(name), key);
      return key;
    });
    const [ours, theirs] = [seal, model].map((engine) => {
      using sum = engine.sum(384);
      const wires = keys.map((key, i) => {
        using sealer = engine.sealer(key);
        const wire = sealer.seal(values, 384, uniform('a'), gaussian(`e${i}`));
        sum.add(wire);
        return wire;
      });
      const opened = new Int32Array(900);
      using opener = engine.opener(Int32Array.from(keys[0]!, (x, c) => x + keys[1]![c]!));
      expect(opener.open(sum.wire(), 384, uniform('a'), opened)).toBe(true);
      expect(opened).toEqual(values.map((x) => 2 * x));
      return [...wires, sum.wire()];
    });
    expect(ours).toEqual(theirs);
  });

  it.each<[string, (shape: RingShape) => RingShape]>([
    ['a composite modulus', (shape) => ({ ...shape, primes: [...shape.primes.slice(1), 8192 * 29998 + 1] })],
    ['a prime that has no transform', (shape) => ({ ...shape, primes: [...shape.primes.slice(1), 1_000_003] })],
    ['one prime twice', (shape) => ({ ...shape, primes: [shape.primes[0]!, ...shape.primes] })],
    ['a modulus above the 128-bit table', (shape) => ({ ...shape, primes: fitPrimes(4096, 110) })],
    ['a degree outside the table', (shape) => ({ ...shape, degree: 2048 })],
  ])('refuses %s', async (_, change) => {
    const shape = change(ringShape(parametersOf({ dimension: 900 })));
    await expect(createSealEngine(shape)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });
});
