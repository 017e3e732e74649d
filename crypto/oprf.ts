import { ristretto255, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { DOMAIN, labelBytes } from './domain.ts';
import { concat, u64be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives, Rng } from './primitives.ts';
import type { SecretBytes } from './secret.ts';

/**
 * VOPRF of RFC 9497, suite ristretto255-SHA512, under a key that nobody holds: k = k_1 + ... + k_m, holder i has k_i.
 *
 * Each holder answers a blinded element B with k_i B and a DLEQ proof for its own public key; the caller checks every
 * proof and adds: (sum k_i) B. Without one of the holders nobody can evaluate. Additive keys for this PRF: Jarecki,
 * Kiayias, Krawczyk, Xu, ACNS 2017 (ia.cr/2017/363), here m of m and so without a dealer; the proofs of knowledge
 * of k_i, which keep a late holder from cancelling the other keys, are the DLEQ proofs themselves.
 *
 * Law: for every split of k, the output is that of RFC 9497 under k (known-answer tests).
 */
const { oprf, voprf } = ristretto255_oprf;

/** Bytes of a DLEQ proof. */
const DLEQ_BYTES = 64;

export interface Blinded {
  /** Secret scalar, 32 bytes: whoever has it can test guesses of the input against the element. */
  readonly blind: Uint8Array;
  /** What the holders see: a uniform element, whatever the input is. */
  readonly element: Uint8Array;
}

export interface Evaluation {
  readonly elements: readonly Uint8Array[];
  /** One DLEQ proof for the whole batch. */
  readonly proof: Uint8Array;
}

/** A holder's public key: RFC 9497, DeriveKeyPair, from its 32-byte secret. */
export function holderPublicKey(seed: SecretBytes): Uint8Array {
  return keyPairOf(seed).publicKey;
}

function keyPairOf(seed: SecretBytes) {
  return voprf.deriveKeyPair(seed.bytes, labelBytes(DOMAIN.matchingHolder));
}

/** Blinds an input (RFC 9497, Blind). @param rng - of the blind; uniform bytes, or {@link blindingOf}. */
export function blindInput(input: Uint8Array, rng: Rng): Blinded {
  const { blind, blinded } = voprf.blind(input, (length = 48) => rng(length));
  return { blind, element: blinded };
}

/**
 * Randomness of a blind that depends on the input and on a secret of the caller, so that the same input gives the same
 * element again: an evaluation that was interrupted is repeated, not paid for twice. RFC 9497 draws blinds afresh; here
 * they are HKDF outputs, and hiding rests on the secret, which lies beside the list that it hides.
 *
 * @param seed - 32 secret bytes of the caller's. Not wiped here.
 */
export function blindingOf(p: Primitives, seed: SecretBytes, input: Uint8Array): Rng {
  const info = concat(labelBytes(DOMAIN.matchingBlind), new Uint8Array(1), u64be(input.length), input);
  return (length) => p.hkdfSha256(seed.bytes, new Uint8Array(0), info, length);
}

/** @throws CryptoError BAD_ENCODING unless the bytes are the one encoding of an element that is not the identity. */
export function checkElement(bytes: Uint8Array): void {
  elementOf(bytes);
}

function elementOf(bytes: Uint8Array) {
  try {
    const point = ristretto255.Point.fromBytes(bytes);
    if (!point.is0()) return point;
  } catch {
    // refused below, whatever the library calls it
  }
  throw new CryptoError('BAD_ENCODING', 'not an element of ristretto255, or the identity');
}

/**
 * A holder's answer (RFC 9497, BlindEvaluate and GenerateProof).
 *
 * @param rng - for the proof's nonce: fresh every time.
 * @throws CryptoError BAD_ENCODING
 */
export function evaluateBlinded(seed: SecretBytes, blinded: readonly Uint8Array[], rng: Rng): Evaluation {
  for (const element of blinded) checkElement(element);
  const { secretKey, publicKey } = keyPairOf(seed);
  try {
    const fresh = (length = 48): Uint8Array => rng(length);
    const { evaluated, proof } = voprf.blindEvaluateBatch(secretKey, publicKey, [...blinded], fresh);
    return { elements: evaluated, proof };
  } finally {
    secretKey.fill(0);
  }
}

/** 1, as a scalar: unblinding with it changes nothing. */
const ONE = Uint8Array.of(1, ...new Uint8Array(31));

/**
 * Whether a holder used the key that it published, on these elements in this order (RFC 9497, VerifyProof). False, never a
 * throw, on what a holder may send.
 */
export function isRightEvaluation(publicKey: Uint8Array, blinded: readonly Uint8Array[], answer: Evaluation): boolean {
  const { elements, proof } = answer;
  if (elements.length !== blinded.length || proof.length !== DLEQ_BYTES) return false;
  try {
    for (const element of elements) checkElement(element);
    const input = new Uint8Array(0);
    // The library verifies where it finalises; what it would give out here is not used.
    const items = blinded.map((element, i) => ({ input, blind: ONE, blinded: element, evaluated: elements[i]! }));
    voprf.finalizeBatch(items, publicKey, proof);
    return true;
  } catch {
    return false;
  }
}

/**
 * (sum k_i) B from the holders' k_i B.
 *
 * @param answers - of all holders, each in the same order of elements; verified before.
 * @throws CryptoError BAD_LENGTH, BAD_ENCODING
 */
export function addEvaluations(answers: readonly (readonly Uint8Array[])[]): Uint8Array[] {
  const [first, ...others] = answers;
  if (first === undefined || others.some((elements) => elements.length !== first.length)) {
    throw new CryptoError('BAD_LENGTH', 'holders answered for different numbers of elements');
  }
  return first.map((element, i) =>
    others.reduce((sum, elements) => sum.add(elementOf(elements[i]!)), elementOf(element)).toBytes(),
  );
}

/**
 * The PRF's output (RFC 9497, Finalize, which is the same in both modes): 64 bytes.
 *
 * @throws CryptoError BAD_ENCODING for an element that is none, or the identity.
 */
export function finalizeInput(input: Uint8Array, blind: Uint8Array, evaluated: Uint8Array): Uint8Array {
  checkElement(evaluated);
  return oprf.finalize(input, blind, evaluated);
}
