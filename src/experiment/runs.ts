import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex, utf8 } from '../../crypto/encoding.ts';
import { writeDurably } from '../config/files.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import type { RegionTables } from '../learning/datasets.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import type { Optimiser } from '../learning/optimisers.ts';
import { decodeSafetensors, modelFromTensors } from '../learning/safetensors.ts';
import { formatCsv } from '../learning/table.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import type { RecordStore } from '../store/port.ts';
import { epsilonOf } from '../training/budget.ts';
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import { type LearningRequest, type MadeTask, makeTask } from '../training/make-task.ts';
import { JOB_QUORUM, runJob } from './job.ts';
import type { Trace, Tracer } from './trace.ts';

export type ModelKind = 'logistic' | 'mlp';
/** Record-level, of all rounds together, at delta 1e-5; 'none': no privacy. */
export type Epsilon = number | 'none';

export interface RunRequest {
  readonly tf: Tf;
  readonly dataset: DatasetName;
  readonly regions: readonly RegionTables[];
  readonly kind: ModelKind;
  readonly epsilon: Epsilon;
  readonly optimiser: Optimiser;
  /** Left out: as the dataset's defaults say. */
  readonly rounds?: number;
  readonly records: RecordStore;
  /** Told after each round. */
  readonly onRound: (round: number, rounds: number) => void;
  /** Looks at the model after every round. */
  readonly tracer: Tracer;
}

/** What one federated job came to. */
export interface Run extends Trace {
  readonly kind: ModelKind;
  readonly epsilon: Epsilon;
  readonly rounds: number;
  readonly msPerRound: number;
  /** Rounds whose opened sum was the plain sum of the nodes' integers: all of them, or the run fails. */
  readonly exactSums: number;
  /** What was charged, in epsilon at delta 1e-5, all rounds up to each; null without privacy. */
  readonly spentPerRound: readonly number[] | null;
  readonly model: Model;
}

/** The law of the ledger: charges add up in integers, and are converted from above. */
function spending({ rounds, rhoNanoPerRound, budget }: MadeTask): number[] {
  const { deltaExponent, renyiOrder } = budget;
  return Array.from({ length: rounds }, (_, i) => epsilonOf((i + 1) * rhoNanoPerRound, deltaExponent, renyiOrder));
}

type Kept = Omit<Run, 'model'> & { readonly key: string };

/** Goes up when a run keeps more than before: what was kept then is made again. */
const KEPT_VERSION = 2;
/** Where clipping is for nobody's protection it is out of the way. */
const FREE_CLIP = 16;

/** What names a job. */
export type JobRequest = Pick<RunRequest, 'dataset' | 'regions' | 'kind' | 'epsilon' | 'optimiser' | 'rounds'>;

export function taskOf(
  { dataset, regions, kind, epsilon, optimiser, rounds }: JobRequest,
  more: Partial<LearningRequest> = {},
): MadeTask {
  return makeTask({
    dataset,
    model: kind,
    optimiser,
    nodes: regions.length,
    window: 'experiment',
    recipients: ['recipient'],
    quorum: JOB_QUORUM,
    epsilon: epsilon === 'none' ? null : epsilon,
    ...(epsilon === 'none' ? { clip: FREE_CLIP } : {}),
    ...(rounds === undefined ? {} : { rounds }),
    ...more,
  });
}

function hashOf(text: string): string {
  return toHex(nodePrimitives.sha256(utf8(text)));
}

/** What a job is of: its task, its rows, and what is kept of it. */
export function keyOf({ task, rounds }: MadeTask, regions: readonly RegionTables[]): string {
  const rows = regions.map(({ name, train, heldOut }) => [name, hashOf(formatCsv(train)), hashOf(formatCsv(heldOut))]);
  return hashOf(JSON.stringify([KEPT_VERSION, task, rounds, rows]));
}

/** Runs are kept in a folder, each with the task and the rows it was for: the same run is not made again. */
export async function runOnce(folder: string, request: RunRequest): Promise<Run & { readonly isKept: boolean }> {
  const made = taskOf(request);
  const spec = specOf(parseLearningPlan(made.task));
  const key = keyOf(made, request.regions);
  const optimiser = request.optimiser === 'momentum' ? '' : `-${request.optimiser}`;
  const base = join(folder, `${request.kind}${optimiser}-epsilon-${request.epsilon}`);
  const read = (bytes: Uint8Array): Model => modelFromTensors(spec, decodeSafetensors(bytes));
  if (existsSync(`${base}.json`)) {
    const kept = JSON.parse(readFileSync(`${base}.json`, 'utf8')) as Kept;
    if (kept.key === key) {
      const { key: _, ...run } = kept;
      return { ...run, model: read(readFileSync(`${base}.safetensors`)), isKept: true };
    }
  }
  const { model, bytes, msPerRound } = await runJob({
    tf: request.tf,
    regions: request.regions,
    made,
    records: request.records,
    onRound: (round, next) => {
      request.tracer.add(next);
      request.onRound(round, made.rounds);
    },
  });
  const run = {
    kind: request.kind,
    epsilon: request.epsilon,
    rounds: made.rounds,
    ...request.tracer.trace,
    msPerRound,
    exactSums: made.rounds,
    spentPerRound: request.epsilon === 'none' ? null : spending(made),
  };
  mkdirSync(folder, { recursive: true });
  writeDurably(`${base}.safetensors`, bytes);
  writeDurably(`${base}.json`, `${JSON.stringify({ ...run, key } satisfies Kept)}\n`);
  return { ...run, model, isKept: false };
}
