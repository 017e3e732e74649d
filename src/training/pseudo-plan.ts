import { z } from 'zod';
import { TrainingError } from './errors.ts';

/** Weights are multiples of 1 / this. */
export const WEIGHT_PARTS = 64;

/** `learning.pseudo`: rows without a label take part with the label that the round's model gives them. */
export const pseudoField = z.strictObject({
  /** Least probability of the label that the model gives. */
  confidenceMicro: z.int().min(500_001).max(999_999),
  /** What such a row counts beside a labelled one, in parts of 64, so that sums stay exact. */
  weightParts: z.int().min(1).max(WEIGHT_PARTS),
  /** Only rounds that start from this model or a later one; number 0 is the first. */
  fromModel: z.int().min(0),
  /** Only rows whose cell of this column is one of these levels. */
  segment: z
    .strictObject({
      column: z.string().min(1).max(128),
      levels: z.array(z.string().min(1).max(128)).min(1).max(64).optional(),
      /** Levels are chosen by each node: those at which the model is right this often on its labelled rows. Unit node only. */
      localPrecisionMicro: z.int().min(500_001).max(1_000_000).optional(),
    })
    .optional(),
});

export type PseudoPlan = z.infer<typeof pseudoField>;

/** What a row without a label counts, beside a labelled one. */
export const weightOf = ({ weightParts }: PseudoPlan): number => weightParts / WEIGHT_PARTS;

/**
 * Refuses what the account does not cover, and what training does not do.
 *
 * Under unit record a row's part may depend on released values and on the row itself. Segments that a node picks by how often
 * the model is right on its labelled rows depend on other records: one record more can bring a whole segment in, while
 * the task's sensitivity is that of one.
 *
 * @throws TrainingError UNACCOUNTED, BAD_PLAN.
 */
export function requireSoundPseudo(pseudo: PseudoPlan, unit: 'record' | 'node'): void {
  const { segment, weightParts } = pseudo;
  if (segment !== undefined && segment.levels === undefined && segment.localPrecisionMicro === undefined)
    throw new TrainingError('BAD_PLAN', `pseudo labels in segments of "${segment.column}": name its levels`);
  if (unit === 'record' && segment?.localPrecisionMicro !== undefined)
    throw new TrainingError(
      'UNACCOUNTED',
      `segments of "${segment.column}" that each node picks by its own labelled rows: one record can bring in many others, which the account of unit record does not cover: list levels in the task, or use unit node`,
    );
  if (unit === 'node' && weightParts !== WEIGHT_PARTS)
    throw new TrainingError('BAD_PLAN', 'local training of unit node knows rows with a label and without, no weights');
}
