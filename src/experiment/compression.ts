import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { correctionBytes, deriveParameters, setCount } from '../../crypto/params.ts';
import { boxBytes } from '../../crypto/share-box.ts';
import type { Task } from '../../protocols/task.ts';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows, type RegionTables } from '../learning/datasets.ts';
import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import { loadTensorFlow, type Tf } from '../learning/load-tensorflow.ts';
import { modelAuc } from '../learning/references.ts';
import type { RecordStore } from '../store/port.ts';
import { type MadeTask, nodeClip } from '../training/make-task.ts';
import { Bootstrap, type Interval, intervalOf } from './bootstrap.ts';
import type { Bits, Variant } from './compression-names.ts';
import { writeCompressionReport } from './compression-report.ts';
import { entropyBits } from './entropy.ts';
import { JOB_QUORUM, runJob } from './job.ts';
import { type Epsilon, keyOf, type ModelKind, taskOf } from './runs.ts';
import { openWork } from './work-store.ts';

export interface CompressionOptions {
  readonly dataset: DatasetName;
  readonly models: readonly ModelKind[];
  readonly unit: 'record' | 'node';
  readonly epsilon: Epsilon;
  readonly bits: readonly Bits[];
  readonly keeps: readonly number[];
  readonly variants: readonly Variant[];
  /** Every combination; else kept parts are run with the middle one of the numbers of bits. */
  readonly isFull: boolean;
  readonly sendAbove?: number;
  readonly hidden: number;
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
  readonly print: (line: string) => void;
}

export interface CompressionCase {
  readonly kind: ModelKind;
  readonly bits: Bits;
  readonly keep: number;
  readonly variant: Variant;
}

/** What one job came to. */
export interface CompressionOutcome extends CompressionCase {
  /** Of a value, as the task has it. */
  readonly valueBits: number;
  /** Values of an update, and how many of them are sent. */
  readonly values: number;
  readonly sent: number;
  /** Bytes of a node and round: the encrypted update; boxes and the key's correction, which nothing here shortens. */
  readonly payloadBytes: number;
  readonly otherBytes: number;
  /** Bits per value that a scheme without encryption would need for the same integers, and bytes of a node and round. */
  readonly entropyBits: number;
  readonly entropyBytes: number;
  /** Updates that were sent, of all that could have been. */
  readonly updatesSent: number;
  readonly updates: number;
  readonly auc: Interval;
  readonly aucPerRound: readonly number[];
  /** Sums that equalled the plain ones: those of all rounds with nodes enough. */
  readonly exactSums: number;
}

export interface CompressionFindings
  extends Pick<CompressionOptions, 'dataset' | 'unit' | 'epsilon' | 'rounds' | 'hidden'> {
  readonly nodes: number;
  readonly sendAbove: number | null;
  readonly outcomes: readonly CompressionOutcome[];
}

interface Bench {
  readonly tf: Tf;
  readonly options: CompressionOptions;
  readonly regions: readonly RegionTables[];
  readonly heldOut: DesignMatrix;
  readonly bootstrap: Bootstrap;
  readonly records: RecordStore;
}

/** No combinations that are none: feedback is about what is left out, and not for records. */
export function casesOf({ models, bits, keeps, variants, unit, isFull }: CompressionOptions): CompressionCase[] {
  const middle = bits.slice(Math.floor(bits.length / 2), Math.floor(bits.length / 2) + 1);
  const bitsFor = (keep: number): readonly Bits[] => (isFull || keep === 1 ? bits : middle);
  const all = models.flatMap((kind) =>
    keeps.flatMap((keep) =>
      variants.flatMap((variant) => bitsFor(keep).map((b) => ({ kind, bits: b, keep, variant }))),
    ),
  );
  return all.filter(({ keep, variant }) => variant !== 'feedback' || (keep < 1 && unit === 'node'));
}

