import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { encodeRegion, loadDataset, type Region, type RegionTables } from '../learning/datasets.ts';
import { runDefaults } from '../learning/defaults.ts';
import { fitHead, headLayers } from '../learning/head.ts';
import { loadTensorFlow, type Tf } from '../learning/load-tensorflow.ts';
import type { Model, ModelSpec } from '../learning/model.ts';
import { trainReferences } from '../learning/references.ts';
import type { RecordStore } from '../store/port.ts';
import { modelWithHead } from '../training/local-layers.ts';
import { makeTask } from '../training/make-task.ts';
import { residualsInMemory } from '../training/residuals.ts';
import type { Interval } from './bootstrap.ts';
import { JOB_QUORUM, runJob } from './job.ts';
import { judgeOf, meanGain, type PairedGain, pairedGain, type Resampled } from './personal-gain.ts';
import { writePersonalReport } from './personal-report.ts';
import { type Epsilon, type ModelKind, taskOf } from './runs.ts';
import { openWork } from './work-store.ts';

export interface PersonalOptions {
  readonly datasets: readonly DatasetName[];
  readonly models: readonly ModelKind[];
  readonly epsilons: readonly Epsilon[];
  /** Left out: the datasets' defaults. */
  readonly rounds?: number;
  readonly seed: number;
  readonly out: string;
  readonly print: (line: string) => void;
}

/** `fitted`: the head of a common model, fitted afterwards. `trained`: common and local layers together (unit node). */
export type Way = 'fitted' | 'trained';

/** Of a region, on its own held-out rows. */
export interface RegionPersonal {
  readonly region: string;
  readonly trainRows: number;
  readonly heldOutRows: number;
  readonly own: number;
  readonly common: number;
  readonly personal: number;
  /** In how many records' weight the common head was held on to; null: it stayed. Of `fitted`. */
  readonly strength: number | null;
  readonly overCommon: Interval;
  readonly overOwn: Interval;
}

/** One way to personal models, on one dataset. */
export interface PersonalFindings {
  readonly dataset: DatasetName;
  readonly kind: ModelKind;
  readonly epsilon: Epsilon;
  readonly way: Way;
  readonly rounds: number;
  /** Of common and of personal training: all rounds, or the run fails. */
  readonly exactSums: number;
  readonly regions: readonly RegionPersonal[];
  /** Means over regions. */
  readonly overCommon: Interval;
  readonly overOwn: Interval;
}

/** Of updates of whole nodes: little is cut, and rounding and its noise are small beside them (0.007 a value). */
const NODE_CLIP = 2;
const NODE_BITS = 16;

interface Bench {
  readonly tf: Tf;
  readonly dataset: DatasetName;
  readonly tables: readonly RegionTables[];
  readonly regions: readonly Region[];
  readonly records: RecordStore;
  readonly kind: ModelKind;
  readonly judges: readonly ReturnType<typeof judgeOf>[];
  /** Of the regions' own models; null where held-out rows cannot tell. */
  readonly own: readonly (Resampled | null)[];
}

/** Personal models against the common one and against regions alone, with the real cryptography in one process. */
export async function runPersonal(options: PersonalOptions): Promise<readonly PersonalFindings[]> {
  const { datasets, models, epsilons, seed, print } = options;
  const out = resolve(options.out);
  requireWritableFolder(out);
  const { tf } = await loadTensorFlow(['wasm']);
  mkdirSync(out, { recursive: true });
  await using store = await openWork(out);
  const all: PersonalFindings[] = [];
  for (const name of datasets) {
    const { regions: tables, schema } = loadDataset(name, { seed, folder: process.env['VEILSUM_DATA'] });
    const regions = tables.map((region) => encodeRegion(region, schema));
    const judges = regions.map(({ heldOut }) => judgeOf(tf, heldOut));
    for (const kind of models) {
      const defaults = runDefaults(name, 'full', kind);
      const rounds = options.rounds ?? defaults.rounds;
      const inputs = regions[0]!.train.width;
      const spec: ModelSpec = kind === 'mlp' ? { kind, inputs, hidden: defaults.hidden } : { kind, inputs };
      print(`${name}, ${kind}: regions alone`);
      const own = trainReferences(tf, spec, regions, { ...defaults, rounds }).regionOnly.map(
        ({ model }, i) => judges[i]?.(model) ?? null,
      );
      const bench: Bench = { ...{ tf, tables, regions, judges, kind, own }, dataset: name, records: store.records };
      for (const epsilon of epsilons) {
        for (const findings of await runCase(bench, epsilon, rounds, seed)) {
          all.push(findings);
          const { value, low, high } = findings.overCommon;
          print(
            `${name}, ${kind}, epsilon ${epsilon}, ${findings.way}: ${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)}) over the common model`,
          );
          // After every case: what is there can be read while the rest goes on.
          await writePersonalReport(out, all);
          writeDurably(join(out, 'personal.json'), `${JSON.stringify(all, null, 1)}\n`);
        }
      }
    }
  }
  print(`Done: ${join(out, 'report.html')}`);
  return all;
}

