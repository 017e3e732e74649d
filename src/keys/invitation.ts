import { z } from 'zod';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, fromBase64, type Json, parseCanonical, toBase64, toHex } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import type { SecretBytes } from '../../crypto/secret.ts';
import { hashWithLabel, sign, verify } from '../../crypto/signature.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { countField, hashField, keyField, labelField, nameField, signatureField } from '../../protocols/fields.ts';

/** Longest invitation, in bytes. */
const MAX_INVITATION_BYTES = 4096;

/** Roles that an enrol leaf can give. Members and the coordinator are fixed in genesis. */
const invitedRoles = ['node', 'recipient', 'aggregator', 'witness'] as const;
export type InvitedRole = (typeof invitedRoles)[number];

const invitationFields = {
  v: z.literal(1),
  /** Hash of the genesis body: an invitation is for one federation. */
  log: hashField,
  name: nameField,
  role: z.enum(invitedRoles),
  organisation: labelField,
  region: labelField,
  /** Ed25519 public key of the token: the token is the seed. */
  token: keyField,
  /** SHA-256 of the SubjectPublicKeyInfo that the invitation's certificate is for. */
  tlsKeySha256: hashField,
  /** Ms since 1970: a request that comes later is refused by the coordinator's clock. One that was kept stays. */
  expires: countField,
};

const signedInvitation = z.strictObject({ ...invitationFields, sig: signatureField });
const unsignedInvitation = z.strictObject(invitationFields);
export type Invitation = z.infer<typeof unsignedInvitation>;

/** An invitation whose signature was checked, with its identifier. */
export interface CheckedInvitation extends Invitation {
  /** 64 hex digits: SHA-256 over the signed bytes under a label. One identifier is used once. */
  readonly id: string;
}

/** Signs an invitation. @param root - the federation's root key. @returns canonical JSON. */
export function signInvitation(p: Primitives, root: SecretBytes, invitation: Invitation): Uint8Array {
  const signature = sign(p, root, DOMAIN.invitation, canonicalBytes(invitation as unknown as Json));
  return canonicalBytes({ ...invitation, sig: toBase64(signature) } as unknown as Json);
}

/**
 * Checks form, federation and signature: all that makes an invitation one. Needs no state.
 *
 * @param log - id of the log. @param rootKey - genesis's, base64.
 * @throws ProtocolError MALFORMED, WRONG_ORIGIN, BAD_SIGNATURE
 */
export function checkInvitation(p: Primitives, log: string, rootKey: string, bytes: Uint8Array): CheckedInvitation {
  const parsed = signedInvitation.safeParse(parseJson(bytes, MAX_INVITATION_BYTES, 'the invitation'));
  if (!parsed.success) throw new ProtocolError('MALFORMED', 'not an invitation with exactly its fields');
  const { sig, ...invitation } = parsed.data;
  if (invitation.log !== log) throw new ProtocolError('WRONG_ORIGIN', 'the invitation is to another federation');
  const signed = canonicalBytes(invitation as unknown as Json);
  if (!verify(p, fromBase64(rootKey), DOMAIN.invitation, signed, fromBase64(sig))) {
    throw new ProtocolError('BAD_SIGNATURE', 'the invitation is not signed by the root key');
  }
  return { ...invitation, id: toHex(hashWithLabel(p, DOMAIN.invitationHash, bytes)) };
}

/** @throws ProtocolError TOO_LARGE, MALFORMED */
export function parseJson(bytes: Uint8Array, maxBytes: number, what: string): Json {
  if (bytes.length > maxBytes) throw new ProtocolError('TOO_LARGE', `${what} is too long`);
  try {
    return parseCanonical(bytes, maxBytes);
  } catch (cause) {
    throw new ProtocolError('MALFORMED', `${what} is not canonical JSON`, { cause });
  }
}
