import { createPrivateKey, createPublicKey, generateKeyPairSync, type webcrypto } from 'node:crypto';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { TlsError } from './errors.ts';
import { SIGNING_ALGORITHM, x509 } from './x509.ts';

/** A TLS key pair. It authenticates connections only; nothing of a round is encrypted to it. */
export interface TlsKey {
  /** PKCS #8 in PEM, ASCII: what OpenSSL and the key file want. Owned by the holder. */
  readonly privateKey: SecretBytes;
  /** SubjectPublicKeyInfo, DER: 91 bytes. */
  readonly publicKey: Uint8Array;
}

/** DER prefix of every uncompressed P-256 SubjectPublicKeyInfo (RFC 5480, section 2). */
const P256_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');

/**
 * A fresh P-256 key pair. The PEM text exists for a moment as a string, which cannot be wiped: said in SECURITY.md.
 */
export function createTlsKey(): TlsKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }), 'latin1');
  return { privateKey: secretPem(pem), publicKey: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
}

/**
 * Takes a key out of a PEM file's bytes, which are taken over.
 *
 * @throws TlsError BAD_TLS_KEY unless it is one P-256 private key.
 */
export function tlsKeyFromPem(pem: Uint8Array): TlsKey {
  try {
    const publicKey = createPublicKey(createPrivateKey(Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength)));
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
    checkPublicKey(spki);
    return { privateKey: secretPem(pem), publicKey: spki };
  } catch (cause) {
    wipe(pem);
    throw cause instanceof TlsError ? cause : new TlsError('BAD_TLS_KEY', 'not a PEM private key');
  }
}

/** One spelling only, so that a key has one pin. @throws TlsError BAD_TLS_KEY */
export function checkPublicKey(spki: Uint8Array): void {
  const prefix = Buffer.from(spki.buffer, spki.byteOffset, Math.min(spki.length, P256_PREFIX.length));
  if (spki.length !== 91 || !prefix.equals(P256_PREFIX)) {
    throw new TlsError('BAD_TLS_KEY', 'TLS keys are uncompressed P-256 points');
  }
}

/** The key as WebCrypto wants it, not extractable. Lives until it is collected. */
export function signingKey(key: SecretBytes): CryptoKey {
  const object = createPrivateKey(Buffer.from(key.bytes.buffer, key.bytes.byteOffset, key.bytes.byteLength));
  return object.toCryptoKey(SIGNING_ALGORITHM, false, ['sign']) as webcrypto.CryptoKey as CryptoKey;
}

/** The public key as WebCrypto wants it. @throws TlsError BAD_TLS_KEY */
export function verifyingKey(spki: Uint8Array): CryptoKey {
  checkPublicKey(spki);
  try {
    const object = createPublicKey({ key: Buffer.from(spki), type: 'spki', format: 'der' });
    return object.toCryptoKey(SIGNING_ALGORITHM, true, ['verify']) as webcrypto.CryptoKey as CryptoKey;
  } catch {
    throw new TlsError('BAD_TLS_KEY', 'not a point of P-256');
  }
}

/**
 * PKCS #10 request (RFC 2986) for a key: the proof of possession that an enrolment carries.
 *
 * @param name - common name; the authority ignores it and certifies what the enrol leaf says.
 * @returns DER.
 */
export async function createRequest(key: TlsKey, name: string): Promise<Uint8Array> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys: { privateKey: signingKey(key.privateKey), publicKey: verifyingKey(key.publicKey) },
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return new Uint8Array(request.rawData);
}

function secretPem(pem: Uint8Array): SecretBytes {
  return new SecretBytes('TLS key', pem);
}
