import type {
  BlockChecksum,
  BlockOpener,
  BlockSealer,
  BlockSum,
  GaussianStream,
  PublicStream,
  RingEngine,
  RingShape,
} from './engine.ts';
import { CryptoError } from './errors.ts';
import { type Address, KernelMemory } from './kernel-module.ts';
import { KernelRing } from './kernel-ring.ts';
import { GAUSSIAN_TOPS, resolveTies } from './key-sampler.ts';
import { checkCoefficients, wireBytes } from './packing.ts';
import { GROUP } from './params.ts';
import { wipe } from './secret.ts';

/**
 * The fast ring engine: crypto/kernel, compiled to WebAssembly SIMD. Equal to node-seal's word for word (engine.ts says
 * what each method must do; docs/kernel.md how this one does it). Secrets live in its memory only while a call runs,
 * keys until their sealer or opener is disposed of; both are wiped. No branch or address depends on a secret, ties of
 * the sampler excepted (key-sampler.ts).
 *
 * @param module - the compiled build/kernel.wasm.
 * @throws CryptoError ENGINE_FAILED for a ring that the kernel does not serve.
 */
export async function createKernelEngine(module: WebAssembly.Module, shape: RingShape): Promise<RingEngine> {
  return new KernelEngine(new KernelRing(await KernelMemory.instantiate(module), shape));
}

class KernelEngine implements RingEngine {
  readonly name = 'kernel';
  readonly shape: RingShape;
  readonly #ring: KernelRing;

  constructor(ring: KernelRing) {
    this.shape = ring.shape;
    this.#ring = ring;
  }

  wireBytes(coefficients: number): number {
    return wireBytes(this.shape, coefficients);
  }

