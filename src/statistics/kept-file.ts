import { z } from 'zod';
import { hashField, labelField } from '../../protocols/fields.ts';
import { type FeatureSchema, levelName } from '../learning/schema.ts';
import { countedFeatures } from './columns.ts';
import type { FiguresPlan, PresencePlan } from './plan.ts';

/** Which candidates passed: public, written by a recipient of the first round, and by any other the same to the byte. */
export const keptFileField = z.strictObject({
  version: z.literal(1),
  schema: z.strictObject({ name: labelField, hash: hashField }),
  presence: z.strictObject({ taskHash: hashField, roundId: hashField, resultHash: hashField }),
  columns: z
    .array(
      z.strictObject({
        column: z.string(),
        kept: z.array(z.int().min(0)),
        /** What people call them; not read. */
        names: z.array(z.string()),
      }),
    )
    .max(1024),
});

export type KeptFile = z.infer<typeof keptFileField>;

export function keptFileOf(
  plan: PresencePlan,
  schema: FeatureSchema,
  kept: readonly (readonly number[])[],
  presence: FiguresPlan['presence'],
): KeptFile {
  const columns = countedFeatures(schema).map((feature, i) => {
    const own = kept[i]!;
    const nameOf = (one: number): string =>
      feature.kind === 'levels'
        ? levelName(feature.levels[one]!)
        : `${feature.kind === 'text' ? 'bucket' : 'bin'} ${one}`;
    return { column: feature.column, kept: [...own], names: own.map(nameOf) };
  });
  return { version: 1, schema: plan.schema, presence, columns };
}
