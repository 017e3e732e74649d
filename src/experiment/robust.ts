import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Round } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { Aggregate } from '../learning/aggregates.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows, type Region } from '../learning/datasets.ts';
import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import { loadTensorFlow, type Tf } from '../learning/load-tensorflow.ts';
import { localDelta } from '../learning/local-steps.ts';
import type { Model } from '../learning/model.ts';
import { seededRandom } from '../learning/random.ts';
import { modelAuc } from '../learning/references.ts';
import { decodeSafetensors, modelFromTensors } from '../learning/safetensors.ts';
import type { OpenedRound } from '../party/recipient.ts';
import type { RecordStore } from '../store/port.ts';
import { quantiserOf } from '../training/fit-noise.ts';
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import { type MadeTask, makeTask } from '../training/make-task.ts';
import { createModelMaker } from '../training/model-maker.ts';
import { NoisedIntegers } from '../training/noised-integers.ts';
import type { Attack } from './attack-names.ts';
import { badUpdate, poisonedRows, quietColumn, triggered } from './attacks.ts';
import { Bootstrap, type Interval, intervalOf } from './bootstrap.ts';
import { federationOf, JOB_QUORUM, plainSum } from './job.ts';
import { writeRobustReport } from './robust-report.ts';
import { openWork } from './work-store.ts';

export interface RobustOptions {
  readonly dataset: DatasetName;
  readonly attacks: readonly Attack[];
  /** Parts of the nodes that are bad, in percent. */
  readonly percents: readonly number[];
  readonly rule: Exclude<Aggregate, 'mean'>;
  readonly nodes: number;
  readonly buckets: number;
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
  readonly print: (line: string) => void;
}

/** Mean of all nodes; the rule over bucket means, every sum opened by the real cryptography; the rule over the nodes' own updates in the clear. */
const DEFENCES = ['none', 'buckets', 'in the clear'] as const;
export type Defence = (typeof DEFENCES)[number];

/** What one attack came to under one defence. */
export interface Outcome {
  readonly attack: Attack | 'no attack';
  readonly percent: number;
  readonly bad: number;
  readonly defence: Defence;
  readonly auc: Interval;
  readonly aucPerRound: readonly number[];
  /** Part of the held-out negatives that the model calls positive once they carry the trigger; and without it. */
  readonly triggered: number;
  readonly untriggered: number;
  /** Of all rounds: in how many buckets, at most, a bad node was. */
  readonly mostPoisoned: number | null;
  /** Sums that were compared with the plain ones: all of them, or the run fails. */
  readonly exactSums: number;
}

export interface RobustFindings extends Pick<RobustOptions, 'dataset' | 'rule' | 'nodes' | 'buckets' | 'rounds'> {
  readonly rowsPerNode: readonly number[];
  readonly outcomes: readonly Outcome[];
}

interface Bench {
  readonly tf: Tf;
  readonly made: MadeTask;
  readonly options: RobustOptions;
  readonly rows: readonly DesignMatrix[];
  readonly heldOut: DesignMatrix;
  readonly column: number;
  readonly bootstrap: Bootstrap;
  readonly records: RecordStore;
}

/** Rows of a node: every region's are dealt to as many nodes as its turn gives it, in an order that the seed draws. */
export function splitAmong(regions: readonly Region[], nodes: number, seed: number): DesignMatrix[] {
  return Array.from({ length: nodes }, (_, node) => {
    const region = node % regions.length;
    const { train } = regions[region]!;
    const sharing = Math.ceil((nodes - region) / regions.length);
    const order = seededRandom(`split/${seed}/${region}`).shuffle(
      Uint32Array.from({ length: train.rows }, (_, i) => i),
    );
    const own = order.filter((_, place) => place % sharing === Math.floor(node / regions.length));
    const x = new Float32Array(own.length * train.width);
    for (const [i, row] of own.entries())
      x.set(train.x.subarray(row * train.width, (row + 1) * train.width), i * train.width);
    return { ...train, rows: own.length, x, y: Uint8Array.from(own, (row) => train.y[row]!) };
  });
}

/** Attacks on training, with and without defence, with and without encryption. */
export async function runRobust(options: RobustOptions): Promise<RobustFindings> {
  const { dataset: name, nodes, buckets, rounds, rule, seed, print } = options;
  const out = resolve(options.out);
  requireWritableFolder(out);
  const { tf } = await loadTensorFlow(['wasm']);
  const dataset = loadDataset(name, { seed, folder: process.env['VEILSUM_DATA'] });
  const regions = dataset.regions.map((region) => encodeRegion(region, dataset.schema));
  const rows = splitAmong(regions, nodes, seed);
  const heldOut = poolRows(regions.map((region) => region.heldOut));
  const made = makeTask({
    ...{ dataset: name, unit: 'node', nodes, buckets, rounds, aggregate: rule, clip: 1 },
    ...{ window: 'experiment', recipients: ['recipient'], quorum: JOB_QUORUM, epsilon: null },
  });
  mkdirSync(out, { recursive: true });
  await using store = await openWork(out);
  const bootstrap = new Bootstrap(heldOut.y, `${name} ${seed}`);
  const column = quietColumn(poolRows(rows));
  const bench: Bench = { tf, made, options, rows, heldOut, column, bootstrap, records: store.records };
  const outcomes: Outcome[] = [];
  const findings = { dataset: name, rule, nodes, buckets, rounds, rowsPerNode: rows.map((own) => own.rows), outcomes };
  const cases = options.attacks.flatMap((attack) => options.percents.map((percent) => ({ attack, percent })));
  for (const { attack, percent } of [{ attack: 'no attack' as const, percent: 0 }, ...cases]) {
    for (const defence of DEFENCES) {
      const outcome = await runCase(bench, attack, percent, defence);
      outcomes.push(outcome);
      print(
        `${attack}, ${percent} % bad, ${defence}: AUC ${outcome.auc.value.toFixed(4)}${attack === 'backdoor' ? `, trigger works on ${(100 * outcome.triggered).toFixed(0)} %` : ''}`,
      );
      // After every run: what is there can be read while the rest goes on.
      await writeRobustReport(out, findings);
      writeDurably(join(out, 'robust.json'), `${JSON.stringify(findings, null, 1)}\n`);
    }
  }
  print(`Done: ${join(out, 'report.html')}`);
  return findings;
}

