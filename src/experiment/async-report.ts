import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { aucAxis } from '../report/convergence-plot.ts';
import { BLUE, COLOURS, drawLines } from '../report/line-plot.ts';
import type { AsyncFindings, AsyncOutcome } from './async.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';

const TITLE = 'Slow nodes: rounds that wait for them, and rounds that do not';
const WORDS = { pairwise: 'waits for all (masks)', none: 'buffered (masking none)' } as const;

/** Writes `report.md`, `report.html` and the figure. */
export async function writeAsyncReport(out: string, findings: AsyncFindings): Promise<void> {
  const blocks = await blocksOf(findings);
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}

/** When the AUC first came as close as 0.005 to the end of the rounds that wait; null: never. */
function reached({ points }: AsyncOutcome, goal: number): number | null {
  return points.find(({ auc }) => auc >= goal - 0.005)?.at ?? null;
}

async function blocksOf(findings: AsyncFindings): Promise<Block[]> {
  const { dataset, nodes, slow, slowness, buffer, maxStaleness, until, outcomes } = findings;
  const all = outcomes.flatMap(({ points }) => points.map(({ auc }) => auc));
  const goal = outcomes.find(({ masking }) => masking === 'pairwise')?.points.at(-1)?.auc ?? 0;
  const svg = await drawLines({
    title: `${dataset}: AUC on held-out rows over time`,
    subtitle: `${nodes} nodes, ${slow} of them about ${slowness} times as slow; time in trainings of a usual node, simulated`,
    x: { title: 'time', low: 0, high: Math.ceil(until), format: 'd' },
    y: aucAxis(all, 'AUC'),
    lines: outcomes.map(({ masking, points }) => ({
      ...{ label: WORDS[masking], width: 2, dash: [], isMain: masking === 'none' },
      colour: masking === 'none' ? BLUE : COLOURS[0]!,
      points: points.map(({ at, auc }) => ({ x: at, y: auc })),
    })),
    isDotted: true,
  });
  return [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: `${dataset}, logistic regression, rows dealt out to ${nodes} nodes, local steps, least noise. ${slow === 1 ? 'The last one trains' : `The last ${slow} train`} about ${slowness} times as long. Rounds that wait take as long as the slowest; buffered ones are closed with ${buffer} updates, an update s models behind counts 1/sqrt(1+s), at most ${maxStaleness} behind. Both have the same time. Training, noise, encryption, quorum, log and opening are real, and every opened sum was compared with the plain one; the time is simulated: it counts training alone, a sum takes none.`,
    },
    { kind: 'figure', file: 'async.svg', alt: 'AUC over time', svg },
    {
      kind: 'table',
      head: [
        'rounds',
        'sums, each charged',
        'updates',
        'of slow nodes',
        'behind: mean, most',
        'AUC at the end',
        'time to the goal',
      ],
      rows: outcomes.map((outcome) => [
        WORDS[outcome.masking],
        String(outcome.sums),
        String(outcome.updates),
        String(outcome.slowUpdates),
        `${outcome.staleness.mean.toFixed(2)}, ${outcome.staleness.most}`,
        `${outcome.auc.value.toFixed(4)} (${outcome.auc.low.toFixed(4)} to ${outcome.auc.high.toFixed(4)})`,
        reached(outcome, goal)?.toFixed(1) ?? 'not reached',
      ]),
    },
    {
      kind: 'list',
      items: [
        `The goal is the AUC of the rounds that wait at their end, ${goal.toFixed(4)}, less 0.005. Intervals are 95 %, over which rows were held out; each kind was run once.`,
        'Every sum is charged. With privacy a budget is divided among the rounds, and rounds that do not wait are more: each then has more noise.',
        'Without masks the claim is weaker (SECURITY.md): t members and a recipient together can open one update, nobody sees a set before it shares its key, and a sum is checked only by adding up again.',
      ],
    },
  ];
}
