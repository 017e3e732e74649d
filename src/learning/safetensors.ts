import { LearningError } from './errors.ts';
import { allFinite } from './finite.ts';
import { type Layer, layerSize, layersOf, type Model, type ModelSpec, makeModel } from './model.ts';
import { READERS, WIDTHS } from './tensor-types.ts';

/**
 * The safetensors format (huggingface/safetensors, format description of its README): u64le length of the header, header
 * (JSON: name -> {dtype, shape, data_offsets}, optional __metadata__), then the tensors' bytes, little-endian.
 */
export interface NamedTensor extends Layer {
  readonly values: Float32Array;
}

/** Headers above this are refused; a model of ours needs a few hundred bytes. */
const HEADER_BYTES_MAX = 1024 * 1024;
/** Printable, without blanks, quotation marks and backslashes. */
const NAME = /^[!#-[\]-~]{1,256}$/;

/** Writes F32 tensors back to back in the order given, the header padded with blanks to a multiple of 8. */
export function encodeSafetensors(tensors: readonly NamedTensor[]): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  let end = 0;
  for (const { name, shape, values } of tensors) {
    if (!NAME.test(name) || name in header) throw bad(`a tensor's name is unusable or appears twice`);
    if (layerSize({ name, shape }) !== values.length) throw bad(`tensor ${name}: shape and length disagree`);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + 4 * values.length] };
    end += 4 * values.length;
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8, ' '));
  const bytes = new Uint8Array(8 + json.length + end);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  let offset = 8 + json.length;
  for (const { values } of tensors) {
    for (let i = 0; i < values.length; i++) view.setFloat32(offset + 4 * i, values[i]!, true);
    offset += 4 * values.length;
  }
  return bytes;
}

/**
 * Reads tensors of F32, and of F16, BF16 and F64 as F32. Strict: offsets begin at zero, leave no gap, do not overlap and
 * end with the file; only finite numbers; no name twice; nothing after the last tensor.
 *
 * @param isWanted - others are left out, whatever their type.
 * @returns tensors in the order of their bytes.
 * @throws LearningError BAD_TENSOR_FILE, or NOT_FINITE naming the tensor.
 */
export function decodeSafetensors(bytes: Uint8Array, isWanted: (name: string) => boolean = () => true): NamedTensor[] {
  const { view, start, entries } = readLayout(bytes);
  return entries.flatMap(({ name, shape, dtype, begin, end }) => {
    if (!isWanted(name)) return [];
    const read = READERS[dtype];
    if (read === undefined) throw bad(`tensor ${name}: dtype ${dtype} is no ${Object.keys(READERS).join(', ')}`);
    const width = WIDTHS[dtype]!;
    const values = new Float32Array((end - begin) / width);
    for (let i = 0; i < values.length; i++) values[i] = read(view, start + begin + width * i);
    if (!allFinite(values)) throw new LearningError('NOT_FINITE', `tensor ${name} holds NaN or an infinity`);
    return [{ name, shape, values }];
  });
}

/** Names and shapes alone, in the order of the bytes. @throws LearningError BAD_TENSOR_FILE */
export function readLayers(bytes: Uint8Array): Layer[] {
  return readLayout(bytes).entries.map(({ name, shape }) => ({ name, shape }));
}

function readLayout(bytes: Uint8Array): { view: DataView; start: number; entries: Entry[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 10) throw bad('the file is shorter than a header: is it truncated?');
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > BigInt(Math.min(HEADER_BYTES_MAX, bytes.length - 8)))
    throw bad('the header is longer than allowed, or the file is truncated');
  const start = 8 + Number(headerBytes);
  const entries = parseHeader(bytes.subarray(8, start)).sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { name, shape, dtype, begin, end } of entries) {
    if (begin !== expected) throw bad(`tensor ${name}: its bytes overlap others or leave a gap`);
    if (end - begin !== WIDTHS[dtype]! * layerSize({ name, shape }))
      throw bad(`tensor ${name}: shape and offsets disagree`);
    expected = end;
  }
  if (start + expected !== bytes.length)
    throw bad(
      start + expected > bytes.length
        ? 'the file is shorter than its tensors: is it truncated?'
        : 'the file is longer than its tensors',
    );
  return { view, start, entries };
}

