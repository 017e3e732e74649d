import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import type { Interval } from './bootstrap.ts';
import type { Comparison, Verdict } from './compare.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import { type FigureName, figuresOf, strongestOf } from './figures.ts';
import type { Findings } from './findings.ts';
import type { ProcessRun } from './processes.ts';
import { epsilonName, MODEL, mean } from './words.ts';

const TITLE = 'One model for all regions: what it gains, and what privacy costs';

const number = (value: number): string => value.toFixed(4);
/** What rounds to zero has no sign. */
const signed = (value: number): string => {
  const digits = value.toFixed(4);
  return Number(digits) === 0 ? '0.0000' : `${value < 0 ? '' : '+'}${digits}`;
};
const ranged = ({ value, low, high }: Interval): string => `${number(value)} (${number(low)} to ${number(high)})`;
const signedRange = ({ value, low, high }: Interval): string => `${signed(value)} (${signed(low)} to ${signed(high)})`;

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
  const { dataset, kind, regions, baseline, comparisons, inputs } = findings;
  const alone = baseline.regionOnly.map(({ auc }) => auc);
  const strongest = strongestOf(findings);
  const figures = await figuresOf(findings);
  const figure = (name: FigureName): Block[] => [figures.get(name) ?? []].flat();
  return [
    { kind: 'heading', level: 2, text: `${dataset}, ${MODEL[kind]}` },
    {
      kind: 'text',
      text: `${regions.length} regions, ${regions.reduce((sum, r) => sum + r.trainRows, 0)} rows to train on and ${regions.reduce((sum, r) => sum + r.heldOutRows, 0)} held out, ${inputs} inputs. Centralised (all rows in one place): AUC ${ranged(baseline.central.auc)}. Region only: ${number(mean(alone))} on average, ${number(Math.max(...alone))} at best.`,
    },
    { kind: 'list', items: comparisons.map(sentenceOf) },
    ...figure('privacy'),
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
        run.spentPerRound === null ? 'not counted' : `epsilon ${run.spentPerRound.at(-1)!.toFixed(3)}`,
        `${run.exactSums} of ${run.rounds}`,
        run.msPerRound.toFixed(0),
      ]),
    },
    ...figure('budget'),
    ...figure('calibration'),
    ...figure('convergence'),
    ...figure('regions'),
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
    ...figure('region-rounds'),
    ...(findings.processes === undefined ? [] : processWords(findings.processes, comparisons)),
    ...figure('processes'),
  ];
}

/** What the same job came to over processes. */
function processWords(split: ProcessRun, comparisons: readonly Comparison[]): Block[] {
  const { epsilon, processes, rounds, aucPerRound, exactSums, msPerRound, leaves } = split;
  const { run } = comparisons.find((comparison) => comparison.run.epsilon === epsilon)!;
  const gaps = aucPerRound.map((auc, i) => Math.abs(auc - run.aucPerRound[i]!));
  const settled = gaps.slice(rounds >> 1);
  return [
    { kind: 'heading', level: 3, text: 'The same job, every party a process' },
    {
      kind: 'text',
      text: `At ${epsilonName(epsilon)} the job ran once more as ${processes} processes over gRPC and mutual TLS 1.3: coordinator, aggregators, quorum, witnesses, recipient, and a node for each region with a table of its own, ${rounds} rounds of ${run.rounds}. In ${exactSums} of ${rounds} rounds the opened sum was, integer by integer, the sum of what the nodes had written down. AUC after round ${rounds}: ${number(aucPerRound.at(-1)!)} over processes, ${number(run.aucPerRound[rounds - 1]!)} in one process; noise is drawn anew in each, and in the second half of the rounds they are at most ${number(Math.max(...settled))} apart. A round took ${(msPerRound / 1000).toFixed(1)} s, with training, evaluation and comparing. Its log of ${leaves} leaves was audited with all blobs: verified.`,
    },
  ];
}

const MARK: Readonly<Record<Verdict, string>> = { gain: '▲', 'no gain shown': '=', worse: '▼' };
const KIND = { logistic: 'logistic', mlp: 'network' } as const;

function cellOf(comparison: Comparison | undefined): string {
  return comparison === undefined ? '' : `${number(comparison.measures.auc.value)} ${MARK[comparison.verdict]}`;
}

function summaryOf(all: readonly Findings[]): Block[] {
  const epsilons = [...new Set(all.flatMap(({ comparisons }) => comparisons.map(({ run }) => run.epsilon)))];
  return [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: 'Every federated run went through the real cryptography: each node quantised, noised and encrypted its update, and the opened sum was compared, integer by integer, with what the nodes had put in. AUC is the chance that a positive row is ranked above a negative one: 0.5 is guessing, 1 is perfect. Ranges in brackets are 95 % intervals; a gain is claimed only where its whole interval is above zero.',
    },
    {
      kind: 'table',
      head: ['dataset', 'model', 'centralised', 'region only, mean (best)', ...epsilons.map(epsilonName)],
      rows: all.map(({ dataset, kind, baseline, comparisons }) => {
        const alone = baseline.regionOnly.map(({ auc }) => auc);
        const cells = epsilons.map((epsilon) => cellOf(comparisons.find(({ run }) => run.epsilon === epsilon)));
        const regionOnly = `${number(mean(alone))} (${number(Math.max(...alone))})`;
        return [dataset, KIND[kind], number(baseline.central.auc.value), regionOnly, ...cells];
      }),
    },
    {
      kind: 'text',
      text: `AUC of the federated model under each promise of privacy, the smaller epsilon the stronger. ${MARK.gain}: better than the regions' own models are on average; ${MARK['no gain shown']}: no gain shown; ${MARK.worse}: worse. The intervals are in each dataset's section, with the regions that do better alone.`,
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
