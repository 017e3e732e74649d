import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { Bootstrap, differences, intervalOf } from '../../src/experiment/bootstrap.ts';
import { verdictOf } from '../../src/experiment/compare.ts';
import { toHtml, toMarkdown } from '../../src/experiment/document.ts';
import { runExperiment } from '../../src/experiment/experiment.ts';
import { calibrationError } from '../../src/experiment/measures.ts';
import { findingsApart } from '../../src/experiment/part.ts';
import { auc } from '../../src/learning/auc.ts';
import { seededRandom } from '../../src/learning/random.ts';

const work = mkdtempSync(join(tmpdir(), 'veilsum-experiment-'));
afterAll(() => rmSync(work, { recursive: true }));

/** Scores of two classes, one standard deviation apart where `signal` is 1. */
function draw(rows: number, signal: number, seed: string) {
  const random = seededRandom(seed);
  const labels = Uint8Array.from({ length: rows }, () => (random.uniform() < 0.3 ? 1 : 0));
  const scores = Float64Array.from(labels, (label) => signal * label + random.normal());
  return { labels, scores };
}

describe('bootstrap', () => {
  it('measures what auc() measures, and an interval as wide as theory says', () => {
    const { labels, scores } = draw(1500, 1, 'wide');
    const aucs = new Bootstrap(labels, 'test').auc(scores);
    expect(aucs[0]).toBe(auc(scores, labels));
    const { low, high } = intervalOf(aucs);
    // Hanley and McNeil, Radiology 143 (1982): the standard error of an area.
    const a = aucs[0]!;
    const [positives, negatives] = [labels.filter((y) => y === 1).length, labels.filter((y) => y === 0).length];
    const [q1, q2] = [a / (2 - a), (2 * a * a) / (1 + a)];
    const variance = a * (1 - a) + (positives - 1) * (q1 - a * a) + (negatives - 1) * (q2 - a * a);
    const width = 2 * 1.96 * Math.sqrt(variance / (positives * negatives));
    expect((high - low) / width).toBeGreaterThan(0.8);
    expect((high - low) / width).toBeLessThan(1.25);
  });

  it('shows no gain between two models that both know nothing, and a gain where one knows something', () => {
    const nothing = draw(1500, 0, 'nothing');
    const bootstrap = new Bootstrap(nothing.labels, 'test');
    const other = Float64Array.from(nothing.labels, (_, i) => Math.sin(i));
    const known = Float64Array.from(nothing.labels, (label, i) => label + nothing.scores[i]!);
    const over = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      verdictOf(intervalOf(differences(bootstrap.auc(a), bootstrap.auc(b))));
    expect(over(nothing.scores, other)).toBe('no gain shown');
    expect(over(known, nothing.scores)).toBe('gain');
    expect(over(nothing.scores, known)).toBe('worse');
  });

  it('refuses rows of one class by name', () => {
    expect(() => new Bootstrap(new Uint8Array(10), 'test')).toThrow(expect.objectContaining({ code: 'ONE_CLASS' }));
  });
});

it('calls a model calibrated whose probabilities are the shares, and one that is too sure not', () => {
  const random = seededRandom('calibration');
  const scores = Float64Array.from({ length: 20_000 }, () => 2 * random.normal());
  const labels = Uint8Array.from(scores, (score) => (random.uniform() < 1 / (1 + Math.exp(-score)) ? 1 : 0));
  expect(calibrationError(scores, labels)).toBeLessThan(0.02);
  expect(
    calibrationError(
      scores.map((score) => 3 * score),
      labels,
    ),
  ).toBeGreaterThan(0.08);
});

it('renders what people wrote as text, never as markup', () => {
  const blocks = [{ kind: 'text', text: '<script>alert(1)</script>' }] as const;
  expect(toHtml('a "title"', blocks)).not.toContain('<script>');
  expect(toMarkdown(blocks)).toContain('alert');
});

describe('an experiment', () => {
  it('says in its own words what went wrong in another process', async () => {
    vi.stubEnv('VEILSUM_DATA', '');
    const options = { models: ['logistic'], epsilons: ['none'], optimiser: 'momentum', out: work, seed: 1 } as const;
    await expect(findingsApart('leads', { ...options, print: () => {} })).rejects.toMatchObject({
      code: 'DATA_NOT_FOUND',
      message: expect.stringContaining('VEILSUM_DATA'),
    });
    vi.unstubAllEnvs();
  });

  it('writes a report, compares every sum, and keeps its runs', async () => {
    const lines: string[] = [];
    const options = {
      datasets: ['synthetic'],
      models: ['logistic'],
      epsilons: ['none', 8],
      optimiser: 'momentum',
      rounds: 3,
      out: work,
      seed: 1,
      print: (line: string) => void lines.push(line),
    } as const;
    const [findings] = await runExperiment(options);
    const [free, private_] = findings!.comparisons;
    expect(free!.run).toMatchObject({ exactSums: 3, spentPerRound: null });
    expect(private_!.run).toMatchObject({ exactSums: 3 });
    // What is spent grows with every round, and ends within the budget.
    const spent = private_!.run.spentPerRound!;
    expect(spent).toEqual([...spent].sort((a, b) => a - b));
    expect(spent.at(-1)).toBeLessThanOrEqual(8);
    expect(spent.at(-1)).toBeGreaterThan(7.9);
    // What was traced last is what is measured at the end, and every region was looked at in every round.
    expect(private_!.run.aucPerRound.at(-1)).toBe(private_!.measures.auc.value);
    expect(private_!.run.calibrationErrorPerRound.at(-1)).toBe(private_!.measures.calibrationError);
    expect(
      private_!.run.regionAucs.map(({ region, aucPerRound }) => [region, aucPerRound.length, aucPerRound.at(-1)]),
    ).toEqual(private_!.regions.map(({ region, federated }) => [region, 3, federated]));
    // Without clipping and with next to no noise the federated steps are the centralised ones.
    expect(Math.abs(free!.belowCentral.value)).toBeLessThan(0.002);
    const html = readFileSync(join(work, 'report.html'), 'utf8');
    expect(html.match(/<svg/g)).toHaveLength(6);
    expect(readFileSync(join(work, 'report.md'), 'utf8')).toContain('synthetic-logistic-regions.svg');
    lines.length = 0;
    const [again] = await runExperiment(options);
    expect(lines.filter((line) => line.includes('kept from before'))).toHaveLength(2);
    expect(again!.comparisons).toEqual(findings!.comparisons);
    // A process of its own finds the same, and tells what it does.
    lines.length = 0;
    expect(await findingsApart('synthetic', options)).toEqual([findings]);
    expect(lines.filter((line) => line.includes('kept from before'))).toHaveLength(2);
    // Another number of rounds is another run.
    lines.length = 0;
    await runExperiment({ ...options, epsilons: [8], rounds: 2 });
    expect(lines.join('\n')).not.toContain('kept from before');
    // Other rows are another run, though there are as many.
    lines.length = 0;
    await runExperiment({ ...options, epsilons: [8], rounds: 2, seed: 2 });
    expect(lines.join('\n')).not.toContain('kept from before');
  });
});
