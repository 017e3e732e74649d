import * as openssl from 'node:crypto';
import { requireLength } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { noblePrimitives, requireHkdfLength } from '../../crypto/primitives-noble.ts';
import { wipe } from '../../crypto/secret.ts';
import { checkedEd25519Key } from './ed25519-key.ts';

/** DER before a raw key of fixed length: RFC 8410 for the curves, RFC 9935 (seed form) for ML-KEM. */
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const MLKEM768_PKCS8 = Buffer.from('3054020100300b060960864801650304040204428040', 'hex');
const MLKEM768_SPKI = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');

/** Zero input of the stream cipher; longer streams are made piece by piece. Never written to. */
const ZEROS = new Uint8Array(1 << 18);
const ZERO_COUNTER = new Uint8Array(16);

/** A private key and what it was made from, as a hash: the buffer may have been wiped or used again since. */
interface Imported {
  readonly prefix: Buffer;
  readonly fingerprint: Buffer;
  readonly key: openssl.KeyObject;
}

/**
 * Keys by the buffer that the caller holds. Importing costs as much as using (70 us), and a key is used hundreds of
 * times in a round. An entry can be collected as soon as that buffer can, which SecretBytes lets go of when it is wiped;
 * OpenSSL clears the key's memory then. So a key outlives its secret until the next collection, cached or not.
 */
const imported = new WeakMap<Uint8Array, Imported>();

/** The secret's key object. The DER copy is wiped; it is `alloc`ed, so it is in no shared pool. */
function privateKey(prefix: Buffer, secret: Uint8Array): openssl.KeyObject {
  const fingerprint = openssl.hash('sha256', secret, 'buffer');
  const known = imported.get(secret);
  if (known?.prefix === prefix && known.fingerprint.equals(fingerprint)) return known.key;
  const der = Buffer.alloc(prefix.length + secret.length);
  der.set(prefix);
  der.set(secret, prefix.length);
  try {
    const key = openssl.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    imported.set(secret, { prefix, fingerprint, key });
    return key;
  } finally {
    wipe(der);
  }
}

function publicKey(prefix: Buffer, raw: Uint8Array): openssl.KeyObject {
  return openssl.createPublicKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'spki' });
}

/** Small inputs are joined here: hashing at one go takes a third of the time of a hash object. Zero between two uses. */
const JOINED = new Uint8Array(1 << 13);

/** The parts one after the other, in memory that is used again; null where they do not fit. */
function joinedParts(parts: readonly Uint8Array[]): Uint8Array | null {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > JOINED.length) return null;
  let at = 0;
  for (const part of parts) {
    JOINED.set(part, at);
    at += part.length;
  }
  return JOINED.subarray(0, length);
}

/** Raw public bytes: the last ones of the DER form. */
function rawPublicOf(key: openssl.KeyObject, bytes: number): Uint8Array {
  return new Uint8Array(openssl.createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-bytes));
}

/** A Buffer's bytes as a plain Uint8Array on the same memory. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Runs OpenSSL on peer input; its error names internals and is not passed on. */
function mapped<T>(code: 'BAD_KEY' | 'BAD_CIPHERTEXT', message: string, call: () => T): T {
  try {
    return call();
  } catch {
    throw new CryptoError(code, message);
  }
}

/** @returns whether this runtime has ML-KEM-768 from a seed (Node 24.7 and OpenSSL 3.5, or newer). */
function hasMlKem(): boolean {
  try {
    const key = privateKey(MLKEM768_PKCS8, new Uint8Array(64));
    return openssl.decapsulate(key, new Uint8Array(1088)).length === 32;
  } catch {
    return false;
  }
}

const mlKem: Pick<Primitives, 'mlKem768PublicKey' | 'mlKem768Encapsulate' | 'mlKem768Decapsulate'> = {
  mlKem768PublicKey: (seed) => {
    requireLength(seed, 64);
    return rawPublicOf(privateKey(MLKEM768_PKCS8, seed), 1184);
  },
  mlKem768Encapsulate: (encapsulationKey) => {
    requireLength(encapsulationKey, 1184, 'BAD_KEY');
    return mapped('BAD_KEY', 'malformed ML-KEM-768 key', () => {
      const made = openssl.encapsulate(publicKey(MLKEM768_SPKI, encapsulationKey));
      return { ciphertext: plain(made.ciphertext), sharedSecret: plain(made.sharedKey) };
    });
  },
  mlKem768Decapsulate: (seed, ciphertext) => {
    requireLength(seed, 64);
    requireLength(ciphertext, 1088, 'BAD_CIPHERTEXT');
    return plain(openssl.decapsulate(privateKey(MLKEM768_PKCS8, seed), ciphertext));
  },
};

