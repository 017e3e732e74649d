import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { weightOf } from '../../protocols/one-shot.ts';
import type { Round } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows } from '../learning/datasets.ts';
import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import { loadTensorFlow, type Tf } from '../learning/load-tensorflow.ts';
import { localDelta } from '../learning/local-steps.ts';
import { modelAuc } from '../learning/references.ts';
import { decodeSafetensors, modelFromTensors } from '../learning/safetensors.ts';
import type { RecordStore } from '../store/port.ts';
import { quantiserOf } from '../training/fit-noise.ts';
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import { type MadeTask, makeTask } from '../training/make-task.ts';
import { createModelMaker } from '../training/model-maker.ts';
import { NoisedIntegers } from '../training/noised-integers.ts';
import { trainedVector } from '../training/trained-vector.ts';
import { writeAsyncReport } from './async-report.ts';
import { Bootstrap, type Interval, intervalOf } from './bootstrap.ts';
import { federationOf, JOB_QUORUM, plainSum } from './job.ts';
import { bufferedTurns, paceOf, type Turn, waitingTurns } from './pace.ts';
import { splitAmong } from './robust.ts';
import { openWork } from './work-store.ts';

export interface AsyncOptions {
  readonly dataset: DatasetName;
  readonly nodes: number;
  /** Of them, how many are slow, and how many times as long they train. */
  readonly slow: number;
  readonly slowness: number;
  readonly buffer: number;
  readonly maxStaleness: number;
  /** Rounds that wait for everybody; the buffered ones have the same time. */
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
  readonly print: (line: string) => void;
}

/** What rounds of one kind came to. */
export interface AsyncOutcome {
  readonly masking: 'pairwise' | 'none';
  readonly points: readonly { readonly at: number; readonly auc: number }[];
  readonly auc: Interval;
  /** Sums opened, each compared with the plain one and charged. */
  readonly sums: number;
  readonly updates: number;
  /** Mean and largest number of models that updates were behind. */
  readonly staleness: { readonly mean: number; readonly most: number };
  /** Of them, from slow nodes. */
  readonly slowUpdates: number;
}

export interface AsyncFindings extends Omit<AsyncOptions, 'out' | 'print'> {
  readonly until: number;
  readonly outcomes: readonly AsyncOutcome[];
}

interface Bench {
  readonly tf: Tf;
  readonly options: AsyncOptions;
  readonly rows: readonly DesignMatrix[];
  readonly heldOut: DesignMatrix;
  readonly bootstrap: Bootstrap;
  readonly records: RecordStore;
}

/** The same nodes for the same time, with rounds that wait for the slowest, and with rounds that do not. */
export async function runAsync(options: AsyncOptions): Promise<AsyncFindings> {
  const { dataset: name, nodes, seed, print, out: folder, ...setting } = options;
  const out = resolve(folder);
  requireWritableFolder(out);
  const { tf } = await loadTensorFlow(['wasm']);
  const dataset = loadDataset(name, { seed, folder: process.env['VEILSUM_DATA'] });
  const regions = dataset.regions.map((region) => encodeRegion(region, dataset.schema));
  const heldOut = poolRows(regions.map((region) => region.heldOut));
  mkdirSync(out, { recursive: true });
  await using store = await openWork(out);
  const bench = {
    ...{ tf, options, heldOut, records: store.records },
    rows: splitAmong(regions, nodes, seed),
    bootstrap: new Bootstrap(heldOut.y, `${name} ${seed}`),
  };
  const pace = paceOf(nodes, options.slow, options.slowness, seed);
  const until = options.rounds * Math.max(...pace);
  const kinds = [
    { masking: 'pairwise', turns: waitingTurns(pace, until) },
    { masking: 'none', turns: bufferedTurns(pace, options, until) },
  ] as const;
  const outcomes: AsyncOutcome[] = [];
  for (const { masking, turns } of kinds) {
    const outcome = await runTurns(bench, masking, turns);
    outcomes.push(outcome);
    print(
      `masking ${masking}: ${outcome.sums} sums in the same time, AUC ${outcome.auc.value.toFixed(4)}, ${outcome.staleness.mean.toFixed(2)} models behind on average`,
    );
  }
  const findings = { dataset: name, nodes, seed, ...setting, until, outcomes };
  await writeAsyncReport(out, findings);
  writeDurably(join(out, 'async.json'), `${JSON.stringify(findings, null, 1)}\n`);
  print(`Done: ${join(out, 'report.html')}`);
  return findings;
}

