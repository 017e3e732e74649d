import { bytesEqual } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { ToyHash } from './toy-hash.ts';

/** What a hash is for: the same bytes hashed for two purposes have nothing to do with each other. */
const USE = {
  sha256: 1,
  hmac: 2,
  hkdf: 3,
  sha3: 4,
  shake: 5,
  stream: 6,
  tag: 7,
  signKey: 8,
  signature: 9,
  curveKey: 10,
  agreement: 11,
  kemKey: 12,
  kem: 13,
} as const;

const hash = (use: number, ...parts: Uint8Array[]): ToyHash => {
  const state = new ToyHash(use);
  for (const part of parts) state.add(part);
  return state;
};

function xor(bytes: Uint8Array, stream: Uint8Array): Uint8Array {
  const mixed = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) mixed[i] = bytes[i]! ^ stream[i]!;
  return mixed;
}

/** A key whose 12-bit coefficients are below ML-KEM's 3329 (FIPS 203, 7.2): well formed, as keys are checked to be. */
function kemKey(seed: Uint8Array, length = 1184): Uint8Array {
  const key = hash(USE.kemKey, seed).bytes(length);
  for (let i = 0; i < length; i++) if (i % 3 > 0) key[i]! &= 0x07;
  return key;
}

/**
 * Primitives for simulations: the interface and the laws of the real ones, at a hundredth of the cost, and no security.
 *
 * What stays true among the parties of a simulation: a signature exists only for whoever holds the seed (`verify` looks
 * the seed up by the public key and computes the signature again), a box opens only under its key and context, two keys
 * agree on one secret, hashes of different inputs differ. Everything is a function of its inputs and of how often
 * `mlKem768Encapsulate` was called, so a run can be repeated.
 */
export function toyPrimitives(): Primitives {
  const signers = new Map<number, Uint8Array>();
  const agreers = new Map<number, Uint8Array>();
  const idOf = (publicKey: Uint8Array): number => new ToyHash(0).add(publicKey).number();
  let encapsulations = 0;

  const keystream = (key: Uint8Array, length: number): Uint8Array => hash(USE.stream, key).bytes(length);
  const tagOf = (key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array =>
    hash(USE.tag, key, nonce, aad, sealed).bytes(16);
  const signatureOf = (seed: Uint8Array, message: Uint8Array): Uint8Array =>
    hash(USE.signature, seed, message).bytes(64);
  const x25519PublicKey = (secret: Uint8Array): Uint8Array => {
    const key = hash(USE.curveKey, secret).bytes(32);
    key[31]! &= 0x7f;
    const id = idOf(key);
    if (!agreers.has(id)) agreers.set(id, secret.slice());
    return key;
  };

  return {
    sha256: (...parts) => hash(USE.sha256, ...parts).bytes(32),
    hmacSha256: (key, data) => hash(USE.hmac, key, data).bytes(32),
    hkdfSha256: (inputKey, salt, info, length) => hash(USE.hkdf, inputKey, salt, info).bytes(length),
    sha3_256: (data) => hash(USE.sha3, data).bytes(32),
    shake256: (data, length) => hash(USE.shake, data).bytes(length),
    aes256Ctr: keystream,
    aes256GcmSeal(key, nonce, aad, plaintext) {
      const body = xor(plaintext, keystream(key, plaintext.length));
      const sealed = new Uint8Array(body.length + 16);
      sealed.set(body);
      sealed.set(tagOf(key, nonce, aad, body), body.length);
      return sealed;
    },
    aes256GcmOpen(key, nonce, aad, sealed) {
      const body = sealed.subarray(0, sealed.length - 16);
      const tag = tagOf(key, nonce, aad, body);
      if (sealed.length < 16 || !bytesEqual(tag, sealed.subarray(body.length))) {
        throw new CryptoError('BAD_CIPHERTEXT', 'the tag does not fit');
      }
      return xor(body, keystream(key, body.length));
    },
    ed25519PublicKey(seed) {
      const key = hash(USE.signKey, seed).bytes(32);
      signers.set(idOf(key), seed.slice());
      return key;
    },
    ed25519Sign: signatureOf,
    ed25519Verify(publicKey, message, signature) {
      const seed = signers.get(idOf(publicKey));
      if (seed === undefined || signature.length !== 64) return false;
      return bytesEqual(signatureOf(seed, message), signature);
    },
    x25519PublicKey,
    x25519Agree(secret, publicKey) {
      // The sum of both secrets' hashes: the same from either end. A key nobody made agrees on something, with nobody.
      const own = hash(USE.agreement, secret).bytes(32);
      const other = agreers.get(idOf(publicKey));
      const their = other === undefined ? publicKey : hash(USE.agreement, other).bytes(32);
      return own.map((byte, i) => byte + their[i]!);
    },
    mlKem768PublicKey: kemKey,
    mlKem768Encapsulate(publicKey) {
      if (publicKey.length !== 1184) throw new CryptoError('BAD_KEY', 'malformed key');
      const ciphertext = new Uint8Array(1088);
      new DataView(ciphertext.buffer).setUint32(0, ++encapsulations);
      return {
        ciphertext,
        sharedSecret: hash(USE.kem, publicKey.subarray(0, 32), ciphertext.subarray(0, 4)).bytes(32),
      };
    },
    mlKem768Decapsulate: (seed, ciphertext) => hash(USE.kem, kemKey(seed, 32), ciphertext.subarray(0, 4)).bytes(32),
  };
}
