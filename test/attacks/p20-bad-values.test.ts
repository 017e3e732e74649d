import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createChecksum } from '../../crypto/checksum.ts';
import { packResidues, unpackBlock, unpackResidues } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, createOpener, createSum, type PayloadContext } from '../../crypto/payload.ts';
import { deriveQuantiser, quantise } from '../../crypto/quantise.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { bothEngines, contextOf, hashOf, parametersOf } from '../reference/engines.ts';
import { open, sumBlocks, sumKeys, type Upload, upload } from '../reference/uploads.ts';

// P20: no value that is none, and no bytes that are no payload, ever wrap into a sum.

/** Coefficients of the one block of these rounds. */
const L = 512;
let parameters: RoundParameters;
let contexts: [PayloadContext, PayloadContext];
let uploads: [Upload, Upload, Upload];

/** Controls: packing that looks neither at values nor at residues. */
const weak = vi.hoisted(() => ({ isOff: false }));
vi.mock('../../crypto/packing.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/packing.ts')>();
  const checkValues: typeof original.checkValues = (...args) =>
    weak.isOff ? undefined : original.checkValues(...args);
  const unpackBlock: typeof original.unpackBlock = (shape, wire, coefficients) => {
    if (!weak.isOff) return original.unpackBlock(shape, wire, coefficients);
    const widths = shape.primes.map((q) => (q - 1).toString(2).length);
    let at = 0;
    return shape.primes.map((q, i) => {
      const bytes = (coefficients / 8) * widths[i]!;
      at += bytes;
      return original.unpackResidues(wire.subarray(at - bytes, at), widths[i]!).map((residue) => residue % q);
    });
  };
  return { ...original, checkValues, unpackBlock };
});

beforeAll(async () => {
  parameters = parametersOf({ dimension: 900 });
  expect(parameters.lastBlockCoefficients).toBe(L);
  const [seal, kernel] = await bothEngines(ringShape(parameters));
  contexts = [contextOf(parameters, seal), contextOf(parameters, kernel)];
  uploads = [upload(contexts[1], 'one'), upload(contexts[1], 'two'), upload(contexts[1], 'three')];
});
afterEach(() => {
  weak.isOff = false;
});

const code = (name: string): unknown => expect.objectContaining({ code: name });

describe('numbers that are no update', () => {
  it('NaN, infinities and a wrong length are refused, 1e30 is clipped to the norm', () => {
    const variance = { sigma2Numerator: 1024n, sigma2Denominator: 25n };
    const quantiser = deriveQuantiser({ unit: 'node', dimension: 4, clip: 1, scale: 100, variance, recordsMax: 1 });
    const taken = (...values: number[]) => quantise(quantiser, nodePrimitives, hashOf('q'), Float64Array.from(values));
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(() => taken(0, bad, 0, 0)).toThrow(code('BAD_VALUE'));
    expect(() => taken(0, 0, 0)).toThrow(code('BAD_LENGTH'));
    expect(taken(0, 1e30, 0, 0)[1]).toBe(100);
    // Control: what a plain conversion makes of them.
    expect([...Int32Array.of(Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32 + 7)]).toEqual([0, 0, 7]);
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

  it('control: without the check there are two encodings of one payload, and both add up', () => {
    const [q, bits] = [parameters.primes[0]!, parameters.primeBits[0]!];
    const block = withResidue(uploads[0].blocks[0]!, 0, bits, 0, 0);
    const twin = withResidue(block, 0, bits, 0, q);
    expect(twin).not.toEqual(block);
    weak.isOff = true;
    using sum = createSum(contexts[0]);
    sum.add(0, twin);
    expect(sum.block(0)).toEqual(block);
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
    // The ends themselves are in every update.
    expect([...uploads[0].values.subarray(0, 2)]).toEqual([32767, -32767]);
  });

  it('control: unchecked, it becomes values of two other coordinates, and the sum opens', () => {
    const [context] = contexts;
    // One more than a slot holds is nothing in its own coordinate, and one in that of the next slot.
    const values = new Int32Array(900).with(0, 2 ** ringShape(parameters).slotBits);
    weak.isOff = true;
    const wrapped = upload(context, 'wrapped', values);
    const opened = open(context, sumKeys([wrapped]), sumBlocks(context, [wrapped]));
    expect([opened[0], opened[L]]).toEqual([0, 1]);
  });
});
