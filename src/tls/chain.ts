import { X509Certificate } from 'node:crypto';
import { TlsError } from './errors.ts';
import { identityOf, type Subject } from './identity.ts';
import { x509 } from './x509.ts';

const MAX_CERTIFICATES = 4;
const MAX_CERTIFICATE_BYTES = 4096;

/** Certificates of a PEM chain, DER each. */
export function chainToDer(pem: string): Uint8Array[] {
  return x509.PemConverter.decode(pem).map((der) => new Uint8Array(der));
}

/** @throws TlsError BAD_CERTIFICATE unless it is 1 to 4 certificates of at most 4,096 bytes. */
export function chainToPem(chain: readonly Uint8Array[]): string {
  if (chain.length === 0 || chain.length > MAX_CERTIFICATES || chain.some((c) => c.length > MAX_CERTIFICATE_BYTES)) {
    throw new TlsError('BAD_CERTIFICATE', 'not a chain of one to four certificates');
  }
  try {
    return chain.map((der) => new X509Certificate(der).toString()).join('');
  } catch (cause) {
    throw new TlsError('BAD_CERTIFICATE', 'not an X.509 certificate', { cause });
  }
}

/** Whom a certificate must be for. */
export interface Certified extends Subject {
  readonly tlsKeySha256: string;
}

/**
 * Checks that a chain's first certificate is the party's own, for its key and signed by the authority.
 *
 * @param authority - PEM of the federation's authority.
 * @throws TlsError BAD_CERTIFICATE, PIN_MISMATCH when it is for another key.
 */
export function checkChain(pem: string, authority: string, expected: Certified): void {
  const { name, role, organisation, spkiSha256 } = identityOf(pem);
  if (spkiSha256 !== expected.tlsKeySha256)
    throw new TlsError('PIN_MISMATCH', "the certificate is for another key than the party's");
  if (name !== expected.name || role !== expected.role || organisation !== expected.organisation)
    throw new TlsError('BAD_CERTIFICATE', 'the certificate names another party');
  const own = new X509Certificate(pem);
  const issuer = new X509Certificate(authority);
  if (!own.checkIssued(issuer) || !own.verify(issuer.publicKey))
    throw new TlsError('BAD_CERTIFICATE', "the certificate is not the federation's authority's");
}
