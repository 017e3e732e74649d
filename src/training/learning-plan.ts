import { z } from 'zod';
import { toHex, utf8 } from '../../crypto/encoding.ts';
import { hashField, labelField } from '../../protocols/fields.ts';
import type { Task } from '../../protocols/task.ts';
import { AGGREGATES } from '../learning/aggregates.ts';
import { type ContributionPlan, layoutOf } from '../learning/contribution.ts';
import type { ModelSpec } from '../learning/model.ts';
import { OPTIMISERS } from '../learning/optimisers.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import type { ServerSettings } from '../learning/server-step.ts';
import { sizeOfPart } from '../learning/shared-layers.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { sentLength, type UpdateShape } from './compression.ts';
import { TrainingError } from './errors.ts';
import { localLayersField, requireSoundLocal } from './local-plan.ts';
import { pseudoField, requireSoundPseudo } from './pseudo-plan.ts';
import { requireSoundWeights } from './weighted.ts';

/**
 * `Task.learning`: what nodes and recipient have to agree on beyond clip, scale and noise, which the task itself holds.
 * Integers only, in units of 1e-6 where named so, because the task's hash is over canonical JSON.
 */
const positiveMicro = z.int().min(1).max(64_000_000);

const inputs = z.int().min(1).max(65_536);

const common = {
  version: z.literal(1),
  /** The public feature schema, by name and by the hash of its content ({@link schemaHashOf}). */
  schema: z.strictObject({ name: labelField, hash: hashField }),
  model: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('logistic'), inputs }),
    /** `seed` draws the first weights, the same for everybody. */
    z.strictObject({ kind: z.literal('mlp'), inputs, hidden: z.int().min(1).max(256), seed: z.int().min(0) }),
  ]),
  server: z.strictObject({
    learningRateMicro: positiveMicro,
    momentumMicro: z.int().min(0).max(999_999),
    weightDecayMicro: z.int().min(0).max(1_000_000),
    /** The learning rate falls linearly over so many rounds; left out: it stays. */
    decayRounds: z.int().min(1).max(1_000_000).optional(),
    /** Left out: momentum. */
    optimiser: z.enum(OPTIMISERS).optional(),
  }),
  /** Rows without a label take part; left out: they are refused. */
  pseudo: pseudoField.optional(),
  /** Layers that stay on each node, and are no part of updates and published models; left out: none. Unit node only. */
  localLayers: localLayersField.optional(),
  /** How the sums of buckets become one; left out: the mean. Only for tasks with buckets. */
  aggregate: z.enum(AGGREGATES).optional(),
};

const binsField = z.strictObject({
  count: z.int().min(2).max(1024),
  lowMicro: z.int().min(-64_000_000).max(64_000_000),
  highMicro: z.int().min(-64_000_000).max(64_000_000),
});

const recordPlan = z.strictObject({
  ...common,
  unit: z.literal('record'),
  /** Part of the clip that the record count takes. */
  countShareMicro: z.int().min(1).max(500_000),
  /** Bins of log-odds of the evaluation by counts; null for rounds without one. */
  bins: binsField.nullable(),
  /** Most records, training and held-out, in one node's sum: sets the bits of a value. */
  recordsMax: z
    .int()
    .min(1)
    .max(2 ** 24),
  /** Columns of the table under stronger protection: the weights of what is made of them have a smaller clip. */
  sensitive: z
    .strictObject({
      columns: z.array(z.string().min(1).max(128)).min(1).max(64),
      /** Columns of the design matrix that they fill. */
      inputs,
      /** Part of the clip. */
      shareMicro: z.int().min(1).max(999_999),
    })
    .optional(),
});

const nodePlan = z.strictObject({
  ...common,
  unit: z.literal('node'),
  /** Local training between two rounds. */
  local: z.strictObject({
    steps: z.int().min(1).max(100_000),
    batch: z.int().min(1).max(1_000_000),
    learningRateMicro: positiveMicro,
    /** Weight of the pull towards the model that the round started from (FedProx); left out: none. */
    proximalMicro: positiveMicro.optional(),
  }),
});

const learningPlanField = z.discriminatedUnion('unit', [recordPlan, nodePlan]);

export type LearningPlan = z.infer<typeof learningPlanField>;
export type RecordPlan = z.infer<typeof recordPlan>;
export type NodePlan = z.infer<typeof nodePlan>;

/**
 * Reads a task's plan.
 *
 * @throws TrainingError BAD_PLAN, saying where: malformed, absent, of another unit or of another length than the task's.
 */
