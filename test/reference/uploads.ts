import { createEncryptor, createOpener, createSum, type PayloadContext } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { hashOf, valuesOf } from './engines.ts';

/** One node's update with everything that a real one would wipe. */
export interface Upload {
  values: Int32Array;
  key: Int16Array;
  blocks: Uint8Array[];
}

/** @param values - reproducible ones, named like the seed, unless given. */
export function upload(context: PayloadContext, name: string, values?: Int32Array): Upload {
  const { dimension, bits, blocks } = context.parameters;
  const update = values ?? valuesOf(name, dimension, bits);
  using encryptor = createEncryptor(context, update, new SecretBytes('seed', hashOf(name)));
  const wires = Array.from({ length: blocks }, (_, j) => encryptor.block(j));
  return { values: update, key: encryptor.key.slice(), blocks: wires };
}

export function sumKeys(uploads: readonly Upload[]): Int32Array {
  return uploads[0]!.key.reduce((sum, _, c) => {
    sum[c] = uploads.reduce((total, { key }) => total + key[c]!, 0);
    return sum;
  }, new Int32Array(uploads[0]!.key.length));
}

export function sumBlocks(context: PayloadContext, uploads: readonly Upload[]): Uint8Array[] {
  using sum = createSum(context);
  for (const { blocks } of uploads) for (const [j, wire] of blocks.entries()) sum.add(j, wire);
  return uploads[0]!.blocks.map((_, j) => sum.block(j));
}

/** All values of a sum. */
export function open(context: PayloadContext, key: Int32Array, blocks: readonly Uint8Array[]): Int32Array {
  using opener = createOpener(context, key);
  return Int32Array.from(blocks.flatMap((wire, j) => [...opener.block(j, wire)]));
}

/** What the opened sum must be. */
export const plainSum = (uploads: readonly Upload[]): Int32Array =>
  uploads[0]!.values.map((_, i) => uploads.reduce((total, { values }) => total + values[i]!, 0));
