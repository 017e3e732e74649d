import { beforeAll, describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { MemoryFederation, type MemorySetting } from '../../src/simulate/memory-federation.ts';
import { cohortOf, memorySetting, REQUEST, smallEngine, sumOf, updatesOf } from '../reference/memory-round.ts';

let kernel: RingEngine;
let seal: RingEngine;

beforeAll(async () => {
  kernel = await smallEngine();
  seal = await createSealEngine(ringShape(deriveParameters({ ...REQUEST, members: 5, threshold: 3 })));
});

function setting(over: Partial<MemorySetting> = {}): MemorySetting {
  return memorySetting(kernel, {
    // Nodes of odd number run node-seal, everybody else the kernel: one wire format.
    engine: (_shape, party) => (/^node-[13579]$/.test(party) ? seal : kernel),
    members: 5,
    threshold: 3,
    ...over,
  });
}

describe('a round over the in-memory wire', () => {
  it('opens exactly the integer sum, with nodes on either engine, and keeps no secret', () => {
    const federation = new MemoryFederation(setting());
    expect(federation.refusals).toEqual([]);
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    expect(cohortOf(round)).toHaveLength(4);
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohortOf(round)));
    expect(federation.refusals).toEqual([]);
    expect(federation.heldSecrets).toBe(0);
  });

  it.each([
    [3, 2],
    [7, 4],
    [9, 5],
  ])('works with %i members and threshold %i', (members, threshold) => {
    const federation = new MemoryFederation(setting({ members, threshold }));
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohortOf(round)));
  });

  it('goes on without nodes that vanish before the upload, and between close and confirm', () => {
    const federation = new MemoryFederation(setting({ nodes: 5 }));
    federation.vanished.set('node-2', 'upload').set('node-4', 'confirm');
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    expect(cohortOf(round)).toEqual(['node-1', 'node-3', 'node-5']);
    expect(round.attempts).toHaveLength(2);
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohortOf(round)));
  });

  it('aborts by name when the cohort is too small, and frees what was reserved', () => {
    const federation = new MemoryFederation(setting({ nodes: 3 }));
    federation.vanished.set('node-1', 'upload').set('node-2', 'upload');
    const round = federation.runRound(1, updatesOf(federation.nodeNames));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'COHORT_TOO_SMALL' });
    expect(federation.log.transcript.ledger).toMatchObject({ spentRhoNano: 0, reserved: new Map() });
  });

  it('survives n - t members that vanish at any step', () => {
    for (const step of ['round-key', 'ready', 'answer'] as const) {
      const federation = new MemoryFederation(setting());
      federation.vanished.set('member-2', step).set('member-5', step);
      const updates = updatesOf(federation.nodeNames);
      if (step === 'round-key') federation.vanished.delete('member-5'); // n' >= 2t - 1 must still hold: 5 of 5 here
      const round = step === 'round-key' ? null : federation.runRound(1, updates);
      if (round === null) expect(() => federation.runRound(1, updates)).toThrow('did not end');
      else expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohortOf(round)));
    }
  });

  it('names a member that answers wrongly and still opens', () => {
    const federation = new MemoryFederation(setting());
    federation.tamper = (what, party, value) => {
      if (what !== 'share-seeds' || party !== 'member-3') return value;
      const seeds = value as Map<string, unknown[]>;
      const [first, second] = [...seeds.keys()];
      seeds.set(first!, seeds.get(second!)!); // K_T with one node's seeds counted twice and another's left out
      return value;
    };
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    const opening = federation.openings.get(round.id)!;
    expect(opening.values).toEqual(sumOf(updates, cohortOf(round)));
    expect(opening.liars).toEqual(['member-3']);
  });

  it('ends in a named abort when a payload does not fit its key, and never in a result', () => {
    const federation = new MemoryFederation(setting());
    federation.tamper = (what, party, value) => {
      if (what !== 'payload' || party !== 'node-2') return value;
      // Somebody else's noise: random residues below every prime.
      const bytes = value as Uint8Array;
      return new Uint8Array(bytes.length).fill(1) as typeof value;
    };
    const round = federation.runRound(1, updatesOf(federation.nodeNames));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
    expect(federation.openings.size).toBe(0);
    expect(federation.log.transcript.ledger.spentRhoNano).toBeGreaterThan(0); // charged: the answers went out
  });

  it('ends so too when the last block fits and an earlier one does not', async () => {
    const large = { ...REQUEST, dimension: 400_000 };
    const parameters = deriveParameters({ ...large, members: 5, threshold: 3 });
    expect(parameters.blocks).toBeGreaterThan(1);
    const engine = await smallEngine(large);
    const federation = new MemoryFederation(setting({ request: large, engine: () => engine }));
    const updates = new Map(federation.nodeNames.map((name) => [name, new Int32Array(400_000)]));
    const honest = federation.runRound(1, updates);
    expect(federation.openings.has(honest.id)).toBe(true);
    federation.nextModel(honest);
    federation.tamper = (what, party, value) => {
      if (what === 'payload' && party === 'node-2') (value as Uint8Array).fill(1, 0, 1000);
      return value;
    };
    const round = federation.runRound(2, updates);
    expect(round).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
    expect(federation.openings.has(round.id)).toBe(false);
  });

  it('refuses to open a round beyond the budget', () => {
    const federation = new MemoryFederation(setting({ budgetRhoNano: 4_000_000 }));
    const updates = updatesOf(federation.nodeNames);
    const first = federation.runRound(1, updates); // costs 100 / (2 * 2 * 10000) = 0.0025
    expect(first.record.charge.rhoNano).toBe(2_500_000);
    federation.nextModel(first);
    expect(() => federation.runRound(2, updates)).toThrow('did not end');
    expect(federation.refusals.map((refusal) => refusal.rejected)).toContain('BUDGET_EXCEEDED');
  });

  it('trains on: a second round starts from the next model', () => {
    const federation = new MemoryFederation(setting());
    const updates = updatesOf(federation.nodeNames);
    federation.nextModel(federation.runRound(1, updates));
    const second = federation.runRound(2, updates);
    expect(second.record.modelNumber).toBe(1);
    expect(federation.openings.get(second.id)!.values).toEqual(sumOf(updates, cohortOf(second)));
  });
});
