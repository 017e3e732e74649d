import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { taskField } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { decodeNpy } from '../../src/learning/npy.ts';
import { decodeSafetensors, encodeSafetensors, namedTensors } from '../../src/learning/safetensors.ts';
import { matcherOf } from '../../src/learning/tensor-names.ts';
import { arrangeUpdate, readUpdateFile, readUpdateLayers } from '../../src/learning/update-file.ts';
import { createFileSource } from '../../src/training/file-source.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { makeUpdatesTask } from '../../src/training/make-task.ts';
import { createModelMaker } from '../../src/training/model-maker.ts';
import vectors from '../vectors/safetensors-0.8.0.json' with { type: 'json' };

const folder = mkdtempSync(join(tmpdir(), 'veilsum-layers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const code = (value: string) => expect.objectContaining({ code: value });
const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
const keep = (name: string, bytes: Uint8Array): string => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

/** A file as the reference implementation writes it: four layers that can be sent, and a counter. */
const [mixed] = vectors.safetensors;
const MIXED = keep('mixed.safetensors', bytesOf(mixed!.file));
const base = { nodes: 4, window: 'first', recipients: ['owner'], clip: 100, epsilon: null } as const;
const request = { ...base, tensors: readUpdateLayers(MIXED, ['*.lora_*']) };
const { task } = makeUpdatesTask(request);

describe('files that safetensors and NumPy wrote', () => {
  it.each(vectors.safetensors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    const read = () => decodeSafetensors(bytesOf(vector.file), (name) => !(vector.other ?? []).includes(name));
    if (!vector.success) return expect(read).toThrow(code('BAD_TENSOR_FILE'));
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    const tensors = read().map(({ name, shape, values }) => ({ name, shape, values: [...values] }));
    expect(tensors.sort(byName)).toEqual([...vector.tensors!].sort(byName));
    // A layer of whole numbers may lie in the file, and is named when it is asked for.
    for (const name of vector.other ?? [])
      expect(() => decodeSafetensors(bytesOf(vector.file))).toThrow(`tensor ${name}: dtype I64`);
  });

  it.each(vectors.npy.map((vector, i) => [i, vector] as const))('npy %i', (_, vector) => {
    if (!vector.success) return expect(() => decodeNpy(bytesOf(vector.file))).toThrow(code('BAD_TENSOR_FILE'));
    const { shape, values } = decodeNpy(bytesOf(vector.file));
    expect({ shape, values: [...values] }).toEqual({ shape: vector.shape, values: vector.values });
  });
});

describe('patterns of names', () => {
  it('fit as a regular expression does, * for any letters', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 8 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
    fc.assert(
      fc.property(text, name, (pattern, given) => {
        const source = pattern.replaceAll('.', '\\.').replaceAll('*', '.*');
        expect(matcherOf([pattern])(given)).toBe(new RegExp(`^${source}$`).test(given));
      }),
    );
  });

  it('that fit no layer are refused, with the layers that are there', () => {
    expect(() => readUpdateFile(MIXED, ['*.lora_*', 'adapter.*'])).toThrow(/'adapter\.\*': it has .*head\/kernel:0/);
  });
});

