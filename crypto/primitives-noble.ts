import { ctr, gcm } from '@noble/ciphers/aes.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, shake256 } from '@noble/hashes/sha3.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { bytesEqual, requireLength } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';
import { wipe } from './secret.ts';

/**
 * RFC 5869 allows 255 blocks of output; none at all is a mistake of the caller (and OpenSSL refuses it).
 *
 * @throws CryptoError BAD_LENGTH
 */
export function requireHkdfLength(length: number): void {
  if (!(Number.isSafeInteger(length) && length >= 1 && length <= 255 * 32)) {
    throw new CryptoError('BAD_LENGTH', 'HKDF output is 1 to 8160 bytes');
  }
}
/** Subgroup checks cost 1 ms each; the keys of one log are few. Oldest out. */
const CACHED_KEYS = 4096;

type Point = InstanceType<typeof ed25519.Point>;

/** Public keys by content: the decoded point, or null for a key that the rule refuses. */
const decodedKeys = new Map<string, Point | null>();

/**
 * Decodes a public key under the one rule: canonical, on the curve, in the prime-order subgroup, not the identity.
 * Public input; the time taken tells nothing secret.
 */
function decodeKey(publicKey: Uint8Array): Point | null {
  const name = publicKey.join();
  const known = decodedKeys.get(name);
  if (known !== undefined) return known;
  let point: Point | null = null;
  try {
    const decoded = ed25519.Point.fromBytes(publicKey, false); // false: refuses y >= p
    // Torsion-free first by definition, then by arithmetic: the identity is torsion-free but of small order.
    if (!decoded.isSmallOrder() && decoded.isTorsionFree()) point = decoded;
  } catch {
    // Not a point: null is the verdict.
  }
  if (decodedKeys.size >= CACHED_KEYS) decodedKeys.delete(decodedKeys.keys().next().value!);
  decodedKeys.set(name, point);
  return point;
}

/** Little-endian bytes as an integer. Public input only: bigint time depends on the value. */
function integerOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

/** Not noble's own verify: that one multiplies by the cofactor and decodes R, so it accepts what OpenSSL refuses. */
function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const order = ed25519.Point.Fn.ORDER;
  const s = integerOf(signature.subarray(32));
  if (s >= order) return false;
  const key = decodeKey(publicKey);
  if (key === null) return false;
  const r = signature.subarray(0, 32);
  const h = integerOf(sha512.create().update(r).update(publicKey).update(message).digest()) % order;
  const expected = ed25519.Point.BASE.multiplyUnsafe(s).add(key.multiplyUnsafe(h).negate());
  return bytesEqual(expected.toBytes(), r);
}

/** Runs a library call on peer input; its own error says less than our code and may quote the input. */
function mapped<T>(code: 'BAD_KEY' | 'BAD_CIPHERTEXT', message: string, call: () => T): T {
  try {
    return call();
  } catch {
    throw new CryptoError(code, message);
  }
}

/**
 * The portable primitives: @noble's audited JavaScript, what an auditor's browser runs. Same verdict as
 * `primitives-node.ts` on every input, 10 to 30 times slower; bigint arithmetic, so not constant-time against an
 * attacker on the same machine. Parties that hold secrets run the platform's.
 */
export const noblePrimitives: Primitives = {
  sha256: (...parts) => {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  hmacSha256: (key, data) => hmac(sha256, key, data),
  hkdfSha256: (inputKey, salt, info, length) => {
    requireHkdfLength(length);
    return hkdf(sha256, inputKey, salt, info, length);
  },
  sha3_256: (data) => sha3_256(data),
  shake256: (data, length) => shake256(data, { dkLen: length }),
  aes256Ctr: (key, length) => {
    requireLength(key, 32);
    return ctr(key, new Uint8Array(16)).encrypt(new Uint8Array(length));
  },
  aes256GcmSeal: (key, nonce, aad, plaintext) => {
    requireLength(key, 32);
    requireLength(nonce, 12);
    return gcm(key, nonce, aad).encrypt(plaintext);
  },
  aes256GcmOpen: (key, nonce, aad, sealed) => {
    requireLength(key, 32);
    requireLength(nonce, 12);
    return mapped('BAD_CIPHERTEXT', 'the tag does not fit', () => gcm(key, nonce, aad).decrypt(sealed));
  },
  ed25519PublicKey: (seed) => {
    requireLength(seed, 32);
    return ed25519.getPublicKey(seed);
  },
  ed25519Sign: (seed, message) => {
    requireLength(seed, 32);
    return ed25519.sign(message, seed);
  },
  ed25519Verify: verifyEd25519,
  x25519PublicKey: (secret) => {
    requireLength(secret, 32);
    return x25519.getPublicKey(secret);
  },
  x25519Agree: (secret, publicKey) => {
    requireLength(secret, 32);
    requireLength(publicKey, 32, 'BAD_KEY');
    return mapped('BAD_KEY', 'small-order X25519 key', () => x25519.getSharedSecret(secret, publicKey));
  },
  mlKem768PublicKey: (seed) => {
    requireLength(seed, 64);
    const pair = ml_kem768.keygen(seed);
    wipe(pair.secretKey);
    return pair.publicKey;
  },
  mlKem768Encapsulate: (publicKey) => {
    const made = mapped('BAD_KEY', 'malformed ML-KEM-768 key', () => ml_kem768.encapsulate(publicKey));
    return { ciphertext: made.cipherText, sharedSecret: made.sharedSecret };
  },
  mlKem768Decapsulate: (seed, ciphertext) => {
    requireLength(seed, 64);
    requireLength(ciphertext, 1088, 'BAD_CIPHERTEXT');
    const pair = ml_kem768.keygen(seed);
    try {
      return ml_kem768.decapsulate(ciphertext, pair.secretKey);
    } finally {
      wipe(pair.secretKey);
    }
  },
};
