import type { RingEngine } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import type { MemoryFederation, MemorySetting } from '../../src/simulate/memory-federation.ts';

/** What rounds in memory carry: 300 values in the smallest ring. */
export const REQUEST = { dimension: 300, bits: 16, nodesMax: 16, minCohort: 2, minHonest: 2 };

/** The engine of such rounds; its shape depends on neither quorum nor cohort. */
export function smallEngine(request = REQUEST): Promise<RingEngine> {
  return createKernelEngine(loadKernelModule(), ringShape(deriveParameters({ ...request, members: 3, threshold: 2 })));
}

/** Four nodes, a 2-of-3 quorum, unless told otherwise. */
export function memorySetting(engine: RingEngine, over: Partial<MemorySetting> = {}): MemorySetting {
  return {
    primitives: nodePrimitives,
    rng: systemRng,
    engine: () => engine,
    nodes: 4,
    members: 3,
    threshold: 2,
    request: REQUEST,
    budgetRhoNano: 1_000_000_000,
    sigma2: 10_000n,
    sensitivity2: 100n,
    ...over,
  };
}

/** The same bytes at every run: which halves are drawn is then known. */
export function countingRng(seed: string): (length: number) => Uint8Array {
  let calls = 0;
  return (length) => {
    const key = nodePrimitives.sha256(new TextEncoder().encode(`${seed} ${calls++}`));
    return nodePrimitives.aes256Ctr(key, length);
  };
}

/** Updates that tell their node: value j of node i. */
export function updatesOf(names: readonly string[], dimension = REQUEST.dimension): Map<string, Int32Array> {
  return new Map(
    names.map((name, i) => [
      name,
      Int32Array.from({ length: dimension }, (_, j) => ((i + 1) * (j * 37 - 5000)) % 32768),
    ]),
  );
}

/** The plain sum of some nodes' updates. */
export function sumOf(updates: ReadonlyMap<string, Int32Array>, names: readonly string[]): Int32Array {
  const sum = new Int32Array(updates.get(names[0]!)!.length);
  for (const name of names) for (const [i, value] of updates.get(name)!.entries()) sum[i]! += value;
  return sum;
}

/** The nodes whose updates are in a round's result. */
export function cohortOf(round: ReturnType<MemoryFederation['runRound']>): string[] {
  if (round.phase !== 'released') throw new Error(`the round is ${round.phase}`);
  return round.decision.attempt.cohort.map((upload) => upload.node);
}
