import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auc } from '../../src/learning/auc.ts';
import { evaluateHistogram, type ScoreBins, scoreHistogram } from '../../src/learning/evaluation.ts';
import { seededRandom } from '../../src/learning/random.ts';

/** Few distinct scores, so that ties are common. */
const scoredRow = fc.tuple(
  fc.integer({ min: -12, max: 12 }).map((value) => value / 3),
  fc.integer({ min: 0, max: 1 }),
);
const bothLabels = fc
  .array(scoredRow, { minLength: 2, maxLength: 120 })
  .map((rows) => [...rows, [0.1, 0], [-0.1, 1]] as [number, number][]);
const split = (rows: readonly [number, number][]) => ({
  scores: rows.map(([score]) => score),
  labels: rows.map(([, label]) => label),
});
const BINS: ScoreBins = { count: 16, low: -4, high: 4 };

/** The definition: over all pairs. */
function aucByPairs(scores: readonly number[], labels: readonly number[]): number {
  let pairs = 0;
  let right = 0;
  for (let i = 0; i < scores.length; i++) {
    for (let j = 0; j < scores.length; j++) {
      if (labels[i] !== 1 || labels[j] !== 0) continue;
      pairs++;
      right += scores[i]! > scores[j]! ? 1 : scores[i] === scores[j] ? 0.5 : 0;
    }
  }
  return right / pairs;
}

describe('AUC', () => {
  it('is the share of rightly ordered pairs, ties counting half', () => {
    fc.assert(
      fc.property(bothLabels, (rows) => {
        const { scores, labels } = split(rows);
        expect(auc(scores, labels)).toBeCloseTo(aucByPairs(scores, labels), 12);
      }),
    );
  });

  it('does not change under an increasing map, and turns round under a decreasing one', () => {
    fc.assert(
      fc.property(bothLabels, (rows) => {
        const { scores, labels } = split(rows);
        const exact = auc(scores, labels);
        const increasing = scores.map((score) => Math.exp(score));
        const decreasing = scores.map((score) => -score);
        expect(auc(increasing, labels)).toBe(exact);
        expect(auc(decreasing, labels)).toBeCloseTo(1 - exact, 12);
      }),
    );
  });

  it('refuses one class only, and NaN', () => {
    expect(() => auc([1, 2], [1, 1])).toThrow(expect.objectContaining({ code: 'ONE_CLASS' }));
    expect(() => auc([Number.NaN, 2], [0, 1])).toThrow(expect.objectContaining({ code: 'NOT_FINITE' }));
  });
});

describe('score histogram', () => {
  it('of disjoint rows adds up to that of their union, and one row moves it by norm 1', () => {
    fc.assert(
      fc.property(bothLabels, bothLabels, scoredRow, (left, right, one) => {
        const count = (rows: readonly [number, number][]) => {
          const { scores, labels } = split(rows);
          return scoreHistogram(scores, labels, BINS);
        };
        const sum = count(left).map((value, i) => value + count(right)[i]!);
        expect(count([...left, ...right])).toEqual(sum);
        const moved = count([...left, one]).map((value, i) => value - count(left)[i]!);
        expect(Math.hypot(...moved)).toBe(1);
      }),
    );
  });

  it('gives AUC up to half the share of pairs that one bin holds', () => {
    fc.assert(
      fc.property(bothLabels, (rows) => {
        const { scores, labels } = split(rows);
        const cells = scoreHistogram(scores, labels, BINS);
        const read = evaluateHistogram(cells, BINS);
        let together = 0;
        for (let bin = 0; bin < BINS.count; bin++) together += cells[bin]! * cells[BINS.count + bin]!;
        const bound = together / (2 * read.positives * read.negatives);
        expect(Math.abs(read.auc - auc(scores, labels))).toBeLessThanOrEqual(bound + 1e-12);
        expect(read.aucNoise).toBe(0);
      }),
    );
  });

  it('says how far noise moves AUC: the spread over many draws is what it states', () => {
    const random = seededRandom('auc noise');
    const labels = Array.from({ length: 1500 }, () => Number(random.uniform() < 0.4));
    const scores = labels.map((label) => label + random.normal());
    const cells = scoreHistogram(scores, labels, BINS);
    const exact = evaluateHistogram(cells, BINS).auc;
    const draws = Array.from({ length: 600 }, () =>
      evaluateHistogram(
        cells.map((value) => value + 5 * random.normal()),
        BINS,
        5,
      ),
    );
    const spread = Math.sqrt(draws.reduce((sum, draw) => sum + (draw.auc - exact) ** 2, 0) / draws.length);
    const stated = draws.reduce((sum, draw) => sum + draw.aucNoise, 0) / draws.length;
    expect(spread / stated).toBeGreaterThan(0.85);
    expect(spread / stated).toBeLessThan(1.15);
  });

  it('reads accuracy and calibration; refuses counts that drown in noise', () => {
    const random = seededRandom('calibration');
    const scores = Array.from({ length: 20000 }, () => 2 * random.normal());
    const labels = scores.map((score) => Number(random.uniform() < 1 / (1 + Math.exp(-score))));
    const read = evaluateHistogram(scoreHistogram(scores, labels, BINS), BINS);
    const right = scores.filter((score, i) => score >= 0 === (labels[i] === 1)).length;
    expect(read.accuracy).toBeCloseTo(right / scores.length, 10);
    expect(read.calibrationError).toBeLessThan(0.02);
    // Twice the log-odds are overconfident: the error shows it.
    const bold = evaluateHistogram(
      scoreHistogram(
        scores.map((score) => 2 * score),
        labels,
        BINS,
      ),
      BINS,
    );
    expect(bold.calibrationError).toBeGreaterThan(0.05);
    const few = scoreHistogram([0, 1], [0, 1], BINS);
    expect(() => evaluateHistogram(few, BINS, 9)).toThrow(expect.objectContaining({ code: 'ONE_CLASS' }));
  });
});
