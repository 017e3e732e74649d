import { poissonSample } from '../../crypto/poisson-sample.ts';
import type { Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import type { Region } from '../learning/datasets.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

/**
 * Which rows take part in one round: each training and each held-out row by itself, anew in every round and every attempt at
 * an update, from 32 fresh bytes that are wiped. Nothing else may depend on it: not whether the node takes part, not how
 * long it computes, not a line of its log.
 *
 * @returns secret, to be wiped by the caller.
 */
export function drawRows(
  rng: Rng,
  { train, heldOut }: Region,
  rateMicro: number,
): { readonly train: Uint8Array; readonly heldOut: Uint8Array } {
  using seed = new SecretBytes('sample seed', rng(32));
  const drawn = poissonSample(nodePrimitives, seed.bytes, train.rows + heldOut.rows, rateMicro);
  // Two views of one buffer: wiping each wipes all of it.
  return { train: drawn.subarray(0, train.rows), heldOut: drawn.subarray(train.rows) };
}
