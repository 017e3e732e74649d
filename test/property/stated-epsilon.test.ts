import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { budgetRhoNano, epsilonInLog } from '../../protocols/accountant.ts';
import { isWithinEpsilon } from '../../protocols/stated-epsilon.ts';

// What a genesis may state, in integers, held against the accountant in doubles, which is held against published values
// (test/kat/accountant).

const stated = fc.record({
  unit: fc.constant('record' as const),
  epsilonMicro: fc.oneof(fc.integer({ min: 1000, max: 1_000_000 }), fc.integer({ min: 1_000_000, max: 1_000_000_000 })),
  deltaExponent: fc.integer({ min: 1, max: 30 }),
  renyiOrder: fc.option(fc.integer({ min: 2, max: 64 }), { nil: undefined }),
});

describe('the epsilon that a genesis states', () => {
  it('is never less than it may be where founders took the budget for it', () => {
    fc.assert(
      fc.property(stated, (budget) => {
        let rhoNano: number;
        try {
          rhoNano = Number(budgetRhoNano(budget.epsilonMicro / 1e6, 10 ** -budget.deltaExponent, budget.renyiOrder));
        } catch {
          return; // this order leaves nothing of this epsilon
        }
        expect(isWithinEpsilon({ ...budget, rhoNano })).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused where, and only where, the budget is worth more than a millionth above it', () => {
    fc.assert(
      fc.property(stated, fc.integer({ min: 1, max: 10 ** 12 }), (budget, rhoNano) => {
        const worth = epsilonInLog(budget, rhoNano) / (1 + 1e-6);
        // Doubles are right to 1e-9 here, and a micro is as fine as genesis says it.
        const enough = Math.ceil(worth * 1e6 * (1 + 1e-9)) + 1;
        const little = Math.floor(worth * 1e6 * (1 - 1e-9)) - 1;
        expect(isWithinEpsilon({ ...budget, rhoNano, epsilonMicro: enough })).toBe(true);
        if (little > 0) expect(isWithinEpsilon({ ...budget, rhoNano, epsilonMicro: little })).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});
