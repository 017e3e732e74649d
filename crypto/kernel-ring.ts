import type { PublicStream, RingShape } from './engine.ts';
import { CryptoError } from './errors.ts';
import type { Address, KernelExports, KernelMemory } from './kernel-module.ts';
import { GAUSSIAN_TOPS } from './key-sampler.ts';
import { checkCoefficients, inverseModulo, wireBytes } from './packing.ts';
import { ceilLog2, GROUP } from './params.ts';

/** One prime of the ring in the kernel's memory. */
export interface PrimeTables {
  readonly prime: number;
  /** ceil(log2 q). */
  readonly bits: number;
  readonly tables: Address;
  /** 2^32 mod q: Montgomery's factor. */
  readonly word: number;
  /** Weights of the slots for addMessage, one signed word each. */
  readonly weights: Address;
  /** What opening adds so that every field of a good coefficient is unsigned (kernel/decode.ts), mod q. */
  readonly offset: number;
  /** Words of keystream for N residues, with 12 standard deviations to spare. */
  readonly streamWords: number;
}

/** Largest field that the kernel adds up in 64-bit lanes: fourteen products of 30 and 28 bits, and a carry. */
const LIMB_BITS = 28;

/** Constants and scratch of one ring; every engine object of the ring works in the same scratch, one call at a time. */
export class KernelRing {
  readonly shape: RingShape;
  readonly memory: KernelMemory;
  readonly kernel: KernelExports;
  readonly primes: readonly PrimeTables[];
  /** GAUSSIAN_TOPS. */
  readonly tops: Address;
  readonly steps: Address;
  readonly limbs: Address;
  readonly limbCount: number;
  /** Scratch: one polynomial; a block's packed words; slots; errors (16 bits) and their random words; staged keystream. */
  readonly polynomial: Address;
  readonly packed: Address;
  readonly slots: Address;
  readonly errors: Address;
  readonly stream: Address;

  /** @throws CryptoError ENGINE_FAILED for a ring that the kernel does not serve. */
  constructor(memory: KernelMemory, shape: RingShape) {
    const { degree, primes, slotBits, slotsPerCoefficient, logDelta, valueBits } = shape;
    const product = primes.reduce((all, q) => all * BigInt(q), 1n);
    const used = slotBits * slotsPerCoefficient + logDelta;
    if (
      ![4096, 8192, 16384].includes(degree) ||
      primes.length > 14 ||
      primes.some((q) => q < 2 ** 15 || q >= 2 ** 30) ||
      logDelta > LIMB_BITS ||
      slotBits > 32 ||
      slotsPerCoefficient * 2 ** (valueBits - 1) > 2 ** 32 ||
      product >> BigInt(used + 1) === 0n
    )
      throw new CryptoError('ENGINE_FAILED', 'a ring that the kernel does not serve');
    this.shape = shape;
    this.memory = memory;
    this.kernel = memory.kernel;
    this.primes = primes.map((q) => this.#prime(q));
    this.tops = this.#store(GAUSSIAN_TOPS);
    this.steps = this.#store(radixSteps(primes));
    const limbs = slotLimbs(shape, product);
    this.limbs = this.#store(Uint32Array.from(limbs.flat()));
    this.limbCount = limbs.length;
    this.polynomial = memory.allocate(4 * degree + 64);
    // 16 bytes more: a group's reader never passes its end, a writer's scratch may.
    this.packed = memory.allocate(wireBytes(shape, degree) + 16);
    this.slots = memory.allocate(this.stride * slotsPerCoefficient);
    this.errors = memory.allocate(2 * degree);
    this.stream = memory.allocate(4 * Math.max(degree, ...this.primes.map((p) => p.streamWords)));
  }

  /** Bytes from one prime's or slot's words to the next: a line more than N words, so that they do not share a cache set. */
  get stride(): number {
    return 4 * this.shape.degree + 64;
  }

  /** Copies bytes into the keystream's or the packed words' scratch. */
  copyIn(at: Address, bytes: Uint8Array): void {
    this.memory.bytes.set(bytes, at);
  }

  /** Expands N uniform residues of one prime to `out`, which has room for N + 4 words. */
  expand(stream: PublicStream, index: number, prime: PrimeTables, out: Address): void {
    const { degree } = this.shape;
    const capacity = prime.streamWords;
    let have = 0;
    for (let seen = 0; have < degree; ) {
      const words = Math.min(capacity, seen === 0 ? capacity : degree);
      const bytes = stream(index, 4 * (seen + words));
      this.copyIn(this.stream, bytes.subarray(4 * seen, 4 * (seen + words)));
      have = this.kernel.expandUniform(out, have, degree, this.stream, words, prime.bits, prime.tables);
      seen += words;
    }
  }

  /** A key's NTT form, times a factor, canonical, at `out`. @param key - N signed words in the kernel's memory. */
  transformKey(key: Address, out: Address, prime: PrimeTables, factor: number): void {
    const { degree } = this.shape;
    this.kernel.scaleSigned(out, key, factor, prime.tables, degree);
    this.kernel.forwardTransform(out, prime.tables, degree);
  }

  /** @throws CryptoError BAD_LENGTH unless the block has the bytes of its coefficients. */
  checkWire(wire: Uint8Array, coefficients: number): void {
    if (wire.length !== wireBytes(this.shape, coefficients))
      throw new CryptoError('BAD_LENGTH', 'a block of another length than its coefficients take');
  }

  /** @throws CryptoError BAD_LENGTH */
  checkBlock(coefficients: number, values: Int32Array): void {
    checkCoefficients(this.shape, coefficients);
    if (values.length > this.shape.slotsPerCoefficient * coefficients)
      throw new CryptoError('BAD_LENGTH', 'more values than slots');
  }

  /** Where each prime's residues begin in a packed block. */
  forEachPacked(coefficients: number, visit: (prime: PrimeTables, at: Address, index: number) => void): void {
    let at = this.packed;
    for (const [index, prime] of this.primes.entries()) {
      visit(prime, at, index);
      at += (coefficients / 8) * prime.bits;
    }
  }

  /** Unpacks one prime's residues. @throws CryptoError RESIDUE_OUT_OF_RANGE */
  unpack(out: Address, at: Address, coefficients: number, prime: PrimeTables): void {
    const largest = this.kernel.readPacked(out, at, coefficients / GROUP, prime.bits) >>> 0;
    if (largest >= prime.prime) throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a residue is not below its prime');
  }

  #prime(q: number): PrimeTables {
    const { degree, slotBits, slotsPerCoefficient, logDelta } = this.shape;
    const tables = this.memory.allocate(this.kernel.tableBytes(degree));
    if (this.kernel.initTables(tables, q, degree) === 0)
      throw new CryptoError('ENGINE_FAILED', 'not a prime that is 1 modulo 2N');
    const bits = ceilLog2(q);
    const modulus = BigInt(q);
    const slotWeights = Array.from({ length: slotsPerCoefficient }, (_, s) => BigInt(logDelta + s * slotBits));
    const weights = slotWeights.map((shift) => centred((1n << (shift + 32n)) % modulus, modulus));
    const offset = slotWeights.reduce(
      (sum, shift) => sum + (1n << (shift + BigInt(slotBits) - 1n)),
      1n << BigInt(logDelta - 1),
    );
    const rejected = 1 - q / 2 ** bits;
    return {
      prime: q,
      bits,
      tables,
      word: 2 ** 32 % q,
      weights: this.#store(Int32Array.from(weights)),
      offset: Number(offset % modulus),
      streamWords: Math.ceil((degree + 12 * Math.sqrt(degree * rejected) + 16) / (1 - rejected)),
    };
  }

