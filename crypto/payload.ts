import { DOMAIN } from './domain.ts';
import { u32le } from './encoding.ts';
import type { GaussianStream, PublicStream, RingEngine } from './engine.ts';
import { CryptoError } from './errors.ts';
import { type RoundParameters, ringShape } from './params.ts';
import type { Primitives } from './primitives.ts';
import { SecretBytes } from './secret.ts';
import { hashWithLabel, infoWithLabel } from './signature.ts';

/**
 * The payload of a round, block by block, over any ring engine: what a node uploads, what an aggregator adds up and what
 * a recipient opens. Key-homomorphic masking as in LERNA (Asiacrypt 2023) and Willow (ia.cr/2024/936): the sum of the
 * nodes' ciphertexts is a ciphertext of the sum under the sum of their keys.
 *
 *   c_ij = -a_j * k_i + e_ij + Delta * m_ij  mod Q,   a_j = XOF(label, record hash, N, j, prime)
 *
 * Nothing here holds more than one block of secrets at a time. `docs/payload.md` has the maths and the formats.
 */

export interface PayloadContext {
  readonly parameters: RoundParameters;
  /** Hash of the round's record, 32 bytes: every a_j, key and error depends on it. */
  readonly recordHash: Uint8Array;
  readonly engine: RingEngine;
  readonly primitives: Primitives;
}

/** Coefficients sent for block j: N, but for the last one. @throws CryptoError OUT_OF_RANGE */
export function blockCoefficients(parameters: RoundParameters, block: number): number {
  if (!Number.isInteger(block) || block < 0 || block >= parameters.blocks)
    throw new CryptoError('OUT_OF_RANGE', 'no such block');
  return block === parameters.blocks - 1 ? parameters.lastBlockCoefficients : parameters.ringDegree;
}

/** Bytes of block j on the wire. @throws CryptoError OUT_OF_RANGE */
export function blockBytes(parameters: RoundParameters, block: number): number {
  return parameters.primeBits.reduce((sum, b) => sum + (blockCoefficients(parameters, block) / 8) * b, 0);
}

/** First value of block j and one past its last. */
function valueRange(parameters: RoundParameters, block: number): [number, number] {
  const perBlock = parameters.ringDegree * parameters.slotsPerCoefficient;
  return [block * perBlock, Math.min(parameters.dimension, (block + 1) * perBlock)];
}

/** The engine must have been made for this round's ring; a mistake here would be found only when nothing opens. */
function checkContext({ engine, parameters, recordHash }: PayloadContext): void {
  if (recordHash.length !== 32) throw new CryptoError('BAD_LENGTH', 'a record hash has 32 bytes');
  if (JSON.stringify(engine.shape) !== JSON.stringify(ringShape(parameters)))
    throw new CryptoError('ENGINE_MISMATCH', 'the engine was made for another ring');
}

/** Keystreams of a_j's NTT form, one per prime. Public; nobody sends or chooses it. */
export function publicStream({ parameters, recordHash, primitives }: PayloadContext, block: number): PublicStream {
  return (prime, length) => {
    const position = [parameters.ringDegree, block, prime].map(u32le);
    const key = hashWithLabel(primitives, DOMAIN.publicPolynomial, recordHash, ...position);
    return primitives.aes256Ctr(key, length);
  };
}

/** Two AES-256-CTR keystreams under keys derived from a secret root. */
function gaussianStream(primitives: Primitives, root: SecretBytes, info: Uint8Array): GaussianStream {
  const expand = (from: number, length: number): Uint8Array => {
    using keys = new SecretBytes('keystream keys', primitives.hkdfSha256(root.bytes, new Uint8Array(0), info, 64));
    return primitives.aes256Ctr(keys.bytes.subarray(from, from + 32), length);
  };
  return { first: (length) => expand(0, length), rest: (length) => expand(32, length) };
}

/**
 * GMAC of an update (NIST SP 800-38D: AES-256-GCM of no plaintext, the values as additional data, nonce zero).
 *
 * Deviation: a keyed universal hash where the design says hash, because it takes a fifth of SHA-256's time. Enough here:
 * under one key, which is secret and used for one seed and record, two different updates have one tag with probability at
 * most (d/4 + 1) / 2^128, whoever chose them without knowing the key, and the tag itself is never shown.
 *
 * @param key - 32 bytes, wiped here.
 */
function tagUpdate(primitives: Primitives, key: SecretBytes, values: Int32Array): SecretBytes {
  using mac = key;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return new SecretBytes(
    'update tag',
    primitives.aes256GcmSeal(mac.bytes, new Uint8Array(12), bytes, new Uint8Array(0)),
  );
}

export interface PayloadEncryptor extends Disposable {
  /** k_i, N coefficients: what `sharing.ts` shares. Wiped with the encryptor. */
  readonly key: Int16Array;
  /** H(m_i), keyed by the seed (tagUpdate): goes into every derivation of this upload. Wiped with the encryptor. */
  readonly updateHash: SecretBytes;
  /** Wire bytes of block j; the same at every call. Noise: e_ij, sigma 6.4. */
  block(block: number): Uint8Array;
}

