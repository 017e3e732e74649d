import { type Layer, layerSize, layersOf, type ModelSpec } from './model.ts';

/** A model of which some layers are common, and the others each node's own. */
export interface Sharing {
  readonly spec: ModelSpec;
  /** Names of the layers that stay on the node; none: all are common. */
  readonly local: readonly string[];
}

type Part = 'shared' | 'local';

/** Layers of one part, in the model's order. */
export function layersOfPart({ spec, local }: Sharing, part: Part): Layer[] {
  return layersOf(spec).filter(({ name }) => local.includes(name) === (part === 'local'));
}

/** Numbers in one part. */
export function sizeOfPart(sharing: Sharing, part: Part): number {
  return layersOfPart(sharing, part).reduce((sum, layer) => sum + layerSize(layer), 0);
}

/** The numbers of one part of a whole model or gradient, one layer after another. Copies. */
export function takePart(sharing: Sharing, part: Part, whole: ArrayLike<number>): Float64Array {
  const taken = new Float64Array(sizeOfPart(sharing, part));
  eachPlace(sharing, part, (place, i) => {
    taken[i] = whole[place]!;
  });
  return taken;
}

/** The inverse: writes one part's numbers to their places in a whole, and leaves the other part as it is. */
export function placePart(
  sharing: Sharing,
  part: Part,
  whole: Float32Array | Float64Array,
  numbers: ArrayLike<number>,
): void {
  eachPlace(sharing, part, (place, i) => {
    whole[place] = numbers[i]!;
  });
}

function eachPlace({ spec, local }: Sharing, part: Part, visit: (place: number, i: number) => void): void {
  let place = 0;
  let i = 0;
  for (const layer of layersOf(spec)) {
    const isOfPart = local.includes(layer.name) === (part === 'local');
    for (const end = place + layerSize(layer); place < end; place++) if (isOfPart) visit(place, i++);
  }
}
