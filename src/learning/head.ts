import { LearningError } from './errors.ts';
import type { DesignMatrix } from './features.ts';
import { forward } from './forward.ts';
import type { Tf } from './load-tensorflow.ts';
import { layerSize, layersOf, type Model, type ModelSpec, makeModel } from './model.ts';
import { seededRandom } from './random.ts';
import { solvePositive } from './solve.ts';

/** The last layer, from which a score is linear: what a region may have to itself while the layers below are common. */
export function headLayers({ kind }: ModelSpec): readonly string[] {
  return kind === 'mlp' ? ['output.weight', 'output.bias'] : ['output.weight'];
}

/** A head fitted to one region's rows. As secret as these. */
export interface FittedHead {
  readonly model: Model;
  /** In how many records' weight the given head was held on to; null: it was kept as it is, for no other was shown to be better. */
  readonly strength: number | null;
  /** Mean log loss on rows that a head was not fitted to: of the given head, of the chosen strength, and the standard error of the difference. */
  readonly crossValidated: { readonly given: number; readonly fitted: number; readonly error: number };
}

const STRENGTHS = [1, 4, 16, 64, 256, 1024];
const FOLDS = 5;
/** Standard errors by which a fitted head has to be better. */
const SHOWN = 2;
/** Widest head: its curvature has the square of that many numbers. */
const WIDTH_MAX = 4096;
const STEPS_MAX = 50;
/** A step that lessens the loss of a row by less than this is the last. */
const SETTLED = 1e-9;

/**
 * Fits the head to a region's rows, the layers below as they are: the minimum of
 *
 *     sum over rows of the log loss + strength / 2 * |head - given head|^2
 *
 * (strictly convex: one minimum, found by Newton's method with halved steps). The common head as a prior: few rows hardly
 * move it. For logistic regression the difference is an additive local head, logit = x (w + v). The strength is chosen by
 * five-fold cross-validation on these rows; the given head stays unless the best one is better by two standard errors.
 *
 * @param model - holds the given head.
 * @param seed - deals out the folds.
 * @throws LearningError EMPTY_REGION, TOO_LARGE, BAD_MODEL, NOT_FINITE.
 */
export function fitHead(tf: Tf, model: Model, train: DesignMatrix, seed: string): FittedHead {
  if (train.rows < FOLDS) throw new LearningError('EMPTY_REGION', `${train.rows} rows are too few to fit a head to`);
  const given = headOf(model);
  if (given.length > WIDTH_MAX)
    throw new LearningError(
      'TOO_LARGE',
      `a head of ${given.length} weights is more than the ${WIDTH_MAX} that are fitted`,
    );
  const features = featuresOf(tf, model, train);
  const fold = new Uint8Array(train.rows);
  seededRandom(`folds/${seed}`)
    .shuffle(Uint32Array.from(fold, (_, row) => row))
    .forEach((row, i) => {
      fold[row] = i % FOLDS;
    });
  const all = Uint32Array.from(fold, (_, row) => row);
  const base = losses(features, given, all);
  let best = { strength: Number.POSITIVE_INFINITY, loss: base };
  const heads = Array.from({ length: FOLDS }, () => given);
  // From the strongest pull to the weakest, each from where the one before ended.
  for (const strength of [...STRENGTHS].reverse()) {
    const loss = new Float64Array(train.rows);
    for (let k = 0; k < FOLDS; k++) {
      heads[k] = minimise(
        features,
        all.filter((row) => fold[row] !== k),
        given,
        strength,
        heads[k]!,
      );
      const out = all.filter((row) => fold[row] === k);
      losses(features, heads[k]!, out).forEach((value, i) => {
        loss[out[i]!] = value;
      });
    }
    if (meanOf(loss) < meanOf(best.loss)) best = { strength, loss };
  }
  const gains = base.map((value, row) => value - best.loss[row]!);
  const gain = meanOf(gains);
  const error = Math.sqrt(gains.reduce((sum, value) => sum + (value - gain) ** 2, 0)) / train.rows;
  const crossValidated = { given: meanOf(base), fitted: meanOf(best.loss), error };
  if (!(gain > SHOWN * error)) return { model, strength: null, crossValidated };
  const head = minimise(features, all, given, best.strength, given);
  return { model: withHead(model, head), strength: best.strength, crossValidated };
}

