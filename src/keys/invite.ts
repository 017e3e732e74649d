import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../crypto/encoding.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { ConfigError } from '../config/errors.ts';
import { type Federation, federationField, readFederation } from '../config/federation.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import { type Authority, issue } from '../tls/authority.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { spkiPinOf } from '../tls/identity.ts';
import { createTlsKey, tlsKeyFromPem } from '../tls/keys.ts';
import type { Card } from './card.ts';
import { type EnrolmentRequest, makeRequest } from './enrolment-request.ts';
import { readRootKey } from './found.ts';
import { checkInvitation, type Invitation, type InvitedRole, signInvitation } from './invitation.ts';
import { keepInvitation } from './invitation-register.ts';
import { createPartyFolder, FOLDER, joinFederation, readCard } from './party-folder.ts';

const DAY_MS = 86_400_000;
/** How long a party may ask for its certificate after the invitation is out of date, in days. */
const FETCH_DAYS = 14;

const invitationFile = z.strictObject({
  version: z.literal(1),
  /** The signed invitation, base64. */
  invitation: z.string().min(1),
  /** Ed25519 seed, 32 bytes, base64. Secret until it is used. */
  token: z.string().length(44),
  /** PEM: a certificate of role `invited`, and its key. */
  certificates: z.string().min(1),
  key: z.string().min(1),
  federation: federationField,
});

export interface Invitee {
  readonly name: string;
  readonly role: InvitedRole;
  readonly organisation: string;
  readonly region: string;
}

/**
 * Invites a party: writes the file with which it can leave one request with the coordinator, and nothing else.
 *
 * @param folder - the founders', with root key. @param days - how long it may be used.
 * @param out - the file, mode 0600. @throws ConfigError FILE_EXISTS
 */
export async function writeInvitation(
  p: Primitives,
  rng: Rng,
  folder: string,
  { federation, authority }: { readonly federation: Federation; readonly authority: Authority },
  invitee: Invitee,
  { now, days, out }: { readonly now: Date; readonly days: number; readonly out: string },
): Promise<Invitation> {
  if (existsSync(out)) throw new ConfigError('FILE_EXISTS', `refusing to overwrite an invitation: ${out}`);
  const { name, organisation } = invitee;
  const key = createTlsKey();
  using tlsKey = key.privateKey;
  using token = new SecretBytes('invitation token', rng(32));
  using root = readRootKey(folder);
  const invitation: Invitation = {
    v: 1,
    log: federation.genesisHash,
    ...invitee,
    token: toBase64(p.ed25519PublicKey(token.bytes)),
    tlsKeySha256: spkiPinOf(key.publicKey),
    expires: now.getTime() + days * DAY_MS,
  };
  const subject = { name, role: 'invited', organisation } as const;
  const options = { now, days: days + FETCH_DAYS };
  const signed = signInvitation(p, root, invitation);
  const rootKey = toBase64(p.ed25519PublicKey(root.bytes));
  keepInvitation(folder, checkInvitation(p, federation.genesisHash, rootKey, signed).id, signed);
  const content: z.infer<typeof invitationFile> = {
    version: 1,
    invitation: toBase64(signed),
    token: toBase64(token.bytes),
    certificates: await issue(authority, { publicKey: key.publicKey }, subject, options),
    key: Buffer.from(tlsKey.bytes).toString('latin1'),
    federation,
  };
  writeDurably(out, `${JSON.stringify(content, null, 2)}\n`, 0o600);
  return invitation;
}

/** An invitation as the invited party reads it. Its signature is unchecked. */
export interface ReceivedInvitation extends Disposable {
  readonly signed: Uint8Array;
  readonly token: SecretBytes;
  readonly tls: TlsIdentity;
  readonly federation: Federation;
}

/** @throws ConfigError FILE_MISSING, INVALID, KEY_EXPOSED when others may read it; TlsError BAD_TLS_KEY */
export function readInvitation(path: string): ReceivedInvitation {
  const file = readValidated(path, 'the invitation', invitationFile);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new ConfigError('KEY_EXPOSED', `others may read ${path}: chmod 600 it, and ask for another one if they did`);
  }
  let signed: Uint8Array;
  let seed: Uint8Array;
  try {
    signed = fromBase64(file.invitation);
    seed = fromBase64(file.token, 32);
  } catch (cause) {
    throw new ConfigError('INVALID', `the invitation is damaged: ${path}`, { cause });
  }
  const { certificates, federation } = file;
  const key = tlsKeyFromPem(Buffer.from(file.key, 'latin1')).privateKey;
  const token = new SecretBytes('invitation token', seed);
  return {
    signed,
    token,
    tls: { certificates, key, authorities: federation.authority },
    federation,
    [Symbol.dispose]: () => {
      key.wipe();
      token.wipe();
    },
  };
}

/**
 * Makes the invited party's folder and card, or takes those of an earlier attempt, and the request for them.
 *
 * @param invitee - from the checked invitation. @param address - host:port where the party will listen.
 * @throws ConfigError INVALID when the folder is another party's or the address another one.
 */
export async function acceptInvitation(
  p: Primitives,
  rng: Rng,
  folder: string,
  received: ReceivedInvitation,
  { name, role, organisation, region }: Invitee,
  address: string,
): Promise<{ readonly card: Card; readonly request: EnrolmentRequest }> {
  const path = join(folder, FOLDER.card);
  const wanted = { name, role, organisation, region, address };
  const kept = existsSync(path) ? readCard(path) : await createPartyFolder(p, rng, folder, wanted);
  const other = Object.entries(wanted).find(([field, value]) => kept[field as keyof Card] !== value);
  if (other !== undefined) {
    throw new ConfigError(
      'INVALID',
      `${folder} has a card with another ${other[0]} than the invitation: take a new folder`,
    );
  }
  const federation = join(folder, FOLDER.federation);
  if (existsSync(federation) && readFederation(federation).genesisHash !== received.federation.genesisHash)
    throw new ConfigError('INVALID', `${folder} belongs to another federation: take a new folder`);
  const card = joinFederation(p, folder, received.federation);
  return { card, request: makeRequest(p, received.signed, card, received.token) };
}
