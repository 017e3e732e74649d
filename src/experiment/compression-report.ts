import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { aucAxis } from '../report/convergence-plot.ts';
import { BLUE, COLOURS, drawLines, INK } from '../report/line-plot.ts';
import type { CompressionFindings, CompressionOutcome } from './compression.ts';
import { type Block, toHtml, toMarkdown } from './document.ts';
import type { ModelKind } from './runs.ts';
import { epsilonName, MODEL } from './words.ts';

const TITLE = 'Compression: bytes against accuracy';

const bytes = (count: number): string => count.toLocaleString('en');

/** Writes `report.md`, `report.html` and the figures. */
export async function writeCompressionReport(out: string, findings: CompressionFindings): Promise<void> {
  const blocks = await blocksOf(findings);
  for (const block of blocks) if (block.kind === 'figure') writeDurably(join(out, block.file), block.svg);
  writeDurably(join(out, 'report.md'), toMarkdown(blocks));
  writeDurably(join(out, 'report.html'), toHtml(TITLE, blocks));
}

async function blocksOf(findings: CompressionFindings): Promise<Block[]> {
  const { dataset, unit, epsilon, rounds, nodes, sendAbove, outcomes } = findings;
  const exact = outcomes.reduce((sum, outcome) => sum + outcome.exactSums, 0);
  const blocks: Block[] = [
    { kind: 'heading', level: 1, text: TITLE },
    {
      kind: 'text',
      text: `${dataset}, ${nodes} regions, one node each, ${rounds} rounds, unit ${unit}, ${epsilonName(epsilon)}. Every round with the real cryptography; ${exact} opened sums were compared with the plain ones as integers, and equal. Intervals are 95 %, over which rows were held out; every run was made once.${sendAbove === null ? '' : ` A node whose update is shorter than ${sendAbove} sends none.`}`,
    },
    {
      kind: 'list',
      items: [
        'Payload: the encrypted update of one node in one round. It has a least size (512 coefficients), so a small model gains nothing from fewer bits or values.',
        'Besides: boxes for the quorum and the correction of the one-time key, which do not depend on the update; two signed leaves come on top.',
        'Entropy: bits that one of the same integers, noise and all, needs with an entropy coder. Ciphertexts are uniform and do not compress, and each value has room for the largest sum: the difference to the payload is what encryption costs.',
        'Kept: the part of the weights that a round carries, drawn anew for each model, the same for everybody. Rotated: by a randomised Hadamard transform first. Feedback: what was left out is added to the next update.',
      ],
    },
  ];
  for (const kind of [...new Set(outcomes.map((outcome) => outcome.kind))]) {
    const own = outcomes.filter((outcome) => outcome.kind === kind);
    const svg = await figureOf(findings, kind, own);
    blocks.push(
      { kind: 'heading', level: 2, text: `${MODEL[kind]}, ${bytes(own[0]!.values)} values` },
      { kind: 'figure', file: `bytes-${kind}.svg`, alt: `bytes against AUC, ${MODEL[kind]}`, svg },
      tableOf(own, sendAbove !== null),
    );
  }
  return blocks;
}

function figureOf(
  { dataset, rounds }: CompressionFindings,
  kind: ModelKind,
  outcomes: readonly CompressionOutcome[],
): Promise<string> {
  const names = [...new Set(outcomes.map(seriesOf))];
  const lines = names.map((label, i) => {
    const points = outcomes
      .filter((outcome) => seriesOf(outcome) === label)
      .map(({ payloadBytes, auc }) => ({ x: payloadBytes / 1000, y: auc.value }))
      .sort((a, b) => a.x - b.x);
    const colour = i === 0 ? INK : i === 1 ? BLUE : COLOURS[(i - 2) % COLOURS.length]!;
    return { label, colour, width: 1.8, dash: i === 0 ? [6, 4] : [], points };
  });
  const most = Math.max(...outcomes.map(({ payloadBytes }) => payloadBytes / 1000));
  return drawLines({
    title: `${dataset}, ${MODEL[kind]}: bytes against accuracy`,
    subtitle: `after ${rounds} rounds; one dot for each number of bits; kilobytes of one node's encrypted update in one round`,
    x: { title: 'kB a round and node', low: 0, high: 1.05 * most, format: '.0f' },
    y: aucAxis(
      outcomes.map(({ auc }) => auc.value),
      "AUC on all regions' held-out rows",
    ),
    ...{ lines, isDotted: true },
  });
}

const seriesOf = ({ keep, variant }: CompressionOutcome): string =>
  `${keep === 1 ? 'all' : `${keep} kept`}${variant === 'plain' ? '' : `, ${variant}`}`;

function tableOf(outcomes: readonly CompressionOutcome[], isThinned: boolean): Block {
  return {
    kind: 'table',
    head: [
      ...[
        'kept',
        'bits',
        'values sent',
        'payload, bytes',
        'besides, bytes',
        'entropy, bits a value',
        'entropy-coded, bytes',
      ],
      ...(isThinned ? ['updates sent'] : []),
      'AUC',
    ],
    rows: outcomes.map((outcome) => [
      seriesOf(outcome),
      outcome.bits === 'default' ? `${outcome.valueBits} (default)` : String(outcome.valueBits),
      bytes(outcome.sent),
      bytes(outcome.payloadBytes),
      bytes(outcome.otherBytes),
      outcome.entropyBits.toFixed(2),
      bytes(outcome.entropyBytes),
      ...(isThinned ? [`${outcome.updatesSent} of ${outcome.updates}`] : []),
      `${outcome.auc.value.toFixed(4)} (${outcome.auc.low.toFixed(4)} to ${outcome.auc.high.toFixed(4)})`,
    ]),
  };
}
