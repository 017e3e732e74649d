import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { encodeRegion, loadDataset, poolRows } from '../learning/datasets.ts';
import { runDefaults } from '../learning/defaults.ts';
import { designColumns } from '../learning/features.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model, ModelSpec } from '../learning/model.ts';
import { seededRandom } from '../learning/random.ts';
import { trainPlain } from '../learning/references.ts';
import { encodeSafetensors, modelTensors } from '../learning/safetensors.ts';
import { syntheticRegions } from '../learning/synthetic.ts';
import { column, formatCsv, makeTable, type Table } from '../learning/table.ts';

/** Rows of the generator at size 1. */
const ROWS_OF_SIZE_1 = 6800;
const FIRST = ['Nor', 'Al', 'Ver', 'Cas', 'Bel', 'Tor', 'Mar', 'Sol', 'Hal', 'Ren', 'Kes', 'Dun', 'Or', 'Lin', 'Pal'];
const SECOND = ['vale', 'tis', 'mont', 'dera', 'quist', 'ham', 'nova', 'berg', 'lia', 'ston', 'dora', 'win'];
const BY_INDUSTRY: Readonly<Record<string, string>> = {
  'public sector': 'Council',
  finance: 'Capital',
  energy: 'Power',
};
const BY_SIZE = ['Group', 'Works', 'Partners', 'Systems', 'Supply', 'Services'];

/** Organisations of the synthetic generator with ids, made-up names, territories and size classes; about `count`. */
export function sampleOrganisations(count: number, seed: string | number = 1): Table {
  const regions = syntheticRegions({ seed: `sample/${seed}`, size: count / ROWS_OF_SIZE_1 });
  const random = seededRandom(`names/${seed}`);
  const joined = new Map<string, string[]>(
    ['id', 'organisation', 'territory', 'size'].map((name) => [name, [] as string[]]),
  );
  for (const region of regions) {
    for (const [name, cells] of region.columns) {
      // Whether a sampled organisation turned hot is what is to be found out.
      if (name !== 'hot_lead') joined.set(name, [...(joined.get(name) ?? []), ...cells]);
    }
    const [industries, seats] = [column(region, 'industry'), column(region, 'seats')];
    for (let row = 0; row < region.rowCount; row++) {
      const pick = (from: readonly string[]): string => from[random.integer(from.length)]!;
      const number = joined.get('id')!.length + 1;
      joined.get('id')!.push(`org-${String(number).padStart(5, '0')}`);
      joined
        .get('organisation')!
        .push(`${pick(FIRST)}${pick(SECOND)} ${BY_INDUSTRY[industries[row]!] ?? pick(BY_SIZE)}`);
      joined.get('territory')!.push(region.name);
      const size = Number(seats[row]);
      joined.get('size')!.push(size < 25 ? 'small' : size < 100 ? 'medium' : size < 400 ? 'large' : 'very large');
    }
  }
  return makeTable('organisations.csv', joined);
}

/** A model of the synthetic schema, trained here on all regions' rows at once: for trying out, where no federation ran. */
export function sampleModel(tf: Tf, kind: ModelSpec['kind'] = 'logistic'): Model {
  const { schema, regions } = loadDataset('synthetic');
  const defaults = runDefaults('synthetic', 'demo', kind);
  const inputs = designColumns(schema).length;
  const spec: ModelSpec = kind === 'mlp' ? { kind, inputs, hidden: defaults.hidden } : { kind, inputs };
  const parts = regions.map((region) => encodeRegion(region, schema));
  const [train, heldOut] = [poolRows(parts.map((part) => part.train)), poolRows(parts.map((part) => part.heldOut))];
  return trainPlain(tf, spec, train, heldOut, defaults).model;
}

/** Writes what `veilsum score` can be tried on: organisations, rows with known outcome, a model. @returns their paths. */
export function writeSample(tf: Tf, folder: string, count: number) {
  const paths = {
    data: join(folder, 'organisations.csv'),
    outcomes: join(folder, 'held-out.csv'),
    model: join(folder, 'model.safetensors'),
  };
  const { regions } = loadDataset('synthetic');
  const heldOut = regions.map((region) => region.heldOut.columns);
  const names = [...heldOut[0]!.keys()];
  const pooled = makeTable('held-out.csv', new Map(names.map((name) => [name, heldOut.flatMap((c) => c.get(name)!)])));
  writeDurably(paths.data, formatCsv(sampleOrganisations(count)));
  writeDurably(paths.outcomes, formatCsv(pooled));
  writeDurably(paths.model, encodeSafetensors(modelTensors(sampleModel(tf))));
  return paths;
}
