import { deriveQuantiser } from '../../crypto/quantise.ts';
import type { Release } from '../../protocols/accountant.ts';
import { releaseOf } from '../../protocols/record.ts';
import type { Task } from '../../protocols/task.ts';
import { layoutOf } from '../learning/contribution.ts';
import { designColumns } from '../learning/features.ts';
import { type FeatureSchema, featureNames } from '../learning/schema.ts';
import { TrainingError } from './errors.ts';
import { contributionPlanOf, type RecordPlan } from './learning-plan.ts';

/**
 * Which columns of the design matrix come from the named columns of the table.
 *
 * @returns 1 for those, in the order of `designColumns`. @throws TrainingError BAD_PLAN for a column that the schema does not
 *   read, or another number of inputs than the plan states.
 */
export function sensitiveInputs(
  schema: FeatureSchema,
  { columns, inputs: stated }: { readonly columns: readonly string[]; readonly inputs?: number },
): Uint8Array {
  const inputs = new Uint8Array(designColumns(schema).length);
  const left = new Set(columns);
  let offset = 1;
  for (const feature of schema.features) {
    const size = featureNames(feature).length;
    if (columns.includes(feature.column)) inputs.fill(1, offset, offset + size);
    left.delete(feature.column);
    offset += size;
  }
  if (left.size > 0) {
    const unknown = [...left].map((column) => `"${column}"`).join(', ');
    throw new TrainingError('BAD_PLAN', `sensitive columns that schema ${schema.name} does not read: ${unknown}`);
  }
  const count = inputs.reduce((sum, one) => sum + one, 0);
  if (stated === undefined || stated === count) return inputs;
  throw new TrainingError(
    'BAD_PLAN',
    `the sensitive columns fill ${count} of the model's inputs, the plan says ${stated}`,
  );
}

/**
 * What one round tells by the weights of sensitive inputs alone: the same noise, a smaller sensitivity, and its own rounding.
 *
 * @param plan - with sensitive columns.
 */
export function sensitiveRelease(task: Task, plan: RecordPlan): Release {
  const whole = releaseOf({ ...task, parameters: task });
  const clip = layoutOf(contributionPlanOf(plan, task.clipMicro)).sensitiveClip!;
  const { inputs } = plan.sensitive!;
  const coordinates = inputs * (plan.model.kind === 'mlp' ? plan.model.hidden : 1);
  const { recordsMax } = plan;
  const request = { unit: 'record', dimension: coordinates, clip, scale: task.scale, recordsMax } as const;
  return {
    ...whole,
    coordinates,
    sensitivity2: deriveQuantiser({ ...request, variance: whole.variance }).sensitivity2,
  };
}
