import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JOB_QUORUM, runJob } from '../src/experiment/job.ts';
import type { DatasetName } from '../src/learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows } from '../src/learning/datasets.ts';
import { loadTensorFlow } from '../src/learning/load-tensorflow.ts';
import { modelAuc, trainReferences } from '../src/learning/references.ts';
import { openStore } from '../src/store/open-store.ts';
import { parseLearningPlan, serverSettingsOf, specOf } from '../src/training/learning-plan.ts';
import { type MadeTask, makeTask } from '../src/training/make-task.ts';
import type { BenchRow } from './row.ts';

/** What one table's job came to. */
export interface TableRun {
  readonly auc: number;
  readonly central: number;
  readonly regionOnly: number;
  readonly rounds: number;
  /** Rounds whose opened sum was the plain sum of the nodes' integers; the run stops at the first that is not. */
  readonly exactSums: number;
  readonly epsilon: number;
  /** Milliseconds of a round: training, noise, all parties' cryptography and the server's step. */
  readonly msPerRound: number;
}

/** A whole job of one region per node (src/experiment/job.ts), against the same model centrally and by region. */
export async function runTable(dataset: DatasetName, folder: string | undefined, made?: MadeTask): Promise<TableRun> {
  const { schema, regions: tables } = loadDataset(dataset, { folder });
  const nodes = tables.length;
  const job = made ?? makeTask({ dataset, nodes, window: 'bench', recipients: ['recipient'], quorum: JOB_QUORUM });
  const { task, rounds } = job;
  const { tf } = await loadTensorFlow(['wasm']);
  const work = mkdtempSync(join(tmpdir(), 'veilsum-bench-'));
  const store = await openStore(work);
  try {
    const { model, msPerRound } = await runJob({ tf, regions: tables, made: job, records: store.records });
    const regions = tables.map((region) => encodeRegion(region, schema));
    const heldOut = poolRows(regions.map((region) => region.heldOut));
    const plan = parseLearningPlan(task);
    const references = trainReferences(tf, specOf(plan), regions, { ...serverSettingsOf(plan), rounds });
    const alone = references.regionOnly.map((run) => run.aucPerRound.at(-1)!);
    return {
      auc: modelAuc(tf, model, heldOut),
      central: references.central.aucPerRound.at(-1)!,
      regionOnly: alone.reduce((sum, auc) => sum + auc, 0) / alone.length,
      rounds,
      exactSums: rounds,
      epsilon: job.epsilon,
      msPerRound,
    };
  } finally {
    await store[Symbol.asyncDispose]();
    rmSync(work, { recursive: true });
  }
}

/** Central logistic regression by scikit-learn on the same held-out rows, as published with the tables. */
const PUBLISHED = { leads: 0.86, bank: 0.7611 } as const;

/** Federated logistic regression at record-level epsilon 8, delta 1e-5, 200 rounds, on tables of VEILSUM_DATA. */
export async function run(): Promise<BenchRow[]> {
  const folder = process.env['VEILSUM_DATA'];
  if (!folder) {
    console.error('tables: 2 rows skipped, VEILSUM_DATA is not set');
    return [];
  }
  const rows: BenchRow[] = [];
  for (const dataset of ['leads', 'bank'] as const) {
    const { auc, central, regionOnly, msPerRound, rounds, exactSums, epsilon } = await runTable(dataset, folder);
    rows.push(
      {
        name: dataset,
        value: auc,
        unit: `AUC after ${rounds} rounds, epsilon ${epsilon.toFixed(3)}, ${exactSums} of ${rounds} sums exact`,
        baseline: `centralised: scikit-learn ${PUBLISHED[dataset]}, ours ${central.toFixed(4)}; region only ${regionOnly.toFixed(4)}`,
        ratio: auc / PUBLISHED[dataset],
      },
      { name: `${dataset}-round`, value: msPerRound, unit: 'ms a round, all parties', baseline: '', ratio: null },
    );
  }
  return rows;
}
