import initialize, { type Ciphertext, type MainModule, type Modulus, type SEALContext } from 'node-seal/allows';
import type { RingEngine, RingShape } from './engine.ts';
import { type Accumulator, type Decryptor, ReferenceEngine, type RingOperations } from './engine-reference.ts';
import { CryptoError } from './errors.ts';
import { LIMITS } from './params.ts';
import {
  ciphertextBytes,
  parmsIdOf,
  parseCiphertext,
  parsePlaintext,
  plaintextBytes,
  type SealLevel,
} from './seal-format.ts';
import { wipe } from './secret.ts';

/**
 * The ring on node-seal (Microsoft SEAL 4.1), and the only file that imports it. A block is a real CKKS ciphertext under
 * k: `Evaluator.multiplyPlain`, `negate`, `addPlain` and `add` make it, `Decryptor` opens it. The package's `allows`
 * build is needed because (a_j, 0), a step on the way, is a transparent ciphertext.
 *
 * Objects live in WASM memory, so each is declared with `using`. SEAL wipes its secret keys when freed, not every
 * temporary; our own copies are wiped here.
 */

let loading: Promise<MainModule> | undefined;

/** @throws CryptoError ENGINE_FAILED if SEAL does not accept the shape at its 128-bit (classical) level. */
export async function createSealEngine(shape: RingShape): Promise<RingEngine> {
  loading ??= initialize();
  const seal = await loading;
  return new ReferenceEngine(
    'node-seal',
    shape,
    guarded(() => new SealOperations(seal, shape)),
  );
}

/** Runs SEAL calls; WebAssembly exceptions (message: [type, text]) become ours, without SEAL's text. */
function guarded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof CryptoError) throw error;
    const message = (error as { message?: unknown }).message;
    const type = Array.isArray(message) ? String(message[0]).replace(/[^\w:]/g, '') : 'error';
    throw new CryptoError('ENGINE_FAILED', `node-seal: ${type}`);
  }
}

function createContext(seal: MainModule, shape: RingShape): SEALContext {
  const special = LIMITS.find(({ degree }) => degree === shape.degree)?.specialPrime;
  if (special === undefined) throw new CryptoError('ENGINE_FAILED', 'a ring degree that SEAL is not used with');
  using parameters = new seal.EncryptionParameters(seal.SchemeType.ckks);
  parameters.setPolyModulusDegree(shape.degree);
  const moduli: Modulus[] = [...shape.primes, special].map((q) => new seal.Modulus(BigInt(q)));
  using chain = seal.vecFromArrayModulus(moduli);
  for (const modulus of moduli) modulus.delete();
  parameters.setCoeffModulus(chain);
  // No chain of smaller moduli: two levels, with and without the special prime, are all that is used.
  const context = new seal.SEALContext(parameters, false, seal.SecLevelType.tc128);
  if (context.parametersSet()) return context;
  context.delete();
  throw new CryptoError('ENGINE_FAILED', 'SEAL refuses the ring at 128 bits');
}

class SealOperations implements RingOperations {
  readonly #seal: MainModule;
  readonly #context: SEALContext;
  readonly #data: SealLevel;
  readonly #key: SealLevel;
  readonly #zero: Uint32Array;