async function runCase(bench: Bench, epsilon: Epsilon, rounds: number, seed: number): Promise<PersonalFindings[]> {
  const { tf, dataset, tables, regions, kind, records } = bench;
  const made = taskOf({ dataset, regions: tables, kind, epsilon, optimiser: 'momentum', rounds });
  const { model: common, exactSums } = await runJob({ tf, regions: tables, made, records });
  const fitted = regions.map(({ train, name }) => fitHead(tf, common, train, `${seed} ${name}`));
  const judged = bench.judges.map((judge) => judge?.(common) ?? null);
  const found = [findingsOf(bench, { epsilon, way: 'fitted', rounds, exactSums }, judged, fitted)];
  // One layer leaves nothing to train together; and with nodes so few, privacy of a whole one leaves no model.
  if (kind !== 'mlp' || epsilon !== 'none') return found;
  const localTask = makeTask({
    ...{ dataset, model: kind, unit: 'node', localLayers: headLayers(common.spec), nodes: regions.length, rounds },
    ...{
      epsilon: null,
      clip: NODE_CLIP,
      bits: NODE_BITS,
      window: 'experiment',
      recipients: ['recipient'],
      quorum: JOB_QUORUM,
    },
  });
  const heads = regions.map(() => residualsInMemory());
  const job = await runJob({ tf, regions: tables, made: localTask, records, heads });
  const trained = heads.map((own) => ({
    model: modelWithHead({ task: localTask.task, model: job.bytes, heads: own }),
    strength: null,
  }));
  const run = { epsilon, way: 'trained', rounds, exactSums: job.exactSums } as const;
  return [...found, findingsOf(bench, run, judged, trained)];
}

function findingsOf(
  { regions, judges, own, dataset, kind }: Bench,
  run: Pick<PersonalFindings, 'epsilon' | 'way' | 'rounds' | 'exactSums'>,
  common: readonly (Resampled | null)[],
  personal: readonly { readonly model: Model; readonly strength: number | null }[],
): PersonalFindings {
  const compared = regions.flatMap(({ name, train, heldOut }, i) => {
    const { model, strength } = personal[i]!;
    const after = judges[i]?.(model);
    const [alone, together] = [own[i], common[i]];
    if (!after || !alone || !together) return [];
    const gains = { overCommon: pairedGain(together, after), overOwn: pairedGain(alone, after) };
    return [{ name, train, heldOut, strength, ...gains }];
  });
  const meanOf = (of: (region: (typeof compared)[number]) => PairedGain): Interval => meanGain(compared.map(of));
  return {
    ...{ dataset, kind },
    ...run,
    regions: compared.map(({ name, train, heldOut, strength, overCommon, overOwn }) => ({
      ...{ region: name, trainRows: train.rows, heldOutRows: heldOut.rows, strength },
      ...{ own: overOwn.before, common: overCommon.before, personal: overCommon.after },
      ...{ overCommon: overCommon.gain, overOwn: overOwn.gain },
    })),
    overCommon: meanOf(({ overCommon }) => overCommon),
    overOwn: meanOf(({ overOwn }) => overOwn),
  };
}
