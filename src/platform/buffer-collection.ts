import { setFlagsFromString } from 'node:v8';

/** The first V8 that this was measured on; older ones may not know the flag. */
const SINCE_MAJOR = 14;

/**
 * Lets V8 weigh buffers outside its heap together with the heap, instead of collecting everything whenever another 64 MB
 * of buffers were made. A round of a million parameters makes and drops several hundred MB of keystreams and chunks, a
 * few at a time, and full collections for them take a good part of it: bench/README.md has one run with and one without.
 */
export function collectBuffersWithHeap(): void {
  if (Number.parseInt(process.versions.v8, 10) < SINCE_MAJOR) return;
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
