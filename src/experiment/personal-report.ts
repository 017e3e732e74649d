import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import type { Interval } from './bootstrap.ts';
import { verdictOf } from './compare.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import type { PersonalFindings } from './personal.ts';

const TITLE = 'A head of its own for each region: what it gains';
const MODEL = { logistic: 'logistic regression', mlp: 'neural network' } as const;
const WAY = { fitted: 'fitted to the common model', trained: 'trained with the common layers' } as const;

const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
const range = ({ value, low, high }: Interval): string => `${signed(value)} (${signed(low)} to ${signed(high)})`;
const privacy = ({ epsilon }: PersonalFindings): string => (epsilon === 'none' ? 'no privacy' : `epsilon ${epsilon}`);
const nameOf = (found: PersonalFindings): string =>
  `${found.dataset}, ${MODEL[found.kind]}, ${privacy(found)}, head ${WAY[found.way]}`;

/** What a manager takes away. Nothing is claimed that an interval does not show. */
function sentenceOf(found: PersonalFindings): string {
  const by = (verdict: string): string[] =>
    found.regions.filter(({ overCommon }) => verdictOf(overCommon) === verdict).map(({ region }) => region);
  const [better, worse] = [by('gain'), by('worse')];
  const said = [
    ...(better.length > 0 ? [`better than with the common model: ${better.join(', ')}`] : ['no region shows a gain']),
    ...(worse.length > 0 ? [`worse: ${worse.join(', ')}`] : []),
  ];
  return `On average ${range(found.overCommon)} over the common model and ${range(found.overOwn)} over a region alone; ${said.join('; ')}.`;
}

async function sectionOf(found: PersonalFindings): Promise<Block[]> {
  const svg = await drawIntervals({
    title: `${found.dataset}: what each region gains by a head of its own, ${MODEL[found.kind]}`,
    subtitle: `AUC on the region's own held-out rows, less the common model's (${privacy(found)}); head ${WAY[found.way]}`,
    axis: 'gain in AUC',
    intervals: found.regions.map(({ region, overCommon }) => ({ at: region, ...overCommon })),
    marks: [{ label: 'no difference', value: 0 }],
  });
  const file = `${found.dataset}-${found.kind}-${found.epsilon}-${found.way}.svg`;
  return [
    { kind: 'heading', level: 2, text: nameOf(found) },
    { kind: 'text', text: sentenceOf(found) },
    { kind: 'figure', file, alt: `gain of each region of ${found.dataset}`, svg },
    {
      kind: 'table',
      head: [
        'region',
        'rows',
        'held out',
        'alone',
        'common',
        'personal',
        'over common',
        'over alone',
        'common head counts as',
      ],
      rows: found.regions.map((region) => [
        region.region,
        ...[region.trainRows, region.heldOutRows].map(String),
        ...[region.own, region.common, region.personal].map((auc) => auc.toFixed(4)),
        ...[region.overCommon, region.overOwn].map(range),
        found.way === 'trained'
          ? 'trained from the start'
          : region.strength === null
            ? 'kept'
            : region.strength === 1
              ? '1 row'
              : `${region.strength} rows`,
      ]),
    },
  ];
}

/** Writes `report.md`, `report.html` and the figures. */
export async function writePersonalReport(out: string, all: readonly PersonalFindings[]): Promise<void> {
  const blocks: Block[] = [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: "AUC on each region's own held-out rows, with 95 % intervals by resampling them; a gain is claimed only where its whole interval is above zero. Alone: the region's own model, trained without noise. Common: one model for all, every opened sum of its training compared with what the nodes had put in. Personal: its last layer is the region's own. A head that is fitted afterwards never leaves its region and costs no privacy; cross-validation on the region's training rows says how far it may move from the common one, and it is kept where nothing better is shown.",
    },
    {
      kind: 'table',
      head: ['model', 'over the common model', 'over a region alone', 'verdict', 'sums exact'],
      rows: all.map((found) => [
        nameOf(found),
        range(found.overCommon),
        range(found.overOwn),
        verdictOf(found.overCommon),
        `${found.exactSums} of ${found.rounds}`,
      ]),
    },
  ];
  for (const found of all) blocks.push(...(await sectionOf(found)));
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}
