import { beforeAll, describe, expect, it } from 'vitest';
import type { DatasetName } from '../../src/learning/dataset-names.ts';
import { encodeRegion, loadDataset } from '../../src/learning/datasets.ts';
import { runDefaults } from '../../src/learning/defaults.ts';
import { designColumns } from '../../src/learning/features.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { trainReferences } from '../../src/learning/references.ts';
import { drawConvergence } from '../../src/report/convergence-plot.ts';
import { planOf, simulateRounds } from '../reference/clear-rounds.ts';

/** zCDP budget of epsilon 8, delta 1e-5 (conversion of Canonne, Kamath, Steinke 2020). */
const RHO = 1.2297145;
const folder = process.env['VEILSUM_DATA'];

let tf: Tf;
beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
});

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const points = (values: readonly number[]) => values.map((auc, round) => ({ round, auc }));

describe('synthetic tables', () => {
  it('reward sharing: the noised global model beats every region alone, improves per round, and is drawn', async () => {
    const { regions: tables, schema } = loadDataset('synthetic');
    const regions = tables.map((region) => encodeRegion(region, schema));
    const settings = runDefaults('synthetic', 'demo');
    const plan = planOf(settings, designColumns(schema).length);
    const references = trainReferences(tf, plan.spec, regions, settings);
    const { rounds } = simulateRounds(tf, regions, plan, { ...settings, rho: RHO, seed: 1 });
    const global = rounds.map((round) => round.auc);
    const alone = references.regionOnly.map((run) => run.aucPerRound.at(-1)!);
    expect(global.at(-1)).toBeGreaterThan(Math.max(...alone) + 0.02);
    expect(global.at(-1)).toBeGreaterThan(references.central.aucPerRound.at(-1)! - 0.01);
    expect(global.at(-1)).toBeGreaterThan(global[0]! + 0.1);
    const again = simulateRounds(tf, regions, plan, { ...settings, rho: RHO, seed: 1 });
    expect(again.rounds.map((round) => round.auc)).toEqual(global);
    // What the recipient reads from noised counts about the model that round r started from.
    const opened = rounds.flatMap(({ opened: read }, r) =>
      read ? [{ round: r, auc: read.auc, noise: read.aucNoise }] : [],
    );
    for (const { round, auc, noise } of opened.slice(1)) {
      expect(Math.abs(auc - global[round - 1]!)).toBeLessThan(5 * noise + 0.01);
    }

    const svg = await drawConvergence({
      title: 'Lead scoring <test> & co',
      subtitle: 'synthetic',
      global: global.map((auc, i) => ({ round: i + 1, auc })),
      central: points(references.central.aucPerRound),
      regionOnly: references.regionOnly.map(({ region, aucPerRound }) => ({ region, points: points(aucPerRound) })),
      opened,
    });
    expect(svg).toMatch(/^<svg[^>]*viewBox/);
    expect(svg.trimEnd().endsWith('</svg>')).toBe(true);
    expect(svg).toContain('Lead scoring &lt;test&gt; &amp; co');
    for (const name of [...regions.map((region) => `${region.name} only`), 'global (federated)', 'centralised']) {
      expect(svg).toContain(name);
    }
    expect(svg).not.toContain('NaN');
  });

  it('draws a single round and nothing to compare with', async () => {
    const svg = await drawConvergence({
      title: 't',
      subtitle: 's',
      global: [{ round: 1, auc: 0.7 }],
      central: [],
      regionOnly: [],
    });
    expect(svg).toContain('0.700');
    expect(svg).not.toContain('NaN');
  });
});

/** AUC of centralised logistic regression on the global test rows, by another implementation (scikit-learn 1.2.1). */
const CENTRAL: [DatasetName, number][] = [
  ['leads', 0.86],
  ['bank', 0.7611],
  ['bank-drift', 0.7611],
  ['telco', 0.8326],
  ['churn', 0.7518],
];

if (!folder) console.log(`skipped: ${CENTRAL.length} runs on published tables (set VEILSUM_DATA)`);

describe.skipIf(!folder)('published tables', () => {
  it.each(CENTRAL)('%s: record-level epsilon 8 costs at most 0.02 AUC against centralised %d', (name, central) => {
    const { regions: tables, schema } = loadDataset(name, { folder });
    const regions = tables.map((region) => encodeRegion(region, schema));
    const settings = runDefaults(name, 'full');
    const plan = planOf(settings, designColumns(schema).length);
    const { rounds } = simulateRounds(tf, regions, plan, { ...settings, rho: RHO, seed: 1 });
    const federated = rounds.at(-1)!.auc;
    const read = mean(rounds.slice(-20).map((round) => round.opened!.auc));
    console.log(
      `${name}: federated ${federated.toFixed(4)}, from noised counts (20 rounds) ${read.toFixed(3)}, centralised ${central}`,
    );
    expect(federated).toBeGreaterThan(central - 0.02);
    expect(Math.abs(read - federated)).toBeLessThan(0.03);
  });
});
