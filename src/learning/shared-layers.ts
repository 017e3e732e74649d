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
  for (const { place, at, size } of placesOf(sharing, part)) {
    for (let i = 0; i < size; i++) taken[at + i] = whole[place + i]!;
  }
  return taken;
}

/** The inverse: writes one part's numbers to their places in a whole, and leaves the other part as it is. */
export function placePart(
  sharing: Sharing,
  part: Part,
  whole: Float32Array | Float64Array,
  numbers: ArrayLike<number>,
): void {
  for (const { place, at, size } of placesOf(sharing, part)) {
    for (let i = 0; i < size; i++) whole[place + i] = numbers[at + i]!;
  }
}

/** Where each layer of a part begins in the whole (`place`) and in the part (`at`). */
function placesOf({ spec, local }: Sharing, part: Part): { place: number; at: number; size: number }[] {
  const places: { place: number; at: number; size: number }[] = [];
  let place = 0;
  let at = 0;
  for (const layer of layersOf(spec)) {
    const size = layerSize(layer);
    if (local.includes(layer.name) === (part === 'local')) {
      places.push({ place, at, size });
      at += size;
    }
    place += size;
  }
  return places;
}
