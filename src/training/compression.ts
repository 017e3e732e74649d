import { DOMAIN } from '../../crypto/domain.ts';
import { fromHex } from '../../crypto/encoding.ts';
import { hashWithLabel } from '../../crypto/signature.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { drawKept, drawSigns } from './public-draw.ts';
import { blockOf, paddedLength, rotate, unrotate } from './rotation.ts';

export type Compression = NonNullable<Task['compression']>;

/** An update before compression: its first `trained` values are made shorter, the rest goes out as it is. */
export interface UpdateShape {
  readonly length: number;
  readonly trained: number;
}

/** What compression makes of an update, for one model of a task: the same for every node and recipient. */
export interface Compressor {
  /** A projection of a rotation: it lengthens no vector. @param update - not changed. @returns a new vector of `dimension` values. */
  compress(update: Float64Array): Float64Array;
  /** The transposed map, `gain` times for the trained values. @returns a new vector of the update's length. */
  expand(sum: Float64Array): Float64Array;
  /** Of kept values to all, upside down, so that the mean over seeds is the update; 1 with error feedback. */
  readonly gain: number;
}

/** Standard deviations of a rotated value beyond which it is cut: one value in 3 * 10^7 of a clipped update, or fewer. */
const PEAK_SIGMAS = 6;

interface Sizes {
  readonly block: number;
  readonly padded: number;
  readonly kept: number;
}

function sizesOf({ trained }: UpdateShape, { rotation, keepMicro }: Compression): Sizes {
  const block = rotation ? blockOf(trained) : 1;
  const padded = paddedLength(trained, block);
  const kept = keepMicro === undefined ? padded : Math.ceil((padded * keepMicro) / 1e6);
  return { block, padded, kept };
}

/** Values that go out. */
export function sentLength(shape: UpdateShape, compression: Compression): number {
  return sizesOf(shape, compression).kept + shape.length - shape.trained;
}

/**
 * The largest value of an update that was clipped as a whole: the clip, and less where it was rotated. By Hoeffding's inequality over the signs one is
 * beyond t / sqrt(B) of the norm with probability 2 e^(-t^2 / 2); it is cut then.
 *
 * @returns undefined for sums of records, whose number bounds them.
 */
export function peakOf(shape: UpdateShape, compression: Compression | undefined, clip: number): number | undefined {
  if (compression === undefined || shape.trained !== shape.length) return undefined;
  return compression.rotation ? clip * Math.min(1, PEAK_SIGMAS / Math.sqrt(sizesOf(shape, compression).block)) : clip;
}

/** What a task says of an update's length: as many values as are sent, how they came to be so few, how large one can be. */
export function compressedFields(
  shape: UpdateShape,
  compression: Compression | undefined,
  clip: number,
): { readonly dimension: number; readonly compression?: Compression; readonly peak?: number | undefined } {
  if (compression === undefined) return { dimension: shape.length };
  return { dimension: sentLength(shape, compression), compression, peak: peakOf(shape, compression, clip) };
}

/**
 * The seed is public: hashes of task and model, so that every bucket and every retry of one model has the same, and the next
 * model another. Who could choose it would learn nothing more: any subset of a noised vector costs at most what the vector does.
 *
 * @param model - the round's, as its bytes.
 * @returns null for a task without compression.
 */
export function compressorOf(task: Task, shape: UpdateShape, model: Uint8Array): Compressor | null {
  const { compression } = task;
  if (compression === undefined) return null;
  const { block, padded, kept } = sizesOf(shape, compression);
  const { trained, length } = shape;
  const parts = [fromHex(taskHashOf(nodePrimitives, task), 32), nodePrimitives.sha256(model)];
  const signs = compression.rotation
    ? drawSigns(hashWithLabel(nodePrimitives, DOMAIN.compressionSigns, ...parts), padded)
    : null;
  const places =
    kept < padded ? drawKept(hashWithLabel(nodePrimitives, DOMAIN.compressionKept, ...parts), padded, kept) : null;
  const gain = compression.errorFeedback ? 1 : padded / kept;
  return {
    gain,
    compress: (update) => {
      const head = update.subarray(0, trained);
      const turned = signs === null ? head : rotate(head, signs, block);
      const out = new Float64Array(kept + length - trained);
      if (places === null) out.set(turned);
      else for (let i = 0; i < kept; i++) out[i] = turned[places[i]!]!;
      out.set(update.subarray(trained), kept);
      if (signs !== null) turned.fill(0);
      return out;
    },
    expand: (sum) => {
      const full = new Float64Array(padded);
      for (let i = 0; i < kept; i++) full[places === null ? i : places[i]!] = sum[i]! * gain;
      const out = new Float64Array(length);
      out.set(signs === null ? full : unrotate(full, signs, block, trained));
      out.set(sum.subarray(kept), trained);
      return out;
    },
  };
}
