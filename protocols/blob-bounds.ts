import { correctionBytes, type RoundParameters, setCount } from '../crypto/params.ts';
import { boxBytes } from '../crypto/share-box.ts';
import { sealedModelBytesMax } from './model-box.ts';

/** The most bytes that a blob of a round may have, by kind. */
export interface BlobBounds {
  readonly payloads: number;
  readonly corrections: number;
  readonly boxes: number;
  readonly answers: number;
}

/**
 * What a round's parameters allow: a file of a stranger's is compared with it before it is read, since a sparse one of
 * terabytes costs nothing to make. Sums are as long as payloads.
 */
export function blobBounds(parameters: RoundParameters): BlobBounds {
  const held = setCount(parameters.members - 1, parameters.threshold);
  const correction = correctionBytes(parameters);
  return {
    payloads: parameters.payloadBytes,
    corrections: correction,
    boxes: boxBytes(held),
    // (u16be set || packed K_T)*, sealed like a box without seeds.
    answers: boxBytes(0) + held * (2 + correction),
  };
}

/** The same for a sealed model: what its leaf says of the model, and 4 GiB at most, since a leaf may say anything. */
export function modelBound(modelBytes: number): number {
  return Math.min(sealedModelBytesMax(modelBytes), 2 ** 32);
}
