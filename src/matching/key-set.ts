import { z } from 'zod';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, fromBase64, fromHex, toHex } from '../../crypto/encoding.ts';
import { checkElement } from '../../crypto/oprf.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import type { SecretBytes } from '../../crypto/secret.ts';
import { hashWithLabel, sign, verify } from '../../crypto/signature.ts';
import { nameField } from '../../protocols/fields.ts';
import type { Body } from '../../protocols/leaves.ts';
import { MatchingError } from './errors.ts';

/** Fewest holders of a key: with one, that one could try every name there is. */
export const HOLDERS_MIN = 2;

/** One holder's part of the key, as it states it: public. */
const holderField = z.strictObject({
  name: nameField,
  /** Element of ristretto255, hex. */
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  /** Ed25519 over log, name and key, hex. */
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});
export type Holder = z.infer<typeof holderField>;

/** The public description of a key that is shared among holders: the file that all sites must have alike. */
export const keySetField = z.strictObject({
  version: z.literal(1),
  /** Hash of the genesis body: keys of another federation are none of this one. */
  log: z.string().regex(/^[0-9a-f]{64}$/),
  holders: z.array(holderField).min(HOLDERS_MIN).max(64),
});
export type KeySet = z.infer<typeof keySetField>;

function statement(log: string, name: string, publicKey: string): Uint8Array {
  return canonicalBytes({ v: 1, log, name, publicKey });
}

/** A holder's signature over its part of the key. */
export function signHolderKey(p: Primitives, identity: SecretBytes, log: string, name: string, key: Uint8Array) {
  return sign(p, identity, DOMAIN.matchingKey, statement(log, name, toHex(key)));
}

/**
 * Puts the holders in their one order and checks each of them: named in genesis as a member, its statement signed by its
 * identity key, its key an element, no two keys alike.
 *
 * @throws MatchingError TOO_FEW_HOLDERS, BAD_STATEMENT naming the holder.
 */
export function makeKeySet(
  p: Primitives,
  genesis: Pick<Body<'genesis'>, 'members'>,
  log: string,
  holders: readonly Holder[],
): KeySet {
  const ordered = [...holders].sort((a, b) => (a.name < b.name ? -1 : 1));
  const members = new Map(genesis.members.map(({ name, key }) => [name, key]));
  for (const [i, { name, publicKey, signature }] of ordered.entries()) {
    const key = members.get(name);
    const isSigned =
      key !== undefined &&
      verify(p, fromBase64(key), DOMAIN.matchingKey, statement(log, name, publicKey), fromHex(signature));
    const isOnce = ordered.every((other, j) => i === j || (other.name !== name && other.publicKey !== publicKey));
    if (!isSigned || !isOnce || !isElement(publicKey)) {
      throw new MatchingError('BAD_STATEMENT', `the matching key of ${name} is not a key that this member signed`);
    }
  }
  if (ordered.length < HOLDERS_MIN) {
    throw new MatchingError(
      'TOO_FEW_HOLDERS',
      `a matching key takes at least ${HOLDERS_MIN} holders: a single one could try every name`,
    );
  }
  return { version: 1, log, holders: ordered };
}

function isElement(hex: string): boolean {
  try {
    checkElement(fromHex(hex, 32));
    return true;
  } catch {
    return false;
  }
}

/** The set's identifier, 32 bytes: what people of different sites compare. Equal for equal holders and keys, else never. */
export function keySetId(p: Primitives, { version, log, holders }: KeySet): Uint8Array {
  const keys = holders.map(({ name, publicKey }) => ({ name, publicKey }));
  return hashWithLabel(p, DOMAIN.matchingKeySet, canonicalBytes({ v: version, log, holders: keys }));
}
