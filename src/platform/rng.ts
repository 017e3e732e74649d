import { randomFillSync } from 'node:crypto';
import type { Rng } from '../../crypto/primitives.ts';

/**
 * The operating system's CSPRNG. Each call returns a buffer of its own, never a slice of a shared pool, so that wiping
 * it wipes the only copy.
 */
export const systemRng: Rng = (length) => randomFillSync(new Uint8Array(length));
