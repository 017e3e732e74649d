import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { LearningError } from './errors.ts';
import { type Layer, layerSize } from './model.ts';
import { decodeNpy } from './npy.ts';
import { decodeSafetensors, readLayers } from './safetensors.ts';
import { matcherOf } from './tensor-names.ts';

/** Largest update file: 10^8 numbers of 8 bytes and a header. */
const FILE_BYTES_MAX = 8e8 + 2 ** 20;
/** Names that a message lists at most. */
const NAMED = 5;

/** An update from any framework, flattened for a round of as many coordinates. */
export interface Update {
  /** Tensors one after another in the order of their bytes, row-major. Secret. */
  readonly values: Float64Array;
  /** Names and shapes in the same order; a .npy file has one tensor without a name. */
  readonly layers: readonly Layer[];
}

/**
 * Reads an update by its file's ending, `.safetensors` or `.npy`.
 *
 * @param only - patterns of tensors' names ({@link matcherOf}): others stay where they are. None: all.
 * @throws LearningError DATA_NOT_FOUND, TOO_LARGE, BAD_TENSOR_FILE, NOT_FINITE, or LAYER_MISMATCH where a pattern fits nothing.
 */
export function readUpdateFile(path: string, only: readonly string[] = []): Update {
  const { name, bytes } = readTensorFile(path);
  if (name.endsWith('.npy')) {
    if (only.length > 0) throw mismatch(`${name}: a .npy file names no layers to choose from`);
    const { values, shape } = decoded(name, () => decodeNpy(bytes));
    return { values, layers: [{ name: '', shape }] };
  }
  const layers = decoded(name, () => chosen(readLayers(bytes), only, name));
  const wanted = new Set(layers.map((layer) => layer.name));
  const tensors = decoded(name, () => decodeSafetensors(bytes, (layer) => wanted.has(layer)));
  const values = new Float64Array(tensors.reduce((sum, tensor) => sum + tensor.values.length, 0));
  let offset = 0;
  for (const tensor of tensors) {
    values.set(tensor.values, offset);
    tensor.values.fill(0);
    offset += tensor.values.length;
  }
  return { values, layers };
}

/**
 * Names and shapes of a file like the updates to come: `.safetensors`, whose numbers are not looked at.
 *
 * @throws as {@link readUpdateFile}.
 */
export function readUpdateLayers(path: string, only: readonly string[] = []): readonly Layer[] {
  const { name, bytes } = readTensorFile(path);
  if (name.endsWith('.npy'))
    throw new LearningError('BAD_TENSOR_FILE', `${name}: a .npy file names no layers, a .safetensors file does`);
  return decoded(name, () => chosen(readLayers(bytes), only, name));
}

/**
 * An update in the order of a task's tensors, which have to be exactly its own. Without names (.npy) it is all of them one
 * after another as one dimension, or the only one in its shape.
 *
 * @param name - of the file, for messages.
 * @returns the same numbers; those of `update` are wiped where they were put in another order.
 * @throws LearningError LAYER_MISMATCH, naming the layers.
 */
export function arrangeUpdate({ values, layers }: Update, tensors: readonly Layer[], name: string): Float64Array {
  const [first] = layers;
  if (layers.length === 1 && first!.name === '') {
    const isFlat = first!.shape.length === 1 && values.length === tensors.reduce((sum, t) => sum + layerSize(t), 0);
    if (isFlat || (tensors.length === 1 && isSameShape(first!, tensors[0]!))) return values;
    throw mismatch(`${name} has shape [${first!.shape}]; the task takes ${shapesOf(tensors)}, or all of them in a row`);
  }
  const missing = tensors.filter((tensor) => !layers.some((layer) => layer.name === tensor.name));
  if (missing.length > 0) throw mismatch(`${name} lacks ${shapesOf(missing)}; it has ${shapesOf(layers)}`);
  const beyond = layers.filter((layer) => !tensors.some((tensor) => tensor.name === layer.name));
  if (beyond.length > 0)
    throw mismatch(`${name} has ${shapesOf(beyond)} beyond what the task takes: choose with --layers what is sent`);
  const places = new Map<string, number>();
  let offset = 0;
  for (const layer of layers) {
    const tensor = tensors.find((other) => other.name === layer.name)!;
    if (!isSameShape(layer, tensor))
      throw mismatch(`${name}: ${layer.name} has shape [${layer.shape}], the task takes [${tensor.shape}]`);
    places.set(layer.name, offset);
    offset += layerSize(layer);
  }
  const arranged = new Float64Array(values.length);
  let end = 0;
  for (const tensor of tensors) {
    const from = places.get(tensor.name)!;
    arranged.set(values.subarray(from, from + layerSize(tensor)), end);
    end += layerSize(tensor);
  }
  values.fill(0);
  return arranged;
}

function chosen(layers: readonly Layer[], only: readonly string[], file: string): readonly Layer[] {
  for (const pattern of only) {
    const isWanted = matcherOf([pattern]);
    if (!layers.some(({ name }) => isWanted(name)))
      throw mismatch(`no layer of ${file} is called '${pattern}': it has ${shapesOf(layers)}`);
  }
  const isWanted = matcherOf(only);
  return only.length === 0 ? layers : layers.filter(({ name }) => isWanted(name));
}

function isSameShape(a: Layer, b: Layer): boolean {
  return String(a.shape) === String(b.shape);
}

function shapesOf(layers: readonly Layer[]): string {
  const named = layers.slice(0, NAMED).map(({ name, shape }) => `${name} [${shape}]`);
  return named.join(', ') + (layers.length > NAMED ? ` and ${layers.length - NAMED} more` : '');
}

function mismatch(message: string): LearningError {
  return new LearningError('LAYER_MISMATCH', message);
}

/** What is wrong with a file, with its name. */
function decoded<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof LearningError && error.code !== 'LAYER_MISMATCH')
      throw new LearningError(error.code, `${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

function readTensorFile(path: string): { readonly name: string; readonly bytes: Uint8Array } {
  const name = basename(path);
  if (!/\.(safetensors|npy)$/.test(name))
    throw new LearningError('BAD_TENSOR_FILE', `${name}: an update is a .safetensors or a .npy file`);
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new LearningError('TOO_LARGE', `${name} is larger than any update`);
    return { name, bytes: readFileSync(path) };
  } catch (error) {
    if (error instanceof LearningError) throw error;
    throw new LearningError('DATA_NOT_FOUND', `cannot read the update ${path}`, { cause: error });
  }
}
