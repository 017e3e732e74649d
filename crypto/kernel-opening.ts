import type { BlockOpener, PublicStream } from './engine.ts';
import { TransformedKey } from './kernel-key.ts';
import type { KernelRegion } from './kernel-module.ts';
import type { KernelRing } from './kernel-ring.ts';

/** Decryption of sums under one key; `BlockOpener` states the contract. */
export class KernelOpener implements BlockOpener {
  readonly #ring: KernelRing;
  readonly #key: TransformedKey;
  readonly #planes: KernelRegion;

  constructor(ring: KernelRing, key: Int32Array) {
    this.#ring = ring;
    this.#key = new TransformedKey(ring, key, 1);
    this.#planes = ring.memory.region(ring.stride * ring.primes.length);
  }

  open(wire: Uint8Array, coefficients: number, a: PublicStream, values: Int32Array): boolean {
    const ring = this.#ring;
    const { memory, shape, slots } = ring;
    ring.checkBlock(coefficients, values);
    ring.checkWire(wire, coefficients);
    ring.copyIn(ring.packed, wire);
    try {
      this.#decrypt(coefficients, a);
      const fits = this.#read(coefficients, values);
      if (!fits) values.fill(0);
      return fits;
    } finally {
      memory.wipe(slots, ring.stride * shape.slotsPerCoefficient);
      memory.wipe(ring.polynomial, 4 * shape.degree);
      this.#planes.wipe();
    }
  }

  /** c + a*K plus the offset of readSlots, one plane per prime. */
  #decrypt(coefficients: number, a: PublicStream): void {
    const ring = this.#ring;
    const { kernel, polynomial } = ring;
    const { degree } = ring.shape;
    ring.forEachPacked(coefficients, (prime, at, index) => {
      const plane = this.#planes.at + ring.stride * index;
      ring.unpack(plane, at, coefficients, prime);
      ring.expand(a, index, prime, polynomial);
      kernel.multiplyVectors(polynomial, polynomial, this.#key.part(index), prime.tables, degree);
      kernel.inverseTransform(polynomial, prime.tables, degree);
      kernel.addVectorsAndConstant(plane, plane, polynomial, prime.offset, prime.tables, coefficients);
    });
  }

  /** Planes to values. @returns whether everything is in bounds and nothing lies beyond the values. */
  #read(coefficients: number, values: Int32Array): boolean {
    const { kernel, limbCount, limbs, memory, primes, shape, slots, steps, stride } = this.#ring;
    const planes = this.#planes.at;
    kernel.toMixedRadix(planes, stride, primes.length, coefficients, steps);
    const wrong = kernel.readSlots(planes, stride, primes.length, coefficients, limbs, limbCount, slots, stride);
    let beyond = 0;
    for (let slot = 0; slot < shape.slotsPerCoefficient; slot++) {
      const at = slots + slot * stride;
      const used = Math.min(coefficients, Math.max(0, values.length - slot * coefficients));
      if (used > 0) values.set(memory.signedWords(at, used), slot * coefficients);
      beyond |= kernel.largestMagnitude(at + 4 * used, coefficients - used);
    }
    return (wrong | beyond) === 0;
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
    this.#planes[Symbol.dispose]();
  }
}
