import { isAgreementKey } from './agreement-key.ts';
import { concat, requireLength, u16be, utf8 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives, Rng } from './primitives.ts';
import { SecretBytes, wipe } from './secret.ts';

/** Lengths in bytes: of ML-KEM-768 (FIPS 203), of X-Wing, and what a sealed message has more than its plaintext. */
const ML_KEM_PUBLIC_BYTES = 1184;
const ML_KEM_CIPHERTEXT_BYTES = 1088;
const ML_KEM_Q = 3329;
const XWING_SEED_BYTES = 32;
export const XWING_PUBLIC_BYTES = ML_KEM_PUBLIC_BYTES + 32;
export const XWING_ENC_BYTES = ML_KEM_CIPHERTEXT_BYTES + 32;
export const SEAL_OVERHEAD_BYTES = XWING_ENC_BYTES + 16;

/** X-Wing's label: six bytes that draw an X-wing. */
const XWING_LABEL = utf8('\\.//^\\');
/** RFC 9180 section 5.1: "HPKE" || KEM X-Wing (0x647a) || KDF HKDF-SHA256 (1) || AEAD AES-256-GCM (2). */
const SUITE = concat(utf8('HPKE'), u16be(0x647a), u16be(0x0001), u16be(0x0002));
const VERSION = utf8('HPKE-v1');
const EMPTY = new Uint8Array(0);
const MODE_BASE = new Uint8Array([0]);

interface Expanded {
  /** d || z of ML-KEM-768, 64 bytes. */
  readonly kemSeed: Uint8Array;
  readonly curveSecret: Uint8Array;
  readonly curvePublic: Uint8Array;
}

/**
 * draft-connolly-cfrg-xwing-kem section 5.2, expandDecapsulationKey. Made once per seed and wiped with it: a member
 * opens a box per node with one key, and expanding it costs more than opening.
 */
function expand(p: Primitives, seed: SecretBytes): Expanded {
  requireLength(seed.bytes, XWING_SEED_BYTES);
  const expanded = seed.derived('X-Wing expanded seed', (bytes) => p.shake256(bytes, 96));
  const kemSeed = expanded.derived('ML-KEM-768 seed', (bytes) => bytes.slice(0, 64)).bytes;
  const curveSecret = expanded.derived('X25519 key', (bytes) => bytes.slice(64)).bytes;
  const curvePublic = expanded.derived('X25519 public key', () => p.x25519PublicKey(curveSecret)).bytes;
  return { kemSeed, curveSecret, curvePublic };
}

/** Section 5.3, Combiner: SHA3-256(ss_M || ss_X || ct_X || pk_X || label). Wipes both shared secrets. */
function combine(
  p: Primitives,
  kemSecret: Uint8Array,
  curveSecret: Uint8Array,
  ephemeral: Uint8Array,
  curvePublic: Uint8Array,
): SecretBytes {
  const input = concat(kemSecret, curveSecret, ephemeral, curvePublic, XWING_LABEL);
  const shared = new SecretBytes('X-Wing shared secret', p.sha3_256(input));
  for (const secret of [input, kemSecret, curveSecret]) wipe(secret);
  return shared;
}

/**
 * X-Wing public key: ML-KEM-768's, then X25519's. 1216 bytes.
 *
 * @param seed - 32 fresh bytes, the whole private key; kept by the caller.
 */
export function xwingKeyPair(p: Primitives, seed: SecretBytes): { publicKey: Uint8Array } {
  const own = expand(p, seed);
  return { publicKey: concat(p.mlKem768PublicKey(own.kemSeed), own.curvePublic) };
}

/** @throws CryptoError BAD_KEY for a key of another length, a malformed ML-KEM part or a small-order X25519 part. */
function encapsulate(p: Primitives, rng: Rng, publicKey: Uint8Array): { shared: SecretBytes; enc: Uint8Array } {
  requireLength(publicKey, XWING_PUBLIC_BYTES, 'BAD_KEY');
  const curvePublic = publicKey.subarray(ML_KEM_PUBLIC_BYTES);
  using secret = new SecretBytes('X25519 ephemeral key', rng(32));
  const ephemeral = p.x25519PublicKey(secret.bytes);
  const curveShared = p.x25519Agree(secret.bytes, curvePublic);
  const kem = p.mlKem768Encapsulate(publicKey.subarray(0, ML_KEM_PUBLIC_BYTES));
  return {
    shared: combine(p, kem.sharedSecret, curveShared, ephemeral, curvePublic),
    enc: concat(kem.ciphertext, ephemeral),
  };
}

/**
 * True for a key that messages can be sealed to: a well-formed ML-KEM-768 key (FIPS 203, 7.2) and a canonical X25519 key
 * not of small order. Checked when a key is logged, since everybody would fail who has to seal to it.
 */
export function isSealingKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== XWING_PUBLIC_BYTES) return false;
  return isEncapsulationKey(publicKey) && isAgreementKey(publicKey.subarray(ML_KEM_PUBLIC_BYTES));
}

