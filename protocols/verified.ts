import { DOMAIN } from '../crypto/domain.ts';
import {
  canonicalBytes,
  fromBase64,
  fromUtf8,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
} from '../crypto/encoding.ts';
import { leafHash } from '../crypto/merkle.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { SecretBytes } from '../crypto/secret.ts';
import { sign, verify } from '../crypto/signature.ts';
import { isRejection, ProtocolError, type Rejection, reject } from './errors.ts';
import { type AnyLeaf, type Body, COMMON_LEAF, type Kind, type Leaf, MAX_LEAF_BYTES, parseShape } from './leaves.ts';

declare const verifiedBrand: unique symbol;

/** Input whose form and signature were checked. Made in this file only; a step takes nothing else. */
export type Verified<T> = T & { readonly [verifiedBrand]: true };

/** A verified leaf with the bytes it came in and their RFC 6962 leaf hash in hexadecimal. */
export interface SignedLeaf<L = AnyLeaf> {
  readonly leaf: L;
  readonly bytes: Uint8Array;
  readonly hash: string;
}

/** A verified leaf of one kind. */
export type Signed<K extends Kind> = Verified<SignedLeaf<Leaf<K>>>;

/** Hash that stands for the log in the genesis leaf, which cannot name itself. */
export const NO_LOG = '0'.repeat(64);

function unsigned(leaf: Omit<Leaf, 'sig'>): Uint8Array {
  // In the order of RFC 8785, which a leaf that was read already has inside: it is not sorted again.
  const { actor, body, kind, log, time, v } = leaf;
  return canonicalBytes({ actor, body, kind, log, time, v } as unknown as Json);
}

/**
 * What a decoded leaf's actor signed, in two parts: the leaf without its signature. Cut out of the leaf's own bytes, which
 * are canonical, so that `sig` stands between `log` and `time` and its text is as long as its base64.
 *
 * Law: together they are `canonicalBytes` of the leaf without `sig`.
 */
export function signedBytes(leaf: AnyLeaf, bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const end = bytes.length - `,"time":${leaf.time},"v":1}`.length;
  const start = end - `,"sig":"${leaf.sig}"`.length;
  return [bytes.subarray(0, start), bytes.subarray(end)];
}

/** Form only: canonical bytes, known kind, known fields. The signature is still unchecked. */
export function decodeLeaf(bytes: Uint8Array): AnyLeaf | Rejection {
  if (bytes.length > MAX_LEAF_BYTES) return reject('TOO_LARGE', 'a leaf is at most 65,535 bytes');
  let json: Json;
  try {
    const text = fromUtf8(bytes);
    if (COMMON_LEAF.test(text)) return JSON.parse(text) as AnyLeaf;
    json = parseCanonical(bytes, MAX_LEAF_BYTES);
  } catch {
    return reject('MALFORMED', 'not canonical JSON (RFC 8785)');
  }
  const shape = parseShape(json);
  return shape.ok ? shape.leaf : reject(shape.code, 'not a leaf of a known kind with exactly its fields');
}

/**
 * Checks form and signature of a leaf.
 *
 * @param keyOf - the actor's Ed25519 public key at this point of the log, or why it has none.
 * @param hash - RFC 6962 leaf hash of these very bytes, where the caller has it.
 * @returns the leaf, its bytes and hash, or a rejection: MALFORMED, TOO_LARGE, UNKNOWN_KIND, UNKNOWN_VERSION,
 * BAD_SIGNATURE, or what `keyOf` says.
 */
export function verifyLeaf(
  p: Primitives,
  bytes: Uint8Array,
  keyOf: (leaf: AnyLeaf) => Uint8Array | Rejection,
  hash: Uint8Array = leafHash(p, bytes),
): Verified<SignedLeaf> | Rejection {
  const leaf = decodeLeaf(bytes);
  if (isRejection(leaf)) return leaf;
  const key = keyOf(leaf);
  if (isRejection(key)) return key;
  let signature: Uint8Array;
  try {
    signature = fromBase64(leaf.sig, 64);
  } catch {
    return reject('MALFORMED', 'the signature is not canonical base64');
  }
  if (!verify(p, key, DOMAIN.leaf, signedBytes(leaf, bytes), signature)) {
    return reject('BAD_SIGNATURE', 'the signature does not fit the leaf and its actor');
  }
  return { leaf, bytes, hash: toHex(hash) } as unknown as Verified<SignedLeaf>;
}

/** Narrows a verified leaf by its kind. */
export function isKind<K extends Kind>(
  signed: Verified<SignedLeaf>,
  kind: K,
): signed is Verified<SignedLeaf> & Signed<K> {
  return signed.leaf.kind === kind;
}

/** Who signs, for which log, and what the clock said. */
export interface Signer {
  readonly name: string;
  readonly log: string;
  readonly secret: SecretBytes;
}

/**
 * Writes and signs a leaf.
 *
 * @param time - ms since 1970, from the caller's clock.
 * @returns the leaf's bytes, ready for the log.
 * @throws ProtocolError TOO_LARGE, MALFORMED: the caller built something that no log would take.
 */
export function makeLeaf<K extends Kind>(
  p: Primitives,
  signer: Signer,
  kind: K,
  body: Body<K>,
  time: number,
): Uint8Array {
  const core = { v: 1 as const, kind, log: signer.log, actor: signer.name, time, body };
  const signature = sign(p, signer.secret, DOMAIN.leaf, unsigned(core as unknown as Omit<Leaf, 'sig'>));
  const bytes = canonicalBytes({ ...core, sig: toBase64(signature) } as unknown as Json);
  const back = decodeLeaf(bytes);
  if (isRejection(back)) throw new ProtocolError(back.rejected, `cannot make a ${kind} leaf: ${back.why}`);
  return bytes;
}
