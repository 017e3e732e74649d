import type { RingEngine } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { loadKernelModule } from '../platform/kernel.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { DIMENSION, type Kit } from './founding.ts';
import { toyPrimitives } from './toy-primitives.ts';
import { toyRing } from './toy-ring.ts';

/** A kit of its own for each run: its primitives remember the keys that were made. */
export function toyKit(): Kit {
  return { name: 'toy', primitives: toyPrimitives(), engine: toyRing };
}

/** What production runs on: node:crypto and the compiled ring kernel. */
export async function realKit(): Promise<Kit> {
  const request = { dimension: DIMENSION, bits: 8, nodesMax: 16, minCohort: 2, minHonest: 2, members: 3, threshold: 2 };
  const shape = ringShape(deriveParameters(request));
  const engine: RingEngine = await createKernelEngine(loadKernelModule(), shape);
  return {
    name: 'real',
    primitives: nodePrimitives,
    engine: (asked) => {
      if (JSON.stringify(asked) !== JSON.stringify(shape)) throw new Error('another ring than the simulated one');
      return engine;
    },
  };
}
