import { createHash } from 'node:crypto';
import { labelField, nameField } from '../../protocols/fields.ts';
import { TlsError } from './errors.ts';
import { x509 } from './x509.ts';

/**
 * Roles that a certificate can carry: those of the log, `officer` for people at a command line, and `invited` for the
 * short-lived certificate of an invitation, which can do nothing but enrol.
 */
export const ROLES = [
  'node',
  'aggregator',
  'member',
  'coordinator',
  'recipient',
  'witness',
  'officer',
  'invited',
] as const;
export type TlsRole = (typeof ROLES)[number];

/** Whom a certificate is issued to. */
export interface Subject {
  readonly name: string;
  readonly role: TlsRole;
  readonly organisation: string;
}

/** Who is at the other end of a connection, from a certificate whose chain TLS has verified. */
export interface PeerIdentity extends Subject {
  /** SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: what pins and enrol leaves name. */
  readonly spkiSha256: string;
  /** SHA-256 of the whole DER certificate, lower-case hex. */
  readonly certSha256: string;
}

const sha256Hex = (bytes: ArrayBuffer | Uint8Array): string =>
  createHash('sha256').update(new Uint8Array(bytes)).digest('hex');

/** @throws TlsError BAD_SUBJECT for a name, role or organisation outside the log's grammar. */
export function checkSubject(subject: Subject): void {
  if (!nameField.safeParse(subject.name).success) throw new TlsError('BAD_SUBJECT', 'the name is not a party name');
  if (!labelField.safeParse(subject.organisation).success)
    throw new TlsError('BAD_SUBJECT', 'the organisation is not a label');
  if (!ROLES.includes(subject.role)) throw new TlsError('BAD_SUBJECT', 'the role is not known');
}

/** The URI that carries role and name: `veilsum:<role>/<name>`. */
export function subjectUri(subject: Subject): string {
  return `veilsum:${subject.role}/${subject.name}`;
}

/**
 * SPKI pin of a certificate: SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
 *
 * @param certificate - PEM or DER.
 * @throws TlsError BAD_CERTIFICATE
 */
export function spkiPin(certificate: string | Uint8Array): string {
  return sha256Hex(fieldsOf(parse(certificate)).publicKey);
}

/**
 * Reads the identity out of a certificate. Does not verify it: TLS has.
 *
 * Parses the extension itself, never OpenSSL's printed form of it (CVE-2021-44532). Exactly one `veilsum:` URI, whose
 * name is also the common name; anything else is refused.
 *
 * @param certificate - PEM or DER.
 * @throws TlsError BAD_CERTIFICATE
 */
export function identityOf(certificate: string | Uint8Array): PeerIdentity {
  const parsed = parse(certificate);
  const { uris, commonNames, organisations, publicKey } = fieldsOf(parsed);
  const match = uris.length === 1 ? /^veilsum:([a-z]+)\/([a-z0-9-]+)$/.exec(uris[0]!) : null;
  const subject = { role: match?.[1] as TlsRole, name: match?.[2] ?? '', organisation: organisations[0] ?? '' };
  if (commonNames.length !== 1 || commonNames[0] !== subject.name || organisations.length !== 1) {
    throw new TlsError('BAD_CERTIFICATE', 'the certificate does not name one party');
  }
  try {
    checkSubject(subject);
  } catch (cause) {
    throw new TlsError('BAD_CERTIFICATE', 'the certificate names no known role or a malformed party', { cause });
  }
  return {
    ...subject,
    spkiSha256: sha256Hex(publicKey),
    certSha256: sha256Hex(parsed.rawData),
  };
}

interface Fields {
  readonly uris: readonly string[];
  readonly commonNames: readonly string[];
  readonly organisations: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: ArrayBuffer;
}

/** The library parses names and key only when it is asked for them: what is malformed inside shows here. */
function fieldsOf(parsed: x509.X509Certificate): Fields {
  try {
    const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
    return {
      uris: names.filter((name) => name.type === 'url').map((name) => String(name.value)),
      commonNames: parsed.subjectName.getField('CN'),
      organisations: parsed.subjectName.getField('O'),
      publicKey: parsed.publicKey.rawData,
    };
  } catch (cause) {
    throw new TlsError('BAD_CERTIFICATE', 'the certificate holds a malformed name or key', { cause });
  }
}

function parse(certificate: string | Uint8Array): x509.X509Certificate {
  try {
    // A PEM chain starts with the party's own certificate.
    if (typeof certificate === 'string') return new x509.X509Certificate(x509.PemConverter.decodeFirst(certificate));
    return new x509.X509Certificate(new Uint8Array(certificate));
  } catch (cause) {
    throw new TlsError('BAD_CERTIFICATE', 'not an X.509 certificate', { cause });
  }
}

/** SPKI pin of a key as such. @param spki - DER SubjectPublicKeyInfo. */
export function spkiPinOf(spki: Uint8Array): string {
  return sha256Hex(spki);
}
