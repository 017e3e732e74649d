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
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import { type MadeTask, makeTask } from '../training/make-task.ts';
import { JOB_QUORUM, runJob } from './job.ts';

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
  /** Measured after every round. */
  readonly aucOf: (model: Model) => number;
}

/** What one federated job came to. */
export interface Run {
  readonly kind: ModelKind;
  readonly epsilon: Epsilon;
  readonly rounds: number;
  /** On all regions' held-out rows, after each round. */
  readonly aucPerRound: readonly number[];
  readonly msPerRound: number;
  /** Rounds whose opened sum was the plain sum of the nodes' integers: all of them, or the run fails. */
  readonly exactSums: number;
  /** What was charged, in epsilon at delta 1e-5; null without privacy. */
  readonly spent: number | null;
  readonly model: Model;
}

type Kept = Omit<Run, 'model'> & { readonly key: string };

/** Where clipping is for nobody's protection it is out of the way. */
const FREE_CLIP = 16;

function taskOf({ dataset, regions, kind, epsilon, optimiser, rounds }: RunRequest): MadeTask {
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
  });
}

function hashOf(text: string): string {
  return toHex(nodePrimitives.sha256(utf8(text)));
}

/** Runs are kept in a folder, each with the task and the rows it was for: the same run is not made again. */
export async function runOnce(folder: string, request: RunRequest): Promise<Run & { readonly isKept: boolean }> {
  const made = taskOf(request);
  const spec = specOf(parseLearningPlan(made.task));
  const rows = request.regions.map(({ name, train, heldOut }) => [
    name,
    hashOf(formatCsv(train)),
    hashOf(formatCsv(heldOut)),
  ]);
  const key = hashOf(JSON.stringify([made.task, made.rounds, rows]));
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
  const aucPerRound: number[] = [];
  const { model, bytes, msPerRound } = await runJob({
    tf: request.tf,
    regions: request.regions,
    made,
    records: request.records,
    onRound: (round, next) => {
      aucPerRound.push(request.aucOf(next));
      request.onRound(round, made.rounds);
    },
  });
  const run = {
    kind: request.kind,
    epsilon: request.epsilon,
    rounds: made.rounds,
    aucPerRound,
    msPerRound,
    exactSums: made.rounds,
    spent: request.epsilon === 'none' ? null : made.epsilon,
  };
  mkdirSync(folder, { recursive: true });
  writeDurably(`${base}.safetensors`, bytes);
  writeDurably(`${base}.json`, `${JSON.stringify({ ...run, key } satisfies Kept)}\n`);
  return { ...run, model, isKept: false };
}