const portableMlKem: typeof mlKem = {
  mlKem768PublicKey: noblePrimitives.mlKem768PublicKey,
  mlKem768Encapsulate: noblePrimitives.mlKem768Encapsulate,
  mlKem768Decapsulate: noblePrimitives.mlKem768Decapsulate,
};

/**
 * The platform's primitives: OpenSSL through node:crypto, constant-time where it matters. Same verdict as
 * `primitives-noble.ts` on every input. Where the runtime lacks ML-KEM (own Node between 24.2 and 24.6, or linked
 * with an older OpenSSL) those three come from @noble/post-quantum, 2 ms instead of 0.1 ms.
 */
export const nodePrimitives: Primitives = {
  sha256: (...parts) => {
    if (parts.length === 1) return plain(openssl.hash('sha256', parts[0]!, 'buffer'));
    const joined = joinedParts(parts);
    if (joined !== null) {
      const digest = plain(openssl.hash('sha256', joined, 'buffer'));
      wipe(joined); // a part may have been secret
      return digest;
    }
    const hash = openssl.createHash('sha256');
    for (const part of parts) hash.update(part);
    return plain(hash.digest());
  },
  hmacSha256: (key, data) => plain(openssl.createHmac('sha256', key).update(data).digest()),
  hkdfSha256: (inputKey, salt, info, length) => {
    requireHkdfLength(length);
    return new Uint8Array(openssl.hkdfSync('sha256', inputKey, salt, info, length));
  },
  sha3_256: (data) => plain(openssl.createHash('sha3-256').update(data).digest()),
  shake256: (data, length) => plain(openssl.createHash('shake256', { outputLength: length }).update(data).digest()),
  aes256Ctr: (key, length) => {
    requireLength(key, 32);
    const cipher = openssl.createCipheriv('aes-256-ctr', key, ZERO_COUNTER);
    if (length <= ZEROS.length) return plain(cipher.update(ZEROS.subarray(0, length)));
    const stream = new Uint8Array(length);
    for (let at = 0; at < length; at += ZEROS.length) {
      const piece = cipher.update(ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
      stream.set(piece, at);
      wipe(piece);
    }
    return stream;
  },
  aes256GcmSeal: (key, nonce, aad, plaintext) => {
    requireLength(key, 32);
    requireLength(nonce, 12);
    const cipher = openssl.createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
    const sealed = new Uint8Array(plaintext.length + 16);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  },
  aes256GcmOpen: (key, nonce, aad, sealed) => {
    requireLength(key, 32);
    requireLength(nonce, 12);
    if (sealed.length < 16) throw new CryptoError('BAD_CIPHERTEXT', 'shorter than a tag');
    const decipher = openssl.createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(sealed.length - 16));
    const plaintext = decipher.update(sealed.subarray(0, sealed.length - 16));
    try {
      decipher.final();
    } catch {
      wipe(plaintext);
      throw new CryptoError('BAD_CIPHERTEXT', 'the tag does not fit');
    }
    return plain(plaintext);
  },
  ed25519PublicKey: (seed) => {
    requireLength(seed, 32);
    return rawPublicOf(privateKey(ED25519_PKCS8, seed), 32);
  },
  ed25519Sign: (seed, message) => {
    requireLength(seed, 32);
    return plain(openssl.sign(null, message, privateKey(ED25519_PKCS8, seed)));
  },
  ed25519Verify: (key, message, signature) => {
    if (signature.length !== 64) return false;
    const checked = checkedEd25519Key(key);
    // OpenSSL itself refuses S >= L, and compares the encoding of S*B - h*A with R byte for byte.
    return checked !== null && openssl.verify(null, message, checked, signature);
  },
  x25519PublicKey: (secret) => {
    requireLength(secret, 32);
    return rawPublicOf(privateKey(X25519_PKCS8, secret), 32);
  },
  x25519Agree: (secret, peer) => {
    requireLength(secret, 32);
    requireLength(peer, 32, 'BAD_KEY');
    const own = privateKey(X25519_PKCS8, secret);
    return mapped('BAD_KEY', 'small-order X25519 key', () =>
      plain(openssl.diffieHellman({ privateKey: own, publicKey: publicKey(X25519_SPKI, peer) })),
    );
  },
  ...(hasMlKem() ? mlKem : portableMlKem),
};
