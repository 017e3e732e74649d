// The only importer of @peculiar/x509: its dependency-injection library wants reflect-metadata loaded first.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(globalThis.crypto);

/** The one signature algorithm of this authority. P-256, since browsers and BoringSSL refuse Ed25519 certificates. */
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' } as const;

export { x509 };
