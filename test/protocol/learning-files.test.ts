import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { initialModel, type ModelSpec } from '../../src/learning/model.ts';
import { decodeNpy } from '../../src/learning/npy.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  modelFromTensors,
  modelTensors,
} from '../../src/learning/safetensors.ts';
import { readUpdateFile } from '../../src/learning/update-file.ts';

const code = (value: string) => expect.objectContaining({ code: value });

/** A safetensors file as its format description says, written without the encoder under test. */
function file(header: string, floats: readonly number[], { length = header.length, tail = 0 } = {}): Uint8Array {
  const bytes = Buffer.alloc(8 + header.length + 4 * floats.length + tail);
  bytes.writeBigUInt64LE(BigInt(length), 0);
  bytes.write(header, 8, 'utf8');
  floats.forEach((value, i) => {
    bytes.writeFloatLE(value, 8 + header.length + 4 * i);
  });
  return bytes;
}

const TWO =
  '{"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"format":"pt"}}';

describe('safetensors', () => {
  it('read a file made by hand, in the order of the bytes', () => {
    const tensors = decodeSafetensors(file(TWO, [1.5, -2, 0.25]));
    expect(tensors.map(({ name, shape, values }) => [name, shape, [...values]])).toEqual([
      ['a', [1], [1.5]],
      ['b', [2, 1], [-2, 0.25]],
    ]);
  });

  it('carry every model there and back', () => {
    const spec = fc.oneof(
      fc.record({ kind: fc.constant('logistic' as const), inputs: fc.integer({ min: 1, max: 60 }) }),
      fc.record({
        kind: fc.constant('mlp' as const),
        inputs: fc.integer({ min: 1, max: 60 }),
        hidden: fc.integer({ min: 1, max: 32 }),
      }),
    );
    fc.assert(
      fc.property(spec, fc.integer(), (shape: ModelSpec, seed) => {
        const model = initialModel(shape, seed);
        const bytes = encodeSafetensors(modelTensors(model));
        expect(bytes.length % 4).toBe(0);
        expect(modelFromTensors(shape, decodeSafetensors(bytes))).toEqual(model);
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['trailing bytes', file(TWO, [1, 2, 3], { tail: 1 })],
    ['missing bytes', file(TWO, [1, 2])],
    ['a header longer than the file', file(TWO, [1, 2, 3], { length: 2 ** 40 })],
    ['a header that is not JSON', file('{"a":', [])],
    ['no header', new Uint8Array(4)],
    ['no tensor', file('{}', [])],
    ['a gap', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', [0, 1])],
    ['overlap', file(TWO.replace('[4,12]', '[0,8]'), [1, 2])],
    ['shape and offsets that disagree', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', [1])],
    ['a dtype of whole numbers', file('{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}', [1])],
    ['a dtype that the format does not have', file('{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}', [1])],
    ['a dtype of another width', file('{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,4]}}', [1])],
    ['an unknown field', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', [1])],
    [
      'a name twice',
      file(
        `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
        [1],
      ),
    ],
    ['a negative side', file('{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}', [1])],
    ['a poisoned name', file('{"a\\u0000b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', [1])],
  ])('refuse %s', (_, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(code('BAD_TENSOR_FILE'));
  });

  it('refuse NaN and infinity by name, and layers that are not the model’s', () => {
    expect(() => decodeSafetensors(file(TWO, [1, Number.NaN, 3]))).toThrow(/tensor b/);
    expect(() => decodeSafetensors(file(TWO, [Number.POSITIVE_INFINITY, 1, 3]))).toThrow(code('NOT_FINITE'));
    const tensors = decodeSafetensors(file(TWO, [1, 2, 3]));
    expect(() => modelFromTensors({ kind: 'logistic', inputs: 3 }, tensors)).toThrow(code('BAD_MODEL'));
    const renamed = [{ name: 'output.weight', shape: [2], values: new Float32Array(2) }];
    expect(() => modelFromTensors({ kind: 'logistic', inputs: 3 }, renamed)).toThrow(/shape \[3\]/);
  });
});

/** A version 1.0 .npy file as numpy.save writes it: the header padded to a multiple of 64. */
function npy(descr: string, shape: string, values: readonly number[], order = 'False'): Buffer {
  const dictionary = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const header = `${dictionary.padEnd(Math.ceil((dictionary.length + 11) / 64) * 64 - 11)}\n`;
  const width = descr.endsWith('8') ? 8 : 4;
  const bytes = Buffer.alloc(10 + header.length + width * values.length);
  bytes.write('\x93NUMPY\x01\x00', 0, 'latin1');
  bytes.writeUInt16LE(header.length, 8);
  bytes.write(header, 10, 'latin1');
  values.forEach((value, i) => {
    if (width === 8) bytes.writeDoubleLE(value, 10 + header.length + 8 * i);
    else bytes.writeFloatLE(value, 10 + header.length + 4 * i);
  });
  return bytes;
}

describe('npy', () => {
  it('reads float32 and float64 of any shape', () => {
    expect(decodeNpy(npy('<f4', '(3,)', [1.5, -2, 4]))).toEqual({ shape: [3], values: Float64Array.of(1.5, -2, 4) });
    const square = { shape: [2, 2], values: Float64Array.of(0.1, 0.2, 0.3, 0.4) };
    expect(decodeNpy(npy('<f8', '(2, 2)', [0.1, 0.2, 0.3, 0.4]))).toEqual(square);
    expect(decodeNpy(npy('<f8', '()', [7]))).toEqual({ shape: [], values: Float64Array.of(7) });
  });

  it('refuses everything else', () => {
    const bad = code('BAD_TENSOR_FILE');
    const good = npy('<f4', '(3,)', [1, 2, 3]);
    expect(() => decodeNpy(good.subarray(0, good.length - 1))).toThrow(bad);
    expect(() => decodeNpy(Buffer.concat([good, Buffer.alloc(1)]))).toThrow(bad);
    expect(() => decodeNpy(npy('|O', '(1,)', [1]))).toThrow(bad);
    expect(() => decodeNpy(npy('>f4', '(1,)', [1]))).toThrow(bad);
    expect(() => decodeNpy(npy('<f4', '(1, 1)', [1], 'True'))).toThrow(bad);
    expect(() => decodeNpy(npy('<f4', '(-1,)', [1]))).toThrow(bad);
    expect(() => decodeNpy(Buffer.from('not numpy at all'))).toThrow(bad);
    expect(() => decodeNpy(npy('<f4', '(1,)', [Number.NaN]))).toThrow(code('NOT_FINITE'));
  });
});

describe('update files', () => {
  it('flatten in the order of the bytes, with the layers that were named', () => {
    const folder = mkdtempSync(join(tmpdir(), 'veilsum-update-'));
    try {
      writeFileSync(join(folder, 'u.safetensors'), file(TWO, [1.5, -2, 0.25]));
      writeFileSync(join(folder, 'u.npy'), npy('<f4', '(3,)', [1, 2, 3]));
      writeFileSync(join(folder, 'u.pt'), 'pickle');
      const update = readUpdateFile(join(folder, 'u.safetensors'));
      expect([...update.values]).toEqual([1.5, -2, 0.25]);
      expect(update.layers.map((layer) => layer.name)).toEqual(['a', 'b']);
      expect([...readUpdateFile(join(folder, 'u.npy')).values]).toEqual([1, 2, 3]);
      expect(() => readUpdateFile(join(folder, 'u.pt'))).toThrow(code('BAD_TENSOR_FILE'));
      expect(() => readUpdateFile(join(folder, 'none.npy'))).toThrow(code('DATA_NOT_FOUND'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
