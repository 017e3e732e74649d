import { LearningError } from './errors.ts';
import { allFinite } from './finite.ts';
import { seededRandom } from './random.ts';

/** What is trained. `inputs` is the design matrix's width, intercept included. */
export type ModelSpec =
  | { readonly kind: 'logistic'; readonly inputs: number }
  | { readonly kind: 'mlp'; readonly inputs: number; readonly hidden: number };

/** One named tensor of a model; tensors lie one after another, row-major, in `Model.values`. */
export interface Layer {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface Model {
  readonly spec: ModelSpec;
  /** Weights in the order of {@link layersOf}; its length is {@link parameterCount}. */
  readonly values: Float32Array;
}

/**
 * logistic: p = sigmoid(x w). mlp: p = sigmoid(relu(x W) v + b), W of shape [inputs, hidden]; the intercept column of x
 * is the hidden layer's bias.
 *
 * @throws LearningError BAD_SETTING for sizes outside [1, 65536] inputs and [1, 256] hidden.
 */
export function layersOf(spec: ModelSpec): Layer[] {
  const isSize = (value: number, most: number): boolean => Number.isInteger(value) && value >= 1 && value <= most;
  if (!isSize(spec.inputs, 65536)) throw new LearningError('BAD_SETTING', 'a model takes 1 to 65536 inputs');
  if (spec.kind === 'logistic') return [{ name: 'output.weight', shape: [spec.inputs] }];
  if (!isSize(spec.hidden, 256)) throw new LearningError('BAD_SETTING', 'a hidden layer has 1 to 256 units');
  return [
    { name: 'hidden.weight', shape: [spec.inputs, spec.hidden] },
    { name: 'output.weight', shape: [spec.hidden] },
    { name: 'output.bias', shape: [1] },
  ];
}

/** Numbers in one tensor. */
export function layerSize(layer: Layer): number {
  return layer.shape.reduce((size, side) => size * side, 1);
}

/** Numbers in a model: the dimension of its gradient. */
export function parameterCount(spec: ModelSpec): number {
  return layersOf(spec).reduce((sum, layer) => sum + layerSize(layer), 0);
}

/** The first model: logistic regression starts at zero, an MLP at He-scaled weights drawn from a public seed. */
export function initialModel(spec: ModelSpec, seed: string | number = 1): Model {
  const values = new Float32Array(parameterCount(spec));
  if (spec.kind === 'mlp') {
    const random = seededRandom(`model/${seed}`);
    const first = spec.inputs * spec.hidden;
    // One-hot rows have few entries that are not zero: a fan-in of 8 rather than of the width.
    for (let i = 0; i < first; i++) values[i] = random.normal() * Math.sqrt(2 / Math.min(8, spec.inputs));
    for (let i = 0; i < spec.hidden; i++) values[first + i] = random.normal() * Math.sqrt(1 / spec.hidden);
  }
  return { spec, values };
}

/** A model from received weights. @throws LearningError BAD_MODEL (length) or NOT_FINITE. Takes `values` over. */
export function makeModel(spec: ModelSpec, values: Float32Array): Model {
  const expected = parameterCount(spec);
  if (values.length !== expected) {
    throw new LearningError(
      'BAD_MODEL',
      `the model has ${values.length} weights; ${spec.kind} of this shape has ${expected}`,
    );
  }
  if (!allFinite(values)) throw new LearningError('NOT_FINITE', 'the model holds a weight that is NaN or infinite');
  return { spec, values };
}

/** Each layer as a view into the model's weights. */
export function layerViews(model: Model): Map<string, Float32Array> {
  const views = new Map<string, Float32Array>();
  let offset = 0;
  for (const layer of layersOf(model.spec)) {
    const size = layerSize(layer);
    views.set(layer.name, model.values.subarray(offset, offset + size));
    offset += size;
  }
  return views;
}
