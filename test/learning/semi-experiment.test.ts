import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { hideLabels, runSemi } from '../../src/experiment/semi.ts';
import { loadDataset } from '../../src/learning/datasets.ts';

const work = mkdtempSync(join(tmpdir(), 'veilsum-semi-'));
afterAll(() => rmSync(work, { recursive: true }));

const { regions, schema } = loadDataset('synthetic', { size: 0.1 });
const blanks = (hidden: typeof regions): number[] =>
  hidden.map(({ train }) => train.columns.get(schema.label.column)!.filter((cell) => cell === '').length);

it('hides labels of training rows alone, the same for a seed, or whole regions', () => {
  const hidden = hideLabels(regions, schema, 80, 'a');
  const share = blanks(hidden).reduce((a, b) => a + b) / regions.reduce((sum, { train }) => sum + train.rowCount, 0);
  expect(share).toBeGreaterThan(0.7);
  expect(share).toBeLessThan(0.9);
  expect(hideLabels(regions, schema, 80, 'a')).toEqual(hidden);
  expect(blanks(hideLabels(regions, schema, 80, 'b'))).not.toEqual(blanks(hidden)); // control: another seed
  expect(hidden.map(({ heldOut }) => heldOut)).toEqual(regions.map(({ heldOut }) => heldOut));
  const known = blanks(hideLabels(regions, schema, 'regions', 'a')).filter((count) => count === 0);
  expect(known).toHaveLength(1);
});

it('compares the four on the same rows, says what became of pseudo labels, and claims no gain that is not there', async () => {
  const lines: string[] = [];
  const findings = await runSemi({
    ...{ dataset: 'synthetic', hide: ['regions'], kind: 'logistic', epsilon: 'none', rounds: 2, seed: 1, out: work },
    pseudo: { confidenceMicro: 700_000, weightParts: 64, fromModel: 1 },
    ...{ weightDecay: 0.01, print: (line: string) => lines.push(line) },
  });
  const [outcome] = findings.outcomes;
  expect(outcome!.exactSums).toBe(6);
  expect(outcome!.unlabelled).toBeGreaterThan(outcome!.labelled);
  expect(outcome!.quality.map(({ model }) => model)).toEqual([1, 2]);
  expect(outcome!.quality[1]!.used).toBeGreaterThan(0);
  expect(outcome!.quality[1]!.wrong).toBeGreaterThan(0);
  const { gain, verdict } = outcome!;
  expect(verdict).toBe(gain.low > 0 ? 'gain' : gain.high < 0 ? 'worse' : 'no gain shown');
  expect(lines.join()).toContain(verdict);
  const html = readFileSync(join(work, 'report.html'), 'utf8');
  expect(html.match(/<svg/g)).toHaveLength(1);
  expect(html).toContain('all regions but the largest');
  expect(readFileSync(join(work, 'report.md'), 'utf8')).toContain('semi.svg');
  expect(readdirSync(work).filter((name) => name.startsWith('work'))).toEqual([]);
});

it('is refused where pseudo labels would begin after the last round: nothing would be compared', async () => {
  const run = runSemi({
    ...{ dataset: 'synthetic', hide: [80], kind: 'logistic', epsilon: 'none', rounds: 3, seed: 1, out: work },
    pseudo: { confidenceMicro: 900_000, weightParts: 64, fromModel: 50 },
    ...{ weightDecay: 0.01, print: () => {} },
  });
  await expect(run).rejects.toThrow(/from model 50 on, and 3 rounds.*--pseudo-from/);
});
