import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, type Region, type RegionTables } from '../learning/datasets.ts';
import { runDefaults } from '../learning/defaults.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import type { ModelSpec } from '../learning/model.ts';
import type { Optimiser } from '../learning/optimisers.ts';
import { trainReferences } from '../learning/references.ts';
import { type Baseline, Comparer, type Comparison } from './compare.ts';
import { type ProcessRun, runInProcesses } from './processes.ts';
import { type Epsilon, type ModelKind, type Run, runOnce } from './runs.ts';
import { Tracer } from './trace.ts';
import { openWork } from './work-store.ts';

/** What is asked of every dataset. Plain values, but for `print`. */
export interface FindingsOptions {
  readonly models: readonly ModelKind[];
  readonly epsilons: readonly Epsilon[];
  /** How the recipient steps. */
  readonly optimiser: Optimiser;
  /** Left out: the datasets' defaults. */
  readonly rounds?: number;
  /** A dataset whose first kind of model is trained once more with every party a process, and for how many rounds at most. */
  readonly processes?: { readonly dataset: DatasetName; readonly rounds: number };
  readonly out: string;
  readonly seed: number;
  readonly print: (line: string) => void;
}

/** Everything that was measured for one kind of model on one dataset. */
export interface Findings {
  readonly dataset: DatasetName;
  readonly kind: ModelKind;
  readonly regions: readonly { readonly name: string; readonly trainRows: number; readonly heldOutRows: number }[];
  readonly inputs: number;
  readonly baseline: Baseline;
  /** AUC of the rivals after each round; entry 0 is the untrained model. */
  readonly curves: {
    readonly central: readonly number[];
    readonly regionOnly: readonly { readonly region: string; readonly aucPerRound: readonly number[] }[];
  };
  readonly comparisons: readonly Comparison[];
  /** The same job with every party a process; absent where it was not asked for. */
  readonly processes?: ProcessRun;
}

/**
 * Every kind of model on one dataset. Kept runs are not repeated, so what was stopped goes on where it was.
 *
 * @param out - the experiment's folder; models and runs are kept in it.
 */
export async function findingsOf(name: DatasetName, options: FindingsOptions): Promise<readonly Findings[]> {
  const { print, models, epsilons, out } = options;
  const { tf } = await loadTensorFlow(['wasm']);
  const all: Findings[] = [];
  const folder = join(out, 'runs', name);
  const dataset = loadDataset(name, { seed: options.seed, folder: process.env['VEILSUM_DATA'] });
  mkdirSync(folder, { recursive: true });
  const regions = dataset.regions.map((region) => encodeRegion(region, dataset.schema));
  const inputs = regions[0]!.train.width;
  for (const kind of models) {
    const defaults = runDefaults(name, 'full', kind);
    const rounds = options.rounds ?? defaults.rounds;
    const spec: ModelSpec = kind === 'mlp' ? { kind, inputs, hidden: defaults.hidden } : { kind, inputs };
    print(`${name}, ${kind}: region-only and centralised models`);
    const references = trainReferences(tf, spec, regions, { ...defaults, rounds });
    const rivals = { central: references.central.model, regionOnly: references.regionOnly };
    const comparer = new Comparer(tf, regions, rivals, `${name} ${options.seed}`);
    const runs: Run[] = [];
    for (const epsilon of epsilons) {
      const { isKept, ...run } = await inStore(folder, (records) =>
        runOnce(folder, {
          ...{ tf, dataset: name, regions: dataset.regions, kind, epsilon, optimiser: options.optimiser, records },
          ...(options.rounds === undefined ? {} : { rounds }),
          tracer: new Tracer(tf, regions),
          onRound: progressOf(`${name}, ${kind}, epsilon ${epsilon}`, print),
        }),
      );
      runs.push(run);
      const auc = run.aucPerRound.at(-1)!.toFixed(4);
      print(
        `${name}, ${kind}, epsilon ${epsilon}: AUC ${auc}, ${run.exactSums} of ${run.rounds} sums exact${isKept ? ', kept from before' : `, ${run.msPerRound.toFixed(0)} ms a round`}`,
      );
    }
    const isSplit = options.processes?.dataset === name && kind === models[0];
    const split = isSplit ? await inProcesses(options, dataset.regions, regions, folder) : null;
    if (split !== null) print(`${name}, ${kind}, every party a process: ${splitWords(split)}`);
    all.push({
      ...(split === null ? {} : { processes: split }),
      ...{ dataset: name, kind, inputs, baseline: comparer.baseline() },
      regions: regions.map((r) => ({ name: r.name, trainRows: r.train.rows, heldOutRows: r.heldOut.rows })),
      curves: {
        central: references.central.aucPerRound,
        regionOnly: references.regionOnly.map(({ region, aucPerRound }) => ({ region, aucPerRound })),
      },
      comparisons: runs.map((run) => comparer.compare(run)),
    });
  }
  return all;
}

/** At the weakest privacy that is asked for, so that the ledger has something to count. */
function inProcesses(
  { processes, models, epsilons, optimiser, rounds, print }: FindingsOptions,
  tables: readonly RegionTables[],
  encoded: readonly Region[],
  folder: string,
): Promise<ProcessRun & { readonly isKept: boolean }> {
  const [kind] = models as [ModelKind];
  const { dataset, rounds: processRounds } = processes!;
  const epsilon = epsilons.reduce((a, b) => (a === 'none' || (b !== 'none' && b > a) ? b : a));
  const what = `${dataset}, ${kind}, epsilon ${epsilon}, processes`;
  const job = { dataset, regions: tables, kind, epsilon, optimiser, ...(rounds === undefined ? {} : { rounds }) };
  return runInProcesses(folder, { ...job, encoded, processRounds, print, onRound: progressOf(what, print) });
}

function splitWords({ aucPerRound, exactSums, rounds, msPerRound, isKept }: ProcessRun & { isKept: boolean }): string {
  const time = isKept ? 'kept from before' : `${msPerRound.toFixed(0)} ms a round`;
  return `AUC ${aucPerRound.at(-1)!.toFixed(4)} after ${rounds} rounds, ${exactSums} sums exact, log verified, ${time}`;
}

type Records = Awaited<ReturnType<typeof openWork>>['records'];

async function inStore<T>(folder: string, work: (records: Records) => Promise<T>): Promise<T> {
  await using store = await openWork(folder);
  return await work(store.records);
}

/** Says how far a run is about every ten seconds. */
function progressOf(what: string, print: (line: string) => void): (round: number, rounds: number) => void {
  let said = performance.now();
  return (round, rounds) => {
    if (performance.now() - said < 10_000) return;
    said = performance.now();
    print(`  ${what}: round ${round} of ${rounds}`);
  };
}