/** The modulus check of FIPS 203, 7.2: all 768 coefficients, 12 bits each in front of the 32-byte seed, are below q. */
function isEncapsulationKey(publicKey: Uint8Array): boolean {
  for (let at = 0; at < ML_KEM_PUBLIC_BYTES - 32; at += 3) {
    const pair = publicKey[at]! | (publicKey[at + 1]! << 8) | (publicKey[at + 2]! << 16);
    if ((pair & 0xfff) >= ML_KEM_Q || pair >>> 12 >= ML_KEM_Q) return false;
  }
  return true;
}

/** Section 5.5, Decapsulate. @throws CryptoError BAD_KEY for a small-order ephemeral key. */
export function xwingDecapsulate(p: Primitives, seed: SecretBytes, enc: Uint8Array): SecretBytes {
  const own = expand(p, seed);
  const ephemeral = enc.subarray(ML_KEM_CIPHERTEXT_BYTES);
  const curveShared = p.x25519Agree(own.curveSecret, ephemeral);
  const kemShared = p.mlKem768Decapsulate(own.kemSeed, enc.subarray(0, ML_KEM_CIPHERTEXT_BYTES));
  return combine(p, kemShared, curveShared, ephemeral, own.curvePublic);
}

/** RFC 9180 section 4: LabeledExtract. */
function labeledExtract(p: Primitives, salt: Uint8Array, label: string, inputKey: Uint8Array): Uint8Array {
  const labeled = concat(VERSION, SUITE, utf8(label), inputKey);
  const extracted = p.hmacSha256(salt, labeled);
  wipe(labeled);
  return extracted;
}

/** RFC 9180 section 4: LabeledExpand, of at most one HMAC block, so it is one HMAC with the counter 1. */
function labeledExpand(p: Primitives, key: Uint8Array, label: string, info: Uint8Array, length: number): Uint8Array {
  const labeled = concat(u16be(length), VERSION, SUITE, utf8(label), info, new Uint8Array([1]));
  return p.hmacSha256(key, labeled).subarray(0, length);
}

/** RFC 9180 section 5.1: KeySchedule in base mode. One message per context, so the nonce is the base nonce. */
function keySchedule(p: Primitives, shared: SecretBytes, info: Uint8Array): { key: SecretBytes; nonce: Uint8Array } {
  const pskIdHash = labeledExtract(p, EMPTY, 'psk_id_hash', EMPTY);
  const context = concat(MODE_BASE, pskIdHash, labeledExtract(p, EMPTY, 'info_hash', info));
  using secret = new SecretBytes('HPKE secret', labeledExtract(p, shared.bytes, 'secret', EMPTY));
  return {
    key: new SecretBytes('HPKE key', labeledExpand(p, secret.bytes, 'key', context, 32)),
    nonce: labeledExpand(p, secret.bytes, 'base_nonce', context, 12),
  };
}

/**
 * Seals one message to a public key: HPKE single-shot, base mode (RFC 9180 section 6.1), KEM X-Wing
 * (draft-connolly-cfrg-xwing-kem, id 0x647a), HKDF-SHA256, AES-256-GCM. Anyone can seal; `info` binds the context.
 *
 * @returns enc || ciphertext || tag: SEAL_OVERHEAD_BYTES (1136) more than the plaintext.
 * @throws CryptoError BAD_KEY
 */
export function seal(
  p: Primitives,
  rng: Rng,
  publicKey: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const { shared, enc } = encapsulate(p, rng, publicKey);
  using sharedSecret = shared;
  const { key, nonce } = keySchedule(p, sharedSecret, info);
  using messageKey = key;
  return concat(enc, p.aes256GcmSeal(messageKey.bytes, nonce, aad, plaintext));
}

/**
 * Opens what `seal` made, with the same info and aad.
 *
 * Deviation: an ephemeral key of small order is refused, as RFC 9180 does for its X25519 KEM; X-Wing leaves it open.
 *
 * @param seed - the 32-byte private key. Not wiped here.
 * @returns the plaintext; the caller's to wipe.
 * @throws CryptoError BAD_CIPHERTEXT, whatever was wrong with it.
 */
export function open(
  p: Primitives,
  seed: SecretBytes,
  info: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array {
  if (sealed.length < SEAL_OVERHEAD_BYTES) throw new CryptoError('BAD_CIPHERTEXT', 'shorter than an empty message');
  try {
    using shared = xwingDecapsulate(p, seed, sealed.subarray(0, XWING_ENC_BYTES));
    const { key, nonce } = keySchedule(p, shared, info);
    using messageKey = key;
    return p.aes256GcmOpen(messageKey.bytes, nonce, aad, sealed.subarray(XWING_ENC_BYTES));
  } catch (error) {
    // BAD_KEY here is the sender's ephemeral key, so a property of the ciphertext.
    if (error instanceof CryptoError && error.code === 'BAD_KEY') {
      throw new CryptoError('BAD_CIPHERTEXT', 'small-order ephemeral key');
    }
    throw error;
  }
}
