import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { available } from '../../protocols/ledger.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { type Dataset, encodeRegion, isGenerated, loadDataset } from '../learning/datasets.ts';
import { COMMAND } from '../platform/command-name.ts';
import { epsilonOf } from '../training/budget.ts';
import { makeTask } from '../training/make-task.ts';
import { foundJob, QUORUM, RECIPIENT } from './job-federation.ts';
import { writeOutputs } from './outputs.ts';
import { referencesOf } from './references.ts';
import { type DemoReport, formatReport, partiesOf } from './report.ts';
import { runRounds } from './rounds.ts';

export interface DemoOptions {
  readonly dataset: DatasetName;
  readonly model: 'logistic' | 'mlp';
  readonly rounds: number;
  readonly epsilon: number;
  /** Every round is over records that nodes draw with this probability; left out: over all. */
  readonly sampleRate?: number;
  readonly out: string;
  readonly seed: number;
  /** Kills parties on the way, as the demonstration does by default. */
  readonly kills: boolean;
  readonly print: (line: string) => void;
}

/** Waited for in full only in the rounds in which a node is killed: long enough for a machine that is busy. */
const UPLOAD_MS = 15_000;
const CONFIRM_MS = 8000;

/**
 * One whole federated job on this machine: fifteen processes over mutual TLS, real cryptography, a real log, four of the
 * parties killed on the way. @returns the exit code: 0 when every round's sum was exact.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const out = resolve(options.out);
  const dataset: Dataset = loadDataset(options.dataset, { seed: options.seed });
  const { print, sampleRate } = options;
  const minCohort = Math.max(2, dataset.regions.length - 1);
  const made = makeTask({
    dataset: options.dataset,
    model: options.model,
    profile: 'demo',
    rounds: options.rounds,
    epsilon: options.epsilon,
    delta: 1e-5,
    nodes: dataset.regions.length,
    minCohort,
    minHonest: 2,
    minOrganisations: minCohort,
    recipients: [RECIPIENT],
    quorum: QUORUM,
    ...(sampleRate === undefined ? {} : { sampleRate }),
    window: 'demo',
    checkSums: true,
    uploadMs: UPLOAD_MS,
    confirmMs: CONFIRM_MS,
  });
  const { budget } = made;
  requireWritableFolder(out);
  rmSync(join(out, 'work'), { recursive: true, force: true });
  print(
    `Veilsum demo: ${options.dataset}${isGenerated(options.dataset) ? ' (generated rows, seeded)' : ''}, ${dataset.regions.length} regions, ${options.rounds} rounds`,
  );
  print(
    `Privacy: record level, epsilon ${options.epsilon} at delta 1e-5 for all rounds; one round costs epsilon ${made.epsilonPerRound.toFixed(2)}`,
  );
  if (sampleRate !== undefined)
    print(`Every round is over records that nodes draw, each with probability ${sampleRate}`);
  print('Founding the federation: keys, certificates, genesis …');
  const { federation, nodes, start } = await foundJob({
    ...{ folder: join(out, 'work'), origin: 'demo.veilsum.example/log' },
    ...{ tables: dataset.regions, task: made.task, budget },
  });
  try {
    const started = performance.now();
    await start(print);
    print(
      `${federation.processes.size} processes run (${((performance.now() - started) / 1000).toFixed(1)} s). Log: ${federation.url}`,
    );
    const regions = dataset.regions.map((region) => encodeRegion(region, dataset.schema));
    const { rounds, events } = await runRounds({
      ...{ federation, nodes, regions, print },
      ...{ task: made.task, rounds: options.rounds, kills: options.kills, budgetEpsilon: options.epsilon },
    });
    const report: DemoReport = {
      ...{ dataset: options.dataset, synthetic: isGenerated(options.dataset), parties: partiesOf(federation) },
      ...{ rounds, events, ...(await referencesOf(made.task, regions, nodes, options.rounds)) },
      epsilon: { spent: rounds.at(-1)?.epsilon ?? 0, budget: options.epsilon, delta: 1e-5 },
    };
    await writeOutputs(federation, report, out, print);
    print('');
    print(formatReport(report));
    const aborted = report.rounds.filter(({ reason }) => reason !== null);
    if (aborted.length > 0)
      print(
        `Aborted: ${aborted.map(({ round, reason }) => `round ${round} (${reason})`).join(', ')}. Nothing of them was opened.`,
      );
    const left = available(federation.watch.transcript.ledger);
    print(
      `Budget: epsilon ${epsilonOf(budget.rhoNano - left, 5, budget.renyiOrder).toFixed(2)} of ${options.epsilon} spent.`,
    );
    print(`Written to ${out}:`);
    print('  report.json      what every round did, for machines (fields: src/demo/README.md)');
    print('  convergence.svg  AUC by round against regional and pooled models');
    print('  log/ policy.txt  the log of every act, and whose cosignatures it needs');
    print('  blobs/           payloads, sums, answers and sealed models by hash: the audit adds them up again');
    print("  work/            every party's folder with its keys, and what it said (work/output)");
    print(
      `Audit it:  ${COMMAND} audit ${join(out, 'log')} --policy ${join(out, 'policy.txt')} --blobs ${join(out, 'blobs')} --genesis ${federation.local.federation.genesisHash}`,
    );
    print(
      '           It remarks PLAIN_UPDATES_KEPT: nodes kept their updates here, so that every sum could be compared (checkSums)',
    );
    return report.rounds.every((round) => round.exactSum) ? 0 : 1;
  } finally {
    await federation.stop();
  }
}