/** A model as named tensors: `encodeSafetensors(modelTensors(model))`. */
export function modelTensors(model: Model): NamedTensor[] {
  return namedTensors(model.values, layersOf(model.spec));
}

/** A vector cut into layers that lie in it one after another. Copies. */
export function namedTensors(whole: Float32Array, layers: readonly Layer[]): NamedTensor[] {
  let offset = 0;
  return layers.map((layer) => {
    const values = whole.slice(offset, offset + layerSize(layer));
    offset += values.length;
    return { ...layer, values };
  });
}

/** The inverse of {@link modelTensors}. @throws LearningError BAD_MODEL unless layers and shapes are exactly the spec's. */
export function modelFromTensors(spec: ModelSpec, tensors: readonly NamedTensor[]): Model {
  return makeModel(spec, joinTensors(layersOf(spec), tensors));
}

/** The inverse of {@link namedTensors}, in whatever order they are. @throws LearningError BAD_MODEL for other layers or shapes. */
export function joinTensors(layers: readonly Layer[], tensors: readonly NamedTensor[]): Float32Array {
  if (tensors.length !== layers.length)
    throw new LearningError('BAD_MODEL', `the file has ${tensors.length} layers, the model ${layers.length}`);
  const parts = layers.map(({ name, shape }) => {
    const found = tensors.find((tensor) => tensor.name === name);
    if (!found) throw new LearningError('BAD_MODEL', `the file has no layer ${name}`);
    if (String(found.shape) !== String(shape))
      throw new LearningError('BAD_MODEL', `layer ${name} must have shape [${shape}]`);
    return found.values;
  });
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    values.set(part, offset);
    offset += part.length;
  }
  return values;
}

interface Entry extends Layer {
  readonly dtype: string;
  readonly begin: number;
  readonly end: number;
}

function parseHeader(bytes: Uint8Array): Entry[] {
  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.startsWith('{')) throw bad('the header does not start with {');
    header = JSON.parse(text);
    // JSON.parse keeps the last of equal names; what it lost shows as a shorter text.
    const compact = (json: string): string => json.replaceAll(/\s/g, '');
    if (compact(JSON.stringify(header)).length !== compact(text).length)
      throw bad('the header repeats a name or is not plain JSON');
  } catch (error) {
    if (error instanceof LearningError) throw error;
    throw bad('the header is not JSON');
  }
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') continue;
    if (!NAME.test(name)) throw bad('a tensor has an unusable name');
    const { dtype, shape, data_offsets: offsets, ...rest } = (value ?? {}) as Record<string, unknown>;
    if (typeof dtype !== 'string' || !Object.hasOwn(WIDTHS, dtype)) throw bad(`tensor ${name}: its dtype is not known`);
    if (!isSizes(shape, 8) || !isSizes(offsets, 2) || offsets.length !== 2 || Object.keys(rest).length > 0) {
      throw bad(`tensor ${name}: malformed header entry`);
    }
    entries.push({ name, shape, dtype, begin: offsets[0]!, end: offsets[1]! });
  }
  if (entries.length === 0) throw bad('the file holds no tensor');
  return entries;
}

function isSizes(value: unknown, lengthMax: number): value is number[] {
  if (!Array.isArray(value) || value.length > lengthMax) return false;
  return value.every((size) => Number.isSafeInteger(size) && size >= 0 && size < 2 ** 40);
}

function bad(message: string): LearningError {
  return new LearningError('BAD_TENSOR_FILE', `safetensors: ${message}`);
}
