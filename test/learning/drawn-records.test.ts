import { beforeAll, describe, expect, it } from 'vitest';
import { poissonSample } from '../../crypto/poisson-sample.ts';
import { quantise } from '../../crypto/quantise.ts';
import { chargeRhoNano } from '../../protocols/accountant.ts';
import { available, charge, newLedger, reserve } from '../../protocols/ledger.ts';
import { checkMinimums, taskFitsGenesis } from '../../protocols/minimums.ts';
import { chargeOf, type RoundRecord, releaseOf } from '../../protocols/record.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import { fitsTask } from '../../protocols/task-fit.ts';
import { layoutOf, nodeContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, type Region } from '../../src/learning/datasets.ts';
import { exampleGradientSum } from '../../src/learning/gradients.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel, type Model, type ModelSpec } from '../../src/learning/model.ts';
import { encodeSafetensors, modelTensors } from '../../src/learning/safetensors.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { TrainingError } from '../../src/training/errors.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { contributionPlanOf, parseLearningPlan, type RecordPlan, specOf } from '../../src/training/learning-plan.ts';
import { makeTask } from '../../src/training/make-task.ts';
import { createNodeSource } from '../../src/training/node-source.ts';
import { sensitiveInputs, sensitiveRelease } from '../../src/training/sensitive.ts';

const base = { dataset: 'synthetic', nodes: 4, window: 'week 1', recipients: ['owner'], profile: 'demo' } as const;
const { schema, regions: tables } = loadDataset('synthetic', { size: 0.1 });
let tf: Tf;
let region: Region;
beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
  region = encodeRegion(tables[0]!, schema);
});

const [anyColumn] = schema.features.map((feature) => feature.column);
const bytesOf = (model: Model) => encodeSafetensors(modelTensors(model));
const someModel = (spec: ModelSpec): Model => {
  const { values } = initialModel(spec, 7);
  return { spec, values: values.map((value, i) => value + Math.sin(i + 1)) };
};

