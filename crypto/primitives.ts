/**
 * The platform's primitives, passed into all pure code. Two implementations: `primitives-noble.ts` (portable, what an
 * auditor's browser runs) and `src/platform/primitives-node.ts` (node:crypto, 30 times faster for key agreement).
 * Both give one verdict on every input; a test runs the same vectors through each.
 */
export interface Primitives {
  /** SHA-256 (FIPS 180-4) of the concatenation of the parts: 32 bytes. */
  sha256(...parts: Uint8Array[]): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104): 32 bytes. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** HKDF-SHA-256 extract and expand (RFC 5869). @param length - bytes, at most 8160. */
  hkdfSha256(inputKey: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;
  /** SHA3-256 (FIPS 202), for X-Wing's combiner: 32 bytes. */
  sha3_256(data: Uint8Array): Uint8Array;
  /** SHAKE-256 (FIPS 202), for X-Wing's key expansion. */
  shake256(data: Uint8Array, length: number): Uint8Array;
  /** AES-256-CTR keystream from counter block zero. @param key - 32 bytes. @param length - bytes. */
  aes256Ctr(key: Uint8Array, length: number): Uint8Array;
  /** AES-256-GCM (SP 800-38D), 12-byte nonce; the 16-byte tag is appended. */
  aes256GcmSeal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @throws CryptoError BAD_CIPHERTEXT when the tag does not fit. */
  aes256GcmOpen(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array;
  /** Ed25519 public key of a 32-byte seed (RFC 8032). */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /**
   * One rule everywhere: the public key is canonical and in the prime-order subgroup, S < L, and the encoding of
   * S*B - h*A equals R byte for byte (cofactorless). Never throws on peer input: false.
   */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  x25519PublicKey(secret: Uint8Array): Uint8Array;
  /** X25519 (RFC 7748). @throws CryptoError BAD_KEY when the shared secret is all zero (small-order peer key). */
  x25519Agree(secret: Uint8Array, publicKey: Uint8Array): Uint8Array;
  /** ML-KEM-768 (FIPS 203) key pair from its 64-byte seed d || z. */
  mlKem768PublicKey(seed: Uint8Array): Uint8Array;
  /** @throws CryptoError BAD_KEY for a malformed encapsulation key. Draws its own randomness from the platform. */
  mlKem768Encapsulate(publicKey: Uint8Array): { ciphertext: Uint8Array; sharedSecret: Uint8Array };
  mlKem768Decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

/** Fills `length` fresh secret bytes from the platform's CSPRNG. Passed in; never reached for. */
export type Rng = (length: number) => Uint8Array;
