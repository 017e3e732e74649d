import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createChecksum } from '../../crypto/checksum.ts';
import { packResidues, unpackBlock, unpackResidues } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, createOpener, createSum, type PayloadContext, publicStream } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { bothEngines, contextOf, gaussian, hashOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { open, plainSum, sumBlocks, sumKeys, type Upload, upload } from '../reference/uploads.ts';

/** Coefficients of the one block of these rounds. */
const L = 512;
let parameters: RoundParameters;
let contexts: [PayloadContext, PayloadContext];
let uploads: [Upload, Upload, Upload];

beforeAll(async () => {
  parameters = parametersOf({ dimension: 900 });
  expect(parameters.lastBlockCoefficients).toBe(L);
  const [seal, kernel] = await bothEngines(ringShape(parameters));
  contexts = [contextOf(parameters, seal), contextOf(parameters, kernel)];
  uploads = [upload(contexts[1], 'one'), upload(contexts[1], 'two'), upload(contexts[1], 'three')];
});

afterEach(() => {
  vi.doUnmock('../../crypto/packing.ts');
  vi.resetModules();
});

const code = (name: string): unknown => expect.objectContaining({ code: name });

describe('a key that does not fit', () => {
  const offByOne = (at: number): Int32Array => {
    const key = sumKeys(uploads);
    return key.with(at, key[at]! + (at % 2 ? 1 : -1));
  };

  it('is refused when one coefficient is off by one, and no value is given out', () => {
    const sum = sumBlocks(contexts[1], uploads);
    for (const context of contexts)
      for (const at of [0, 2047, 4095]) {
        expect(() => open(context, offByOne(at), sum)).toThrowError(code('KEY_DOES_NOT_FIT'));
        const values = new Int32Array(900).fill(9);
        using opener = context.engine.opener(offByOne(at));
        expect(opener.open(sum[0]!, L, publicStream(context, 0), values)).toBe(false);
        expect(values.some((x) => x !== 0)).toBe(false);
      }
  });

  it('control: without the check a wrong result comes out', async () => {
    vi.doMock('../../crypto/packing.ts', async (importOriginal) => {
      const original = await importOriginal<typeof import('../../crypto/packing.ts')>();
      const splitBlock: typeof original.splitBlock = (shape, residues, coefficients, values) => {
        const slotsPerCoefficient = shape.slotsPerCoefficient + 1;
        const wide = new Int32Array(slotsPerCoefficient * coefficients);
        const loose = { ...shape, slotsPerCoefficient, errorBound: 2 ** shape.logDelta };
        original.splitBlock(loose, residues, coefficients, wide);
        values.set(wide.subarray(0, values.length));
        return true;
      };
      return { ...original, splitBlock };
    });
    vi.resetModules();
    const { createSealEngine } = await import('../../crypto/engine-seal.ts');
    const weak = contextOf(parameters, await createSealEngine(ringShape(parameters)));
    const sum = sumBlocks(contexts[1], uploads);
    expect(open(weak, sumKeys(uploads), sum)).toEqual(plainSum(uploads));
    const wrong = open(weak, offByOne(0), sum);
    expect(wrong.filter((x, i) => x === plainSum(uploads)[i]).length).toBeLessThan(10);
  });

  it('is refused for a sum that lacks a node of the key or holds one twice', () => {
    for (const others of [uploads.slice(1), [...uploads, uploads[0]]])
      expect(() => open(contexts[1], sumKeys(uploads), sumBlocks(contexts[1], others))).toThrow('does not open');
  });

  it('is refused for another round: a_j comes from the record', () => {
    const other = contextOf(parameters, contexts[1].engine, 'another record');
    expect(() => open(other, sumKeys(uploads), sumBlocks(contexts[1], uploads))).toThrow('does not open');
  });

  it('is refused when a slot that carries no value holds one', () => {
    const shorter = parametersOf({ dimension: 800 });
    expect(shorter.lastBlockCoefficients).toBe(L);
    for (const { engine } of contexts)
      expect(() => open(contextOf(shorter, engine), sumKeys(uploads), sumBlocks(contexts[1], uploads))).toThrow(
        'does not open',
      );
  });
});

/** The block with one residue replaced. @param start - bytes before the prime's part. */
function withResidue(wire: Uint8Array, start: number, bits: number, index: number, residue: number): Uint8Array {
  const changed = wire.slice();
  const end = start + (L / 8) * bits;
  const residues = unpackResidues(changed.subarray(start, end), bits);
  residues[index] = residue;
  changed.set(packResidues(residues, bits), start);
  return changed;
}

describe('a residue that is not below its prime', () => {
  it('is refused wherever it stands, and then the sum is what it was', () => {
    const [{ blocks }] = uploads;
    for (const context of contexts) {
      using sum = createSum(context);
      sum.add(0, blocks[0]!);
      let start = 0;
      for (const [i, bits] of parameters.primeBits.entries()) {
        const q = parameters.primes[i]!;
        for (const index of [0, 5, L - 1]) {
          for (const residue of [q, 2 ** bits - 1]) {
            const bad = withResidue(blocks[0]!, start, bits, index, residue);
            expect(() => sum.add(0, bad)).toThrowError(code('RESIDUE_OUT_OF_RANGE'));
            expect(sum.block(0)).toEqual(blocks[0]);
          }
          // The boundary itself is a residue, and the sum is taken mod q.
          using edge = createSum(context);
          for (let twice = 0; twice < 2; twice++) edge.add(0, withResidue(blocks[0]!, start, bits, index, q - 1));
          expect(unpackBlock(ringShape(parameters), edge.block(0), L)[i]![index]).toBe(q - 2);
        }
        start += (L / 8) * bits;
      }
      const bad = withResidue(blocks[0]!, 0, parameters.primeBits[0]!, 0, parameters.primes[0]!);
      using checksum = createChecksum(context, hashOf('close'));
      expect(() => checksum.add(0, bad)).toThrowError(code('RESIDUE_OUT_OF_RANGE'));
      expect(() => open(context, sumKeys(uploads), [bad])).toThrowError(code('RESIDUE_OUT_OF_RANGE'));
      // Neither refusal counted as the block.
      checksum.add(0, blocks[0]!);
      expect(() => checksum.add(0, blocks[0]!)).toThrow('once');
    }
  });

  it('control: without the check two encodings of one payload have one sum', async () => {
    const shape = ringShape(parameters);
    const [q, bits] = [parameters.primes[0]!, parameters.primeBits[0]!];
    const block = withResidue(uploads[0].blocks[0]!, 0, bits, 0, 0);
    const twin = withResidue(block, 0, bits, 0, q);
    const first = (wire: Uint8Array): number => unpackResidues(wire.subarray(0, (L / 8) * bits), bits)[0]!;
    expect(first(twin)).not.toBe(first(block));
    expect(first(twin) % q).toBe(first(block) % q);
    expect(() => unpackBlock(shape, twin, L)).toThrow('below its prime');
  });
});

describe('malformed input', () => {
  it('of any length, block number, dimension, seed, key or ring is refused', () => {
    const [{ blocks, values, key }] = uploads;
    const wire = blocks[0]!;
    const seed = new SecretBytes('seed', new Uint8Array(32));
    for (const context of contexts) {
      using sum = createSum(context);
      for (const bad of [wire.slice(1), new Uint8Array([...wire, 0]), new Uint8Array(0), wire.slice(0, 16)])
        expect(() => sum.add(0, bad)).toThrowError(code('BAD_LENGTH'));
      for (const block of [-1, 1, 0.5, Number.NaN])
        expect(() => sum.add(block, wire)).toThrowError(code('OUT_OF_RANGE'));
      expect(sum.block(0).some((byte) => byte !== 0)).toBe(false);
      expect(() => createEncryptor(context, values.slice(1), seed)).toThrow('d values');
      expect(() => createEncryptor(context, values, new SecretBytes('seed', new Uint8Array(31)))).toThrow('32 bytes');
      expect(() => createOpener(context, Int32Array.from(key).slice(1))).toThrow('N coefficients');
      const otherRing = parametersOf({ dimension: 30_000 });
      expect(() => createSum({ ...context, parameters: otherRing })).toThrowError(code('ENGINE_MISMATCH'));
      expect(() => createSum({ ...context, recordHash: new Uint8Array(31) })).toThrow('32 bytes');
    }
  });

  it('of a value outside the bits of the round is refused, at both ends exactly', () => {
    for (const context of contexts)
      for (const value of [32768, -32768, 2 ** 31 - 1, -(2 ** 31)]) {
        const values = uploads[0].values.with(450, value);
        using encryptor = createEncryptor(context, values, new SecretBytes('seed', new Uint8Array(32)));
        expect(() => encryptor.block(0)).toThrowError(code('OUT_OF_RANGE'));
      }
    // The ends themselves are in every update: see valuesOf.
    expect([...uploads[0].values.subarray(0, 2)]).toEqual([32767, -32767]);
  });
});

describe('a machine restored from a snapshot', () => {
  const other = (): Int32Array => valuesOf('other', 900, 16);
  const difference = (): Int32Array => uploads[0].values.map((x, i) => other()[i]! - x);

  /** What anybody can do with two payloads under one key: subtract, and open under the zero key. */
  async function openDifference(minuend: Uint8Array, subtrahend: Uint8Array): Promise<Int32Array> {
    const shape = ringShape(parameters);
    const [left, right] = [unpackBlock(shape, minuend, L), unpackBlock(shape, subtrahend, L)];
    const parts = left.map((residues, i) => {
      const q = parameters.primes[i]!;
      return packResidues(
        residues.map((x, c) => (x + q - right[i]![c]!) % q),
        parameters.primeBits[i]!,
      );
    });
    const context = contextOf(parameters, await kernelOf(parameters));
    return open(context, new Int32Array(parameters.ringDegree), [Uint8Array.from(parts.flatMap((part) => [...part]))]);
  }

  it('does not encrypt a second update under the same key, although its seed is the same', async () => {
    const again = upload(contexts[1], 'one', other());
    expect(again.key).not.toEqual(uploads[0].key);
    await expect(openDifference(again.blocks[0]!, uploads[0].blocks[0]!)).rejects.toThrow('does not open');
  });

  it('control: under one key and error stream the difference of two updates is plain to see', async () => {
    const { engine } = contexts[1];
    using sealer = engine.sealer(uploads[0].key);
    const a = publicStream(contexts[1], 0);
    const wires = [uploads[0].values, other()].map((values) => sealer.seal(values, L, a, gaussian('e')));
    expect(await openDifference(wires[1]!, wires[0]!)).toEqual(difference());
  });
});
