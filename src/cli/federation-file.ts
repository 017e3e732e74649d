import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toHex } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import type { Body } from '../../protocols/leaves.ts';
import { logIdOf } from '../../protocols/rules-register.ts';
import { ConfigError } from '../config/errors.ts';
import { type Federation, readFederation } from '../config/federation.ts';
import { FOLDER, readCard } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { CliError } from './exit.ts';

/** The genesis of a federation file. @throws ConfigError INVALID */
export function genesisOf(federation: Federation): Body<'genesis'> {
  const genesis = parseVerifiedGenesis(nodePrimitives, fromBase64(federation.genesis));
  if (isRejection(genesis))
    throw new ConfigError('INVALID', `the federation file holds no valid genesis: ${genesis.why}`);
  return genesis;
}

/** Refuses a federation file whose hash is not that of its genesis, or not the pinned one. */
export function checkFederation(federation: Federation, pin: string | null): void {
  const genesis = genesisOf(federation);
  if (logIdOf(nodePrimitives, genesis) !== federation.genesisHash) {
    throw new ConfigError('INVALID', 'the federation file names another hash than its genesis has');
  }
  if (pin !== null && pin !== federation.genesisHash) {
    throw new CliError('GENESIS_PIN', `the federation file has genesis ${federation.genesisHash}, not the one pinned`);
  }
}

/** What `keys show` prints. Nothing secret. */
export function describeFolder(folder: string): Record<string, string | null> {
  const cardPath = join(folder, FOLDER.card);
  if (!existsSync(cardPath)) {
    if (existsSync(join(folder, 'root.key'))) return describeFounders(folder);
    throw new ConfigError(
      'FILE_MISSING',
      `${folder} holds no card: make a party with 'veilsum keys new --dir ${folder}'`,
    );
  }
  const card = readCard(cardPath);
  const joined = existsSync(join(folder, FOLDER.federation));
  return {
    name: card.name,
    role: card.role,
    organisation: card.organisation,
    region: card.region,
    address: card.address,
    key: fingerprint(card.key),
    tlsKey: card.tlsKeySha256,
    genesis: joined ? readFederation(join(folder, FOLDER.federation)).genesisHash : null,
    certificate: describeCertificate(join(folder, FOLDER.tls, 'tls.crt')),
  };
}

function describeFounders(folder: string): Record<string, string | null> {
  const federation = readFederation(join(folder, 'federation.json'));
  return {
    name: 'founders',
    genesis: federation.genesisHash,
    coordinator: federation.coordinator.address,
    officer: describeCertificate(join(folder, 'officer', 'tls.crt')),
  };
}

/** SHA-256 of a public key, as people compare it over the telephone. */
export function fingerprint(key: string): string {
  return toHex(nodePrimitives.sha256(fromBase64(key)));
}

function describeCertificate(path: string): string | null {
  if (!existsSync(path)) return null;
  const { validTo, serialNumber } = new X509Certificate(readFileSync(path));
  return `serial ${serialNumber.toLowerCase()}, until ${new Date(validTo).toISOString()}`;
}