describe('rounds over drawn records', () => {
  const sampled = makeTask({ ...base, rounds: 50, sampleRate: 0.2 });
  const { task, budget } = sampled;
  const plan = parseLearningPlan(task) as RecordPlan;

  it('need less noise for the same epsilon, and their charges fit the budget to the last', () => {
    const whole = makeTask({ ...base, rounds: 50 });
    const sigma2 = (made: typeof whole) => BigInt(made.task.noise.sigma2Numerator) / BigInt(made.task.scale) ** 2n;
    expect(sigma2(sampled)).toBeLessThan(sigma2(whole) / 4n);
    expect(sampled.rhoNano).toBeLessThanOrEqual(budget.rhoNano);
    expect(sampled.epsilon).toBeLessThanOrEqual(8);
    expect(sampled.epsilon).toBeGreaterThan(7.99);
    // What is charged is what drawing makes of it: without, the same noise costs ten times as much and more.
    expect(chargeRhoNano(releaseOf({ ...task, parameters: task }))).toBeGreaterThan(10n * BigInt(chargeOfTask(task)));
    let ledger = newLedger(budget.rhoNano);
    for (let round = 1; round <= 50; round++) {
      const reserved = reserve(ledger, `${round}`, chargeOfTask(task));
      if ('rejected' in reserved) throw new Error(reserved.why);
      ledger = charge(reserved, `${round}`) as typeof ledger;
    }
    expect(available(ledger)).toBeGreaterThanOrEqual(0);
    expect(reserve(ledger, '51', chargeOfTask(task))).toMatchObject({ rejected: 'BUDGET_EXCEEDED' });
  });

  it('are opened by federations founded with their order, over records, and by no others', () => {
    const minimums = { cohort: 3, organisations: 2, honest: 2 };
    const fits = (over: object, changed: object = {}) =>
      taskFitsGenesis(
        { minimums, budget: { unit: 'record', ...budget, ...over } },
        { members: 5, threshold: 3 },
        { ...task, ...changed },
      );
    expect(fits({})).toBeNull();
    expect(fits({ renyiOrder: undefined })).toMatchObject({ rejected: 'CHARGE_MISMATCH' });
    expect(fits({ renyiOrder: task.sampling!.order + 1 })).toMatchObject({ rejected: 'CHARGE_MISMATCH' });
    expect(fits({ unit: 'node' }, { unit: 'node' })).toMatchObject({ rejected: 'CHARGE_MISMATCH' });
  });

  it('a record that draws otherwise than the site has it, or at another price, is refused; as it is, it is taken', () => {
    const record = {
      ...task,
      parameters: task,
      masking: 'pairwise',
      recipients: [{ name: 'owner', roundKey: '' }],
      charge: { rhoNano: chargeOfTask(task) },
    } as unknown as RoundRecord;
    const { order } = task.sampling!;
    expect(fitsTask(record, task)).toBeNull();
    for (const sampling of [undefined, { rateMicro: 1, order }, { rateMicro: 200_000, order: order + 1 }]) {
      const other = { ...record, sampling } as RoundRecord;
      expect(fitsTask(other, task)).toMatchObject({ rejected: 'PARAMETERS_MISMATCH' });
    }
    const foundations = {
      minimums: { cohort: 3, organisations: 2, honest: 2 },
      budget: { unit: 'record' as const, ...budget },
    };
    expect(checkMinimums(foundations, record)).toBeNull();
    for (const change of [{ charge: { rhoNano: chargeOfTask(task) - 1 } }, { sampling: { rateMicro: 200_001, order } }])
      expect(checkMinimums(foundations, { ...record, ...change })).toMatchObject({ rejected: 'CHARGE_MISMATCH' });
    // Control: a draw that is priced by nobody's rule would cost next to nothing.
    const rare = chargeOf({ ...record, sampling: { rateMicro: 1, order } });
    expect(rare).toBeLessThan(chargeOfTask(task) / 1000);
  });

  it('a node sums what it drew: fresh seeds for draw, rounding and noise, all wiped', async () => {
    const drawn: Uint8Array[] = [];
    const kept: Uint8Array[] = [];
    const rng = (length: number) => {
      const bytes = systemRng(length);
      drawn.push(bytes);
      kept.push(bytes.slice());
      return bytes;
    };
    const model = someModel(specOf(plan));
    // No noise to speak of, so that the draw shows: sigma 4 of a scale of some thousands.
    const quiet = { ...task, noise: { sigma2Numerator: '16', sigma2Denominator: '1' } };
    const { bits } = deriveAgain(quiet);
    const source = createNodeSource({ tf, tables: tables[0]!, tasks: [], rng });
    const values = (await source.update({ ...quiet, bits }, undefined as never, bytesOf(model)))!;
    expect(kept.map((seed) => seed.length)).toEqual([32, 32, 32]);
    expect(drawn.every((seed) => seed.every((byte) => byte === 0))).toBe(true);
    const { train, heldOut } = region;
    const mask = poissonSample(nodePrimitives, kept[0]!, train.rows + heldOut.rows, 200_000);
    const parts = { train: mask.slice(0, train.rows), heldOut: mask.slice(train.rows) };
    const contribution = nodeContribution(tf, model, region, contributionPlanOf(plan, task.clipMicro), {
      drawn: parts,
    });
    const rounded = quantise(quantiserOf({ ...quiet, bits }), nodePrimitives, kept[1]!, contribution);
    values.forEach((value, i) => void expect(Math.abs(value - rounded[i]!)).toBeLessThan(48));
    const { countIndex, countStep } = layoutOf(contributionPlanOf(plan, task.clipMicro));
    const count = Math.round(contribution[countIndex]! / countStep);
    expect(count).toBe(parts.train.reduce((sum, one) => sum + one, 0));
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(train.rows / 2);
  });

  it('a draw of none is sent like any other', async () => {
    const rare: Task = { ...task, sampling: { rateMicro: 1, order: task.sampling!.order } };
    const source = createNodeSource({ tf, tables: tables[0]!, tasks: [rare] });
    const values = (await source.update(rare, undefined as never, bytesOf(someModel(specOf(plan)))))!;
    expect(values.length).toBe(task.dimension);
    expect(values.some((value) => value !== 0)).toBe(true);
  });

  it('rounds over all records share such a budget: their charges fit what is counted at its order', () => {
    const { order } = task.sampling!;
    const whole = makeTask({ ...base, rounds: 50, renyiOrder: order });
    expect(whole.task.sampling).toBeUndefined();
    expect(whole.budget).toEqual(budget);
    expect(whole.rhoNano).toBeLessThanOrEqual(budget.rhoNano);
    // In zCDP the same epsilon allows more, so a task that is fitted to that would not last.
    expect(makeTask({ ...base, rounds: 50 }).rhoNano).toBeGreaterThan(budget.rhoNano);
  });

  it('what is no rate is refused by name', () => {
    const codeOf = (change: object): string => {
      try {
        makeTask({ ...base, ...change });
      } catch (error) {
        if (error instanceof TrainingError) return error.code;
        throw error;
      }
      return 'nothing';
    };
    for (const sampleRate of [0, 1, -0.1, Number.NaN, 1e-7]) expect(codeOf({ sampleRate })).toBe('BAD_BUDGET');
    expect(codeOf({ sampleRate: 0.1, unit: 'node' })).toBe('BAD_BUDGET');
    expect(codeOf({ renyiOrder: 65 })).toBe('BAD_BUDGET');
    expect(codeOf({ sampleRate: 0.1, renyiOrder: 65 })).toBe('BAD_BUDGET');
    expect(codeOf({ sampleRate: 0.1, epsilon: 0.05 })).toBe('BAD_BUDGET');
    expect(taskField.safeParse({ ...task, sampling: { rateMicro: 0, order: 4 } }).success).toBe(false);
  });
});

