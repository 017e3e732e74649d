import { printable } from '../audit/printable.ts';
import { counted, grouped, table } from '../cli/output.ts';
import { type Block, toHtml } from '../experiment/document.ts';
import { drawBars } from '../report/bar-plot.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import type { GroupAttendance, NodeAttendance } from './attendance.ts';
import { type Credit, type Estimate, FEWEST_GROUPS } from './bucket-credit.ts';
import type { Contributions, SumsReport } from './contributions.ts';

const TITLE = 'Who took part, and what the opened sums tell of it';

/** What this report cannot say, printed with every report. */
const LIMITS = [
  "Rows of one region alone are not known to anybody: the recipient sees noised sums over a round's nodes, nobody sees less.",
  'An upload counts by being in the decided set. What is in it is not seen: an empty or copied update takes part like any other.',
  'Rounds that ended without a decision count for nobody: the log does not tell whose fault that was.',
  'Of a disputed box, holder or node is at fault; the log does not tell which. Disputes are listed and lower nothing.',
];

const percent = (share: number | null): string => (share === null ? '-' : `${(100 * share).toFixed(1)} %`);

/** The report a person reads in a terminal. Text of strangers' is escaped. */
export function contributionsText(report: Contributions): string {
  const lines = blocksOf(report).flatMap((block) => {
    switch (block.kind) {
      case 'heading':
        return ['', block.text];
      case 'text':
        return [block.text];
      case 'list':
        return block.items.map((item) => `  ${item}`);
      case 'table':
        return [table(block.head, block.rows)];
      default:
        return [];
    }
  });
  return lines.slice(1).join('\n');
}

/** The same with pictures, as one page without a script. */
export async function contributionsHtml(report: Contributions): Promise<string> {
  const blocks = blocksOf(report);
  const place = blocks.findIndex((block) => block.kind === 'table');
  blocks.splice(place, 0, await attendanceFigure(report));
  const credit = report.sums?.credit.nodes.filter(({ cosine }) => cosine?.standardError != null) ?? [];
  if (credit.length > 0) blocks.push(await creditFigure(credit));
  return toHtml(TITLE, blocks);
}

/** For machines: every number of it, names as they stand in the log. */
export function contributionsJson(report: Contributions): object {
  return { ...report, limits: LIMITS };
}

function blocksOf({ log, genesisPinned, rounds, nodes, regions, organisations, sums }: Contributions): Block[] {
  const { released, notOpened, undecided, running } = rounds;
  const pin = genesisPinned ? 'as pinned' : "not pinned: the log's own";
  return [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: `${printable(log.origin)}: ${log.leaves} leaves, verified, root ${log.root}; genesis ${log.genesis} (${pin}).`,
    },
    {
      kind: 'text',
      text: `Rounds: ${released} opened, ${notOpened} decided and not opened, ${undecided} ended without a decision, ${running} without an end. Uptime is rounds taken part in of decided rounds that were offered, which are those opened while the node was enrolled and, in buckets, of its own bucket.`,
    },
    { kind: 'heading', level: 2, text: 'Nodes' },
    ...nodeTables(nodes),
    { kind: 'heading', level: 2, text: 'Regions' },
    groupTable('region', regions),
    { kind: 'heading', level: 2, text: 'Organisations' },
    groupTable('organisation', organisations),
    { kind: 'heading', level: 2, text: 'What this does not say' },
    { kind: 'list', items: LIMITS },
    ...(sums === null ? noSums() : sumBlocks(sums)),
  ];
}

function noSums(): Block[] {
  return [
    { kind: 'heading', level: 2, text: 'Rows and updates' },
    { kind: 'text', text: 'The log holds hashes, no sums. With --dir of a recipient, what it has opened is read too.' },
  ];
}

function nodeTables(nodes: readonly NodeAttendance[]): Block[] {
  return [
    {
      kind: 'table',
      head: ['node', 'region', 'organisation', 'enrolled', 'revoked', 'offered', 'in', 'opened', 'uptime'],
      rows: nodes.map((node) => [
        ...[printable(node.node), printable(node.region), printable(node.organisation)],
        ...[`leaf ${node.enrolledAt}`, node.revokedAt === null ? '-' : `leaf ${node.revokedAt}`],
        ...[String(node.offered), String(node.taken), String(node.opened), percent(node.uptime)],
      ]),
    },
    { kind: 'heading', level: 3, text: 'Rounds that a node was not in' },
    {
      kind: 'table',
      head: [
        ...['node', 'missed', 'gone after upload', 'gone after confirming', 'left out over boxes'],
        ...['not drawn for a retry', 'boxes disputed', 'boxes sealed again', 'uploads to undecided rounds'],
      ],
      rows: nodes.map(({ node, parts, boxes, uploadedInVain }) => [
        ...[printable(node), String(parts.missed), String(parts['gone after upload'])],
        ...[String(parts['gone after confirming']), String(parts['left out over boxes']), String(parts['not drawn'])],
        ...[String(boxes.unsettled), String(boxes.settled), String(uploadedInVain)],
      ]),
    },
  ];
}

