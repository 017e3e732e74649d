import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dequantise } from '../../crypto/quantise.ts';
import type { Round } from '../../protocols/transcript.ts';
import { pseudoLines, pseudoOf } from '../../src/cli/pseudo-request.ts';
import { runJob } from '../../src/experiment/job.ts';
import { layoutOf, nodeContribution } from '../../src/learning/contribution.ts';
import { encodeRegion, loadDataset, type RegionTables } from '../../src/learning/datasets.ts';
import { scoreRows } from '../../src/learning/forward.ts';
import { loadTensorFlow, type Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel, type Model, type ModelSpec } from '../../src/learning/model.ts';
import { encodePartlyLabelled, labelBy, preciseLevels } from '../../src/learning/pseudo-labels.ts';
import { encodeSafetensors, modelTensors } from '../../src/learning/safetensors.ts';
import { initialServerState, serverStep } from '../../src/learning/server-step.ts';
import { surveyTable } from '../../src/learning/survey.ts';
import { selectRows, type Table } from '../../src/learning/table.ts';
import { openStore } from '../../src/store/open-store.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { contributionPlanOf, parseLearningPlan, type RecordPlan } from '../../src/training/learning-plan.ts';
import { makeTask } from '../../src/training/make-task.ts';
import { createNodeSource } from '../../src/training/node-source.ts';
import { type PseudoPlan, requireSoundPseudo } from '../../src/training/pseudo-plan.ts';
import { rowsForLocalSteps, unlabelledPart } from '../../src/training/unlabelled.ts';

const work = mkdtempSync(join(tmpdir(), 'veilsum-pseudo-'));
afterAll(() => rmSync(work, { recursive: true }));

const { schema, regions } = loadDataset('synthetic', { size: 0.1 });
const LABEL = schema.label.column;
const SEGMENT = schema.features.find(({ kind }) => kind === 'levels')!.column;

const PSEUDO: PseudoPlan = { confidenceMicro: 700_000, weightParts: 16, fromModel: 0 };
const base = { dataset: 'synthetic', nodes: 4, window: 'w', recipients: ['owner'], profile: 'demo' } as const;

/** Blanks the labels of some rows. */
const blank = (table: Table, isHidden: (row: number) => boolean): Table => ({
  ...table,
  columns: new Map([
    ...table.columns,
    [LABEL, table.columns.get(LABEL)!.map((cell, row) => (isHidden(row) ? '' : cell))] as const,
  ]),
});
const hidden = (tables: RegionTables): RegionTables => ({
  ...tables,
  train: blank(tables.train, (row) => row % 5 > 0),
});
const without = (tables: RegionTables, row: number): RegionTables => ({
  ...tables,
  train: selectRows(
    tables.train,
    [...Array(tables.train.rowCount).keys()].filter((other) => other !== row),
  ),
});

let tf: Tf;
beforeAll(async () => {
  ({ tf } = await loadTensorFlow(['wasm']));
});

/** A model that is sure of many rows. */
const sureModel = (spec: ModelSpec): Model => {
  const { values } = initialModel(spec, 7);
  return { spec, values: values.map((value, i) => value + 2 * Math.sin(3 * i + 1)) };
};

const norm = (a: Float64Array, b: Float64Array): number => Math.hypot(...a.map((value, i) => value - b[i]!));