/** Bits of a task of another variance. */
function deriveAgain(task: Task): { bits: number } {
  for (let bits = 2; bits <= 28; bits++) {
    try {
      quantiserOf({ ...task, bits });
      return { bits };
    } catch (error) {
      if (!(error instanceof TrainingError)) throw error;
    }
  }
  throw new Error('no bits fit');
}

describe('sensitive columns', () => {
  const request = { ...base, sensitive: { columns: [anyColumn!], share: 0.2 } };

  it('move by their share of the clip at most, in both models, whatever the row; the others by the rest', () => {
    for (const kind of ['logistic', 'mlp'] as const) {
      const { task } = makeTask({ ...request, model: kind });
      const plan = parseLearningPlan(task) as RecordPlan;
      const spec = specOf(plan);
      const contribution = contributionPlanOf(plan, task.clipMicro);
      const { gradientClip, sensitiveClip } = layoutOf(contribution);
      expect(sensitiveClip).toBeCloseTo(0.2 * (task.clipMicro / 1e6), 5);
      const inputs = sensitiveInputs(schema, plan.sensitive!);
      const sensitive = { inputs, clip: sensitiveClip! };
      const model = someModel(spec);
      const units = spec.kind === 'mlp' ? spec.hidden : 1;
      let [largestOwn, largestWhole] = [0, 0];
      const { train } = region;
      for (let row = 0; row < 60; row++) {
        // Ten times the row: everything is clipped.
        const x = train.x.slice(row * train.width, (row + 1) * train.width).map((value) => 10 * value);
        const one = { ...train, rows: 1, x, y: train.y.slice(row, row + 1) };
        const { sum } = exampleGradientSum(tf, model, one, gradientClip, { sensitive });
        const own = Math.hypot(...sum.filter((_, i) => inputs[Math.floor(i / units)] === 1));
        expect(own).toBeLessThanOrEqual(sensitiveClip!);
        expect(Math.hypot(...sum)).toBeLessThanOrEqual(gradientClip);
        [largestOwn, largestWhole] = [Math.max(largestOwn, own), Math.max(largestWhole, Math.hypot(...sum))];
      }
      // Neither bound is idle.
      expect(largestOwn).toBeGreaterThan(0.95 * sensitiveClip!);
      expect(largestWhole).toBeGreaterThan(0.95 * gradientClip);
      // What they tell alone costs about the square of the share; rounding adds a little.
      const whole = Number(chargeRhoNano(releaseOf({ ...task, parameters: task })));
      const alone = Number(chargeRhoNano(sensitiveRelease(task, plan)));
      expect(alone / whole).toBeGreaterThan(0.04);
      expect(alone / whole).toBeLessThan(0.08);
    }
  });

  it('change nothing for rows within both bounds, and leave a plan without them as it was', () => {
    const plain = makeTask(base).task;
    expect(plain.learning).not.toHaveProperty('sensitive');
    const model = someModel(specOf(parseLearningPlan(plain)));
    const inputs = sensitiveInputs(schema, { columns: [anyColumn!] });
    const wide = exampleGradientSum(tf, model, region.train, 1000, { sensitive: { inputs, clip: 500 } }).sum;
    expect(wide).toEqual(exampleGradientSum(tf, model, region.train, 1000).sum);
  });

  it('that the schema does not read, or too large a share, are refused', () => {
    expect(() => makeTask({ ...request, sensitive: { columns: ['no such column'], share: 0.2 } })).toThrow(
      /no such column/,
    );
    expect(() => makeTask({ ...request, sensitive: { columns: [anyColumn!], share: 0.999 } })).toThrow(/share/);
    const { task } = makeTask(request);
    const learning = { ...task.learning, sensitive: { columns: [anyColumn!], inputs: 99, shareMicro: 200_000 } };
    expect(() => createNodeSource({ tf, tables: tables[0]!, tasks: [{ ...task, learning }] })).toThrow(
      /the plan says 99/,
    );
  });
});
