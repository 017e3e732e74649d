import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { LearningError } from './errors.ts';
import type { Layer } from './model.ts';
import { decodeNpy } from './npy.ts';
import { decodeSafetensors } from './safetensors.ts';

/** Largest update file: 10^8 numbers of 8 bytes and a header. */
const FILE_BYTES_MAX = 8e8 + 2 ** 20;

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
 * @throws LearningError DATA_NOT_FOUND, TOO_LARGE, BAD_TENSOR_FILE or NOT_FINITE.
 */
export function readUpdateFile(path: string): Update {
  const name = basename(path);
  if (!/\.(safetensors|npy)$/.test(name)) {
    throw new LearningError('BAD_TENSOR_FILE', `${name}: an update is a .safetensors or a .npy file`);
  }
  const bytes = readBytes(path, name);
  if (name.endsWith('.npy')) {
    const values = decoded(name, () => decodeNpy(bytes));
    return { values, layers: [{ name: '', shape: [values.length] }] };
  }
  const tensors = decoded(name, () => decodeSafetensors(bytes));
  const values = new Float64Array(tensors.reduce((sum, tensor) => sum + tensor.values.length, 0));
  let offset = 0;
  for (const tensor of tensors) {
    values.set(tensor.values, offset);
    offset += tensor.values.length;
  }
  return { values, layers: tensors.map(({ name: layer, shape }) => ({ name: layer, shape })) };
}

/** What is wrong with a file, with its name. */
function decoded<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof LearningError)
      throw new LearningError(error.code, `${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

function readBytes(path: string, name: string): Uint8Array {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new LearningError('TOO_LARGE', `${name} is larger than any update`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof LearningError) throw error;
    throw new LearningError('DATA_NOT_FOUND', `cannot read the update ${path}`, { cause: error });
  }
}