describe.each(['logistic', 'mlp'] as const)('one record without a label, %s', (kind) => {
  const made = makeTask({ ...base, model: kind, pseudo: PSEUDO });
  const plan = parseLearningPlan(made.task) as RecordPlan;
  const contribution = contributionPlanOf(plan, made.task.clipMicro);
  const vectorOf = (tables: RegionTables, pseudo: PseudoPlan = PSEUDO): Float64Array => {
    const region = encodePartlyLabelled(tables, schema, pseudo.segment);
    const model = sureModel(contribution.spec);
    return nodeContribution(tf, model, region, contribution, { unlabelled: unlabelledPart(tf, model, region, pseudo) });
  };

  it('moves the vector by its weight of the clip at most, exactly, whichever it is', () => {
    const tables = hidden(regions[0]!);
    const whole = vectorOf(tables);
    const moved = [];
    for (let row = 0; row < 40; row++) {
      const difference = norm(whole, vectorOf(without(tables, row)));
      const isBlank = row % 5 > 0;
      expect(difference).toBeLessThanOrEqual(contribution.clip * (isBlank ? 16 / 64 : 1));
      moved.push(isBlank ? difference : 0);
    }
    expect(moved.filter((difference) => difference > 0).length).toBeGreaterThan(5);
    // Exactly: sums do not depend on the order of rows, which floats' would.
    const order = [...Array(tables.train.rowCount).keys()].reverse();
    expect(vectorOf({ ...tables, train: selectRows(tables.train, order) })).toEqual(whole);
  });

  it('brings others in where segments are picked by labelled rows: more than a clip, which is why it is refused', () => {
    const levels = [...new Set(regions[0]!.train.columns.get(SEGMENT)!)];
    const picked = { ...PSEUDO, weightParts: 64, segment: { column: SEGMENT, localPrecisionMicro: 600_000 } };
    const refused = expect.objectContaining({ code: 'UNACCOUNTED' });
    expect(() => requireSoundPseudo(picked, 'record')).toThrow(refused);
    expect(() => makeTask({ ...base, pseudo: picked })).toThrow(refused);
    requireSoundPseudo(picked, 'node'); // control: there the node is the unit
    requireSoundPseudo({ ...picked, segment: { column: SEGMENT, levels } }, 'record'); // and a public list is a list
    // A neighbouring pair: at one level, one labelled record of which the model is sure and wrong decides about all others.
    const tables = { ...regions[0]!, train: blank(regions[0]!.train, (row) => row % 2 > 0) };
    const model = sureModel(contribution.spec);
    const { train, unlabelled } = encodePartlyLabelled(tables, schema, { column: SEGMENT });
    const own = unlabelled!.labelledLevels!;
    const { y, used } = labelBy(scoreRows(tf, model, train), new Uint8Array(train.rows).fill(1), 0.7);
    const sureAt = (level: string) => [...own.keys()].filter((row) => own[row] === level && used[row] === 1);
    const level = [...new Set(own)].toSorted((one, other) => sureAt(other).length - sureAt(one).length)[0]!;
    const sure = sureAt(level);
    const wrong = sure.find((row) => y[row] !== train.y[row])!;
    const right = sure.filter((row) => y[row] === train.y[row]).length;
    const precision = (right / sure.length + right / (sure.length - 1)) / 2;
    const vectorPicked = (pickedFrom: RegionTables): Float64Array => {
      const region = encodePartlyLabelled(pickedFrom, schema, { column: SEGMENT });
      const scores = scoreRows(tf, model, region.train);
      const known = region.unlabelled!.labelledLevels!;
      const precise = preciseLevels(scores, region.train.y, known, 0.7, precision);
      return vectorOf(pickedFrom, { ...picked, segment: { column: SEGMENT, levels: [...precise, '-none-'] } });
    };
    const difference = norm(vectorPicked(tables), vectorPicked(without(tables, 2 * wrong)));
    expect(difference).toBeGreaterThan(2 * contribution.clip);
  });
});

