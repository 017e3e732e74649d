import type { Round } from '../../protocols/transcript.ts';
import type { DemoFederation } from './demo-federation.ts';

/** `report.json`: what a run of the demonstration did, for machines. */
export interface DemoReport {
  readonly dataset: string;
  readonly synthetic: boolean;
  readonly parties: readonly {
    readonly role: string;
    readonly name: string;
    readonly pid: number;
    readonly address: string;
    readonly certSha256: string;
  }[];
  readonly rounds: readonly RoundReport[];
  readonly reference: {
    readonly central: number;
    readonly regionOnly: readonly { readonly region: string; readonly auc: number }[];
  };
  /** AUC per round of what the federated model is compared with; entry 0 is the first model. */
  readonly curves: {
    readonly central: readonly number[];
    readonly regionOnly: readonly { readonly region: string; readonly aucPerRound: readonly number[] }[];
  };
  readonly epsilon: { readonly spent: number; readonly budget: number; readonly delta: number };
  readonly events: readonly { readonly ms: number; readonly round: number; readonly what: string }[];
}

export interface RoundReport {
  readonly round: number;
  /** Of the model after this round, on all regions' held-out rows; null where the round gave no model. */
  readonly auc: number | null;
  /** What the recipient itself can tell from the noised counts of this round, of the model before it. */
  readonly aucOpened: number | null;
  /** Spent by all rounds so far. */
  readonly epsilon: number;
  readonly attempts: number;
  readonly cohort: readonly string[];
  /** Whether the opened sum equals the sum of what the cohort's nodes wrote down, integer by integer. */
  readonly exactSum: boolean;
  /** By node: bytes sent in the round, payload and confirmations, by the node's own count. */
  readonly bytes: Readonly<Record<string, number>>;
  readonly phaseMs: Readonly<Record<string, number>>;
  /** By node: ms from the open leaf to its upload, and from the close leaf to its confirmation. */
  readonly nodeMs: Readonly<Record<string, { readonly upload: number | null; readonly confirm: number | null }>>;
  readonly outcome: Round['phase'];
  /** Why the round was aborted; null where it was not. There is no sum then, and `exactSum` is false. */
  readonly reason: string | null;
  /** Nodes whose uploads were in time. */
  readonly uploads: number;
}

/** Every process that ran, with what it proved itself by. */
export function partiesOf({ started, local, certificates }: DemoFederation): DemoReport['parties'] {
  return started.map(({ name, pid }) => {
    const { role, address } = local.cards.find((card) => card.name === name)!;
    return { role, name, pid, address, certSha256: certificates.get(name)! };
  });
}

/** What came of a round, in one line. */
export function progressOf(report: RoundReport, nodes: number): string {
  const { cohort, attempts, phaseMs, auc, epsilon, exactSum, outcome } = report;
  const kilobytes = Math.max(0, ...Object.values(report.bytes)) / 1000;
  if (report.reason !== null)
    return `aborted: ${report.reason}, ${report.uploads} of ${nodes} nodes uploaded in time; nothing was opened, epsilon ${epsilon.toFixed(2)} spent`;
  const phases = Object.entries(phaseMs).map(([phase, ms]) => `${phase} ${(ms / 1000).toFixed(1)} s`);
  return [
    `${outcome}: ${cohort.length} nodes, ${attempts} attempt${attempts === 1 ? '' : 's'}, ${exactSum ? 'sum exact' : 'SUM NOT EXACT'}`,
    phases.join(', '),
    `${kilobytes.toFixed(1)} kB a node`,
    `epsilon ${epsilon.toFixed(2)} spent`,
    `AUC ${auc?.toFixed(3) ?? '—'}`,
  ].join('; ');
}

const BLOCKS = '▁▂▃▄▅▆▇█';

function bar(value: number, low: number, high: number): string {
  const place = Math.round(((value - low) / Math.max(high - low, 1e-9)) * (BLOCKS.length - 1));
  return BLOCKS[Math.min(BLOCKS.length - 1, Math.max(0, place))]!;
}

/** Columns padded to their widest cell; numbers to the right. */
function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** The table that the demonstration ends with. */
export function formatReport(report: DemoReport): string {
  const aucs = report.rounds.flatMap((round) => (round.auc === null ? [] : [round.auc]));
  const low = Math.min(...aucs);
  const high = Math.max(...aucs);
  const rows = report.rounds.map((round) => {
    const { phaseMs } = round;
    return [
      String(round.round),
      round.auc === null ? round.outcome : `${bar(round.auc, low, high)} ${round.auc.toFixed(3)}`,
      round.epsilon.toFixed(2),
      String(round.cohort.length),
      String(round.attempts),
      round.exactSum ? 'exact' : (round.reason ?? 'NOT EXACT'),
      String(Math.max(0, ...Object.values(round.bytes))),
      `${phaseMs['upload'] ?? 0} / ${phaseMs['confirm'] ?? 0} / ${phaseMs['decide'] ?? 0} / ${phaseMs['open'] ?? 0}`,
    ];
  });
  const head = [
    'round',
    'AUC',
    'epsilon',
    'nodes',
    'attempts',
    'sum',
    'bytes per node',
    'ms: upload / confirm / decide / open',
  ];
  const last = aucs.at(-1);
  const regions = report.reference.regionOnly.map(({ region, auc }) => [`  ${region} alone`, auc.toFixed(3)]);
  const compare = formatTable(
    ['model', 'AUC'],
    [
      ['federated (encrypted, masked, noised)', last === undefined ? '—' : last.toFixed(3)],
      ...regions,
      ['  all rows in one place', report.reference.central.toFixed(3)],
    ],
  );
  return `${formatTable(head, rows)}\n\n${compare}\n`;
}
