import { beforeAll, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { packBlock, unpackBlock } from '../../crypto/packing.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';

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

const parameters = deriveParameters({ ...REQUEST, members: 3, threshold: 2 });
const shape = ringShape(parameters);
let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine();
});

/** A round whose first summed value the aggregator raises by one. */
function shiftedRound() {
  const federation = new MemoryFederation(memorySetting(engine, { nodes: 3 }));
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

it('P6 is refused: the nodes’ signed checksums are those of another sum', () => {
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