describe('rows without a label', () => {
  it('are refused by a task that does not ask for them (control: they are taken by one that does), and counted by a check', () => {
    const tables = hidden(regions[0]!);
    const source = (pseudo?: PseudoPlan) =>
      createNodeSource({ tf, tables, tasks: [makeTask({ ...base, ...(pseudo && { pseudo }) }).task] });
    expect(() => source()).toThrow(expect.objectContaining({ code: 'BAD_LABEL' }));
    expect(source(PSEUDO)).toBeDefined();
    expect(surveyTable(tables.train, schema).problems.map(({ code }) => code)).toEqual(['BAD_LABEL']);
    expect(surveyTable(tables.train, schema, true).problems).toEqual([]);
    const wrong = blank(tables.train, () => false);
    const cells = ['perhaps', ...wrong.columns.get(LABEL)!.slice(1)];
    const bad = { ...tables, train: { ...wrong, columns: new Map([...wrong.columns, [LABEL, cells]]) } };
    expect(() => encodePartlyLabelled(bad, schema)).toThrow(expect.objectContaining({ code: 'BAD_LABEL' }));
  });

  it('may be all of a region; one class alone is refused only where every row is known', () => {
    const none = { ...regions[0]!, train: blank(regions[0]!.train, () => true) };
    const { train, unlabelled } = encodePartlyLabelled(none, schema);
    expect([train.rows, unlabelled!.rows.rows]).toEqual([0, none.train.rowCount]);
    const yes = regions[0]!.train.columns.get(LABEL)!.map((cell) => schema.label.positive.includes(cell));
    const positives = {
      ...regions[0]!,
      train: selectRows(
        regions[0]!.train,
        [...yes.keys()].filter((i) => yes[i]),
      ),
    };
    expect(() => encodePartlyLabelled(positives, schema)).toThrow(expect.objectContaining({ code: 'ONE_CLASS' }));
    expect(() => encodeRegion(positives, schema)).toThrow(expect.objectContaining({ code: 'ONE_CLASS' }));
    expect(encodePartlyLabelled({ ...positives, train: blank(positives.train, (i) => i > 3) }, schema).train.rows).toBe(
      4,
    );
  });

  it('are held out of the evaluation and of training where they are held out', () => {
    const tables = { ...regions[0]!, heldOut: blank(regions[0]!.heldOut, (row) => row % 2 === 0) };
    const region = encodePartlyLabelled({ ...tables, train: blank(tables.train, (row) => row === 0) }, schema);
    expect(region.heldOut.rows).toBe(Math.floor(tables.heldOut.rowCount / 2));
    expect(region.unlabelled!.rows.rows).toBe(1);
  });

  it('are labelled where a model is sure, and in public segments only', () => {
    const scores = [3, -3, 0.5, -0.5, 3];
    const { y, used } = labelBy(scores, Uint8Array.of(1, 1, 1, 1, 0), 0.9);
    expect([...y]).toEqual([1, 0, 1, 0, 1]);
    expect([...used]).toEqual([1, 1, 0, 0, 0]);
    const [level] = regions[0]!.train.columns.get(SEGMENT)!;
    const region = encodePartlyLabelled(hidden(regions[0]!), schema, {
      column: SEGMENT,
      levels: [level!.toUpperCase()],
    });
    const { mayUse, levels } = region.unlabelled!;
    expect([...mayUse]).toEqual(levels!.map((own) => (own === level!.toLowerCase() ? 1 : 0)));
    expect([...mayUse].filter((one) => one === 1).length).toBeGreaterThan(0);
  });

  it('take part from the model on that the task says, drawn like all others, and count by their weight', async () => {
    const tables = hidden(regions[0]!);
    const countsOf = async (fromModel: number, modelNumber: number, more: object = {}): Promise<number> => {
      const { task } = makeTask({ ...base, epsilon: null, pseudo: { ...PSEUDO, fromModel }, ...more });
      const plan = parseLearningPlan(task) as RecordPlan;
      const source = createNodeSource({ tf, tables, tasks: [task] });
      const contribution = contributionPlanOf(plan, task.clipMicro);
      const model = encodeSafetensors(modelTensors(sureModel(contribution.spec)));
      const round = { record: { number: 1, modelNumber } } as Round;
      const { countIndex, countStep } = layoutOf(contribution);
      const sent = dequantise(quantiserOf(task), (await source.update(task, round, model))!);
      return sent[countIndex]! / countStep;
    };
    const labelled = await countsOf(5, 4);
    const known = tables.train.columns.get(LABEL)!.filter((cell) => cell !== '').length;
    expect(Math.abs(labelled - known)).toBeLessThan(25);
    const all = await countsOf(5, 5);
    expect(all - labelled).toBeGreaterThan(0.25 * 0.3 * (tables.train.rowCount - known));
    expect(all - labelled).toBeLessThan(0.25 * (tables.train.rowCount - known) + 25);
  });

  it('are local rows under unit node, from segments where the node finds the model precise', () => {
    const tables = hidden(regions[0]!);
    const region = encodePartlyLabelled(tables, schema, { column: SEGMENT });
    const { task } = makeTask({ ...base, unit: 'node', pseudo: { ...PSEUDO, weightParts: 64 } });
    const model = sureModel({ kind: 'logistic', inputs: parseLearningPlan(task).model.inputs });
    const pick = (localPrecisionMicro: number) =>
      rowsForLocalSteps(tf, model, region, { ...PSEUDO, segment: { column: SEGMENT, localPrecisionMicro } }).rows;
    expect(pick(1_000_000)).toBe(region.train.rows);
    expect(pick(500_001)).toBeGreaterThanOrEqual(pick(900_000));
    expect(() => makeTask({ ...base, unit: 'node', pseudo: PSEUDO })).toThrow(
      expect.objectContaining({ code: 'BAD_PLAN' }),
    );
  });
});