/** Bytes against accuracy. Runs are kept in the folder and not repeated. */
export async function runCompression(options: CompressionOptions): Promise<CompressionFindings> {
  const { dataset: name, unit, epsilon, rounds, hidden, seed, print } = options;
  const out = resolve(options.out);
  requireWritableFolder(out);
  const { tf } = await loadTensorFlow(['wasm']);
  const { schema, regions } = loadDataset(name, { seed, folder: process.env['VEILSUM_DATA'] });
  const heldOut = poolRows(regions.map((region) => encodeRegion(region, schema).heldOut));
  mkdirSync(join(out, 'runs', name), { recursive: true });
  await using store = await openWork(out);
  const bootstrap = new Bootstrap(heldOut.y, `${name} ${seed}`);
  const bench: Bench = { tf, options, regions, heldOut, bootstrap, records: store.records };
  const outcomes: CompressionOutcome[] = [];
  const sendAbove = options.sendAbove ?? null;
  const findings = { dataset: name, unit, epsilon, rounds, hidden, nodes: regions.length, sendAbove, outcomes };
  const cases = casesOf(options);
  for (const [i, one] of cases.entries()) {
    const { isKept, ...outcome } = await runCase(bench, one, join(out, 'runs', name));
    outcomes.push(outcome);
    const { kind, bits, keep, variant, auc, payloadBytes } = outcome;
    print(
      `${kind}, bits ${bits}, keep ${keep}, ${variant}: ${payloadBytes} bytes, AUC ${auc.value.toFixed(4)}, ${outcome.exactSums} sums exact${isKept ? ', kept from before' : ''} (${i + 1} of ${cases.length})`,
    );
    // After every run: what is there can be read while the rest goes on.
    await writeCompressionReport(out, findings);
    writeDurably(join(out, 'compression.json'), `${JSON.stringify(findings, null, 1)}\n`);
  }
  print(`Done: ${join(out, 'report.html')}`);
  return findings;
}

function madeFor({ options, regions }: Bench, { kind, bits, keep, variant }: CompressionCase): MadeTask {
  const { dataset, unit, epsilon, rounds, hidden, sendAbove } = options;
  const compression = { keep, rotation: variant === 'rotated', errorFeedback: variant === 'feedback', sendAbove };
  return taskOf(
    { dataset, regions, kind, epsilon, optimiser: 'momentum', rounds },
    {
      ...{ unit, compression, ...(kind === 'mlp' ? { hidden } : {}) },
      ...(bits === 'default' ? {} : { bits }),
      ...(unit === 'node' ? { clip: nodeClip(compression) } : {}),
    },
  );
}

type Kept = CompressionOutcome & { readonly key: string };

async function runCase(
  bench: Bench,
  one: CompressionCase,
  folder: string,
): Promise<CompressionOutcome & { readonly isKept: boolean }> {
  const { tf, options, regions, heldOut, bootstrap, records } = bench;
  const made = madeFor(bench, one);
  const key = keyOf(made, regions);
  const path = join(folder, `${one.kind}-${options.unit}-bits-${one.bits}-keep-${one.keep}-${one.variant}.json`);
  if (existsSync(path)) {
    const { key: of, ...kept } = JSON.parse(readFileSync(path, 'utf8')) as Kept;
    if (of === key) return { ...kept, isKept: true };
  }
  const sent: Int32Array[] = [];
  const aucPerRound: number[] = [];
  const { model, exactSums } = await runJob({
    ...{ tf, regions, made, records },
    onUpdates: (updates) => sent.push(...updates.values()),
    onRound: (_round, next) => aucPerRound.push(modelAuc(tf, next, heldOut)),
  });
  const { task } = made;
  const bits = Math.min(task.bits, entropyBits(sent));
  const outcome: CompressionOutcome = {
    ...one,
    ...{ valueBits: task.bits, values: task.compression?.values ?? task.dimension, sent: task.dimension },
    ...bytesOf(task),
    ...{ entropyBits: bits, entropyBytes: Math.ceil((bits * task.dimension) / 8) },
    ...{ updatesSent: sent.length, updates: regions.length * made.rounds },
    auc: intervalOf(bootstrap.auc(scoreRows(tf, model, heldOut))),
    ...{ aucPerRound, exactSums },
  };
  writeDurably(path, `${JSON.stringify({ ...outcome, key } satisfies Kept)}\n`);
  return { ...outcome, isKept: false };
}

/** What a node uploads in a round, but for its two signed leaves. */
function bytesOf({ dimension, bits, nodesMax, minCohort, minHonest }: Task): {
  readonly payloadBytes: number;
  readonly otherBytes: number;
} {
  const parameters = deriveParameters({ dimension, bits, nodesMax, minCohort, minHonest, ...JOB_QUORUM });
  const { members, threshold } = JOB_QUORUM;
  // A member is sealed the seeds of every set of n - t + 1 members that it is in; a recipient one.
  const seeds = (setCount(members, threshold) * (members - threshold + 1)) / members;
  const boxes = members * boxBytes(seeds) + boxBytes(1);
  return { payloadBytes: parameters.payloadBytes, otherBytes: correctionBytes(parameters) + boxes };
}