export function parseLearningPlan(task: Task): LearningPlan {
  if (task.learning === null) {
    throw new TrainingError('BAD_PLAN', `task ${task.task} is for updates from files: it names no model to train`);
  }
  if (task.learning['kind'] === 'statistics') {
    throw new TrainingError(
      'BAD_PLAN',
      `task ${task.task} counts, and trains no model: 'veilsum statistics' is for it`,
    );
  }
  const parsed = learningPlanField.safeParse(task.learning);
  if (!parsed.success) {
    throw new TrainingError('BAD_PLAN', `learning plan of task ${task.task}: ${z.prettifyError(parsed.error)}`);
  }
  const plan = parsed.data;
  if (plan.unit !== task.unit) {
    throw new TrainingError('BAD_PLAN', `task ${task.task} protects a ${task.unit}, its plan a ${plan.unit}`);
  }
  if (plan.aggregate !== undefined && plan.aggregate !== 'mean' && task.buckets === undefined) {
    throw new TrainingError('BAD_PLAN', `task ${task.task} names ${plan.aggregate}, and has no buckets to apply it to`);
  }
  if (plan.pseudo !== undefined) requireSoundPseudo(plan.pseudo, plan.unit);
  if (plan.localLayers !== undefined) requireSoundLocal(specOf(plan), plan.localLayers, plan.unit);
  const shape = updateShape(plan, task.clipMicro);
  if (task.weightMax !== undefined) requireSoundWeights(plan);
  const numbers = task.compression === undefined ? shape.length : sentLength(shape, task.compression);
  const dimension = numbers + (task.weightMax === undefined ? 0 : 1);
  if (dimension !== task.dimension) {
    throw new TrainingError(
      'BAD_PLAN',
      `task ${task.task} carries ${task.dimension} values, its plan makes ${dimension}`,
    );
  }
  return plan;
}

export function specOf({ model }: LearningPlan): ModelSpec {
  const { kind } = model;
  return kind === 'mlp' ? { kind, inputs: model.inputs, hidden: model.hidden } : { kind, inputs: model.inputs };
}

/** An update: weights alone for unit 'node', weights, count and histogram for unit 'record'. Weights alone may be compressed. */
export function updateShape(plan: LearningPlan, clipMicro: number): UpdateShape {
  const trained = sizeOfPart({ spec: specOf(plan), local: plan.localLayers ?? [] }, 'shared');
  const length = plan.unit === 'node' ? trained : layoutOf(contributionPlanOf(plan, clipMicro)).dimension;
  return { length, trained };
}

/** @param clipMicro - the task's, so that clip and sensitivity cannot be told apart. */
export function contributionPlanOf(plan: RecordPlan, clipMicro: number): ContributionPlan {
  const { bins, countShareMicro, sensitive } = plan;
  return {
    spec: specOf(plan),
    clip: clipMicro / 1e6,
    countShare: countShareMicro / 1e6,
    sensitiveShare: sensitive && sensitive.shareMicro / 1e6,
    bins: bins && { count: bins.count, low: bins.lowMicro / 1e6, high: bins.highMicro / 1e6 },
  };
}

/** Which rows without a label take part changes from model to model: counts are then averaged over so many rounds. */
const PSEUDO_COUNT_ROUNDS = 10;

export function serverSettingsOf({ server, pseudo }: LearningPlan): ServerSettings {
  return {
    learningRate: server.learningRateMicro / 1e6,
    momentum: server.momentumMicro / 1e6,
    weightDecay: server.weightDecayMicro / 1e6,
    optimiser: server.optimiser ?? 'momentum',
    ...(pseudo === undefined ? {} : { countRounds: PSEUDO_COUNT_ROUNDS }),
    ...(server.decayRounds === undefined ? {} : { decayRounds: server.decayRounds }),
  };
}

/**
 * Refuses local suppression where single records are accounted for: one record more can lift a value over the threshold,
 * and so change fewerThan - 1 others' rows, while the task's sensitivity is that of one.
 *
 * @throws TrainingError UNACCOUNTED.
 */
export function requireAccounted({ name, suppress }: FeatureSchema, unit: LearningPlan['unit']): void {
  if (unit !== 'record' || suppress === undefined || suppress.columns.length === 0 || suppress.keptListIsPublic) return;
  throw new TrainingError(
    'UNACCOUNTED',
    `schema ${name} blanks rare values by this region's own counts, which the account of unit record does not cover: ` +
      'list levels that are public, use unit node, or state suppress.keptListIsPublic: true',
  );
}

/** SHA-256 of the schema as JSON with sorted keys and every default written out, 64 hex digits. Layout does not matter. */
export function schemaHashOf(schema: FeatureSchema): string {
  return toHex(nodePrimitives.sha256(utf8(`veilsum/v1/feature-schema\0${sortedJson(schema)}`)));
}

function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
