import type { BlockSealer, GaussianStream, PublicStream } from './engine.ts';
import { CryptoError } from './errors.ts';
import { TransformedKey } from './kernel-key.ts';
import type { KernelRing } from './kernel-ring.ts';
import { GAUSSIAN_TOPS, resolveTies } from './key-sampler.ts';
import { wireBytes } from './packing.ts';
import { GROUP } from './params.ts';
import { wipe } from './secret.ts';

/** Draws `count` errors, at most N, into the ring's scratch. @returns whether some tied, without saying which. */
export function drawErrors(ring: KernelRing, first: Uint8Array, count: number): boolean {
  ring.copyIn(ring.stream, first);
  const rounded = Math.ceil(count / 8) * 8;
  const tied = ring.kernel.sampleTops(ring.errors, ring.stream, rounded, ring.tops, GAUSSIAN_TOPS.length);
  ring.memory.wipe(ring.stream, 4 * count);
  return tied === 1;
}

/** Indices of the samples whose first word ties with a threshold. */
export function findTies(first: Uint8Array): number[] {
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const ties: number[] = [];
  for (let c = 0; 4 * c < first.length; c++)
    if (GAUSSIAN_TOPS.includes(view.getUint32(4 * c, true) >>> 1)) ties.push(c);
  return ties;
}

/** Encryption of blocks under one key; `BlockSealer` states the contract. */
export class KernelSealer implements BlockSealer {
  readonly #ring: KernelRing;
  readonly #key: TransformedKey;

  constructor(ring: KernelRing, key: Int16Array) {
    this.#ring = ring;
    this.#key = new TransformedKey(ring, key, -1);
  }

  seal(values: Int32Array, coefficients: number, a: PublicStream, error: GaussianStream): Uint8Array {
    const ring = this.#ring;
    const { kernel, memory, polynomial, shape } = ring;
    const { degree } = shape;
    ring.checkBlock(coefficients, values);
    const usedSlots = Math.ceil(values.length / coefficients);
    try {
      this.#placeValues(values, coefficients);
      this.#drawErrors(error, coefficients);
      ring.forEachPacked(coefficients, (prime, at, index) => {
        ring.expand(a, index, prime, polynomial);
        kernel.multiplyVectors(polynomial, polynomial, this.#key.part(index), prime.tables, degree);
        kernel.inverseTransform(polynomial, prime.tables, degree);
        kernel.addMessage(
          polynomial,
          ring.slots,
          ring.stride,
          prime.weights,
          usedSlots,
          ring.errors,
          coefficients,
          prime.tables,
        );
        kernel.writePacked(at, polynomial, coefficients / GROUP, prime.bits);
      });
    } finally {
      memory.wipe(ring.slots, ring.stride * usedSlots);
      memory.wipe(ring.errors, 2 * degree);
      memory.wipe(polynomial, 4 * degree);
    }
    return memory.bytes.slice(ring.packed, ring.packed + wireBytes(shape, coefficients));
  }

  /** Copies the values to their slots, zeros behind the last. @throws CryptoError OUT_OF_RANGE */
  #placeValues(values: Int32Array, coefficients: number): void {
    const { kernel, memory, slots, stride, shape } = this.#ring;
    let largest = 0;
    for (let start = 0, at = slots; start < values.length; start += coefficients, at += stride) {
      const slot = memory.signedWords(at, coefficients);
      const part = values.subarray(start, start + coefficients);
      slot.set(part);
      slot.fill(0, part.length);
      largest = Math.max(largest, kernel.largestMagnitude(at, coefficients) >>> 0);
    }
    if (largest >= 2 ** (shape.valueBits - 1))
      throw new CryptoError('OUT_OF_RANGE', 'a value does not fit the bits of this round');
  }

  #drawErrors(error: GaussianStream, coefficients: number): void {
    const first = error.first(4 * coefficients);
    if (drawErrors(this.#ring, first, coefficients)) {
      const errors = this.#ring.memory.shorts(this.#ring.errors, coefficients);
      resolveTies(error, first, findTies(first), errors);
    }
    wipe(first);
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }
}