/** What the head is linear in, by row: the inputs, or the hidden units and 1. Only what is not zero. */
interface HeadFeatures {
  readonly width: number;
  readonly columns: readonly Uint16Array[];
  readonly values: readonly Float64Array[];
  readonly labels: Uint8Array;
}

function featuresOf(tf: Tf, model: Model, { x, y, rows, width }: DesignMatrix): HeadFeatures {
  const units = model.spec.kind === 'mlp' ? model.spec.hidden : width;
  const hidden = model.spec.kind === 'mlp' ? forward(tf, model, { x, y, rows, width, outside: new Map() }).hidden : x;
  const hasBias = model.spec.kind === 'mlp';
  const columns: Uint16Array[] = [];
  const values: Float64Array[] = [];
  for (let row = 0; row < rows; row++) {
    const dense = hidden.subarray(row * units, (row + 1) * units);
    const found = Uint16Array.from(dense.keys()).filter((column) => dense[column] !== 0);
    columns.push(hasBias ? Uint16Array.of(...found, units) : found);
    const own = Float64Array.from(found, (column) => dense[column]!);
    values.push(hasBias ? Float64Array.of(...own, 1) : own);
  }
  return { width: units + (hasBias ? 1 : 0), columns, values, labels: y };
}

/** The head's numbers, the last ones of a model. */
function headOf({ spec, values }: Model): Float64Array {
  const names = headLayers(spec);
  const size = layersOf(spec).reduce((sum, layer) => sum + (names.includes(layer.name) ? layerSize(layer) : 0), 0);
  return Float64Array.from(values.subarray(values.length - size));
}

function withHead({ spec, values }: Model, head: Float64Array): Model {
  const next = values.slice();
  next.set(head, values.length - head.length);
  return makeModel(spec, next);
}

function scoreOf({ columns, values }: HeadFeatures, head: Float64Array, row: number): number {
  let score = 0;
  for (const [i, column] of columns[row]!.entries()) score += values[row]![i]! * head[column]!;
  return score;
}

/** log(1 + e^s) - y s, by row. */
function losses(features: HeadFeatures, head: Float64Array, rows: Uint32Array): Float64Array {
  return Float64Array.from(rows, (row) => {
    const score = scoreOf(features, head, row);
    return Math.max(score, 0) + Math.log1p(Math.exp(-Math.abs(score))) - features.labels[row]! * score;
  });
}

function minimise(
  features: HeadFeatures,
  rows: Uint32Array,
  given: Float64Array,
  strength: number,
  from: Float64Array,
): Float64Array {
  const objective = (head: Float64Array): number =>
    losses(features, head, rows).reduce((sum, loss) => sum + loss, 0) +
    (strength / 2) * head.reduce((sum, value, j) => sum + (value - given[j]!) ** 2, 0);
  let head = from;
  let reached = objective(head);
  for (let step = 0; step < STEPS_MAX; step++) {
    const { gradient, hessian } = derivatives(features, rows, head);
    for (let j = 0; j < head.length; j++) {
      gradient[j]! += strength * (head[j]! - given[j]!);
      hessian[j * head.length + j]! += strength;
    }
    const direction = solvePositive(hessian, gradient);
    let share = 1;
    let next = head;
    let value = reached;
    do {
      next = head.map((weight, j) => weight - share * direction[j]!);
      value = objective(next);
      share /= 2;
    } while (value > reached && share > 1e-6);
    if (!(value < reached)) return head;
    const isSettled = reached - value < SETTLED * rows.length;
    [head, reached] = [next, value];
    if (isSettled) return head;
  }
  return head;
}

function derivatives({ columns, values, labels, width }: HeadFeatures, rows: Uint32Array, head: Float64Array) {
  const gradient = new Float64Array(width);
  const hessian = new Float64Array(width * width);
  for (const row of rows) {
    const [places, own] = [columns[row]!, values[row]!];
    let score = 0;
    for (let i = 0; i < places.length; i++) score += own[i]! * head[places[i]!]!;
    const chance = 1 / (1 + Math.exp(-score));
    const curvature = chance * (1 - chance);
    for (let i = 0; i < places.length; i++) {
      gradient[places[i]!]! += (chance - labels[row]!) * own[i]!;
      const scaled = curvature * own[i]!;
      for (let j = 0; j < places.length; j++) hessian[places[i]! * width + places[j]!]! += scaled * own[j]!;
    }
  }
  return { gradient, hessian };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