  #store(words: Int32Array | Uint32Array): Address {
    const at = this.memory.allocate(Math.max(4, words.byteLength));
    this.memory.signedWords(at, words.length).set(words);
    return at;
  }
}

/** The representative in (-q/2, q/2). */
function centred(x: bigint, q: bigint): number {
  return Number(2n * x > q ? x - q : x);
}

/** The constants of kernel/decode.ts, toMixedRadix. */
function radixSteps(primes: readonly number[]): Uint32Array {
  const steps: number[] = [];
  for (const [p, q] of primes.entries()) {
    for (const earlier of primes.slice(0, p)) {
      const inverse = inverseModulo(BigInt(earlier), BigInt(q));
      steps.push(q, Math.ceil((earlier - 1) / q) * q, Number(inverse), Number((inverse << 32n) / BigInt(q)));
    }
  }
  return Uint32Array.from(steps);
}

/** The fields of kernel/decode.ts, readSlots, each with its limb of q_0 ... q_(p-1) for every p. */
function slotLimbs(shape: RingShape, product: bigint): number[][] {
  const { primes, slotBits, slotsPerCoefficient, logDelta, errorBound } = shape;
  const fields = [[logDelta, 0, 2 ** (logDelta - 1) - errorBound, 2 * errorBound]];
  // A slot wider than a limb is read in two parts.
  const lowBits = slotBits > LIMB_BITS ? slotBits >> 1 : slotBits;
  for (let slot = 0; slot < slotsPerCoefficient; slot++) {
    fields.push([lowBits, 1, 2 ** (slotBits - 1), 0]);
    if (lowBits < slotBits) fields.push([slotBits - lowBits, 2, lowBits, 0]);
  }
  const rest = product >> BigInt(logDelta + slotBits * slotsPerCoefficient);
  for (let above = rest; above > 0n; above >>= BigInt(LIMB_BITS)) fields.push([LIMB_BITS, 3, 0, 0]);

  let weight = 1n;
  const weights = primes.map((q) => {
    const current = weight;
    weight *= BigInt(q);
    return current;
  });
  let position = 0n;
  return fields.map((field) => {
    const bits = BigInt(field[0]!);
    const limb = weights.map((w) => Number((w >> position) & ((1n << bits) - 1n)));
    position += bits;
    const first = limb.findIndex((word) => word !== 0);
    return [...field, first < 0 ? primes.length : first, ...limb];
  });
}
