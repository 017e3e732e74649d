import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toBase64 } from '../../crypto/encoding.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { ConfigError } from '../config/errors.ts';
import { type Federation, readFederation } from '../config/federation.ts';
import { readKeyFile, readValidated, writeDurably, writeKeyFile } from '../config/files.ts';
import { makeFolders } from '../platform/make-folders.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { loadTlsIdentity, loadTlsKey, saveTlsKey } from '../tls/files.ts';
import { spkiPinOf } from '../tls/identity.ts';
import { createRequest, createTlsKey } from '../tls/keys.ts';
import { type Card, type CardRole, cardField, publicKeys, signPossession } from './card.ts';

/** Files of a party's folder. Everything secret is mode 0600; `rounds/` must stay outside backups. */
export const FOLDER = {
  card: 'card.json',
  identity: 'identity.key',
  kem: 'kem.key',
  tls: 'tls',
  federation: 'federation.json',
  state: 'state',
  rounds: 'rounds',
} as const;

export interface NewParty {
  readonly name: string;
  readonly role: CardRole;
  readonly organisation: string;
  readonly region: string;
  /** host:port where others reach the party; its server binds it too, unless it is told another one. */
  readonly address: string;
}

/** Draws a party's keys and writes its folder and card. @throws ConfigError FILE_EXISTS when there are keys already. */
export async function createPartyFolder(p: Primitives, rng: Rng, folder: string, party: NewParty): Promise<Card> {
  if (existsSync(join(folder, FOLDER.identity))) {
    throw new ConfigError('FILE_EXISTS', `${folder} already holds a party's keys: choose another --dir`);
  }
  makeFolders(folder, 0o700);
  using identity = new SecretBytes('identity key', rng(32));
  const receives = party.role === 'node' || party.role === 'recipient';
  using kem = receives ? new SecretBytes('model key', rng(32)) : null;
  const tlsKey = createTlsKey();
  const card: Card = {
    version: 1,
    ...party,
    ...publicKeys(p, party.role, identity, kem),
    tlsKeySha256: spkiPinOf(tlsKey.publicKey),
    request: toBase64(await createRequest(tlsKey, party.name)),
    possession: null,
  };
  writeKeyFile(join(folder, FOLDER.identity), identity);
  if (kem !== null) writeKeyFile(join(folder, FOLDER.kem), kem);
  await saveTlsKey(join(folder, FOLDER.tls, 'tls.key'), tlsKey);
  tlsKey.privateKey.wipe();
  writeCard(folder, card);
  return card;
}

/** Replaces a folder's card. */
export function writeCard(folder: string, card: Card): void {
  writeDurably(join(folder, FOLDER.card), `${JSON.stringify(card, null, 2)}\n`);
}

export function readCard(path: string): Card {
  return readValidated(path, 'the card', cardField);
}

/** Joins a party to a federation: keeps its public file and signs the card for that log. */
export function joinFederation(p: Primitives, folder: string, federation: Federation): Card {
  using identity = readKeyFile(join(folder, FOLDER.identity), 'identity key');
  const card = signPossession(p, readCard(join(folder, FOLDER.card)), identity, federation.genesisHash);
  writeDurably(join(folder, FOLDER.federation), `${JSON.stringify(federation, null, 2)}\n`);
  writeCard(folder, card);
  return card;
}

/** Puts the certificate that the authority issued beside its key. */
export function installCertificate(folder: string, certificates: string, authority: string): void {
  writeDurably(join(folder, FOLDER.tls, 'tls.crt'), certificates);
  writeDurably(join(folder, FOLDER.tls, 'ca.crt'), authority);
}

/** Everything a running party reads from its folder. */
export interface PartyFolder {
  readonly folder: string;
  readonly card: Card;
  readonly identity: SecretBytes;
  readonly kem: SecretBytes | null;
  readonly tls: TlsIdentity;
  readonly federation: Federation;
  readonly genesisLeaf: Uint8Array;
}

/** @throws ConfigError, TlsError: what is missing and which command makes it. */
export async function openPartyFolder(folder: string): Promise<PartyFolder> {
  const path = (name: string): string => join(folder, name);
  if (!existsSync(path(FOLDER.card))) {
    throw new ConfigError(
      'FILE_MISSING',
      `${folder} is not a party's folder: make one with 'veilsum keys new --dir ${folder}'`,
    );
  }
  const card = readCard(path(FOLDER.card));
  if (!existsSync(path(FOLDER.federation))) {
    throw new ConfigError(
      'FILE_MISSING',
      `${card.name} belongs to no federation yet: run 'veilsum keys join --dir ${folder} --federation federation.json', with --certificate ${card.name}.crt if the founders named it to 'veilsum init'`,
    );
  }
  const federation = readFederation(path(FOLDER.federation));
  await loadTlsKey(join(path(FOLDER.tls), 'tls.key'));
  if (!existsSync(join(path(FOLDER.tls), 'tls.crt'))) {
    throw new ConfigError(
      'FILE_MISSING',
      `${card.name} has no certificate yet: the founders make it (init for those they name, else 'veilsum enrol ${card.name}'s card.json'), then 'veilsum keys join --dir ${folder} --certificate ${card.name}.crt'`,
    );
  }
  return {
    folder,
    card,
    identity: readKeyFile(path(FOLDER.identity), 'identity key'),
    kem: existsSync(path(FOLDER.kem)) ? readKeyFile(path(FOLDER.kem), 'model key') : null,
    tls: await loadTlsIdentity(path(FOLDER.tls)),
    federation,
    genesisLeaf: fromBase64(federation.genesis),
  };
}
