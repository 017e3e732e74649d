import { beforeAll, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { packBlock, unpackBlock } from '../../crypto/packing.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';

// An aggregator that adds to the sum what it likes: Delta times a number is an encryption of it under any key.

const weak = vi.hoisted(() => ({ isOff: false }));
vi.mock('../../crypto/checksum.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/checksum.ts')>();
  const createChecksum: typeof original.createChecksum = (...args) => {
    const checksum = original.createChecksum(...args);
    return { ...checksum, value: () => (weak.isOff ? checksum.value().fill(0) : checksum.value()) };
  };
  return { ...original, createChecksum };
});

const request = { dimension: 300, bits: 16, nodesMax: 16, minCohort: 2, minHonest: 2 };
const parameters = deriveParameters({ ...request, members: 3, threshold: 2 });
const shape = ringShape(parameters);
let engine: RingEngine;

beforeAll(async () => {
  engine = await createKernelEngine(loadKernelModule(), shape);
});

/** A round whose first summed value the aggregator raises by one. */
function shiftedRound() {
  const federation = new MemoryFederation({
    primitives: nodePrimitives,
    rng: systemRng,
    engine: () => engine,
    nodes: 3,
    members: 3,
    threshold: 2,
    request,
    budgetRhoNano: 1_000_000_000,
    sigma2: 10_000n,
    sensitivity2: 100n,
  });
  federation.tamper = (what, _party, value) => {
    if (what !== 'sum') return value;
    const length = parameters.lastBlockCoefficients;
    const residues = unpackBlock(shape, value as Uint8Array, length);
    for (const [i, part] of residues.entries()) part[0] = (part[0]! + 2 ** parameters.logDelta) % parameters.primes[i]!;
    return packBlock(shape, residues, length) as typeof value;
  };
  const updates = new Map(federation.nodeNames.map((name) => [name, new Int32Array(300).fill(7)]));
  const round = federation.runRound(1, updates);
  return { round, opening: federation.openings.get(round.id) };
}

it('is refused: the nodes’ signed checksums are those of another sum', () => {
  const { round, opening } = shiftedRound();
  expect(round).toMatchObject({ phase: 'aborted', reason: 'CHECKSUM_MISMATCH' });
  expect(opening).toBeUndefined();
});

it('control: without checksums it opens, with the aggregator’s number in it', () => {
  weak.isOff = true;
  const { round, opening } = shiftedRound();
  expect(round.phase).toBe('released');
  expect([...opening!.values.subarray(0, 2)]).toEqual([22, 21]);
});
