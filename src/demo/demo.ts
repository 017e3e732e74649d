import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fromBase64 } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { available } from '../../protocols/ledger.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { ConfigError } from '../config/errors.ts';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import { LogService } from '../grpc/services.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { type Dataset, encodeRegion, isGenerated, loadDataset } from '../learning/datasets.ts';
import { formatCsv } from '../learning/table.ts';
import { nodePrimitives as p } from '../platform/primitives-node.ts';
import { epsilonOf } from '../training/budget.ts';
import { makeTask } from '../training/make-task.ts';
import { DemoFederation } from './demo-federation.ts';
import { foundLocally, type LocalParty, writeSite } from './local-federation.ts';
import { writeOutputs } from './outputs.ts';
import { formatReport } from './report.ts';
import { runRounds } from './rounds.ts';

export interface DemoOptions {
  readonly dataset: DatasetName;
  readonly model: 'logistic' | 'mlp';
  readonly rounds: number;
  readonly epsilon: number;
  readonly out: string;
  readonly seed: number;
  /** Kills parties on the way, as the demonstration does by default. */
  readonly kills: boolean;
  readonly print: (line: string) => void;
}

const MEMBERS = 5;
const THRESHOLD = 3;
/** Waited for in full only in the rounds in which a node is killed: long enough for a machine that is busy. */
const UPLOAD_MS = 15_000;
const CONFIRM_MS = 8000;

function partiesOf(regions: readonly string[]): LocalParty[] {
  const numbered = (role: LocalParty['role'], count: number, organisation: (i: number) => string): LocalParty[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `${role}-${i + 1}`,
      role,
      organisation: organisation(i + 1),
      region: 'hub',
    }));
  return [
    { name: 'coordinator', role: 'coordinator', organisation: 'hub', region: 'hub' },
    ...numbered('aggregator', 2, () => 'hub'),
    ...numbered('member', MEMBERS, (i) => `trustee-${i}`),
    ...numbered('witness', 2, (i) => `auditor-${i}`),
    { name: 'model-owner', role: 'recipient', organisation: 'hub', region: 'hub' },
    ...regions.map((name): LocalParty => ({ name, role: 'node', organisation: `${name}-office`, region: name })),
  ];
}

/** Region names as party names. */
function nodeName(region: string): string {
  const name = region
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return `node-${name}`.slice(0, 63);
}

/**
 * One whole federated job on this machine: fifteen processes over mutual TLS, real cryptography, a real log, four of the
 * parties killed on the way. @returns the exit code: 0 when every round's sum was exact.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const out = resolve(options.out);
  const dataset: Dataset = loadDataset(options.dataset, { seed: options.seed });
  const nodes = dataset.regions.map((region) => nodeName(region.name));
  const { print } = options;
  const minCohort = Math.max(2, nodes.length - 1);
  const made = makeTask({
    dataset: options.dataset,
    model: options.model,
    profile: 'demo',
    rounds: options.rounds,
    epsilon: options.epsilon,
    delta: 1e-5,
    nodes: nodes.length,
    minCohort,
    minHonest: 2,
    minOrganisations: minCohort,
    recipients: ['model-owner'],
    window: 'demo',
    checkSums: true,
    uploadMs: UPLOAD_MS,
    confirmMs: CONFIRM_MS,
  });
  const { budget } = made;
  requireWritableFolder(out);
  rmSync(join(out, 'work'), { recursive: true, force: true });
  print(
    `Veilsum demo: ${options.dataset}${isGenerated(options.dataset) ? ' (generated rows, seeded)' : ''}, ${nodes.length} regions, ${options.rounds} rounds`,
  );
  print(
    `Privacy: record level, epsilon ${options.epsilon} at delta 1e-5 for all rounds; one round costs epsilon ${made.epsilonPerRound.toFixed(2)}`,
  );
  print('Founding the federation: keys, certificates, genesis …');
  const local = await foundLocally({
    folder: join(out, 'work'),
    origin: 'demo.veilsum.example/log',
    parties: partiesOf(nodes),
    threshold: THRESHOLD,
    minimums: { cohort: 2, organisations: 2, honest: 2 },
    budget: { unit: 'record', ...budget },
  });
  for (const [i, region] of dataset.regions.entries()) {
    const folder = local.path(nodes[i]!);
    writeDurably(join(folder, 'train.csv'), formatCsv(region.train));
    writeDurably(join(folder, 'held-out.csv'), formatCsv(region.heldOut));
    // Nodes on either engine in every round: one wire format.
    const engine = i % 2 === 0 ? 'node-seal' : 'kernel';
    writeSite(local, nodes[i]!, made.task, budget.rhoNano, { train: 'train.csv', heldOut: 'held-out.csv' }, engine);
  }
  writeDurably(join(local.path('model-owner'), 'task.json'), JSON.stringify(made.task, null, 2));
  writeDurably(join(local.path('model-owner'), 'recipient.yaml'), JSON.stringify({ tasks: ['task.json'] }, null, 2));

  const genesis = parseVerifiedGenesis(p, fromBase64(local.federation.genesis));
  if (isRejection(genesis)) throw new ConfigError('INVALID', genesis.why);
  const federation = new DemoFederation(local);
  try {
    const started = performance.now();
    await federation.start(policyOf(p, genesis), print);
    for (const leaf of local.enrolments) await federation.watch.officer.call(LogService.append, { leaf });
    await federation.startWorkers(nodes, print);
    await federation.allCaughtUp(nodes);
    print(
      `${federation.processes.size} processes run (${((performance.now() - started) / 1000).toFixed(1)} s). Log: ${federation.url}`,
    );
    const regions = dataset.regions.map((region) => encodeRegion(region, dataset.schema));
    const report = await runRounds({
      federation,
      dataset: options.dataset,
      nodes,
      task: made.task,
      rounds: options.rounds,
      kills: options.kills,
      regions,
      budgetEpsilon: options.epsilon,
      print,
    });
    await writeOutputs(federation, report, out, print);
    print('');
    print(formatReport(report));
    const aborted = report.rounds.filter(({ reason }) => reason !== null);
    if (aborted.length > 0)
      print(
        `Aborted: ${aborted.map(({ round, reason }) => `round ${round} (${reason})`).join(', ')}. Nothing of them was opened.`,
      );
    const left = available(federation.watch.transcript.ledger);
    print(`Budget: epsilon ${epsilonOf(budget.rhoNano - left, 5).toFixed(2)} of ${options.epsilon} spent.`);
    // From a checkout the command is reached through npx.
    const command = import.meta.url.endsWith('.ts') ? 'npx veilsum' : 'veilsum';
    print(`Written to ${out}:`);
    print('  report.json      what every round did, for machines (fields: src/demo/README.md)');
    print('  convergence.svg  AUC by round against regional and pooled models');
    print('  log/ policy.txt  the log of every act, and whose cosignatures it needs');
    print('  blobs/           payloads, sums, answers and sealed models by hash: the audit adds them up again');
    print("  work/            every party's folder with its keys, and what it said (work/output)");
    print(
      `Audit it:  ${command} audit ${join(out, 'log')} --policy ${join(out, 'policy.txt')} --blobs ${join(out, 'blobs')} --genesis ${local.federation.genesisHash}`,
    );
    print(
      '           It remarks PLAIN_UPDATES_KEPT: nodes kept their updates here, so that every sum could be compared (checkSums)',
    );
    return report.rounds.every((round) => round.exactSum) ? 0 : 1;
  } finally {
    await federation.stop();
  }
}
