import { describe, expect, test } from 'vitest';
import { type DemoReport, formatReport, progressOf, type RoundReport } from '../../src/demo/report.ts';

const released: RoundReport = {
  ...{ round: 1, auc: 0.75, aucOpened: null, epsilon: 1, attempts: 1, cohort: ['a', 'b', 'c', 'd'], exactSum: true },
  ...{ bytes: { a: 19_000 }, phaseMs: { upload: 400 }, nodeMs: {}, outcome: 'released', reason: null, uploads: 4 },
};
const aborted: RoundReport = {
  ...released,
  ...{ round: 2, auc: null, attempts: 0, cohort: [], exactSum: false, bytes: {} },
  ...{ outcome: 'aborted', reason: 'COHORT_TOO_SMALL', uploads: 0 },
};
const report = (...rounds: readonly RoundReport[]): DemoReport => ({
  ...{ dataset: 'synthetic', synthetic: true, parties: [], rounds, events: [] },
  ...{ reference: { central: 0.8, regionOnly: [] }, curves: { central: [0.5], regionOnly: [] } },
  epsilon: { spent: 1, budget: 8, delta: 1e-5 },
});

describe('what the demonstration says of a round', () => {
  test('without a sum is why there is none, never that a sum was wrong', () => {
    const line = progressOf(aborted, 4);
    expect(line).toContain('aborted: COHORT_TOO_SMALL, 0 of 4 nodes uploaded in time');
    const table = formatReport(report(released, aborted));
    expect(table).toContain('COHORT_TOO_SMALL');
    expect(line + table).not.toContain('NOT EXACT');
  });

  test('control: a released sum that is another one is called so', () => {
    expect(progressOf({ ...released, exactSum: false }, 4)).toContain('SUM NOT EXACT');
    expect(formatReport(report({ ...released, exactSum: false }))).toContain('NOT EXACT');
    expect(progressOf(released, 4)).toContain('sum exact');
  });
});
