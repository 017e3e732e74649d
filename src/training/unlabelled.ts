import { poissonSample } from '../../crypto/poisson-sample.ts';
import type { Rng } from '../../crypto/primitives.ts';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import type { UnlabelledPart } from '../learning/contribution.ts';
import type { Region } from '../learning/datasets.ts';
import type { DesignMatrix } from '../learning/features.ts';
import { scoreRows } from '../learning/forward.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import type { Model } from '../learning/model.ts';
import { labelBy, preciseLevels } from '../learning/pseudo-labels.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { type PseudoPlan, weightOf } from './pseudo-plan.ts';

/**
 * The part of rows without a label in one round of unit record: labelled by the round's model, each as it is sure of it. To be
 * wiped with {@link wipePart}.
 *
 * @param model - released. @param rateMicro - where records are drawn: these by themselves, anew in every round, like all others.
 */
export function unlabelledPart(
  tf: Tf,
  model: Model,
  { unlabelled }: Region,
  pseudo: PseudoPlan,
  draw?: { readonly rng: Rng; readonly rateMicro: number } | undefined,
): UnlabelledPart | undefined {
  if (unlabelled === undefined) return undefined;
  const { rows, mayUse } = unlabelled;
  const { y, used } = labelBy(scoreRows(tf, model, rows), mayUse, pseudo.confidenceMicro / 1e6);
  if (draw !== undefined) {
    using seed = new SecretBytes('sample seed', draw.rng(32));
    const drawn = poissonSample(nodePrimitives, seed.bytes, rows.rows, draw.rateMicro);
    for (let row = 0; row < used.length; row++) used[row]! &= drawn[row]!;
    wipe(drawn);
  }
  return { rows: { ...rows, y }, used, weight: weightOf(pseudo) };
}

export function wipePart({ rows, used }: UnlabelledPart): void {
  wipe(rows.y);
  wipe(used);
}

/**
 * The rows of local training, for unit node: those with a label, and those that the round's model labels. Segments may be
 * this node's own choice: the whole update is the unit.
 */
export function rowsForLocalSteps(
  tf: Tf,
  model: Model,
  { train, unlabelled }: Region,
  { confidenceMicro, segment }: PseudoPlan,
): DesignMatrix {
  if (unlabelled === undefined) return train;
  const confidence = confidenceMicro / 1e6;
  const { rows, mayUse, levels, labelledLevels } = unlabelled;
  const { y, used } = labelBy(scoreRows(tf, model, rows), mayUse, confidence);
  const precision = segment?.localPrecisionMicro;
  if (precision !== undefined) {
    const scores = scoreRows(tf, model, train);
    const precise = preciseLevels(scores, train.y, labelledLevels!, confidence, precision / 1e6);
    for (const [row, level] of levels!.entries()) if (!precise.has(level)) used[row] = 0;
  }
  const chosen = [...used.keys()].filter((row) => used[row] === 1);
  const { width } = train;
  const x = new Float32Array((train.rows + chosen.length) * width);
  x.set(train.x);
  for (const [i, row] of chosen.entries())
    x.set(rows.x.subarray(row * width, (row + 1) * width), (train.rows + i) * width);
  return {
    ...train,
    rows: train.rows + chosen.length,
    x,
    y: Uint8Array.from([...train.y, ...chosen.map((row) => y[row]!)]),
  };
}
