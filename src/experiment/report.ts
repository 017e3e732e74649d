import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { drawConvergence } from '../report/convergence-plot.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import type { Interval } from './bootstrap.ts';
import type { Comparison } from './compare.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import type { Findings } from './experiment.ts';
import type { Epsilon } from './runs.ts';

const MODEL = { logistic: 'logistic regression', mlp: 'neural network (one hidden layer)' } as const;
const TITLE = 'One model for all regions: what it gains, and what privacy costs';

const number = (value: number): string => value.toFixed(4);
const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
const ranged = ({ value, low, high }: Interval): string => `${number(value)} (${number(low)} to ${number(high)})`;
const signedRange = ({ value, low, high }: Interval): string => `${signed(value)} (${signed(low)} to ${signed(high)})`;
const epsilonName = (epsilon: Epsilon): string => (epsilon === 'none' ? 'no privacy' : `epsilon ${epsilon}`);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** AUC below this is called hardly better than guessing. */
const WEAK_AUC = 0.6;

/** What a manager takes away, in a sentence a run. Nothing is claimed that an interval does not show. */
function sentenceOf({ run, measures, overMean, verdict, regions }: Comparison): string {
  const what = `${epsilonName(run.epsilon)}: AUC ${number(measures.auc.value)}`;
  const weak = measures.auc.value < WEAK_AUC ? ' There is hardly anything to learn in this table.' : '';
  const than = "on all regions' rows than the regions' own models are on average";
  const losing = regions.filter(({ gain }) => gain.high < 0).map(({ region }) => region);
  const losers =
    losing.length === 0 ? '' : ` On their own rows these do better with their own model: ${losing.join(', ')}.`;
  if (verdict === 'gain') return `${what}, ${signedRange(overMean)} better ${than}.${losers}${weak}`;
  if (verdict === 'worse') return `${what}, worse ${than}: ${signedRange(overMean)}.${weak}`;
  return `${what}. No gain shown: the difference ${signedRange(overMean)} may be chance.${losers}${weak}`;
}

