import { DOMAIN } from './domain.ts';
import { u32le } from './encoding.ts';
import type { PublicStream } from './engine.ts';
import { CryptoError } from './errors.ts';
import type { RoundParameters } from './params.ts';
import { blockCoefficients, type PayloadContext } from './payload.ts';
import { hashWithLabel } from './signature.ts';

/**
 * Linear checksums: rho_i = <challenge, c_i>, so that the nodes' signed checksums add up to the sum's exactly when the
 * sum is the sum of their payloads (except with the probability below).
 *
 * Per prime q and row r = 0..5: rho_r = sum_j v_r[j] * sum_c u_r[c] * c_j[c] mod q, with u_r and v_r uniform, expanded
 * from the hash of the close leaf, which itself holds the hash of the sum. The challenge is a rank-1 tensor, hence of
 * degree 2 in independent variables: a wrong sum passes one row of one prime with probability at most 2/q
 * (Schwartz-Zippel), six rows with (2/q)^6. Six, because whoever writes the close leaf can grind it.
 */

const CHECKSUM_ROWS = 6;

export interface PayloadChecksum extends Disposable {
  /**
   * Takes in block j, each block once, in any order.
   * @throws CryptoError BAD_VALUE for a second time, OUT_OF_RANGE, BAD_LENGTH, RESIDUE_OUT_OF_RANGE.
   */
  add(block: number, wire: Uint8Array): void;
  /** 6 residues per prime, row-major. @throws CryptoError BAD_LENGTH while blocks are missing. */
  value(): Uint32Array;
}

/** @param closeHash - hash of the close leaf, 32 bytes. */
export function createChecksum(context: PayloadContext, closeHash: Uint8Array): PayloadChecksum {
  const { parameters, engine, primitives } = context;
  if (closeHash.length !== 32) throw new CryptoError('BAD_LENGTH', 'a leaf hash has 32 bytes');
  const keystream = (part: number, index: number, length: number): Uint8Array => {
    const key = hashWithLabel(primitives, DOMAIN.checksumChallenge, closeHash, u32le(part), u32le(index));
    return primitives.aes256Ctr(key, length);
  };
  const vectors: PublicStream = (index, length) => keystream(0, index, length);
  const checksum = engine.checksum(CHECKSUM_ROWS, vectors);
  const seen = new Set<number>();
  return {
    add(block, wire) {
      const coefficients = blockCoefficients(parameters, block);
      if (seen.has(block)) throw new CryptoError('BAD_VALUE', 'a block counts once');
      const weights = blockWeights(parameters, (length) => keystream(1, block, length));
      checksum.add(weights, wire, coefficients);
      seen.add(block);
    },
    value() {
      if (seen.size !== parameters.blocks) throw new CryptoError('BAD_LENGTH', 'blocks are missing');
      return checksum.value();
    },
    [Symbol.dispose]: () => checksum[Symbol.dispose](),
  };
}

/** v_r[j] for all rows and primes: successive words of one keystream, each cut to the prime's bits, those >= q skipped. */
function blockWeights(parameters: RoundParameters, keystream: (length: number) => Uint8Array): Uint32Array {
  const { primes, primeBits } = parameters;
  const weights = new Uint32Array(CHECKSUM_ROWS * primes.length);
  // Less than half of the words are skipped whatever the primes; running out of 64 times as many never happens.
  const bytes = keystream(4 * 64 * weights.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (let i = 0; i < weights.length; i++) {
    const prime = i % primes.length;
    const mask = 2 ** primeBits[prime]! - 1;
    do {
      weights[i] = view.getUint32(at, true) & mask;
      at += 4;
    } while (weights[i]! >= primes[prime]!);
  }
  return weights;
}

/**
 * The checksum that the sum must have: theirs added, mod each prime.
 *
 * @throws CryptoError BAD_LENGTH, RESIDUE_OUT_OF_RANGE for a malformed one.
 */
export function addChecksums(parameters: RoundParameters, checksums: readonly Uint32Array[]): Uint32Array {
  const { primes } = parameters;
  const sum = new Uint32Array(CHECKSUM_ROWS * primes.length);
  for (const checksum of checksums) {
    if (checksum.length !== sum.length) throw new CryptoError('BAD_LENGTH', 'six residues per prime');
    for (let i = 0; i < sum.length; i++) {
      const q = primes[i % primes.length]!;
      if (checksum[i]! >= q) throw new CryptoError('RESIDUE_OUT_OF_RANGE', 'a checksum is not below its prime');
      sum[i] = (sum[i]! + checksum[i]!) % q;
    }
  }
  return sum;
}