function madeFor({ dataset, nodes, buffer, maxStaleness }: AsyncOptions, masking: string, rounds: number): MadeTask {
  return makeTask({
    ...{ dataset, unit: 'node', nodes, rounds, clip: 1, epsilon: null, task: `masking-${masking}` },
    ...{ window: 'experiment', recipients: ['recipient'], quorum: JOB_QUORUM },
    ...(masking === 'none' ? { minCohort: buffer, oneShot: { buffer, maxStaleness } } : {}),
  });
}

/** @throws Error when a round is not released, holds other nodes than it should, or its sum is not exact. */
async function runTurns(
  { tf, options, rows, heldOut, bootstrap, records }: Bench,
  masking: AsyncOutcome['masking'],
  turns: readonly Turn[],
): Promise<AsyncOutcome> {
  const { nodes, slow, seed } = options;
  const made = madeFor(options, masking, turns.length);
  const { task } = made;
  const plan = parseLearningPlan(task);
  if (plan.unit !== 'node') throw new Error('local steps are of unit node');
  const federation = await federationOf(made, nodes);
  const maker = createModelMaker({ store: { records } });
  const integers = new NoisedIntegers();
  const models = [await maker.first(task)];
  const modelAt = (number: number) => modelFromTensors(specOf(plan), decodeSafetensors(models[number]!));
  const { steps, batch, learningRateMicro } = plan.local;
  const points: { at: number; auc: number }[] = [];
  for (const [number, { at, shares }] of turns.entries()) {
    const updates = new Map<string, Int32Array>();
    for (const { node, base } of shares) {
      const rates = { steps, batch, learningRate: learningRateMicro / 1e6 };
      const delta = localDelta(tf, modelAt(base), rows[node]!, { ...rates, seed: `${seed} ${base} ${node}` });
      using trained = trainedVector(integers, quantiserOf(task), delta);
      const name = federation.nodeNames[node]!;
      federation.trainedFrom.set(name, base);
      updates.set(name, trained.integers({} as Round, weightOf(number - base)));
    }
    const round = federation.runRound(number + 1, updates);
    const values = federation.openings.get(round.id)?.values;
    if (round.phase !== 'released' || values === undefined) throw new Error(`round ${number + 1} was not released`);
    const plain = plainSum(updates, updates.keys());
    const isExact = round.decision.attempt.cohort.length === shares.length && values.every((v, i) => v === plain[i]);
    if (!isExact) throw new Error(`round ${number + 1}: not the exact sum`);
    models.push(await maker.next(task, [{ round, values }], models[number]!));
    federation.nextModel(round);
    federation.blobs.clear();
    points.push({ at, auc: modelAuc(tf, modelAt(number + 1), heldOut) });
  }
  const behind = turns.flatMap(({ shares }, number) => shares.map(({ base }) => number - base));
  const all = turns.flatMap(({ shares }) => shares);
  return {
    ...{ masking, points, sums: turns.length, updates: all.length },
    auc: intervalOf(bootstrap.auc(scoreRows(tf, modelAt(turns.length), heldOut))),
    staleness: { mean: behind.reduce((sum, s) => sum + s, 0) / behind.length, most: Math.max(...behind) },
    slowUpdates: all.filter(({ node }) => node >= nodes - slow).length,
  };
}