describe('a task that names its tensors', () => {
  it('has their names and shapes, and no others', () => {
    expect(task.tensors?.map(({ name }) => name).sort()).toEqual(['base.lora_A.weight', 'base.lora_B.weight']);
    expect(task.dimension).toBe(12 + 6);
    const { tensors: _, ...plain } = task;
    expect(makeUpdatesTask({ ...base, dimension: 18 }).task).toEqual(plain);
  });

  it('is refused where names repeat, numbers are others than its dimension, or it trains a model', () => {
    const [first] = task.tensors!;
    expect(taskField.safeParse(task).success).toBe(true);
    expect(taskField.safeParse({ ...task, tensors: [first, { ...first, shape: [6] }] }).success).toBe(false);
    expect(taskField.safeParse({ ...task, dimension: 19 }).success).toBe(false);
    expect(taskField.safeParse({ ...task, learning: {} }).success).toBe(false);
    const hostile = [{ name: `${String.fromCharCode(27)}[2J`, shape: [18] }];
    expect(taskField.safeParse({ ...task, tensors: hostile }).success).toBe(false);
    const many = Array.from({ length: 1000 }, (_, i) => ({ name: `${'x'.repeat(100)}${i}`, shape: [1] }));
    expect(() => makeUpdatesTask({ ...base, tensors: many })).toThrow(code('DOES_NOT_FIT'));
    expect(() => makeUpdatesTask({ ...base, tensors: [{ name: 'a', shape: [0] }] })).toThrow(/layer a holds no number/);
  });

  it('takes an update in its own order, whatever the order of the file', () => {
    const layers = task.tensors!;
    const values = Float32Array.from({ length: 18 }, (_, i) => i);
    const reversed = keep('reversed.safetensors', encodeSafetensors(namedTensors(values, layers).reverse()));
    expect([...arrangeUpdate(readUpdateFile(reversed), layers, 'reversed')]).toEqual([...values]);
    expect([...readUpdateFile(reversed).values]).not.toEqual([...values]);
  });

  const sent = async (path: string, only?: readonly string[]) => {
    const source = createFileSource(path, only === undefined ? {} : { only });
    return await source.update(task, { id: 'a' } as Round, new Uint8Array());
  };

  it('refuses other names, shapes and types by name', async () => {
    const [a, b] = task.tensors!;
    const file = (layers: readonly { name: string; shape: readonly number[] }[]) =>
      keep('other.safetensors', encodeSafetensors(namedTensors(new Float32Array(64), layers)));
    const reason = async (...input: Parameters<typeof sent>) => {
      const error = await sent(...input).catch((thrown: Error & { code: string }) => thrown);
      return error instanceof Error ? `${error.code} ${error.message}` : 'sent';
    };
    expect(await reason(file([a!]))).toContain(`LAYER_MISMATCH other.safetensors lacks ${b!.name} [${b!.shape}]`);
    expect(await reason(file([a!, { ...b!, shape: [...b!.shape].reverse() }]))).toContain(`${b!.name} has shape`);
    expect(await reason(file([a!, b!, { name: 'bias', shape: [2] }]))).toContain('bias [2] beyond what the task takes');
    expect(await reason(MIXED)).toContain('dtype I64');
    expect(await reason(MIXED, ['base.*'])).toContain('base.weight [4,3] beyond what the task takes');
    expect(await reason(MIXED, ['*.lora_*'])).toBe('sent');
  });

  it('control: without the names an update of other layers of the same length goes into the sum', async () => {
    const { tensors: _, ...unnamed } = task;
    const other = keep(
      'wrong.safetensors',
      encodeSafetensors([{ name: 'x', shape: [18], values: new Float32Array(18) }]),
    );
    const source = createFileSource(other);
    expect(await source.update(unnamed, { id: 'a' } as Round, new Uint8Array())).toHaveLength(18);
    await expect(source.update(task, { id: 'a' } as Round, new Uint8Array())).rejects.toThrow(code('LAYER_MISMATCH'));
  });

  it('takes a .npy as all layers in a row, or the only one in its shape', () => {
    const square = vectors.npy[0]!;
    const path = keep('square.npy', bytesOf(square.file));
    const update = () => readUpdateFile(path);
    expect(arrangeUpdate(update(), [{ name: 'w', shape: [4, 3] }], 'square.npy')).toHaveLength(12);
    expect(() => arrangeUpdate(update(), [{ name: 'w', shape: [3, 4] }], 'square.npy')).toThrow(/has shape \[4,3\]/);
    const flat = { values: new Float64Array(18), layers: [{ name: '', shape: [18] }] };
    expect(arrangeUpdate(flat, task.tensors!, 'flat.npy')).toHaveLength(18);
    expect(() => readUpdateFile(path, ['w'])).toThrow(code('LAYER_MISMATCH'));
    expect(() => readUpdateLayers(path)).toThrow(/names no layers/);
  });

  it('keeps the names in the models that are handed on', async () => {
    const maker = createModelMaker({ store: { records: undefined as never } });
    const round = { id: '1', record: { number: 1 }, phase: 'decided', decision: { attempt: { cohort: [1, 2] } } };
    const first = await maker.first(task);
    const values = Int32Array.from({ length: 18 }, (_, i) => 2 * i * quantiserOf(task).scale);
    const next = await maker.next(task, [{ round: round as unknown as Round, values }], first);
    expect(decodeSafetensors(first).map(({ name, shape }) => ({ name, shape }))).toEqual(task.tensors);
    expect(decodeSafetensors(next)).toEqual(
      namedTensors(
        Float32Array.from({ length: 18 }, (_, i) => i),
        task.tensors!,
      ),
    );
  });
});

it('the numbers of layers that stay are not looked at', () => {
  const broken = Float32Array.of(Number.NaN);
  const path = keep(
    'nan.safetensors',
    encodeSafetensors([
      { name: 'stays', shape: [1], values: broken },
      { name: 'goes', shape: [1], values: Float32Array.of(1) },
    ]),
  );
  expect([...readUpdateFile(path, ['goes']).values]).toEqual([1]);
  expect(() => readUpdateFile(path)).toThrow(/tensor stays/);
});
