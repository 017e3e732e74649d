import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { createSum } from '../../crypto/payload.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import type { Vanish } from '../../src/simulate/memory-world.ts';
import { contextOf, kernelOf, parametersOf } from '../reference/engines.ts';
import { memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';
import { QuorumLab } from '../reference/quorum-lab.ts';

/**
 * Janus' trick: every node's update is one-hot at a place of its own, so that an opened sum shows by itself who is in it
 * and how often. Lost, doubled and reordered messages of whole runs are the simulator's (src/simulate); here an
 * aggregator does it on purpose.
 */

/** Controls: no pairwise masks, and no checksums. */
const weak = vi.hoisted(() => ({ masks: false, checksums: false }));
vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (...args) =>
    weak.masks ? new Uint16Array(args[6]) : original.pairwiseMask(...args);
  return { ...original, pairwiseMask };
});
vi.mock('../../crypto/checksum.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/checksum.ts')>();
  const createChecksum: typeof original.createChecksum = (...args) => {
    const checksum = original.createChecksum(...args);
    return { ...checksum, value: () => (weak.checksums ? checksum.value().fill(0) : checksum.value()) };
  };
  return { ...original, createChecksum };
});

afterEach(() => {
  weak.masks = false;
  weak.checksums = false;
});

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});

function oneHot(names: readonly string[]): Map<string, Int32Array> {
  return new Map(names.map((name, i) => [name, new Int32Array(REQUEST.dimension).fill(1, i, i + 1)]));
}

/** Reproducible choices of one run. */
function draws(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('P10: no double count, no unknown value', () => {
  it('no coordinate of any opened sum is ever 2, over runs in which nodes and members vanish anywhere', () => {
    let opened = 0;
    for (let run = 1; run <= 8; run++) {
      const draw = draws(run);
      const federation = new MemoryFederation(memorySetting(engine, { nodes: 6 }));
      const updates = oneHot(federation.nodeNames);
      const steps: Vanish[] = ['upload', 'confirm'];
      for (const node of federation.nodeNames) if (draw(3) === 0) federation.vanished.set(node, steps[draw(2)]!);
      if (draw(2) === 0) federation.vanished.set('member-3', draw(2) === 0 ? 'ready' : 'answer');
      for (let number = 1; number <= 2; number++) {
        const round = federation.runRound(number, updates);
        const values = federation.openings.get(round.id)?.values;
        if (round.phase !== 'released' || values === undefined) {
          expect(round).toMatchObject({ phase: 'aborted', reason: 'COHORT_TOO_SMALL' });
          break;
        }
        opened++;
        const cohort = new Set(round.decision.attempt.cohort.map(({ node }) => node));
        const expected = new Int32Array(REQUEST.dimension);
        for (const [i, name] of federation.nodeNames.entries()) expected[i] = Number(cohort.has(name));
        expect([run, values]).toEqual([run, expected]);
        federation.nextModel(round);
      }
    }
    expect(opened).toBeGreaterThan(6);
  });

  /** A round whose aggregator adds one node's payload a second time, in place of another one's or beside all. */
  function doubled(dropped: string | null) {
    const federation = new MemoryFederation(memorySetting(engine));
    const updates = oneHot(federation.nodeNames);
    federation.tamper = (what, _party, value) => {
      if (what !== 'sum') return value;
      const [round] = federation.log.transcript.rounds.values();
      using sum = createSum(federation.context(round!.record, 'aggregator'));
      for (const [name, upload] of [...round!.uploads, ['node-1', round!.uploads.get('node-1')!] as const])
        if (name !== dropped) sum.add(0, federation.blobs.get(upload.body.payloadHash)!);
      return sum.block(0) as typeof value;
    };
    const round = federation.runRound(1, updates);
    return { round, opening: federation.openings.get(round.id) };
  }

  it.each([null, 'node-2'])(
    'an aggregator that adds a payload twice (dropping %s) is refused, twice over',
    (dropped) => {
      expect(doubled(dropped)).toMatchObject({
        round: { phase: 'aborted', reason: 'CHECKSUM_MISMATCH' },
        opening: undefined,
      });
      weak.checksums = true;
      expect(doubled(dropped)).toMatchObject({
        round: { phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' },
        opening: undefined,
      });
    },
  );

  it('control: with a corrupt quorum that counts its seeds twice as well, and no masks, a 2 comes out', async () => {
    const parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
    const context = contextOf(parameters, await kernelOf(parameters));
    const attempt = (): Int32Array | null => {
      const lab = new QuorumLab(context, systemRng);
      const names = ['node-1', 'node-2', 'node-3'];
      for (const [name, values] of oneHot(names)) lab.upload(name, values);
      const [first, , third] = names.map((name) => lab.confirm(name, names, 'close'));
      const twice = [first!, first!, third!];
      return lab.open(lab.unmask(twice, [0, 1, lab.recipient]), lab.sum(['node-1', 'node-1', 'node-3']));
    };
    expect(attempt()).toBeNull(); // masks cancel over exactly U
    weak.masks = true;
    expect([...attempt()!.subarray(0, 4)]).toEqual([2, 0, 1, 0]);
  });

  it('a node, and a payload, is in one upload of a round', () => {
    const federation = new MemoryFederation(memorySetting(engine));
    const updates = oneHot(federation.nodeNames);
    let copied: Uint8Array | null = null;
    federation.tamper = (what, party, value) => {
      if (what !== 'payload') return value;
      if (party === 'node-1') copied = value as Uint8Array;
      return party === 'node-2' && copied !== null ? (copied.slice() as typeof value) : value;
    };
    const round = federation.runRound(1, updates);
    expect(round.uploads.has('node-2')).toBe(false);
    expect(federation.refusals.map(({ rejected }) => rejected)).toContain('NONCE_REUSED');
    expect([...federation.openings.get(round.id)!.values.subarray(0, 4)]).toEqual([1, 0, 1, 1]);
  });
});
