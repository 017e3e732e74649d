import { describe, expect, it, vi } from 'vitest';
import { realKit, toyKit } from '../../src/simulate/kits.ts';
import { runSeed } from '../../src/simulate/run.ts';

/** Set for the control: a decided round is then not counted as spent. */
const planted = vi.hoisted(() => ({ isFree: false }));

vi.mock('../../protocols/ledger.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/ledger.ts')>();
  const charge: typeof original.charge = (ledger, round) => {
    const charged = original.charge(ledger, round);
    return planted.isFree && 'spentRhoNano' in charged ? { ...charged, spentRhoNano: ledger.spentRhoNano } : charged;
  };
  return { ...original, charge };
});

describe('P5 P10 P13 P18 P26 P27 simulated federations', () => {
  it('hold their invariants over crashes, lost and repeated messages, lies and forks', () => {
    const seeds = Array.from({ length: 40 }, (_, i) => i + 1);
    const verdicts = seeds.map((seed) => runSeed(seed, toyKit()));
    expect(verdicts.filter(({ failure }) => failure !== null)).toEqual([]);
    const outcomes = verdicts.flatMap(({ outcome }) => outcome).join('\n');
    // The faults leave rounds that end in both ways, so that neither is only ever assumed.
    expect(outcomes).toMatch(/released/);
    expect(outcomes).toMatch(/aborted/);
  });

  it('run alike from equal seeds', () => {
    const [first, second] = [runSeed(8, toyKit()), runSeed(8, toyKit())];
    expect(second).toEqual(first);
    expect(runSeed(9, toyKit()).steps).not.toBe(first.steps);
  });

  it('end with the same verdict with the real cryptography', async () => {
    const seed = 4;
    const [toy, real] = [runSeed(seed, toyKit()), runSeed(seed, await realKit())];
    expect(toy.failure).toBeNull();
    expect(real).toEqual(toy);
  });

  it('control: a ledger that forgets a charge is found', () => {
    planted.isFree = true;
    const found = Array.from({ length: 10 }, (_, i) => runSeed(i + 1, toyKit()).failure?.id);
    planted.isFree = false;
    expect(found).toContain('S9');
  });
});
