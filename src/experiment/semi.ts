import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, poolRows, type RegionTables } from '../learning/datasets.ts';
import { runDefaults } from '../learning/defaults.ts';
import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import { loadTensorFlow, type Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { encodePartlyLabelled, labelBy } from '../learning/pseudo-labels.ts';
import { seededRandom } from '../learning/random.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { column } from '../learning/table.ts';
import type { RecordStore } from '../store/port.ts';
import { TrainingError } from '../training/errors.ts';
import type { PseudoPlan } from '../training/pseudo-plan.ts';
import { Bootstrap, differences, type Interval, intervalOf } from './bootstrap.ts';
import { type Verdict, verdictOf } from './compare.ts';
import { runJob } from './job.ts';
import { type Epsilon, type ModelKind, taskOf } from './runs.ts';
import { writeSemiReport } from './semi-report.ts';
import { openWork } from './work-store.ts';

/** Whose labels are hidden: of so many percent of the training rows, or of all regions but the one with most rows. */
export type Hide = number | 'regions';

export interface SemiOptions {
  readonly dataset: DatasetName;
  readonly hide: readonly Hide[];
  readonly kind: ModelKind;
  readonly epsilon: Epsilon;
  readonly pseudo: PseudoPlan;
  /** Of the run that has nothing but labelled rows and a weight decay: what pseudo labels have to be better than. */
  readonly weightDecay: number;
  readonly rounds?: number;
  readonly seed: number;
  readonly out: string;
  readonly print: (line: string) => void;
}

/** What the model says of rows without a label, at one moment; known here, since the labels were only hidden. */
export interface PseudoQuality {
  readonly model: number;
  /** Parts of the unlabelled rows. */
  readonly used: number;
  /** Of those used. */
  readonly wrong: number;
  /** Positive ones among those used, as they are called and as they are. */
  readonly calledPositive: number;
  readonly positive: number;
}

export interface SemiOutcome {
  readonly hide: Hide;
  readonly labelled: number;
  readonly unlabelled: number;
  /** AUC on all regions' held-out rows. */
  readonly labelledOnly: Interval;
  readonly weightDecay: Interval;
  readonly pseudo: Interval;
  /** Pseudo labels over labelled rows alone; over those with a weight decay. */
  readonly gain: Interval;
  readonly gainOverDecay: Interval;
  readonly verdict: Verdict;
  readonly verdictOverDecay: Verdict;
  readonly quality: readonly PseudoQuality[];
  readonly exactSums: number;
}

export interface SemiFindings extends Omit<SemiOptions, 'hide' | 'out' | 'print' | 'rounds'> {
  readonly rounds: number;
  readonly allLabels: Interval;
  readonly outcomes: readonly SemiOutcome[];
}

interface Bench {
  readonly tf: Tf;
  readonly options: SemiOptions;
  readonly schema: FeatureSchema;
  readonly heldOut: DesignMatrix;
  readonly bootstrap: Bootstrap;
  readonly records: RecordStore;
}

/** Never reached: with it the same task takes rows without a label and does not use them. */
const NO_MODEL = 2 ** 31;

/** Blanks labels of training rows. Which ones, the seed says; held-out labels stay. */
export function hideLabels(
  regions: readonly RegionTables[],
  { label }: FeatureSchema,
  hide: Hide,
  seed: string,
): RegionTables[] {
  const largest = regions.reduce((a, b) => (b.train.rowCount > a.train.rowCount ? b : a));
  return regions.map((region) => {
    const random = seededRandom(`hide/${seed}/${hide}/${region.name}`);
    const isHidden = (): boolean => (hide === 'regions' ? region !== largest : 100 * random.uniform() < hide);
    const cells = column(region.train, label.column).map((cell) => (isHidden() ? '' : cell));
    return {
      ...region,
      train: { ...region.train, columns: new Map([...region.train.columns, [label.column, cells]]) },
    };
  });
}

/** Labelled rows only, the same with a weight decay, pseudo labels, and all labels; the real cryptography in every round. */
export async function runSemi(options: SemiOptions): Promise<SemiFindings> {
  const { dataset: name, hide, kind, epsilon, pseudo, weightDecay, seed, print } = options;
  const rounds = options.rounds ?? runDefaults(name, 'full', kind).rounds;
  if (pseudo.fromModel >= rounds)
    throw new TrainingError(
      'BAD_PLAN',
      `pseudo labels are used from model ${pseudo.fromModel} on, and ${rounds} rounds have no such round: more --rounds, or a smaller --pseudo-from`,
    );
  const out = resolve(options.out);
  requireWritableFolder(out);
  const { tf } = await loadTensorFlow(['wasm']);
  const { regions, schema } = loadDataset(name, { seed, folder: process.env['VEILSUM_DATA'] });
  const heldOut = poolRows(regions.map((region) => encodeRegion(region, schema).heldOut));
  mkdirSync(out, { recursive: true });
  await using store = await openWork(out);
  const bootstrap = new Bootstrap(heldOut.y, `${name} ${seed}`);
  const bench: Bench = { tf, options, schema, heldOut, bootstrap, records: store.records };
  const all = await runArm(bench, regions, 'all labels', {});
  const common = { dataset: name, kind, epsilon, pseudo, weightDecay, seed, rounds: all.rounds };
  const findings = { ...common, allLabels: intervalOf(all.aucs), outcomes: [] as SemiOutcome[] };
  print(`${name}, all labels: AUC ${findings.allLabels.value.toFixed(4)}`);
  for (const what of hide) {
    const outcome = await runCase(bench, regions, what);
    findings.outcomes.push(outcome);
    const { gain, gainOverDecay, verdict, verdictOverDecay } = outcome;
    print(
      `${name}, hidden: ${what}: labelled only ${outcome.labelledOnly.value.toFixed(4)}, with weight decay ${outcome.weightDecay.value.toFixed(4)}, pseudo labels ${outcome.pseudo.value.toFixed(4)}: ${verdict} over labelled only (${textOf(gain)}), ${verdictOverDecay} over weight decay (${textOf(gainOverDecay)})`,
    );
    // After every case: what is there can be read while the rest goes on.
    await writeSemiReport(out, findings);
    writeDurably(join(out, 'semi.json'), `${JSON.stringify(findings, null, 1)}\n`);
  }
  print(`Done: ${join(out, 'report.html')}`);
  return findings;
}

const textOf = ({ value, low, high }: Interval): string =>
  `${value.toFixed(4)}, ${low.toFixed(4)} to ${high.toFixed(4)}`;

async function runCase(bench: Bench, regions: readonly RegionTables[], hide: Hide): Promise<SemiOutcome> {
  const { options, schema } = bench;
  const { pseudo, weightDecay } = options;
  const hidden = hideLabels(regions, schema, hide, `${options.dataset}/${options.seed}`);
  const unused = { ...pseudo, fromModel: NO_MODEL };
  const unlabelled = unlabelledRows(regions, hidden, schema, pseudo.segment);
  const quality: PseudoQuality[] = [];
  const watch = (round: number, model: Model): void => {
    // After the first round with pseudo labels, half way, and at the end.
    if (moments.includes(round)) quality.push(qualityOf(bench, unlabelled, round, model));
  };
  const plain = await runArm(bench, hidden, `${hide} labelled only`, { pseudo: unused });
  const moments = [pseudo.fromModel, (pseudo.fromModel + plain.rounds) >> 1, plain.rounds];
  const decay = await runArm(bench, hidden, `${hide} decay`, { pseudo: unused, weightDecay });
  const semi = await runArm(bench, hidden, `${hide} pseudo`, { pseudo }, watch);
  const gain = intervalOf(differences(semi.aucs, plain.aucs));
  const gainOverDecay = intervalOf(differences(semi.aucs, decay.aucs));
  const rows = regions.reduce((sum, { train }) => sum + train.rowCount, 0);
  return {
    ...{ hide, labelled: rows - unlabelled.rows.rows, unlabelled: unlabelled.rows.rows },
    ...{ labelledOnly: intervalOf(plain.aucs), weightDecay: intervalOf(decay.aucs), pseudo: intervalOf(semi.aucs) },
    ...{ gain, gainOverDecay, verdict: verdictOf(gain), verdictOverDecay: verdictOf(gainOverDecay) },
    ...{ quality, exactSums: plain.rounds + decay.rounds + semi.rounds },
  };
}

/** One federated job. @throws Error where a sum is not exact. */
async function runArm(
  { tf, options, heldOut, bootstrap, records }: Bench,
  regions: readonly RegionTables[],
  name: string,
  more: { readonly pseudo?: PseudoPlan; readonly weightDecay?: number },
  onRound: (round: number, model: Model) => void = () => {},
): Promise<{ readonly aucs: readonly number[]; readonly rounds: number }> {
  const { dataset, kind, epsilon, rounds } = options;
  const request = { dataset, regions, kind, epsilon, optimiser: 'momentum' as const };
  const made = taskOf({ ...request, ...(rounds === undefined ? {} : { rounds }) }, { ...more, task: name });
  const { model } = await runJob({ tf, regions, made, records, onRound });
  return { aucs: bootstrap.auc(scoreRows(tf, model, heldOut)), rounds: made.rounds };
}

/** Training rows whose label was hidden, with the label, and which of them may get one. */
interface HiddenRows {
  readonly rows: DesignMatrix;
  readonly mayUse: Uint8Array;
}

function unlabelledRows(
  regions: readonly RegionTables[],
  hidden: readonly RegionTables[],
  schema: FeatureSchema,
  segment: PseudoPlan['segment'],
): HiddenRows {
  const parts = hidden.map((region, i) => {
    const cells = column(region.train, schema.label.column);
    const known = encodeRegion(regions[i]!, schema).train.y;
    const { rows, mayUse } = encodePartlyLabelled(region, schema, segment).unlabelled!;
    return { mayUse, rows: { ...rows, y: known.filter((_, row) => cells[row] === '') } };
  });
  return {
    rows: poolRows(parts.map(({ rows }) => rows)),
    mayUse: Uint8Array.from(parts.flatMap(({ mayUse }) => [...mayUse])),
  };
}

function qualityOf({ tf, options }: Bench, { rows, mayUse }: HiddenRows, number: number, model: Model): PseudoQuality {
  const { y, used } = labelBy(scoreRows(tf, model, rows), mayUse, options.pseudo.confidenceMicro / 1e6);
  const chosen = [...used.keys()].filter((row) => used[row] === 1);
  const share = (is: (row: number) => boolean): number =>
    chosen.length === 0 ? 0 : chosen.filter(is).length / chosen.length;
  return {
    model: number,
    used: rows.rows === 0 ? 0 : chosen.length / rows.rows,
    wrong: share((row) => y[row] !== rows.y[row]),
    calledPositive: share((row) => y[row] === 1),
    positive: share((row) => rows.y[row] === 1),
  };
}
