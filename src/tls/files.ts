import { X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Authority } from './authority.ts';
import type { TlsIdentity } from './context.ts';
import { TlsError } from './errors.ts';
import { identityOf } from './identity.ts';
import { type TlsKey, tlsKeyFromPem } from './keys.ts';

/** Names within a party's TLS folder. */
const KEY_FILE = 'tls.key';
const CERTIFICATE_FILE = 'tls.crt';
const AUTHORITIES_FILE = 'ca.crt';
const AUTHORITY_KEY_FILE = 'ca.key';

/** Writes `tls.key` (mode 0600), `tls.crt` and `ca.crt`; each durable and whole or not at all. */
export async function saveTlsIdentity(folder: string, identity: TlsIdentity): Promise<void> {
  await write(join(folder, KEY_FILE), identity.key.bytes, 0o600);
  await write(join(folder, CERTIFICATE_FILE), identity.certificates, 0o644);
  await write(join(folder, AUTHORITIES_FILE), identity.authorities, 0o644);
}

/**
 * Reads what `saveTlsIdentity` wrote.
 *
 * @throws TlsError FILE_UNREADABLE, KEY_FILE_READABLE (others may read the key), BAD_TLS_KEY (also when it is not the
 *   certificate's key), BAD_CERTIFICATE.
 */
export async function loadTlsIdentity(folder: string): Promise<TlsIdentity> {
  const key = await loadTlsKey(join(folder, KEY_FILE));
  const certificates = await text(join(folder, CERTIFICATE_FILE));
  const authorities = await text(join(folder, AUTHORITIES_FILE));
  identityOf(certificates);
  requireSameKey(certificates, key);
  return { certificates, key: key.privateKey, authorities };
}

/** Saves a key alone: between its creation and its certificate. */
export async function saveTlsKey(path: string, key: TlsKey): Promise<void> {
  await write(path, key.privateKey.bytes, 0o600);
}

/** @throws TlsError FILE_UNREADABLE, KEY_FILE_READABLE, BAD_TLS_KEY */
export async function loadTlsKey(path: string): Promise<TlsKey> {
  const status = await stat(path).catch(() => null);
  if (status === null) throw new TlsError('FILE_UNREADABLE', `cannot read ${path}`);
  if (process.platform !== 'win32' && (status.mode & 0o077) !== 0) {
    throw new TlsError('KEY_FILE_READABLE', `others may read ${path}: chmod 600 it, and replace the key if they did`);
  }
  // tlsKeyFromPem takes the buffer over, and with it the duty to wipe it.
  return tlsKeyFromPem(await readFile(path).catch(() => failToRead(path)));
}

/** Writes `ca.crt` and `ca.key` (mode 0600). */
export async function saveAuthority(folder: string, authority: Authority): Promise<void> {
  await write(join(folder, AUTHORITY_KEY_FILE), authority.key.privateKey.bytes, 0o600);
  await write(join(folder, AUTHORITIES_FILE), authority.certificate, 0o644);
}

/** @throws TlsError as `loadTlsIdentity` */
export async function loadAuthority(folder: string): Promise<Authority> {
  const key = await loadTlsKey(join(folder, AUTHORITY_KEY_FILE));
  const certificate = await text(join(folder, AUTHORITIES_FILE));
  requireSameKey(certificate, key);
  return { certificate, key };
}

function requireSameKey(certificate: string, key: TlsKey): void {
  const certified = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  if (!certified.equals(Buffer.from(key.publicKey)))
    throw new TlsError('BAD_TLS_KEY', "the key is not the certificate's");
}

async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => failToRead(path));
}

function failToRead(path: string): never {
  throw new TlsError('FILE_UNREADABLE', `cannot read ${path}`);
}

/** Durable replace: a new file beside it, synced, renamed, and the folder synced. */
async function write(path: string, content: Uint8Array | string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.chmod(mode); // before the first byte: the mode given to open is masked, and ignored for an old file
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (process.platform === 'win32') return; // folders cannot be opened there
  const folder = await open(dirname(path), 'r');
  await folder.sync().finally(() => folder.close());
}
