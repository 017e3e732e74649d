import type { GaussianStream, PublicStream, RingEngine, RingShape } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { deriveParameters, type RoundParameters, type RoundRequest, ringShape } from '../../crypto/params.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

/** Both engines for one ring: node-seal, kernel. */
export async function bothEngines(shape: RingShape): Promise<[RingEngine, RingEngine]> {
  return [await createSealEngine(shape), await createKernelEngine(loadKernelModule(), shape)];
}

export async function kernelOf(parameters: RoundParameters): Promise<RingEngine> {
  return createKernelEngine(loadKernelModule(), ringShape(parameters));
}

/** A request with a 3-of-5 quorum, unless told otherwise. */
export function parametersOf(request: Partial<RoundRequest> & { dimension: number }): RoundParameters {
  return deriveParameters({
    bits: 16,
    nodesMax: 128,
    minCohort: 3,
    minHonest: 2,
    members: 5,
    threshold: 3,
    ...request,
  });
}

export function contextOf(parameters: RoundParameters, engine: RingEngine, record = 'record'): PayloadContext {
  return { parameters, engine, recordHash: hashOf(record), primitives: nodePrimitives };
}

/** Requests whose derived rings have degrees 4096, 8192 and 16384. */
export const EVERY_DEGREE = [
  { dimension: 900, degree: 4096 },
  { dimension: 70_000, degree: 8192 },
  { dimension: 140_000, degree: 16384 },
] as const;

export function hashOf(name: string): Uint8Array {
  return nodePrimitives.sha256(new TextEncoder().encode(name));
}

/** A reproducible keystream per name. */
export function keystream(name: string, length: number): Uint8Array {
  return nodePrimitives.aes256Ctr(hashOf(name), length);
}

export function gaussian(name: string): GaussianStream {
  return { first: (length) => keystream(`${name} first`, length), rest: (length) => keystream(`${name} rest`, length) };
}

export function uniform(name: string): PublicStream {
  return (prime, length) => keystream(`${name} ${prime}`, length);
}

/** Reproducible values with |x| < 2^(bits-1), both ends included. */
export function valuesOf(name: string, length: number, bits: number): Int32Array {
  const words = new Uint32Array(keystream(`values ${name}`, 4 * length).slice().buffer);
  const largest = 2 ** (bits - 1) - 1;
  return Int32Array.from(words, (word, i) => (i < 2 ? (i ? -largest : largest) : (word % (2 * largest + 1)) - largest));
}
