import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import type { Interval } from './bootstrap.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import type { SemiFindings, SemiOutcome } from './semi.ts';

const TITLE = 'Rows without a label: what pseudo labels add, and what they do not';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const auc = ({ value, low, high }: Interval): string => `${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})`;
const hiddenWords = ({ hide }: SemiOutcome): string =>
  hide === 'regions' ? 'all regions but the largest' : `${hide} % at random`;

/** Writes `report.md`, `report.html` and the figures. */
export async function writeSemiReport(out: string, findings: SemiFindings): Promise<void> {
  const blocks = await blocksOf(findings);
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}

async function blocksOf(findings: SemiFindings): Promise<Block[]> {
  const { dataset, kind, epsilon, rounds, pseudo, weightDecay, allLabels, outcomes } = findings;
  const privacy = epsilon === 'none' ? 'no privacy' : `record-level epsilon ${epsilon}`;
  const exact = outcomes.reduce((sum, outcome) => sum + outcome.exactSums, 0);
  const svg = await drawIntervals({
    title: 'AUC on held-out rows, by which labels are hidden',
    subtitle: '95 % intervals by resampling held-out rows; line: all labels',
    axis: 'AUC',
    intervals: outcomes.flatMap((outcome) => {
      const of = hiddenWords(outcome);
      return [
        { at: `${of}: labelled only`, ...outcome.labelledOnly },
        { at: `${of}: with weight decay`, ...outcome.weightDecay },
        { at: `${of}: pseudo labels`, ...outcome.pseudo },
      ];
    }),
    marks: [{ label: `all labels ${allLabels.value.toFixed(3)}`, value: allLabels.value }],
  });
  return [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: `${dataset}, ${kind === 'mlp' ? 'a network' : 'logistic regression'}, ${rounds} rounds, ${privacy}; labels of training rows are hidden, held-out labels are not. Pseudo labels: where the round's model is ${pseudo.confidenceMicro / 1e6} sure, from model ${pseudo.fromModel} on, each counting ${pseudo.weightParts / 64}. ${exact} opened sums were compared with the plain ones, and equal. Intervals are 95 %, over which rows were held out; which labels are hidden was drawn once, every run was made once.`,
    },
    {
      kind: 'list',
      items: [
        'A gain is said only where the whole interval of the paired difference is above 0.',
        `The second comparison is with labelled rows and a weight decay of ${weightDecay}: pseudo labels also keep weights from growing, and where a weight decay does as much, the rows without a label told nothing.`,
        'The last table shows confirmation: how many pseudo labels are wrong, and how many more rows they call negative or positive than are.',
      ],
    },
    { kind: 'figure', file: 'semi.svg', alt: 'AUC by hidden labels', svg },
    {
      kind: 'table',
      head: ['hidden', 'rows with a label', 'labelled only', 'with weight decay', 'pseudo labels', 'all labels'],
      rows: outcomes.map((outcome) => [
        ...[hiddenWords(outcome), `${outcome.labelled} of ${outcome.labelled + outcome.unlabelled}`],
        ...[auc(outcome.labelledOnly), auc(outcome.weightDecay), auc(outcome.pseudo), allLabels.value.toFixed(4)],
      ]),
    },
    {
      kind: 'table',
      head: ['hidden', 'over labelled only', '', 'over weight decay', ''],
      rows: outcomes.map((outcome) => [
        ...[hiddenWords(outcome), auc(outcome.gain), outcome.verdict],
        ...[auc(outcome.gainOverDecay), outcome.verdictOverDecay],
      ]),
    },
    {
      kind: 'table',
      head: ['hidden', 'at model', 'rows that get a label', 'of them wrong', 'called positive', 'positive'],
      rows: outcomes.flatMap((outcome) =>
        outcome.quality.map(({ model, used, wrong, calledPositive, positive }) => [
          ...[hiddenWords(outcome), String(model), percent(used), percent(wrong)],
          ...[percent(calledPositive), percent(positive)],
        ]),
      ),
    },
  ];
}
