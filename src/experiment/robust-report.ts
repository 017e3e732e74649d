import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import type { Outcome, RobustFindings } from './robust.ts';

const TITLE = 'Bad nodes: what a robust rule over buckets keeps out, and what it cannot';

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const auc = ({ auc: { value, low, high } }: Outcome): string =>
  `${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})`;
const DEFENCE_WORDS = {
  none: 'no defence',
  buckets: 'buckets (encrypted)',
  'in the clear': 'in the clear',
} as const;

/** Writes `report.md`, `report.html` and the figures. */
export async function writeRobustReport(out: string, findings: RobustFindings): Promise<void> {
  const blocks = await blocksOf(findings);
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}

async function blocksOf({
  dataset,
  rule,
  nodes,
  buckets,
  rounds,
  rowsPerNode,
  outcomes,
}: RobustFindings): Promise<Block[]> {
  const calm = outcomes.filter(({ attack }) => attack === 'no attack');
  const attacks = [...new Set(outcomes.map(({ attack }) => attack))].filter((attack) => attack !== 'no attack');
  const exact = outcomes.reduce((sum, outcome) => sum + outcome.exactSums, 0);
  const marks = calm.map(({ defence, auc: { value } }) => ({
    label: `${DEFENCE_WORDS[defence]} ${value.toFixed(3)}`,
    value,
  }));
  const blocks: Block[] = [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: `${dataset}, logistic regression, ${nodes} nodes made by dealing out the regions' rows (${Math.min(...rowsPerNode)} to ${Math.max(...rowsPerNode)} rows a node), ${rounds} rounds, least noise. No defence: the mean of all nodes. Buckets, encrypted: ${rule} over the means of ${buckets} buckets, all that anybody sees; ${exact} opened sums were compared with the plain ones, and equal. Every node, in the clear: the same rule and the same bound of the norm over the nodes' own updates, which shows each of them. Bad nodes know all honest updates and do not clip. Intervals are 95 %, over which rows were held out; every run was made once.`,
    },
    {
      kind: 'list',
      items: [
        `One bad node poisons a bucket: ${buckets} buckets stand at most ${Math.ceil(buckets / 2) - 1} poisoned ones under a median, whatever the number of nodes. Where half of the buckets or more hold a bad node, nothing here helps; the column "poisoned buckets" says how many did.`,
        'A robust rule without encryption sees every node, and stands more. That is the price of seeing sums only.',
        'A rule that leaves values out also leaves out honest nodes that differ: the first table shows what that costs without an attack.',
      ],
    },
    tableOf(calm),
  ];
  for (const attack of attacks) {
    const own = outcomes.filter((outcome) => outcome.attack === attack);
    const svg = await drawIntervals({
      title: `${attack}: AUC on held-out rows, by part of bad nodes`,
      subtitle: '95 % intervals by resampling held-out rows; lines: without an attack',
      axis: 'AUC',
      intervals: own.map((outcome) => ({
        at: `${outcome.percent} %, ${DEFENCE_WORDS[outcome.defence]}`,
        ...outcome.auc,
      })),
      marks: marks.slice(0, 1),
    });
    blocks.push(
      { kind: 'heading', level: 2, text: attack },
      { kind: 'figure', file: `${attack}.svg`, alt: `AUC under ${attack}`, svg },
      tableOf(own),
    );
    if (attack === 'backdoor') blocks.push(await backdoorFigure(own));
  }
  return blocks;
}

/** How often the trigger works: no interval, it is one number over all held-out negatives. */
async function backdoorFigure(own: readonly Outcome[]): Promise<Block> {
  const svg = await drawIntervals({
    title: 'backdoor: how often the trigger works',
    subtitle: 'part of the held-out negatives that carry the trigger and are called positive',
    axis: 'attack success rate',
    intervals: own.map(({ percent: share, defence, triggered: value }) => ({
      ...{ at: `${share} %, ${DEFENCE_WORDS[defence]}`, value, low: value, high: value },
    })),
    marks: [],
  });
  return { kind: 'figure', file: 'backdoor-success.svg', alt: 'success of the backdoor', svg };
}

function tableOf(outcomes: readonly Outcome[]): Block {
  return {
    kind: 'table',
    head: ['bad nodes', 'defence', 'AUC', 'trigger works', 'without trigger', 'poisoned buckets, at most'],
    rows: outcomes.map((outcome) => [
      `${outcome.bad} (${outcome.percent} %)`,
      DEFENCE_WORDS[outcome.defence],
      auc(outcome),
      percent(outcome.triggered),
      percent(outcome.untriggered),
      outcome.mostPoisoned === null ? '-' : String(outcome.mostPoisoned),
    ]),
  };
}