async function sectionOf(findings: Findings): Promise<Block[]> {
  const { dataset, kind, regions, baseline, comparisons, curves, inputs } = findings;
  const base = `${dataset}-${kind}`;
  const alone = baseline.regionOnly.map(({ auc }) => auc);
  const strongest = comparisons.at(-1)!;
  const points = (aucs: readonly number[], from: number) => aucs.map((auc, i) => ({ round: i + from, auc }));
  const convergence = await drawConvergence({
    title: `${dataset}: AUC by round, ${MODEL[kind]}`,
    subtitle: `federated at ${epsilonName(strongest.run.epsilon)}, record level, delta 1e-5`,
    global: points(strongest.run.aucPerRound, 1),
    central: points(curves.central, 0),
    regionOnly: curves.regionOnly.map(({ region, aucPerRound }) => ({ region, points: points(aucPerRound, 0) })),
  });
  const privacy = await drawIntervals({
    title: `${dataset}: accuracy against privacy, ${MODEL[kind]}`,
    subtitle: "95 % intervals by resampling all regions' held-out rows",
    axis: 'AUC',
    intervals: comparisons.map(({ run, measures }) => ({ at: epsilonName(run.epsilon), ...measures.auc })),
    marks: [
      { label: `region only ${mean(alone).toFixed(3)}`, value: mean(alone) },
      { label: `centralised ${baseline.central.auc.value.toFixed(3)}`, value: baseline.central.auc.value },
    ],
  });
  const gains = await drawIntervals({
    title: `${dataset}: what each region gains, ${MODEL[kind]}`,
    subtitle: `AUC on the region's own held-out rows: common model (${epsilonName(strongest.run.epsilon)}) less its own model`,
    axis: 'gain in AUC',
    intervals: strongest.regions.map(({ region, gain }) => ({ at: region, ...gain })),
    marks: [{ label: 'no difference', value: 0 }],
  });
  return [
    { kind: 'heading', level: 2, text: `${dataset}, ${MODEL[kind]}` },
    {
      kind: 'text',
      text: `${regions.length} regions, ${regions.reduce((sum, r) => sum + r.trainRows, 0)} rows to train on and ${regions.reduce((sum, r) => sum + r.heldOutRows, 0)} held out, ${inputs} inputs. Centralised (all rows in one place): AUC ${ranged(baseline.central.auc)}. Region only: ${number(mean(alone))} on average, ${number(Math.max(...alone))} at best.`,
    },
    { kind: 'list', items: comparisons.map(sentenceOf) },
    { kind: 'figure', file: `${base}-privacy.svg`, alt: `AUC of ${dataset} against epsilon`, svg: privacy },
    {
      kind: 'table',
      head: ['privacy', 'AUC', 'over region only', 'over the best one', 'below centralised'],
      rows: comparisons.map(({ run, measures, overMean, overBest, belowCentral }) => [
        epsilonName(run.epsilon),
        ranged(measures.auc),
        signedRange(overMean),
        signedRange(overBest),
        signedRange(belowCentral),
      ]),
    },
    {
      kind: 'table',
      head: ['privacy', 'accuracy', 'Brier score', 'calibration error', 'spent', 'sums exact', 'ms a round'],
      rows: comparisons.map(({ run, measures }) => [
        epsilonName(run.epsilon),
        ranged(measures.accuracy),
        ranged(measures.brier),
        number(measures.calibrationError),
        run.spent === null ? 'not counted' : `epsilon ${run.spent.toFixed(3)}`,
        `${run.exactSums} of ${run.rounds}`,
        run.msPerRound.toFixed(0),
      ]),
    },
    { kind: 'figure', file: `${base}-convergence.svg`, alt: `AUC of ${dataset} by round`, svg: convergence },
    { kind: 'figure', file: `${base}-regions.svg`, alt: `gain of each region of ${dataset}`, svg: gains },
    {
      kind: 'table',
      head: ['region', 'rows', 'held out', 'own model', 'common model', 'gain'],
      rows: strongest.regions.map((region) => [
        region.region,
        String(region.trainRows),
        String(region.heldOutRows),
        number(region.own),
        number(region.federated),
        signedRange(region.gain),
      ]),
    },
  ];
}

function summaryOf(all: readonly Findings[]): Block[] {
  return [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: 'Every federated run went through the real cryptography: each node quantised, noised and encrypted its update, and the opened sum was compared, integer by integer, with what the nodes had put in. AUC is the chance that a positive row is ranked above a negative one: 0.5 is guessing, 1 is perfect. Ranges in brackets are 95 % intervals; a gain is claimed only where its whole interval is above zero.',
    },
    {
      kind: 'table',
      head: ['dataset', 'model', 'centralised', 'region only, mean (best)', 'privacy', 'federated', 'verdict'],
      rows: all.flatMap(({ dataset, kind, baseline, comparisons }) =>
        comparisons.map(({ run, measures, verdict, regions }) => {
          const alone = baseline.regionOnly.map(({ auc }) => auc);
          const regionOnly = `${number(mean(alone))} (${number(Math.max(...alone))})`;
          const central = number(baseline.central.auc.value);
          const losing = regions.filter(({ gain }) => gain.high < 0).length;
          const losers = losing === 0 ? '' : `; ${losing} of ${regions.length} regions lose`;
          const privacy = epsilonName(run.epsilon);
          return [dataset, kind, central, regionOnly, privacy, ranged(measures.auc), `${verdict}${losers}`];
        }),
      ),
    },
    {
      kind: 'text',
      text: 'Region-only and centralised models are trained with as many rounds, without noise or clipping. A region loses where the whole interval of its gain, on its own rows, is below zero. The held-out rows are chosen by a public rule. Resampling says how much the result depends on which rows were held out, not on the draw of the noise: each run was made once.',
    },
  ];
}

/** Writes `report.md`, `report.html` and the figures. */
export async function writeReport(out: string, all: readonly Findings[]): Promise<void> {
  const blocks = [...summaryOf(all)];
  for (const findings of all) blocks.push(...(await sectionOf(findings)));
  mkdirSync(out, { recursive: true });
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}
