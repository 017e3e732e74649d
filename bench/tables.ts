import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKernelEngine } from '../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../crypto/params.ts';
import type { Task } from '../protocols/task.ts';
import type { DatasetName } from '../src/learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows } from '../src/learning/datasets.ts';
import { loadTensorFlow } from '../src/learning/load-tensorflow.ts';
import { modelAuc, trainReferences } from '../src/learning/references.ts';
import { decodeSafetensors, modelFromTensors } from '../src/learning/safetensors.ts';
import { loadKernelModule } from '../src/platform/kernel.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import { MemoryFederation } from '../src/simulate/memory-federation.ts';
import { openStore } from '../src/store/open-store.ts';
import { parseLearningPlan, serverSettingsOf, specOf } from '../src/training/learning-plan.ts';
import { type MadeTask, makeTask } from '../src/training/make-task.ts';
import { createModelMaker } from '../src/training/model-maker.ts';
import { createNodeSource } from '../src/training/node-source.ts';
import type { BenchRow } from './row.ts';

const QUORUM = { members: 5, threshold: 3 };

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

/**
 * A whole job of one region per node: gradients by TensorFlow.js, the real quantiser, exact discrete noise, encryption,
 * masks, quorum, log and opening in one process, and the ledger's budget.
 *
 * @throws Error when a round is not released or its sum is not exact.
 */
export async function runTable(dataset: DatasetName, folder: string | undefined, made?: MadeTask): Promise<TableRun> {
  const { schema, regions: tables } = loadDataset(dataset, { folder });
  const nodes = tables.length;
  const job = made ?? makeTask({ dataset, nodes, window: 'bench', recipients: ['recipient'], quorum: QUORUM });
  const { task, rounds } = job;
  const { tf } = await loadTensorFlow(['wasm']);
  const work = mkdtempSync(join(tmpdir(), 'veilsum-bench-'));
  const store = await openStore(work);
  try {
    const federation = await federationOf(job, nodes);
    const sources = tables.map((region) => createNodeSource({ tf, tables: region, tasks: [task] }));
    const maker = createModelMaker({ store });
    let model = await maker.first(task);
    const start = performance.now();
    for (let number = 1; number <= rounds; number++) {
      const updates = new Map<string, Int32Array>();
      // The source looks at no round; the federation opens it once the updates are there.
      for (const [i, name] of federation.nodeNames.entries()) {
        updates.set(name, (await sources[i]!.update(task, undefined as never, model))!);
      }
      const plain = plainSum(task, updates);
      const round = federation.runRound(number, updates);
      const opened = federation.openings.get(round.id);
      if (round.phase !== 'released' || opened === undefined) throw new Error(`round ${number} was not released`);
      if (!opened.values.every((value, i) => value === plain[i])) throw new Error(`round ${number}: not the exact sum`);
      model = await maker.next(task, round, model, opened.values);
      federation.nextModel(round);
      federation.blobs.clear();
    }
    const msPerRound = (performance.now() - start) / rounds;
    const regions = tables.map((region) => encodeRegion(region, schema));
    const heldOut = poolRows(regions.map((region) => region.heldOut));
    const plan = parseLearningPlan(task);
    const references = trainReferences(tf, specOf(plan), regions, { ...serverSettingsOf(plan), rounds });
    const alone = references.regionOnly.map((run) => run.aucPerRound.at(-1)!);
    return {
      auc: modelAuc(tf, modelFromTensors(specOf(plan), decodeSafetensors(model)), heldOut),
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

async function federationOf({ task, budget }: MadeTask, nodes: number): Promise<MemoryFederation> {
  const { dimension, bits, nodesMax, minCohort, minHonest } = task;
  const request = { dimension, bits, nodesMax, minCohort, minHonest };
  const engine = await createKernelEngine(loadKernelModule(), ringShape(deriveParameters({ ...request, ...QUORUM })));
  return new MemoryFederation({
    primitives: nodePrimitives,
    rng: systemRng,
    engine: () => engine,
    nodes,
    ...QUORUM,
    request,
    budgetRhoNano: budget.rhoNano,
    sigma2: BigInt(task.noise.sigma2Numerator),
    sensitivity2: BigInt(task.sensitivity2),
  });
}

function plainSum(task: Task, updates: ReadonlyMap<string, Int32Array>): Int32Array {
  const sum = new Int32Array(task.dimension);
  for (const update of updates.values()) for (let i = 0; i < sum.length; i++) sum[i]! += update[i]!;
  return sum;
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
