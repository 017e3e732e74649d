import type { BlockChecksum, BlockSum, PublicStream } from './engine.ts';
import { CryptoError } from './errors.ts';
import type { Address, KernelRegion } from './kernel-module.ts';
import type { KernelRing } from './kernel-ring.ts';
import { checkCoefficients, wireBytes } from './packing.ts';
import { GROUP } from './params.ts';

/** A running sum, canonical residues in the kernel's memory; `BlockSum` states the contract. */
export class KernelSum implements BlockSum {
  readonly #ring: KernelRing;
  readonly #coefficients: number;
  readonly #region: KernelRegion;

  constructor(ring: KernelRing, coefficients: number) {
    checkCoefficients(ring.shape, coefficients);
    this.#ring = ring;
    this.#coefficients = coefficients;
    this.#region = ring.memory.region(4 * coefficients * ring.primes.length);
  }

  #part(index: number): Address {
    return this.#region.at + 4 * this.#coefficients * index;
  }

  add(wire: Uint8Array): void {
    const ring = this.#ring;
    ring.checkWire(wire, this.#coefficients);
    const groups = this.#coefficients / GROUP;
    let start = 0;
    for (const [index, { prime, bits }] of ring.primes.entries()) {
      // One prime's words at a time, so that they are still in the nearest cache when they are unpacked.
      const end = start + (this.#coefficients / 8) * bits;
      ring.copyIn(ring.packed, wire.subarray(start, end));
      start = end;
      if (ring.kernel.addPacked(this.#part(index), ring.packed, groups, prime, bits) >>> 0 < prime) continue;
      this.#undo(wire, index);
      throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a residue is not below its prime');
    }
  }

  /** Takes a block off again from the primes up to `last`: whatever was added was below 2q, so nothing was lost. */
  #undo(wire: Uint8Array, last: number): void {
    const { kernel, polynomial } = this.#ring;
    this.#ring.copyIn(this.#ring.packed, wire);
    this.#ring.forEachPacked(this.#coefficients, ({ bits, tables }, at, index) => {
      if (index > last) return;
      kernel.readPacked(polynomial, at, this.#coefficients / GROUP, bits);
      kernel.subtractVectors(this.#part(index), this.#part(index), polynomial, tables, this.#coefficients);
    });
  }

  wire(): Uint8Array {
    const { kernel, memory, packed, shape } = this.#ring;
    this.#ring.forEachPacked(this.#coefficients, ({ bits }, at, index) =>
      kernel.writePacked(at, this.#part(index), this.#coefficients / GROUP, bits),
    );
    return memory.bytes.slice(packed, packed + wireBytes(shape, this.#coefficients));
  }

  [Symbol.dispose](): void {
    this.#region[Symbol.dispose]();
  }
}

/** Linear checksums of public payloads; `BlockChecksum` states the contract. */
export class KernelChecksum implements BlockChecksum {
  readonly #ring: KernelRing;
  readonly #rows: number;
  readonly #vectors: KernelRegion;
  readonly #value: Uint32Array;

  constructor(ring: KernelRing, rows: number, challenge: PublicStream) {
    this.#ring = ring;
    this.#rows = rows;
    this.#value = new Uint32Array(rows * ring.primes.length);
    // The last vector's expansion writes up to four words past it.
    this.#vectors = ring.memory.region(4 * ring.shape.degree * this.#value.length + 64);
    for (let row = 0; row < rows; row++)
      for (const [i, prime] of ring.primes.entries()) {
        const at = row * ring.primes.length + i;
        ring.expand(challenge, at, prime, this.#vector(at));
      }
  }

  #vector(index: number): Address {
    return this.#vectors.at + 4 * this.#ring.shape.degree * index;
  }

  add(weights: Uint32Array, wire: Uint8Array, coefficients: number): void {
    const ring = this.#ring;
    const { kernel, polynomial } = ring;
    if (weights.length !== this.#value.length) throw new CryptoError('BAD_LENGTH', 'one weight per row and prime');
    ring.checkWire(wire, coefficients);
    ring.copyIn(ring.packed, wire);
    const next = this.#value.slice();
    ring.forEachPacked(coefficients, (prime, at, index) => {
      ring.unpack(polynomial, at, coefficients, prime);
      for (let row = 0; row < this.#rows; row++) {
        const cell = row * ring.primes.length + index;
        const inner = kernel.innerProduct(polynomial, this.#vector(cell), prime.tables, coefficients);
        next[cell] = kernel.multiplyAddPublic(weights[cell]!, inner, next[cell]!, prime.prime);
      }
    });
    this.#value.set(next);
  }

  value(): Uint32Array {
    return this.#value.slice();
  }

  [Symbol.dispose](): void {
    this.#vectors[Symbol.dispose]();
  }
}
