import { z } from 'zod';
import { DOMAIN } from '../../crypto/domain.ts';
import { toBase64 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { infoWithLabel, sign } from '../../crypto/signature.ts';
import { hashField, kemKeyField, keyField, labelField, nameField, signatureField } from '../../protocols/fields.ts';
import { possessionBytes } from '../../protocols/rules-register.ts';
import { addressField } from '../config/federation.ts';

export const cardRoles = ['coordinator', 'aggregator', 'member', 'witness', 'node', 'recipient'] as const;
export type CardRole = (typeof cardRoles)[number];

/** A party's public side, as a file to hand to whoever enrols it. */
export const cardField = z.strictObject({
  version: z.literal(1),
  name: nameField,
  role: z.enum(cardRoles),
  organisation: labelField,
  region: labelField,
  address: addressField,
  key: keyField,
  kemKey: kemKeyField.nullable(),
  /** Members and witnesses cosign checkpoints with this key; the coordinator signs them with it. */
  witnessKey: keyField.nullable(),
  tlsKeySha256: hashField,
  /** PKCS #10 request, base64. */
  request: z.string().min(1),
  /** Signature over the log's id and the party's fields; null until the log is known. */
  possession: signatureField.nullable(),
});
export type Card = z.infer<typeof cardField>;

/**
 * The key that signs checkpoints or cosignatures, derived from the identity seed: one file to keep, two keys to use.
 * HKDF-SHA-256 (RFC 5869) under its own label.
 */
export function checkpointSeed(p: Primitives, identity: SecretBytes): SecretBytes {
  const info = infoWithLabel(DOMAIN.checkpointKey);
  return new SecretBytes('checkpoint key', p.hkdfSha256(identity.bytes, new Uint8Array(0), info, 32));
}

/** Signs for the card's own keys in one log: what an enrol leaf carries. */
export function signPossession(p: Primitives, card: Card, identity: SecretBytes, log: string): Card {
  if (card.role === 'coordinator') return card;
  const { name, role, organisation, region, key, kemKey, tlsKeySha256 } = card;
  const bytes = possessionBytes(log, { name, role, organisation, region, key, kemKey, tlsKeySha256 });
  return { ...card, possession: toBase64(sign(p, identity, DOMAIN.enrolment, bytes)) };
}

/** Public keys of freshly drawn seeds. */
export function publicKeys(
  p: Primitives,
  role: CardRole,
  identity: SecretBytes,
  kem: SecretBytes | null,
): Pick<Card, 'key' | 'kemKey' | 'witnessKey'> {
  const cosigns = role === 'member' || role === 'witness' || role === 'coordinator';
  using seed = checkpointSeed(p, identity);
  return {
    key: toBase64(p.ed25519PublicKey(identity.bytes)),
    kemKey: kem === null ? null : toBase64(xwingKeyPair(p, kem).publicKey),
    witnessKey: cosigns ? toBase64(p.ed25519PublicKey(seed.bytes)) : null,
  };
}
