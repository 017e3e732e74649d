import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import { isKind, makeLeaf, verifyLeaf } from '../../protocols/verified.ts';
import { ConfigError } from '../config/errors.ts';
import { readFederation, withPins } from '../config/federation.ts';
import { readKeyFile, readValidated, syncFolder, writeDurably } from '../config/files.ts';
import { keyOfRequest } from '../tls/authority.ts';
import { TlsError } from '../tls/errors.ts';
import { loadTlsKey, saveTlsKey } from '../tls/files.ts';
import { spkiPinOf } from '../tls/identity.ts';
import { createRequest, createTlsKey, type TlsKey } from '../tls/keys.ts';
import { type Card, cardField, signPossession } from './card.ts';
import { FOLDER, installCertificate, readCard, writeCard } from './party-folder.ts';

/** Public: what the founders certify the new key by. It leaves the folder when the key is in place. */
const REQUEST = 'tls-key.json';
const NEXT_KEY = 'next.key';

/** A party's wish for another TLS key: its card with the new one, and the leaf with which it will name it in the log. */
export const replacementField = z.strictObject({ version: z.literal(1), card: cardField, leaf: z.string().min(1) });
export type Replacement = z.infer<typeof replacementField>;

const tlsFile = (folder: string, name: string): string => join(folder, FOLDER.tls, name);
const pinIn = async (path: string): Promise<string | null> => {
  if (!existsSync(path)) return null;
  const key = await loadTlsKey(path);
  key.privateKey.wipe();
  return spkiPinOf(key.publicKey);
};

/** The replacement that is under way in a folder; null where none is, also after one that was cut off before it was whole. */
export async function pendingReplacement(folder: string): Promise<Replacement | null> {
  const path = join(folder, REQUEST);
  if (!existsSync(path)) return null;
  const kept = readValidated(path, 'the replacement of the TLS key', replacementField);
  const drawn = [await pinIn(tlsFile(folder, NEXT_KEY)), await pinIn(tlsFile(folder, 'tls.key'))];
  return drawn.includes(kept.card.tlsKeySha256) ? kept : null;
}

/** The key that was drawn and is not the party's known one yet; null where none is. */
async function drawnKey(folder: string, present: string): Promise<TlsKey | null> {
  const key = await nextKey(folder);
  if (spkiPinOf(key.publicKey) !== present) return key;
  key.privateKey.wipe();
  return null;
}

/**
 * Draws another TLS key beside the present one, which stays in use, and writes what the founders certify it by. Asked again, it
 * gives the same; where the file was lost, it writes one for the same key, which the log may know the party by already.
 *
 * @returns the file for the founders. @throws ConfigError FILE_MISSING, INVALID
 */
export async function drawReplacement(p: Primitives, folder: string, now: number): Promise<string> {
  const path = join(folder, REQUEST);
  if ((await pendingReplacement(folder)) !== null) return path;
  const card = readCard(join(folder, FOLDER.card));
  if (card.role === 'witness')
    throw new ConfigError(
      'INVALID',
      `${card.name} is a witness outside the quorum: its key is in no leaf. Whoever steals it can cosign nothing`,
    );
  const { genesisHash } = readFederation(join(folder, FOLDER.federation));
  using identity = readKeyFile(join(folder, FOLDER.identity), 'identity key');
  const drawn = await drawnKey(folder, card.tlsKeySha256);
  const key = drawn ?? createTlsKey();
  const tlsKeySha256 = spkiPinOf(key.publicKey);
  const fresh = { ...card, tlsKeySha256, request: toBase64(await createRequest(key, card.name)) };
  const signer = { name: card.name, log: genesisHash, secret: identity };
  const leaf = makeLeaf(p, signer, 'tls-key', { tlsKeySha256, replaces: card.tlsKeySha256 }, now);
  if (drawn === null) await saveTlsKey(tlsFile(folder, NEXT_KEY), key);
  key.privateKey.wipe();
  const replacement: Replacement = {
    version: 1,
    card: signPossession(p, fresh, identity, genesisHash),
    leaf: toBase64(leaf),
  };
  writeDurably(path, `${JSON.stringify(replacement, null, 2)}\n`);
  return path;
}

/**
 * What the founders look at before they certify another key: the party's own identity key names it, in the place of the present
 * one or as the present one already, the request shows that somebody holds it, and the card says of the party what is known of it.
 *
 * @param known - the party as genesis or the log has it.
 * @throws ProtocolError MALFORMED, BAD_SIGNATURE, STALE_TLS_KEY; TlsError BAD_SUBJECT, BAD_REQUEST, BAD_TLS_KEY, PIN_MISMATCH.
 */
export async function checkReplacement(
  p: Primitives,
  log: string,
  { card, leaf }: Replacement,
  known: Pick<Card, 'role' | 'organisation' | 'key' | 'tlsKeySha256'>,
): Promise<void> {
  if (card.role !== known.role || card.organisation !== known.organisation)
    throw new TlsError(
      'BAD_SUBJECT',
      'the card gives the party another role or organisation than it was enrolled with',
    );
  let bytes: [Uint8Array, Uint8Array];
  try {
    bytes = [fromBase64(leaf), fromBase64(card.request)];
  } catch (cause) {
    throw new ProtocolError('MALFORMED', 'a part of the replacement is not canonical base64', { cause });
  }
  const signed = verifyLeaf(p, bytes[0], () => fromBase64(known.key, 32));
  if (isRejection(signed)) throw new ProtocolError(signed.rejected, signed.why);
  if (!isKind(signed, 'tls-key') || signed.leaf.actor !== card.name || signed.leaf.log !== log)
    throw new ProtocolError('MALFORMED', "the leaf is not one that replaces this party's TLS key in this log");
  const { tlsKeySha256, replaces } = signed.leaf.body;
  // Given again after a cut, it is known by the new one already.
  if (replaces !== known.tlsKeySha256 && tlsKeySha256 !== known.tlsKeySha256)
    throw new ProtocolError('STALE_TLS_KEY', 'the party is known by another TLS key than the one to be replaced');
  if (tlsKeySha256 !== card.tlsKeySha256 || spkiPinOf(await keyOfRequest(bytes[1])) !== tlsKeySha256)
    throw new TlsError('PIN_MISMATCH', 'leaf, card and request do not name the same key');
}

/** The new key, wherever it lies by now. @throws TlsError as `loadTlsKey` */
export function nextKey(folder: string): Promise<TlsKey> {
  const next = tlsFile(folder, NEXT_KEY);
  return loadTlsKey(existsSync(next) ? next : tlsFile(folder, 'tls.key'));
}

/**
 * Puts the new key in the place of the old one, which is gone afterwards. The key first: a running party looks when the
 * certificate changes. Cut off anywhere, it goes on when it is called again.
 */
export function putInPlace(folder: string, { card }: Replacement, certificates: string): void {
  const next = tlsFile(folder, NEXT_KEY);
  const file = join(folder, FOLDER.federation);
  const federation = readFederation(file);
  if (existsSync(next)) renameSync(next, tlsFile(folder, 'tls.key'));
  syncFolder(join(folder, FOLDER.tls));
  installCertificate(folder, certificates, federation.authority);
  writeCard(folder, card);
  const pinned = withPins(federation, new Map([[card.name, card.tlsKeySha256]]));
  writeDurably(file, `${JSON.stringify(pinned, null, 2)}\n`);
  rmSync(join(folder, REQUEST), { force: true });
}
