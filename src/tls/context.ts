import { constants } from 'node:crypto';
import {
  type checkServerIdentity as checkHost,
  createSecureContext,
  type PeerCertificate,
  type SecureContextOptions,
} from 'node:tls';
import type { SecretBytes } from '../../crypto/secret.ts';
import { TlsError } from './errors.ts';
import { identityOf, type PeerIdentity, type TlsRole } from './identity.ts';

/** What a party shows to its peers and checks them against. */
export interface TlsIdentity {
  /** PEM chain, the party's own certificate first. */
  readonly certificates: string;
  /** PKCS #8 in PEM. */
  readonly key: SecretBytes;
  /** PEM certificates of the authorities whose parties are accepted. */
  readonly authorities: string;
}

/** Hybrid key agreement where this OpenSSL has it (3.5 and later), else elliptic curves alone. */
export const KEY_AGREEMENTS: string = ['X25519MLKEM768:X25519:P-256', 'X25519:P-256'].find(isSupported) ?? 'X25519';

/**
 * TLS 1.3 only, AES-256 or ChaCha20, no session tickets: every connection proves possession of its key anew and is
 * asked about in the newest log.
 */
export function secureContextOptions(identity: TlsIdentity): SecureContextOptions {
  const key = identity.key.bytes;
  return {
    ca: identity.authorities,
    cert: identity.certificates,
    key: Buffer.from(key.buffer, key.byteOffset, key.byteLength),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    ecdhCurve: KEY_AGREEMENTS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Whom a client means to reach. At least one pin: an authority's word alone is never enough. */
export interface Expected {
  /** SPKI pins (hex), from genesis, an enrol or `tls-key` leaf, or an invitation. */
  readonly pins: readonly string[];
  /** The role that the certificate must carry. */
  readonly role?: TlsRole;
}

/**
 * A `checkServerIdentity` for node:tls, called after the chain has been verified. Host names are not compared: the pin
 * says more.
 *
 * @param onResult - is told the identity, or why it was refused; TLS itself only passes on a text.
 * @throws TlsError NO_PIN when there is nothing to compare with.
 */
export function pinCheck(expected: Expected, onResult: (result: PeerIdentity | TlsError) => void): typeof checkHost {
  if (expected.pins.length === 0) throw new TlsError('NO_PIN', 'a connection needs the pin of its server');
  const pins = new Set(expected.pins);
  return (_host: string, certificate: PeerCertificate): Error | undefined => {
    try {
      const identity = identityOf(certificate.raw);
      if (!pins.has(identity.spkiSha256))
        throw new TlsError('PIN_MISMATCH', 'the server has another key than the pinned one');
      if (expected.role !== undefined && expected.role !== identity.role) {
        throw new TlsError('PIN_MISMATCH', 'the server has another role than the expected one');
      }
      onResult(identity);
      return undefined;
    } catch (error) {
      const refusal = error instanceof TlsError ? error : new TlsError('BAD_CERTIFICATE', 'unreadable certificate');
      onResult(refusal);
      return refusal;
    }
  };
}

function isSupported(ecdhCurve: string): boolean {
  try {
    createSecureContext({ ecdhCurve });
    return true;
  } catch {
    return false;
  }
}