function groupTable(what: string, groups: readonly GroupAttendance[]): Block {
  return {
    kind: 'table',
    head: [what, 'nodes', 'node-rounds offered', 'in', 'opened', 'uptime'],
    rows: groups.map(({ name, nodes, offered, taken, opened, uptime }) => [
      ...[printable(name), String(nodes), String(offered), String(taken), String(opened), percent(uptime)],
    ]),
  };
}

function sumBlocks(sums: SumsReport): Block[] {
  const rows = sums.rows.reduce((total, { records }) => total + records, 0);
  const blocks: Block[] = [
    { kind: 'heading', level: 2, text: 'Rows in the sums' },
    {
      kind: 'text',
      text: `Of ${counted(sums.released, 'opened sum')} ${sums.read} ${sums.read === 1 ? 'is' : 'are'} on this disk, equal to the released hash. ${
        sums.rows.length === 0
          ? 'Their task counts no rows.'
          : `Noised rows, all together: ${grouped(Math.round(rows))}, in ${counted(sums.rows.length, 'sum')}; a sum's noise is ${range(sums.rows.map(({ noise }) => noise))} rows. A node's column is the mean, over the sums that it was in, of rows divided by nodes: its neighbours' rows as much as its own.`
      }`,
    },
  ];
  if (sums.around.length > 0)
    blocks.push({
      kind: 'table',
      head: ['node', 'sums', 'rows per node in them'],
      rows: sums.around.map(({ node, sums: count, perNode }) => [printable(node), String(count), perNode.toFixed(0)]),
    });
  return [...blocks, { kind: 'heading', level: 2, text: 'Rounds in buckets' }, ...bucketBlocks(sums)];
}

function bucketBlocks({ groups, credit }: SumsReport): Block[] {
  if (groups.length === 0)
    return [
      {
        kind: 'text',
        text: 'No group of buckets with two opened sums: one sum tells no node from another, and nothing is opened to find out.',
      },
    ];
  const few = groups.length < FEWEST_GROUPS ? ` With ${groups.length} of them nothing can be said yet.` : '';
  return [
    {
      kind: 'text',
      text: `${groups.length} groups of buckets. For each bucket: the cosine of its mean update with what the task's rule makes of the group's other buckets. Of a node: how much higher its bucket stood than buckets without it, on average over groups, with the standard error of that mean. "Nothing" is what at least ${FEWEST_GROUPS} groups and Student's t at 5 % over all nodes together leave.${few}`,
    },
    creditTable('node', credit.nodes),
    creditTable('region', credit.regions),
  ];
}

function creditTable(what: string, credits: readonly Credit[]): Block {
  const words = (value: Estimate | null, digits: number): string[] =>
    value === null
      ? ['-', '-']
      : [
          `${value.mean.toFixed(digits)} ± ${value.standardError === null ? '?' : value.standardError.toFixed(digits)}`,
          value.says,
        ];
  return {
    kind: 'table',
    head: [what, 'groups', 'cosine, more than others', 'says', 'rows per node, more than others', 'says'],
    rows: credits.map(({ unit, groups, cosine, records }) => [
      ...[printable(unit), String(groups), ...words(cosine, 4), ...words(records, 1)],
    ]),
  };
}

function range(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(0));
  return low === high ? low! : `${low} to ${high}`;
}

/** Colours that colour-blind readers tell apart (Okabe and Ito's). */
const KINDS = [
  { kind: 'in an opened sum', colour: '#0072b2' },
  { kind: 'in a set that was not opened', colour: '#56b4e9' },
  { kind: 'missed', colour: '#d55e00' },
  { kind: 'gone after upload', colour: '#e69f00' },
  { kind: 'gone after confirming', colour: '#f0e442' },
  { kind: 'left out over boxes', colour: '#999999' },
] as const;

async function attendanceFigure({ nodes }: Contributions): Promise<Block> {
  const parts = nodes.flatMap((node) => {
    const at = printable(node.node);
    const values = [
      ...[node.opened, node.taken - node.opened, node.parts.missed, node.parts['gone after upload']],
      ...[node.parts['gone after confirming'], node.parts['left out over boxes']],
    ];
    return KINDS.map(({ kind }, i) => ({ at, kind, value: values[i]! }));
  });
  const svg = await drawBars({
    ...{ title: 'Decided rounds that each node was offered', subtitle: 'by what became of it in them', axis: 'rounds' },
    ...{ kinds: KINDS, parts },
  });
  return { kind: 'figure', file: 'attendance.svg', alt: 'Rounds by node and by what became of it in them', svg };
}

async function creditFigure(credit: readonly Credit[]): Promise<Block> {
  const svg = await drawIntervals({
    title: "How a node's bucket pointed, against buckets without it",
    subtitle: 'difference of cosines, mean over groups, two standard errors either way',
    axis: 'difference of cosines',
    intervals: credit.map(({ unit, cosine }) => ({
      at: printable(unit),
      value: cosine!.mean,
      low: cosine!.mean - 2 * cosine!.standardError!,
      high: cosine!.mean + 2 * cosine!.standardError!,
    })),
    marks: [{ label: 'as others', value: 0 }],
  });
  return { kind: 'figure', file: 'credit.svg', alt: 'Difference of cosines by node', svg };
}
