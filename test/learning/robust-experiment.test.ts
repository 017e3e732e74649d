import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { badUpdate, poisonedRows, quietColumn, triggered } from '../../src/experiment/attacks.ts';
import { runRobust, splitAmong } from '../../src/experiment/robust.ts';

const work = mkdtempSync(join(tmpdir(), 'veilsum-robust-'));
afterAll(() => rmSync(work, { recursive: true }));

const matrix = (rows: readonly (readonly number[])[], y: readonly number[]) => ({
  rows: rows.length,
  width: rows[0]!.length,
  x: Float32Array.from(rows.flat()),
  y: Uint8Array.from(y),
  outside: new Map<string, number>(),
});

describe('what bad nodes send', () => {
  const honest = [
    [1, 10],
    [3, 10],
    [5, 10],
    [3, 10],
    [3, 10],
    [3, 10],
    [3, 10],
  ].map((row) => Float64Array.from(row));

  it('turns, lengthens or replaces an update', () => {
    const own = Float64Array.of(2, -1);
    expect([...badUpdate('sign-flip', own, honest, 1)]).toEqual([-2, 1]);
    expect([...badUpdate('scaling', own, honest, 1)]).toEqual([-20, 10]);
    // As long as all nodes together, so that the plain mean becomes this update.
    expect([...badUpdate('backdoor', own, honest, 1)]).toEqual([16, -8]);
    expect(badUpdate('label-flip', own, honest, 1)).toBe(own);
  });

  it('little is enough: z deviations below the mean, no coordinate moved where honest nodes agree', () => {
    const sent = badUpdate('little-is-enough', honest[0]!, honest, 3);
    const sigma = Math.sqrt(8 / 7);
    // 10 nodes, 3 bad: s = 6 - 3 = 3 supporters, z = the normal quantile of (7 - 3) / 7.
    expect(sent[0]!).toBeCloseTo(3 - 0.18 * sigma, 1);
    expect(sent[1]).toBe(10);
  });

  it('trains on other labels, or on its own rows and marked ones', () => {
    const rows = matrix(
      [
        [1, 0.1],
        [-1, -0.1],
      ],
      [1, 0],
    );
    expect(quietColumn(rows)).toBe(1);
    expect([...poisonedRows('label-flip', rows, 1).y]).toEqual([0, 1]);
    const marked = poisonedRows('backdoor', rows, 1);
    expect([...marked.x]).toEqual([...rows.x, 1, 8, -1, 8]);
    expect([...marked.y]).toEqual([1, 0, 1, 1]);
    expect([...triggered(rows, 0).x].filter((_, i) => i % 2 === 0)).toEqual([8, 8]);
  });
});

it('deals every row to one node of its region', () => {
  const region = (name: string, value: number) => {
    const train = matrix(
      Array.from({ length: 7 }, (_, i) => [value + i]),
      [0, 1, 0, 1, 0, 1, 0],
    );
    return { name, train, heldOut: train };
  };
  const nodes = splitAmong([region('a', 0), region('b', 100)], 5, 1);
  expect(nodes.map(({ rows }) => rows)).toEqual([3, 4, 2, 3, 2]);
  expect(nodes.flatMap(({ x }) => [...x]).sort((a, b) => a - b)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 100, 101, 102, 103, 104, 105, 106,
  ]);
});

it('shows what each defence keeps out, with exact sums and a report', async () => {
  const findings = await runRobust({
    ...{ dataset: 'synthetic', attacks: ['scaling'], percents: [10], rule: 'median', nodes: 10, buckets: 3 },
    ...{ rounds: 1, seed: 1, out: work, print: () => {} },
  });
  const [, , , none, buckets, clear] = findings.outcomes;
  expect(findings.outcomes.map(({ exactSums }) => exactSums)).toEqual([0, 3, 0, 0, 3, 0]);
  expect([none!.defence, buckets!.defence, clear!.defence]).toEqual(['none', 'buckets', 'in the clear']);
  expect(buckets!.mostPoisoned).toBe(1);
  // One node of ten that sends ten times its update, turned round, takes nearly all of the mean away, and nothing of a median.
  expect(none!.auc.value).toBeLessThan(buckets!.auc.value - 0.05);
  expect(none!.auc.value).toBeLessThan(clear!.auc.value - 0.05);
  const html = readFileSync(join(work, 'report.html'), 'utf8');
  expect(html.match(/<svg/g)).toHaveLength(1);
  expect(html).toContain('buckets (encrypted)');
  expect(readFileSync(join(work, 'report.md'), 'utf8')).toContain('scaling.svg');
});