  constructor(seal: MainModule, shape: RingShape) {
    this.#seal = seal;
    this.#context = createContext(seal, shape);
    const { degree } = shape;
    const primes = shape.primes.length;
    using dataId = this.#context.firstParmsId();
    using dataSample = new seal.Ciphertext(this.#context, dataId, 2);
    this.#data = { parmsId: parmsIdOf(dataSample.saveToArray(seal.ComprModeType.none)), degree, primes };
    using keyId = this.#context.keyParmsId();
    using keySample = new seal.Ciphertext(this.#context, keyId, 2);
    this.#key = { parmsId: parmsIdOf(keySample.saveToArray(seal.ComprModeType.none)), degree, primes: primes + 1 };
    this.#zero = new Uint32Array(degree * primes);
  }

  toNtt(polynomial: Uint32Array): Uint32Array {
    return guarded(() => {
      using evaluator = new this.#seal.Evaluator(this.#context);
      using ciphertext = this.#ciphertext(false, polynomial);
      evaluator.cipherTransformToNttInplace(ciphertext);
      return this.#words(ciphertext);
    });
  }

  encrypt(a: Uint32Array, key: Uint32Array, message: Uint32Array): Uint32Array {
    return guarded(() => {
      using evaluator = new this.#seal.Evaluator(this.#context);
      using ciphertext = this.#ciphertext(true, a);
      using keyPlain = this.#plaintext(key);
      evaluator.multiplyPlainInplace(ciphertext, keyPlain);
      evaluator.negateInplace(ciphertext);
      const transformed = this.toNtt(message);
      using messagePlain = this.#plaintext(transformed);
      wipe(transformed);
      evaluator.addPlainInplace(ciphertext, messagePlain);
      evaluator.cipherTransformFromNttInplace(ciphertext);
      return this.#words(ciphertext);
    });
  }

  accumulator(): Accumulator {
    const sum = guarded(() => this.#ciphertext(false, this.#zero));
    return {
      add: (polynomial) =>
        guarded(() => {
          using evaluator = new this.#seal.Evaluator(this.#context);
          using ciphertext = this.#ciphertext(false, polynomial);
          evaluator.addInplace(sum, ciphertext);
        }),
      words: () => guarded(() => this.#words(sum)),
      [Symbol.dispose]: () => sum.delete(),
    };
  }

  decryptor(key: Uint32Array): Decryptor {
    const decryptor = guarded(() => {
      // SEAL keeps keys at the level with the special prime. A decryptor never reads that part: zero.
      const words = new Uint32Array(this.#key.degree * this.#key.primes);
      words.set(key);
      const bytes = plaintextBytes(this.#key, words);
      using secret = new this.#seal.SecretKey();
      secret.loadFromArray(this.#context, bytes);
      wipe(words);
      wipe(bytes);
      return new this.#seal.Decryptor(this.#context, secret);
    });
    return {
      decrypt: (c, a) =>
        guarded(() => {
          using evaluator = new this.#seal.Evaluator(this.#context);
          using ciphertext = this.#ciphertext(true, this.toNtt(c), a);
          using plain = new this.#seal.Plaintext();
          decryptor.decrypt(ciphertext, plain);
          const opened = parsePlaintext(plain.saveToArray(this.#seal.ComprModeType.none), this.#data);
          using message = this.#ciphertext(true, opened);
          evaluator.cipherTransformFromNttInplace(message);
          return this.#words(message);
        }),
      [Symbol.dispose]: () => decryptor.delete(),
    };
  }

  /** (c0, c1) as a ciphertext; c1 is zero unless given. The caller deletes it. */
  #ciphertext(ntt: boolean, c0: Uint32Array, c1: Uint32Array = this.#zero): Ciphertext {
    const bytes = ciphertextBytes(this.#data, ntt, [c0, c1]);
    const ciphertext = new this.#seal.Ciphertext();
    ciphertext.loadFromArray(this.#context, bytes);
    wipe(bytes);
    return ciphertext;
  }

  #plaintext(words: Uint32Array) {
    const bytes = plaintextBytes(this.#data, words);
    const plaintext = new this.#seal.Plaintext();
    plaintext.loadFromArray(this.#context, bytes);
    wipe(bytes);
    return plaintext;
  }

  /** c0 of a ciphertext of two polynomials. */
  #words(ciphertext: Ciphertext): Uint32Array {
    const bytes: Uint8Array = ciphertext.saveToArray(this.#seal.ComprModeType.none);
    return parseCiphertext(bytes, this.#data, 2).slice(0, this.#zero.length);
  }

  [Symbol.dispose](): void {
    this.#context.delete();
  }
}