  sampleGaussian(stream: GaussianStream, out: Int16Array): void {
    const { degree } = this.shape;
    const { memory, errors } = this.#ring;
    const bytes = stream.first(4 * out.length);
    const ties: number[] = [];
    for (let start = 0; start < out.length; start += degree) {
      const count = Math.min(degree, out.length - start);
      const part = bytes.subarray(4 * start, 4 * (start + count));
      if (drawErrors(this.#ring, part, count)) ties.push(...findTies(part).map((c) => start + c));
      out.set(memory.shorts(errors, count), start);
    }
    memory.wipe(errors, 2 * degree);
    resolveTies(stream, bytes, ties, out);
    wipe(bytes);
  }

  sealer(key: Int16Array): BlockSealer {
    return new KernelSealer(this.#ring, key);
  }

  sum(coefficients: number): BlockSum {
    return new KernelSum(this.#ring, coefficients);
  }

  opener(key: Int32Array): BlockOpener {
    return new KernelOpener(this.#ring, key);
  }

  checksum(rows: number, challenge: PublicStream): BlockChecksum {
    return new KernelChecksum(this.#ring, rows, challenge);
  }

  [Symbol.dispose](): void {
    this.#ring.memory.wipeAll();
  }
}

/** Draws `count` errors, at most N, into the ring's scratch. @returns whether some tied, without saying which. */
function drawErrors(ring: KernelRing, first: Uint8Array, count: number): boolean {
  ring.copyIn(ring.stream, first);
  const rounded = Math.ceil(count / 8) * 8;
  const tied = ring.kernel.sampleTops(ring.errors, ring.stream, rounded, ring.tops, GAUSSIAN_TOPS.length);
  ring.memory.wipe(ring.stream, 4 * count);
  return tied === 1;
}

/** Indices of the samples whose first word ties with a threshold. */
function findTies(first: Uint8Array): number[] {
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const ties: number[] = [];
  for (let c = 0; 4 * c < first.length; c++)
    if (GAUSSIAN_TOPS.includes(view.getUint32(4 * c, true) >>> 1)) ties.push(c);
  return ties;
}

/** A key's NTT forms in the kernel's memory, one prime after the other, until disposed of. */
class TransformedKey implements Disposable {
  readonly #ring: KernelRing;
  readonly #at: Address;

  /** @param sign - 1, or -1 for the negated key. */
  constructor(ring: KernelRing, key: Int16Array | Int32Array, sign: 1 | -1) {
    const { degree } = ring.shape;
    if (key.length !== degree) throw new CryptoError('BAD_LENGTH', 'a key has N coefficients');
    this.#ring = ring;
    this.#at = ring.memory.allocate(this.#bytes);
    const words = ring.memory.signedWords(ring.polynomial, degree);
    words.set(key);
    for (const [i, prime] of ring.primes.entries())
      ring.transformKey(ring.polynomial, this.part(i), prime, sign === 1 ? prime.word : prime.prime - prime.word);
    wipe(words);
  }

  get #bytes(): number {
    return 4 * this.#ring.shape.degree * this.#ring.primes.length;
  }

  part(index: number): Address {
    return this.#at + 4 * this.#ring.shape.degree * index;
  }

  [Symbol.dispose](): void {
    this.#ring.memory.release(this.#at, this.#bytes);
  }
}

class KernelSealer implements BlockSealer {
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
    const slots = memory.signedWords(ring.slots, usedSlots * coefficients);
    slots.set(values);
    slots.fill(0, values.length);
    try {
      if (kernel.largestMagnitude(ring.slots, slots.length) >>> 0 >= 2 ** (shape.valueBits - 1))
        throw new CryptoError('OUT_OF_RANGE', 'a value does not fit the bits of this round');
      this.#drawErrors(error, coefficients);
      ring.forEachPacked(coefficients, (prime, at, index) => {
        ring.expand(a, index, prime, polynomial);
        kernel.multiplyVectors(polynomial, polynomial, this.#key.part(index), prime.tables, degree);
        kernel.inverseTransform(polynomial, prime.tables, degree);
        kernel.addMessage(polynomial, ring.slots, prime.weights, usedSlots, ring.errors, coefficients, prime.tables);
        kernel.writePacked(at, polynomial, coefficients / GROUP, prime.bits);
      });
    } finally {
      wipe(slots);
      memory.wipe(ring.errors, 2 * degree);
      memory.wipe(polynomial, 4 * degree);
    }
    return memory.bytes.slice(ring.packed, ring.packed + wireBytes(shape, coefficients));
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

class KernelSum implements BlockSum {
  readonly #ring: KernelRing;
  readonly #coefficients: number;
  readonly #at: Address;

  constructor(ring: KernelRing, coefficients: number) {
    checkCoefficients(ring.shape, coefficients);
    this.#ring = ring;
    this.#coefficients = coefficients;
    this.#at = ring.memory.allocate(this.#bytes);
  }

  get #bytes(): number {
    return 4 * this.#coefficients * this.#ring.primes.length;
  }

  #part(index: number): Address {
    return this.#at + 4 * this.#coefficients * index;
  }

  add(wire: Uint8Array): void {
    const ring = this.#ring;
    ring.checkWire(wire, this.#coefficients);
    ring.copyIn(ring.packed, wire);
    let bad = -1;
    ring.forEachPacked(this.#coefficients, ({ prime, bits }, at, index) => {
      if (bad >= 0) return;
      const groups = this.#coefficients / GROUP;
      if (ring.kernel.addPacked(this.#part(index), at, groups, prime, bits) >>> 0 >= prime) bad = index;
    });
    if (bad < 0) return;
    this.#undo(bad);
    throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a residue is not below its prime');
  }

  /** Takes a block off again from the primes up to `last`. A packed residue is below 2q, so the sum was below 3q. */
  #undo(last: number): void {
    const { kernel, polynomial } = this.#ring;
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
    this.#ring.memory.release(this.#at, this.#bytes);
  }
}

class KernelOpener implements BlockOpener {
  readonly #ring: KernelRing;
  readonly #key: TransformedKey;
  readonly #planes: Address;
  readonly #plain: Address;

  constructor(ring: KernelRing, key: Int32Array) {
    this.#ring = ring;
    this.#key = new TransformedKey(ring, key, 1);
    this.#planes = ring.memory.allocate(this.#planesBytes);
    this.#plain = ring.memory.allocate(4 * ring.shape.degree);
  }

  get #planesBytes(): number {
    return this.#ring.stride * this.#ring.primes.length;
  }

  open(wire: Uint8Array, coefficients: number, a: PublicStream, values: Int32Array): boolean {
    const ring = this.#ring;
    const { kernel, memory, polynomial, shape, stride } = ring;
    const { degree, slotsPerCoefficient } = shape;
    ring.checkBlock(coefficients, values);
    ring.checkWire(wire, coefficients);
    ring.copyIn(ring.packed, wire);
    ring.forEachPacked(coefficients, (prime, at, index) => {
      const plane = this.#planes + stride * index;
      ring.unpack(this.#plain, at, coefficients, prime);
      ring.expand(a, index, prime, polynomial);
      kernel.multiplyVectors(polynomial, polynomial, this.#key.part(index), prime.tables, degree);
      kernel.inverseTransform(polynomial, prime.tables, degree);
      kernel.addVectorsAndConstant(plane, this.#plain, polynomial, prime.offset, prime.tables, coefficients);
    });
    const primes = ring.primes.length;
    kernel.toMixedRadix(this.#planes, stride, primes, coefficients, ring.steps);
    const { limbs, limbCount, slots } = ring;
    const wrong = kernel.readSlots(this.#planes, stride, primes, coefficients, limbs, limbCount, slots);
    const unused = slotsPerCoefficient * coefficients - values.length;
    const beyond = kernel.largestMagnitude(slots + 4 * values.length, unused);
    const fits = wrong === 0 && beyond === 0;
    if (fits) values.set(memory.signedWords(slots, values.length));
    else values.fill(0);
    memory.wipe(slots, 4 * slotsPerCoefficient * coefficients);
    memory.wipe(polynomial, 4 * degree);
    return fits;
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
    this.#ring.memory.release(this.#planes, this.#planesBytes);
    this.#ring.memory.release(this.#plain, 4 * this.#ring.shape.degree);
  }
}

class KernelChecksum implements BlockChecksum {
  readonly #ring: KernelRing;
  readonly #rows: number;
  readonly #vectors: Address;
  readonly #value: Uint32Array;

  constructor(ring: KernelRing, rows: number, challenge: PublicStream) {
    this.#ring = ring;
    this.#rows = rows;
    this.#value = new Uint32Array(rows * ring.primes.length);
    this.#vectors = ring.memory.allocate(this.#bytes);
    for (let row = 0; row < rows; row++)
      for (const [i, prime] of ring.primes.entries()) {
        const at = row * ring.primes.length + i;
        ring.expand(challenge, at, prime, this.#vector(at));
      }
  }

  get #bytes(): number {
    return 4 * this.#ring.shape.degree * this.#value.length + 64;
  }

  #vector(index: number): Address {
    return this.#vectors + 4 * this.#ring.shape.degree * index;
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
    this.#ring.memory.release(this.#vectors, this.#bytes);
  }
}
