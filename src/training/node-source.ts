import { toHex } from '../../crypto/encoding.ts';
import type { Rng } from '../../crypto/primitives.ts';
import { wipe } from '../../crypto/secret.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { nodeContribution } from '../learning/contribution.ts';
import { DATASETS } from '../learning/dataset-names.ts';
import { datasetSchema, encodeRegion, type Region, type RegionTables } from '../learning/datasets.ts';
import { LearningError } from '../learning/errors.ts';
import { type DesignMatrix, designColumns } from '../learning/features.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import { localDelta } from '../learning/local-steps.ts';
import type { Model } from '../learning/model.ts';
import { encodePartlyLabelled } from '../learning/pseudo-labels.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import type { UpdateSource } from '../party/node.ts';
import { systemRng } from '../platform/rng.ts';
import { compressUpdate } from './compressed-update.ts';
import { drawRows } from './draw-rows.ts';
import { TrainingError } from './errors.ts';
import { quantiserOf } from './fit-noise.ts';
import {
  contributionPlanOf,
  type LearningPlan,
  type NodePlan,
  parseLearningPlan,
  type RecordPlan,
  requireAccounted,
  schemaHashOf,
  updateShape,
} from './learning-plan.ts';
import { readModel, trainWithHead } from './local-layers.ts';
import { NoisedIntegers } from './noised-integers.ts';
import { type Residuals, residualsInMemory } from './residuals.ts';
import { sensitiveInputs } from './sensitive.ts';
import { trainedVector } from './trained-vector.ts';
import { rowsForLocalSteps, unlabelledPart, wipePart } from './unlabelled.ts';
import { weigh } from './weighted.ts';

export interface NodeSourceSettings {
  readonly tf: Tf;
  /** The node's rows as text, cut into training and held-out rows (`readRegionFiles`, `loadDataset`). */
  readonly tables: RegionTables;
  /** Tasks the node takes part in: rows are encoded for each of them here, so that errors show at start-up. */
  readonly tasks: readonly Task[];
  /** Schema files beside the built-in ones. */
  readonly schemas?: readonly FeatureSchema[];
  /** Of tasks with error feedback; left out: forgotten when the process ends. */
  readonly residuals?: Residuals;
  /** This node's own layers, of tasks that have some; left out: forgotten when the process ends. */
  readonly heads?: Residuals;
  readonly rng?: Rng;
}

/** A node's updates from its own tables. */
export interface NodeSource extends UpdateSource {
  /** The rows as the task's model sees them. @throws as `update` does. */
  rowsFor(task: Task): Region;
}

/**
 * Trains on the node's own table; nothing but noised integers leaves it.
 *
 * @throws LearningError about the table, in its owner's words; TrainingError BAD_PLAN, SCHEMA_MISMATCH, TASK_MISMATCH.
 */
export function createNodeSource(settings: NodeSourceSettings): NodeSource {
  const {
    tf,
    tables,
    tasks,
    schemas = [],
    residuals = residualsInMemory(),
    heads = residualsInMemory(),
    rng = systemRng,
  } = settings;
  const integers = new NoisedIntegers(rng);
  const encoded = new Map<string, Region>();
  const rowsOf = (plan: LearningPlan): Region => {
    const name = `${plan.schema.hash} ${JSON.stringify(plan.pseudo?.segment ?? plan.pseudo !== undefined)}`;
    const known = encoded.get(name);
    if (known === undefined) encoded.set(name, rowsForPlan(tables, plan, schemas));
    else requireFit(tables.name, known, plan);
    return encoded.get(name)!;
  };
  const rowsFor = (task: Task): Region => rowsOf(parseLearningPlan(task));
  const ownInputs = (plan: RecordPlan): Uint8Array | undefined =>
    plan.sensitive && sensitiveInputs(findSchema(plan, schemas), plan.sensitive);
  for (const task of tasks) {
    const plan = parseLearningPlan(task);
    quantiserOf(task);
    rowsOf(plan);
    if (plan.unit === 'record') ownInputs(plan);
  }
  /** What one look at the rows comes to. Secret. */
  const vectorOf = (task: Task, round: Round, modelBytes: Uint8Array): Float64Array => {
    const plan = parseLearningPlan(task);
    const rows = rowsOf(plan);
    const pseudo = plan.pseudo !== undefined && round.record.modelNumber >= plan.pseudo.fromModel ? plan.pseudo : null;
    if (plan.unit === 'node') {
      const known = (own: Model): DesignMatrix =>
        pseudo === null ? rows.train : rowsForLocalSteps(tf, own, rows, pseudo);
      const head = { task, model: modelBytes, heads };
      const vector = trainWithHead(head, (own) => localVector(tf, own, known(own), plan, rng));
      // More rows than there is room for count as so many: the bound is public, the number of rows is not.
      const { weightMax } = task;
      return weightMax === undefined ? vector : weigh(task, vector, Math.max(1, Math.min(rows.train.rows, weightMax)));
    }
    const model = readModel(plan, modelBytes);
    const drawn = task.sampling && drawRows(rng, rows, task.sampling.rateMicro);
    const draw = task.sampling && { rng, rateMicro: task.sampling.rateMicro };
    const unlabelled = pseudo === null ? undefined : unlabelledPart(tf, model, rows, pseudo, draw);
    try {
      const options = { sensitiveInputs: ownInputs(plan), drawn, unlabelled };
      return nodeContribution(tf, model, rows, contributionPlanOf(plan, task.clipMicro), options);
    } finally {
      for (const mask of Object.values(drawn ?? {})) wipe(mask);
      if (unlabelled !== undefined) wipePart(unlabelled);
    }
  };
  return {
    rowsFor,
    update: async (task, round, modelBytes) => {
      const quantiser = quantiserOf(task);
      const shape = updateShape(parseLearningPlan(task), task.clipMicro);
      const sent = compressUpdate({ task, shape, model: modelBytes, residuals }, vectorOf(task, round, modelBytes));
      return sent === null ? null : integers.of(quantiser, sent);
    },
    train: async (task, round, modelBytes) =>
      trainedVector(integers, quantiserOf(task), vectorOf(task, round, modelBytes)),
  };
}

