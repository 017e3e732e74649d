import { ceilLog2 } from '../../crypto/params.ts';

/** Widest value that `deriveParameters` takes, and widest slot. */
const BITS_MAX = 28;
const SLOT_BITS_MAX = 32;

/** Most bits that one node's value may have, where so many nodes are added up. */
export function widestValue(nodesMax: number): number {
  return Math.min(BITS_MAX, SLOT_BITS_MAX - ceilLog2(nodesMax));
}
