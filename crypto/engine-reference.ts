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
import { sampleGaussian } from './key-sampler.ts';
import {
  checkCoefficients,
  checkValues,
  expandUniform,
  messageResidues,
  multiplyModulo,
  packBlock,
  splitBlock,
  unpackBlock,
  wireBytes,
} from './packing.ts';
import { wipe } from './secret.ts';

/**
 * A ring engine made of the formats' reference (`packing.ts`) and any implementation of the ring itself: node-seal's in
 * production, a bigint model in tests. Not constant time; the kernel is.
 */

/** Polynomials are `primes` runs of N residues each, in one array. */
export interface RingOperations extends Disposable {
  /** Coefficients to NTT form. */
  toNtt(polynomial: Uint32Array): Uint32Array;
  /** message - a*key, in coefficient form; a and key in NTT form, message in coefficient form. */
  encrypt(a: Uint32Array, key: Uint32Array, message: Uint32Array): Uint32Array;
  /** A running sum, zero at first. */
  accumulator(): Accumulator;
  /** @param key - NTT form; copied, since the caller wipes it. */
  decryptor(key: Uint32Array): Decryptor;
}

export interface Accumulator extends Disposable {
  add(polynomial: Uint32Array): void;
  words(): Uint32Array;
}

export interface Decryptor extends Disposable {
  /** c + a*key in coefficient form; c in coefficient form, a in NTT form. */
  decrypt(c: Uint32Array, a: Uint32Array): Uint32Array;
}

export class ReferenceEngine implements RingEngine {
  readonly name: RingEngine['name'];
  readonly shape: RingShape;
  readonly #ring: RingOperations;

  constructor(name: RingEngine['name'], shape: RingShape, ring: RingOperations) {
    this.name = name;
    this.shape = shape;
    this.#ring = ring;
  }

  wireBytes(coefficients: number): number {
    return wireBytes(this.shape, coefficients);
  }

  sampleGaussian(stream: GaussianStream, out: Int16Array): void {
    sampleGaussian(stream, out);
  }

  sealer(key: Int16Array): BlockSealer {
    const { shape } = this;
    const ring = this.#ring;
    const keyNtt = transformKey(ring, shape, key);
    return {
      seal(values, coefficients, a, error) {
        checkBlock(shape, coefficients, values);
        checkValues(shape, values);
        const e = new Int16Array(coefficients);
        sampleGaussian(error, e);
        const message = join(shape, (q) => messageResidues(shape, q, values, e));
        const words = ring.encrypt(expandAll(shape, a), keyNtt, message);
        wipe(e);
        wipe(message);
        return packBlock(shape, split(shape, words), coefficients);
      },
      [Symbol.dispose]: () => wipe(keyNtt),
    };
  }

  sum(coefficients: number): BlockSum {
    const { shape } = this;
    checkCoefficients(shape, coefficients);
    const sum = this.#ring.accumulator();
    return {
      add(wire) {
        const block = unpackBlock(shape, wire, coefficients);
        sum.add(join(shape, (_, i) => block[i]!));
      },
      wire: () => packBlock(shape, split(shape, sum.words()), coefficients),
      [Symbol.dispose]: () => sum[Symbol.dispose](),
    };
  }

  opener(key: Int32Array): BlockOpener {
    const { shape } = this;
    const keyNtt = transformKey(this.#ring, shape, key);
    const decryptor = this.#ring.decryptor(keyNtt);
    wipe(keyNtt);
    return {
      open(wire, coefficients, a, values) {
        checkBlock(shape, coefficients, values);
        const block = unpackBlock(shape, wire, coefficients);
        const words = decryptor.decrypt(
          join(shape, (_, i) => block[i]!),
          expandAll(shape, a),
        );
        return splitBlock(shape, split(shape, words), coefficients, values);
      },
      [Symbol.dispose]: () => decryptor[Symbol.dispose](),
    };
  }

  checksum(rows: number, challenge: PublicStream): BlockChecksum {
    const { shape } = this;
    const { degree, primes } = shape;
    const vectors = Array.from({ length: rows }, (_, row) => expandAll(shape, challenge, row * primes.length));
    const value = new Uint32Array(rows * primes.length);
    return {
      add(weights, wire, coefficients) {
        if (weights.length !== value.length) throw new CryptoError('BAD_LENGTH', 'one weight per row and prime');
        const block = unpackBlock(shape, wire, coefficients);
        for (const [row, vector] of vectors.entries())
          for (const [i, q] of primes.entries()) {
            let inner = 0;
            for (let c = 0; c < coefficients; c++)
              inner = (inner + multiplyModulo(vector[i * degree + c]!, block[i]![c]!, q)) % q;
            const at = row * primes.length + i;
            value[at] = (value[at]! + multiplyModulo(weights[at]!, inner, q)) % q;
          }
      },
      value: () => value.slice(),
      [Symbol.dispose]() {},
    };
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
  }
}

function checkBlock(shape: RingShape, coefficients: number, values: Int32Array): void {
  checkCoefficients(shape, coefficients);
  if (values.length > shape.slotsPerCoefficient * coefficients)
    throw new CryptoError('BAD_LENGTH', 'more values than slots');
}

/** One polynomial from up to N residues per prime; missing ones are zero. */
function join(shape: RingShape, part: (q: number, index: number) => Uint32Array): Uint32Array {
  const joined = new Uint32Array(shape.degree * shape.primes.length);
  for (const [i, q] of shape.primes.entries()) joined.set(part(q, i), i * shape.degree);
  return joined;
}

function split(shape: RingShape, polynomial: Uint32Array): Uint32Array[] {
  return shape.primes.map((_, i) => polynomial.subarray(i * shape.degree, (i + 1) * shape.degree));
}

function expandAll(shape: RingShape, stream: PublicStream, first = 0): Uint32Array {
  return join(shape, (q, i) => expandUniform((index, length) => stream(first + index, length), i, q, shape.degree));
}

function transformKey(ring: RingOperations, shape: RingShape, key: Int16Array | Int32Array): Uint32Array {
  if (key.length !== shape.degree) throw new CryptoError('BAD_LENGTH', 'a key has N coefficients');
  const residues = join(shape, (q) => Uint32Array.from(key, (x) => x + (q & (x >> 31))));
  const transformed = ring.toNtt(residues);
  wipe(residues);
  return transformed;
}
