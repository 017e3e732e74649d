import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import type { Round } from '../../protocols/transcript.ts';
import type { RegionTables } from '../learning/datasets.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { loadKernelModule } from '../platform/kernel.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { MemoryFederation } from '../simulate/memory-federation.ts';
import type { RecordStore } from '../store/port.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { readModel } from '../training/local-layers.ts';
import type { MadeTask } from '../training/make-task.ts';
import { createModelMaker } from '../training/model-maker.ts';
import { createNodeSource } from '../training/node-source.ts';
import type { Residuals } from '../training/residuals.ts';

/** Who holds the keys of a job in process. */
export const JOB_QUORUM = { members: 5, threshold: 3 };

export interface Job {
  readonly tf: Tf;
  /** One node each. */
  readonly regions: readonly RegionTables[];
  readonly made: MadeTask;
  /** Where each node keeps its own layers; left out: forgotten. */
  readonly heads?: readonly Residuals[];
  /** Where the optimiser's state is kept. */
  readonly records: RecordStore;
  /** What nodes send in a round, before it is encrypted; the caller's to read only. */
  readonly onUpdates?: (updates: ReadonlyMap<string, Int32Array>) => void;
  /** After every round. @param model - the one that the round made. */
  readonly onRound?: (round: number, model: Model) => void;
}

export interface JobResult {
  readonly model: Model;
  /** As it went out: safetensors. */
  readonly bytes: Uint8Array;
  /** Rounds that had nodes enough, each with an exact sum. */
  readonly exactSums: number;
  /** Milliseconds of a round: training, noise, all parties' cryptography and the server's step. */
  readonly msPerRound: number;
}

/**
 * A whole federated job in one process: gradients by TensorFlow.js, the real quantiser, exact discrete noise, encryption, masks,
 * quorum, log and opening, and the ledger's budget. Every opened sum is compared with the plain sum of the nodes' integers.
 *
 * @throws Error when a round is not released, or its sum is not exact.
 */
export async function runJob(job: Job): Promise<JobResult> {
  const { tf, regions, made, records, heads, onUpdates, onRound = () => {} } = job;
  const { task, rounds } = made;
  const federation = await federationOf(made, regions.length);
  const sources = regions.map((tables, i) =>
    createNodeSource({ ...{ tf, tables, tasks: [task] }, ...(heads === undefined ? {} : { heads: heads[i]! }) }),
  );
  const maker = createModelMaker({ store: { records } });
  const plan = parseLearningPlan(task);
  const read = (bytes: Uint8Array): Model => readModel(plan, bytes);
  let bytes = await maker.first(task);
  let exactSums = 0;
  const start = performance.now();
  for (let number = 1; number <= rounds; number++) {
    const updates = new Map<string, Int32Array>();
    // The federation opens the round once the updates are there; sources look at which model it starts from.
    const coming = { record: { number, modelNumber: number - 1 } } as Round;
    for (const [i, name] of federation.nodeNames.entries()) {
      const update = await sources[i]!.update(task, coming, bytes);
      if (update !== null) updates.set(name, update);
    }
    // Where nodes may stay away, too few make no sum, and the model stays.
    if (updates.size < task.minCohort) {
      onRound(number, read(bytes));
      continue;
    }
    onUpdates?.(updates);
    const plain = plainSum(updates, updates.keys());
    const round = federation.runRound(number, updates);
    const opened = federation.openings.get(round.id);
    if (round.phase !== 'released' || opened === undefined) throw new Error(`round ${number} was not released`);
    if (!opened.values.every((value, i) => value === plain[i])) throw new Error(`round ${number}: not the exact sum`);
    bytes = await maker.next(task, [{ round, values: opened.values }], bytes);
    federation.nextModel(round);
    federation.blobs.clear();
    exactSums++;
    onRound(number, read(bytes));
  }
  return { model: read(bytes), bytes, exactSums, msPerRound: (performance.now() - start) / rounds };
}

/** All parties of a job, with the real cryptography. */
export async function federationOf({ task, budget }: MadeTask, nodes: number): Promise<MemoryFederation> {
  const { dimension, bits, nodesMax, minCohort, minHonest } = task;
  const request = { dimension, bits, nodesMax, minCohort, minHonest };
  const shape = ringShape(deriveParameters({ ...request, ...JOB_QUORUM }));
  const engine = await createKernelEngine(loadKernelModule(), shape);
  return new MemoryFederation({
    primitives: nodePrimitives,
    rng: systemRng,
    engine: () => engine,
    nodes,
    ...JOB_QUORUM,
    request,
    budgetRhoNano: budget.rhoNano,
    budgetEpsilonMicro: budget.epsilonMicro,
    sigma2: BigInt(task.noise.sigma2Numerator),
    sigma2Denominator: BigInt(task.noise.sigma2Denominator),
    clipped: { clipMicro: task.clipMicro, scale: task.scale },
    sensitivity2: BigInt(task.sensitivity2),
    ...(task.buckets === undefined ? {} : { buckets: task.buckets }),
    ...(task.oneShot === undefined ? {} : { oneShot: task.oneShot }),
  });
}

/** The sum of some nodes' integers. */
export function plainSum(updates: ReadonlyMap<string, Int32Array>, names: Iterable<string>): Int32Array {
  const sum = new Int32Array(updates.values().next().value!.length);
  for (const name of names) for (const [i, value] of updates.get(name)!.entries()) sum[i]! += value;
  return sum;
}