/**
 * Encrypts one update under a fresh one-time key.
 *
 * k_i and e_ij are expanded from the seed together with the record's hash and H(m_i): a machine restored from a snapshot
 * cannot encrypt two updates under one key.
 *
 * @param values - d integers, |x| < 2^(bits-1). Not copied: keep them until the last block is made.
 * @param seed - 32 fresh secret bytes. Not wiped here; not needed after this call.
 * @throws CryptoError BAD_LENGTH, ENGINE_MISMATCH; `block` throws OUT_OF_RANGE for a value that does not fit.
 */
export function createEncryptor(context: PayloadContext, values: Int32Array, seed: SecretBytes): PayloadEncryptor {
  checkContext(context);
  const { parameters, recordHash, engine, primitives } = context;
  if (values.length !== parameters.dimension) throw new CryptoError('BAD_LENGTH', 'an update has d values');
  if (seed.length !== 32) throw new CryptoError('BAD_LENGTH', 'a seed has 32 bytes');
  const derive = (label: string, ...parts: Uint8Array[]): SecretBytes =>
    new SecretBytes(label, primitives.hkdfSha256(seed.bytes, recordHash, infoWithLabel(label, ...parts), 32));
  using tag = tagUpdate(primitives, derive(DOMAIN.updateHash), values);
  const updateHash = derive(DOMAIN.updateHash, tag.bytes);
  const root = derive(DOMAIN.oneTimeKey, updateHash.bytes);
  const key = new Int16Array(parameters.ringDegree);
  engine.sampleGaussian(gaussianStream(primitives, root, infoWithLabel(DOMAIN.oneTimeKey)), key);
  const sealer = engine.sealer(key);
  return {
    key,
    updateHash,
    block(block) {
      const coefficients = blockCoefficients(parameters, block);
      const error = gaussianStream(primitives, root, infoWithLabel(DOMAIN.encryptionError, u32le(block)));
      const slice = values.subarray(...valueRange(parameters, block));
      return sealer.seal(slice, coefficients, publicStream(context, block), error);
    },
    [Symbol.dispose]() {
      sealer[Symbol.dispose]();
      key.fill(0);
      root.wipe();
      updateHash.wipe();
    },
  };
}

export interface PayloadSum extends Disposable {
  /**
   * Adds one node's block. The order never matters; a refusal changes nothing.
   * @throws CryptoError OUT_OF_RANGE (no such block), BAD_LENGTH, RESIDUE_OUT_OF_RANGE.
   */
  add(block: number, wire: Uint8Array): void;
  /** Wire bytes of the block's sum so far. Noise: at most B while at most n_max nodes were added. */
  block(block: number): Uint8Array;
  /** Forgets a block that has been written out: memory is that of the blocks in work, whatever the number of nodes. */
  release(block: number): void;
}

/** Sums uploads, without any key. @throws CryptoError ENGINE_MISMATCH, BAD_LENGTH */
export function createSum(context: PayloadContext): PayloadSum {
  checkContext(context);
  const { parameters, engine } = context;
  const sums = new Map<number, ReturnType<RingEngine['sum']>>();
  const sumOf = (block: number) => {
    const coefficients = blockCoefficients(parameters, block);
    const sum = sums.get(block) ?? engine.sum(coefficients);
    sums.set(block, sum);
    return sum;
  };
  const release = (block: number): void => {
    sums.get(block)?.[Symbol.dispose]();
    sums.delete(block);
  };
  return {
    add: (block, wire) => sumOf(block).add(wire),
    block: (block) => sumOf(block).wire(),
    release,
    [Symbol.dispose]: () => [...sums.keys()].forEach(release),
  };
}

export interface PayloadOpener extends Disposable {
  /**
   * The summed values of block j, exact.
   *
   * Every remainder must be within B and every slot in range in all of its at least 512 coefficients; a K that is wrong
   * in a single coefficient makes each uniform and passes with probability below 2^-1000.
   * @throws CryptoError KEY_DOES_NOT_FIT, BAD_LENGTH, RESIDUE_OUT_OF_RANGE, OUT_OF_RANGE (no such block).
   */
  block(block: number, wire: Uint8Array): Int32Array;
}

/**
 * Opens a sum under K = sum of the k_i over its nodes.
 *
 * @param key - N coefficients in (-M/2, M/2]. Copied into the engine, wiped there on dispose; the caller wipes its own.
 * @throws CryptoError BAD_LENGTH, ENGINE_MISMATCH
 */
export function createOpener(context: PayloadContext, key: Int32Array): PayloadOpener {
  checkContext(context);
  const { parameters, engine } = context;
  const opener = engine.opener(key);
  return {
    block(block, wire) {
      const coefficients = blockCoefficients(parameters, block);
      const [start, end] = valueRange(parameters, block);
      const values = new Int32Array(end - start);
      if (!opener.open(wire, coefficients, publicStream(context, block), values))
        throw new CryptoError('KEY_DOES_NOT_FIT', 'the key does not open this sum');
      return values;
    },
    [Symbol.dispose]: () => opener[Symbol.dispose](),
  };
}