async function runCase(
  { tf, made, options, rows, heldOut, column, bootstrap, records }: Bench,
  attack: Outcome['attack'],
  percent: number,
  defence: Defence,
): Promise<Outcome> {
  const { nodes, rounds, seed } = options;
  const { task } = made;
  const bad = Math.round((nodes * percent) / 100);
  const plan = parseLearningPlan(task);
  if (plan.unit !== 'node') throw new Error('attacks are on updates of whole nodes');
  const names = Array.from({ length: nodes }, (_, i) => `node-${i + 1}`);
  const order = seededRandom(`bad/${seed}`).shuffle(Uint32Array.from(names, (_, i) => i));
  const isBad = new Set(Array.from(order.subarray(0, bad), (i) => names[i]!));
  const { aggregate: _, ...mean } = plan;
  const taught = defence === 'none' ? { ...task, learning: mean } : task;
  const maker = createModelMaker({ store: { records } });
  const federation = defence === 'buckets' ? await federationOf(made, nodes) : null;
  const integers = new NoisedIntegers();
  const quantiser = quantiserOf(task);
  let bytes = await maker.first(taught);
  const model = (): Model => modelFromTensors(specOf(plan), decodeSafetensors(bytes));
  const aucPerRound: number[] = [];
  let mostPoisoned = 0;
  let exactSums = 0;
  for (let round = 0; round < rounds; round++) {
    const own = rows.map((matrix, i) => {
      const { steps, batch, learningRateMicro } = plan.local;
      const poisoned = attack !== 'no attack' && isBad.has(names[i]!) ? poisonedRows(attack, matrix, column) : matrix;
      const rates = { steps, batch, learningRate: learningRateMicro / 1e6 };
      return localDelta(tf, model(), poisoned, { ...rates, seed: `${seed} ${round} ${i}` });
    });
    const honest = own.filter((_, i) => !isBad.has(names[i]!));
    const updates = new Map<string, Int32Array>();
    for (const [i, name] of names.entries()) {
      if (attack === 'no attack' || !isBad.has(name)) updates.set(name, integers.of(quantiser, own[i]!.slice()));
      else updates.set(name, unclipped(quantiser, badUpdate(attack, own[i]!, honest, bad)));
    }
    let sums: OpenedRound[];
    if (federation !== null) {
      const opened = federation.runBuckets(1 + round * options.buckets, updates);
      sums = opened.map((bucket) => openedBucket(bucket, federation.openings.get(bucket.id)?.values, updates));
      exactSums += sums.length;
      const poisoned = opened.filter((bucket) => cohortNames(bucket).some((name) => isBad.has(name)));
      mostPoisoned = Math.max(mostPoisoned, poisoned.length);
      federation.nextModel(opened[0]!);
      federation.blobs.clear();
      federation.openings.clear();
    } else if (defence === 'none') sums = [inTheClear(round, names, plainSum(updates, names))];
    else sums = names.map((name) => inTheClear(round, [name], updates.get(name)!));
    bytes = await maker.next(taught, sums, bytes);
    aucPerRound.push(modelAuc(tf, model(), heldOut));
  }
  const negatives = heldOut.y.reduce((sum, label) => sum + 1 - label, 0);
  const calledPositive = (matrix: DesignMatrix): number =>
    scoreRows(tf, model(), matrix).filter((score, row) => score > 0 && matrix.y[row] === 0).length / negatives;
  return {
    ...{ attack, percent, bad, defence, aucPerRound, exactSums },
    auc: intervalOf(bootstrap.auc(scoreRows(tf, model(), heldOut))),
    triggered: calledPositive(triggered(heldOut, column)),
    untriggered: calledPositive(heldOut),
    mostPoisoned: federation === null ? null : mostPoisoned,
  };
}

/** A bad node keeps to the format, whose range it cannot leave, and to nothing else. */
function unclipped(quantiser: ReturnType<typeof quantiserOf>, update: Float64Array): Int32Array {
  const largest = 2 ** (quantiser.bits - 1) - 1;
  return Int32Array.from(update, (value) => Math.max(-largest, Math.min(largest, Math.round(value * quantiser.scale))));
}

const cohortNames = (round: Round): string[] => round.attempts.at(-1)?.cohort.map(({ node }) => node) ?? [];

/** @throws Error when a bucket was not released, or its sum is not exact. */
function openedBucket(
  round: Round,
  values: Int32Array | undefined,
  updates: ReadonlyMap<string, Int32Array>,
): OpenedRound {
  if (round.phase !== 'released' || values === undefined) throw new Error('a bucket was not released');
  const plain = plainSum(updates, cohortNames(round));
  if (!values.every((value, i) => value === plain[i])) throw new Error('not the exact sum');
  return { round, values };
}

/** What a recipient would have opened, had it seen the updates: for comparison only. */
function inTheClear(number: number, names: readonly string[], values: Int32Array): OpenedRound {
  const cohort = names.map((node) => ({ node }));
  const round = { phase: 'released', id: '', record: { number }, decision: { attempt: { cohort } } };
  return { round: round as unknown as Round, values };
}