/**
 * A region's rows as a plan's model sees them.
 *
 * @param schemas - beside the built-in ones.
 * @throws LearningError about the table; TrainingError SCHEMA_MISMATCH, UNACCOUNTED.
 */
export function rowsForPlan(tables: RegionTables, plan: LearningPlan, schemas: readonly FeatureSchema[]): Region {
  const schema = findSchema(plan, schemas);
  requireAccounted(schema, plan.unit);
  const rows =
    plan.pseudo === undefined
      ? encodeRegion(tables, schema)
      : encodePartlyLabelled(tables, schema, plan.pseudo.segment);
  requireFit(tables.name, rows, plan);
  return rows;
}

/** What local training changed. Secret. */
function localVector(tf: Tf, model: Model, rows: DesignMatrix, plan: NodePlan, rng: Rng): Float64Array {
  // A region without a label, and without a row that the model is sure of, has nothing to say yet.
  if (rows.rows === 0) return new Float64Array(model.values.length);
  const { steps, batch, learningRateMicro, proximalMicro = 0 } = plan.local;
  // Batches are picked by fresh bytes: no one else needs to know them, and no round repeats them.
  const seed = toHex(rng(16));
  const rates = { learningRate: learningRateMicro / 1e6, proximal: proximalMicro / 1e6 };
  return localDelta(tf, model, rows, { steps, batch, seed, ...rates });
}

/** The schema that a plan names by hash, among `own` and those that come with the product. @throws TrainingError SCHEMA_MISMATCH */
export function findSchema({ schema, model }: LearningPlan, own: readonly FeatureSchema[]): FeatureSchema {
  const candidates = [...own, ...DATASETS.map(datasetSchema)].filter((known) => known.name === schema.name);
  const found = candidates.find((known) => schemaHashOf(known) === schema.hash);
  if (!found) {
    const why =
      candidates.length > 0
        ? 'another version of it is here'
        : "it is not here: 'features' in a region's settings names its file, and so does --schema of 'veilsum score'";
    throw new TrainingError('SCHEMA_MISMATCH', `the task needs feature schema ${schema.name}: ${why}`);
  }
  const width = designColumns(found).length;
  if (width === model.inputs) return found;
  throw new TrainingError(
    'SCHEMA_MISMATCH',
    `schema ${schema.name} has ${width} columns, the model takes ${model.inputs}`,
  );
}

/** Public limits; whether a node takes part is public too, so a table should stay well below. */
function requireFit(name: string, { train, heldOut, unlabelled }: Region, plan: LearningPlan): void {
  const rows = train.rows + heldOut.rows + (unlabelled?.rows.rows ?? 0);
  if (plan.unit === 'record' && rows > plan.recordsMax) {
    throw new LearningError(
      'TOO_LARGE',
      `table ${name} has ${rows} rows, the task takes ${plan.recordsMax} from one node`,
    );
  }
}
