import { randomBytes } from 'node:crypto';
import { TlsError } from './errors.ts';
import { checkSubject, type Subject, subjectUri } from './identity.ts';
import { checkPublicKey, createTlsKey, signingKey, type TlsKey, verifyingKey } from './keys.ts';
import { SIGNING_ALGORITHM, x509 } from './x509.ts';

const DAY_MS = 86_400_000;
/** Certificates start two days early: a party whose clock is a day behind still accepts them. */
const BACKDATED_DAYS = 2;
const MAX_REQUEST_BYTES = 4096;

/** The built-in certificate authority. Whoever holds its key can pose as any party to TLS, never to the log. */
export interface Authority {
  /** Self-signed certificate, PEM. */
  readonly certificate: string;
  readonly key: TlsKey;
}

/** @param now - start of validity. @param days - how long; every certificate it issues ends no later. */
export async function createAuthority(name: string, now: Date, days = 3650): Promise<Authority> {
  checkSubject({ name, role: 'coordinator', organisation: 'x' });
  const key = createTlsKey();
  const publicKey = verifyingKey(key.publicKey);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: freshSerial(),
    name: [{ CN: [name] }],
    ...validity(now, days),
    signingAlgorithm: SIGNING_ALGORITHM,
    keys: { privateKey: signingKey(key.privateKey), publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { certificate: pem(certificate), key };
}

/** What is certified: a key as such, or a request that proves its possession. */
export type Applicant = { readonly publicKey: Uint8Array } | { readonly request: Uint8Array };

export interface IssueOptions {
  readonly now: Date;
  readonly days?: number;
  /** DNS names and IP addresses besides localhost, 127.0.0.1 and ::1. Peers are known by pin, not by host. */
  readonly hosts?: readonly string[];
}

/**
 * Certifies a key for a party, as client and as server.
 *
 * Name, role and organisation come from the caller, who has them from an invitation or an enrol leaf; a request's own
 * names and extensions are ignored.
 *
 * @returns PEM chain, the party's certificate first. The authority's own is not in it: peers hold it.
 * @throws TlsError BAD_SUBJECT, BAD_TLS_KEY, BAD_REQUEST
 */
export async function issue(
  authority: Authority,
  applicant: Applicant,
  subject: Subject,
  options: IssueOptions,
): Promise<string> {
  checkSubject(subject);
  const publicKey = verifyingKey('request' in applicant ? await keyOfRequest(applicant.request) : applicant.publicKey);
  const issuer = new x509.X509Certificate(authority.certificate);
  const { notBefore, notAfter } = validity(options.now, options.days ?? 397);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: freshSerial(),
    subject: [{ CN: [subject.name] }, { O: [subject.organisation] }],
    issuer: issuer.subjectName.toJSON(),
    notBefore: notBefore < issuer.notBefore ? issuer.notBefore : notBefore,
    notAfter: notAfter > issuer.notAfter ? issuer.notAfter : notAfter,
    signingAlgorithm: SIGNING_ALGORITHM,
    publicKey,
    signingKey: signingKey(authority.key.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(alternativeNames(subject, options.hosts ?? [])),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return pem(certificate);
}

/** The key of a PKCS #10 request, SubjectPublicKeyInfo in DER. @throws TlsError BAD_REQUEST unless that key signed it. */
export async function keyOfRequest(der: Uint8Array): Promise<Uint8Array> {
  if (der.length > MAX_REQUEST_BYTES) throw new TlsError('BAD_REQUEST', 'the certificate request is too long');
  let request: x509.Pkcs10CertificateRequest;
  let publicKey: Uint8Array;
  try {
    request = new x509.Pkcs10CertificateRequest(new Uint8Array(der));
    publicKey = new Uint8Array(request.publicKey.rawData); // parsed only here
  } catch {
    throw new TlsError('BAD_REQUEST', 'not a PKCS #10 request');
  }
  checkPublicKey(publicKey);
  if (!(await request.verify().catch(() => false))) {
    throw new TlsError('BAD_REQUEST', 'the request is not signed by the key in it');
  }
  return publicKey;
}

function alternativeNames(subject: Subject, hosts: readonly string[]): { type: 'url' | 'dns' | 'ip'; value: string }[] {
  const all = new Set(['localhost', '127.0.0.1', '::1', ...hosts]);
  const isAddress = (host: string): boolean => host.includes(':') || /^\d+(\.\d+){3}$/.test(host);
  return [
    { type: 'url', value: subjectUri(subject) },
    ...[...all].map((value) => ({ type: isAddress(value) ? ('ip' as const) : ('dns' as const), value })),
  ];
}

function validity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  const start = now.getTime();
  return { notBefore: new Date(start - BACKDATED_DAYS * DAY_MS), notAfter: new Date(start + days * DAY_MS) };
}

/** 16 random bytes with a clear top bit and no leading zero (RFC 5280, section 4.1.2.2: positive, at most 20 bytes). */
function freshSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
