// The kernel's exports. See crypto/docs/kernel.md; every function here has a bigint model in test/property.
export { initTables, minimalRoot, tableBytes } from './tables';
export { forwardTransform, inverseTransform } from './ntt';
export {
  addVectors,
  addVectorsAndConstant,
  innerProduct,
  largestMagnitude,
  multiplyAddPublic,
  multiplyVectors,
  scaleSigned,
  subtractVectors,
} from './pointwise';
export { expandUniform } from './uniform';
export { sampleTops } from './key-sampler';
export { addMessage } from './encode';
export { readSlots, toMixedRadix } from './decode';
export { addPacked, readPacked, writePacked } from './wire-sizes';

/** First free address: behind the module's own constants. The host lays out everything from here on. */
export function heapStart(): usize {
  return __heap_base;
}