it('an in-process job over regions of which one has no label: every sum exact, and unlabelled rows move the model', async () => {
  await using store = await openStore(join(work, 'store'));
  const tables = regions.map((region, i) =>
    i === 0 ? { ...region, train: blank(region.train, () => true) } : hidden(region),
  );
  const run = async (pseudo: PseudoPlan) => {
    const made = makeTask({
      ...base,
      epsilon: null,
      rounds: 3,
      profile: 'demo',
      pseudo,
      task: `from ${pseudo.fromModel}`,
    });
    return (await runJob({ tf, regions: tables, made, records: store.records })).model.values;
  };
  const [semi, never] = [
    await run({ ...PSEUDO, weightParts: 64, confidenceMicro: 550_000 }),
    await run({ ...PSEUDO, fromModel: 99 }),
  ];
  expect(norm(Float64Array.from(semi), Float64Array.from(never))).toBeGreaterThan(0.01);
});

it('the server averages counts over the last rounds where rounds differ; control: over all of them it lags', () => {
  const model = initialModel({ kind: 'logistic', inputs: 3 }, 1);
  const countAfter = (settings: object): number => {
    let state = initialServerState(model);
    for (let round = 0; round < 100; round++) {
      const opened = { unit: 'record', sum: new Float64Array(3), count: round < 50 ? 100 : 1000 } as const;
      state = serverStep(state, opened, { learningRate: 1, momentum: 0, ...settings });
    }
    return state.meanCount;
  };
  expect(countAfter({ countRounds: 10 })).toBeGreaterThan(990);
  expect(countAfter({})).toBeCloseTo(550, 6);
});

describe('the flags', () => {
  const isOfFiles = false;
  it('make a plan, or say what is wrong', () => {
    expect(pseudoOf({ isOfFiles })).toBeUndefined();
    expect(pseudoOf({ isOfFiles, pseudoLabels: 0.9, pseudoSegment: 'Lead Origin=API, Lead Import' })).toEqual({
      ...{ confidenceMicro: 900_000, weightParts: 64, fromModel: 50 },
      segment: { column: 'Lead Origin', levels: ['API', 'Lead Import'] },
    });
    const usage = expect.objectContaining({ code: 'USAGE' });
    for (const flags of [
      { pseudoWeight: 0.5 },
      { pseudoLabels: 0.5 },
      { pseudoLabels: 0.9, pseudoWeight: 1.5 },
      { pseudoLabels: 0.9, pseudoFrom: -1 },
      { pseudoLabels: 0.9, pseudoSegment: 'Lead Origin' },
      { pseudoLabels: 0.9, pseudoLocalPrecision: 0.9 },
      { pseudoLabels: 0.9, isOfFiles: true },
    ])
      expect(() => pseudoOf({ isOfFiles, ...flags })).toThrow(usage);
    const { task } = makeTask({ ...base, pseudo: { ...PSEUDO, segment: { column: SEGMENT, levels: ['a'] } } });
    expect(pseudoLines(task).join()).toContain('0.7 sure');
    const late = makeTask({ ...base, pseudo: { ...PSEUDO, fromModel: 10 } });
    expect(pseudoLines(late.task, late.rounds).join()).toContain('lower --pseudo-from');
    expect(pseudoLines(late.task, 11).join()).not.toContain('lower'); // control
    expect(pseudoLines(makeTask(base).task)).toEqual([]);
  });
});
