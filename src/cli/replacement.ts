import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromBase64 } from '../../crypto/encoding.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { type Federation, readFederation, withPins } from '../config/federation.ts';
import { writeDurably } from '../config/files.ts';
import { Connection } from '../grpc/connection.ts';
import { TransportError } from '../grpc/errors.ts';
import { LogService } from '../grpc/services.ts';
import { certify, readAuthority } from '../keys/found.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { checkReplacement, nextKey, putInPlace, type Replacement } from '../keys/replacement.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';
import { checkChain } from '../tls/chain.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { loadTlsIdentity } from '../tls/files.ts';
import { asking, logReaderOf, openCaller, readLogOnce } from './caller.ts';
import { CliError } from './exit.ts';
import { genesisOf } from './federation-file.ts';

/** How long the party waits for a cosigned head over its leaf, in ms. */
const PUBLISHED_MS = 60_000;
const CALL_MS = 10_000;

/** The party's keys as its peers know them: from genesis where it stands there, so without asking anybody; else from the log. */
async function knownAs(folder: string, federation: Federation, name: string) {
  const { coordinator, members } = genesisOf(federation);
  const founding = [coordinator, ...members].find((party) => party.name === name);
  if (founding !== undefined) {
    const { tlsKeySha256 } = [federation.coordinator, ...federation.members].find((party) => party.name === name)!;
    return { ...founding, tlsKeySha256 };
  }
  const caller = await openCaller(folder);
  try {
    const party = (await readLogOnce(caller)).transcript.parties.get(name);
    if (party === undefined) throw new CliError('UNKNOWN_ACTOR', 'the log has no such party: enrol it first');
    if (party.revoked) throw new CliError('REVOKED', `${name} was revoked: it needs a new name and new keys`);
    return party;
  } finally {
    caller.coordinator.close();
  }
}

/**
 * The founders certify another key of a party, on the word of its identity key, and know it by that key from then on.
 *
 * @returns where the certificate is.
 */
export async function certifyReplacement(
  folder: string,
  path: string,
  out: string | null,
  replacement: Replacement,
): Promise<{ readonly certificates: string; readonly where: string }> {
  const file = join(folder, 'federation.json');
  const federation = readFederation(file);
  const { card } = replacement;
  const known = await knownAs(folder, federation, card.name);
  await checkReplacement(primitives, federation.genesisHash, replacement, known);
  const certificates = await certify(await readAuthority(folder), card, new Date());
  const where = join(out ?? dirname(path), `${card.name}.crt`);
  writeDurably(where, certificates);
  const pinned = withPins(federation, new Map([[card.name, card.tlsKeySha256]]));
  writeDurably(file, `${JSON.stringify(pinned, null, 2)}\n`);
  return { certificates, where: `certificate: ${where}` };
}

/**
 * Logs the leaf, under the present certificate; then under the new one, since the coordinator cuts this very call when the leaf is
 * logged. The same leaf again has its old place; one that was made again after its file was lost is stale where the first one was
 * logged.
 *
 * @returns the refusal of a stale one: the log says whether it is this key that the party is known by.
 */
async function log(connections: readonly Connection[], leaf: Uint8Array): Promise<Error | null> {
  for (const [i, coordinator] of connections.entries()) {
    try {
      await asking('the coordinator', coordinator, () => coordinator.callOnce(LogService.append, { leaf }, CALL_MS));
      return null;
    } catch (error) {
      const { cause } = error as Error;
      const code = cause instanceof TransportError ? cause.code : null;
      if (code === 'STALE_TLS_KEY') return error as Error;
      if (code !== 'CERTIFICATE_REPLACED' || i + 1 === connections.length) throw error;
    }
  }
  return null;
}

/**
 * Replaces a party's TLS key: its leaf is logged and stands under a cosigned head before the new key takes the place of the old
 * one, so that every peer that follows the log knows it by then. Given again after a cut, it goes on.
 *
 * @param certificates - for the new key, PEM.
 */
export async function installReplacement(
  folder: string,
  replacement: Replacement,
  certificates: string,
): Promise<void> {
  const { card } = replacement;
  const federation = readFederation(join(folder, FOLDER.federation));
  checkChain(certificates, federation.authority, card);
  const { address, tlsKeySha256 } = federation.coordinator;
  // The coordinator itself: its server has the old key until the new one is in place.
  const pins = card.role === 'coordinator' ? [tlsKeySha256, card.tlsKeySha256] : [tlsKeySha256];
  const connect = (tls: TlsIdentity): Connection =>
    new Connection({ address, tls, expected: { pins, role: 'coordinator' } });
  const { privateKey } = await nextKey(folder);
  const next = connect({ certificates, key: privateKey, authorities: federation.authority });
  const isDrawn = existsSync(join(folder, FOLDER.tls, 'next.key'));
  const present = isDrawn ? connect(await loadTlsIdentity(join(folder, FOLDER.tls))) : null;
  const policy = policyOf(primitives, genesisOf(federation));
  const reader = logReaderOf({ folder, policy, federation, coordinator: next });
  let stale: Error | null = null;
  try {
    stale = await log(present === null ? [next] : [present, next], fromBase64(replacement.leaf));
    reader.start();
    await reader.until(
      (t) => t.parties.get(card.name)?.tlsKeySha256 === card.tlsKeySha256,
      AbortSignal.timeout(PUBLISHED_MS),
    );
  } catch (error) {
    if ((error as Error).name !== 'TimeoutError') throw error;
    if (stale !== null) throw stale;
    throw new CliError('DEADLINE', 'the leaf is logged and not cosigned yet: give the same command again', {
      cause: error,
    });
  } finally {
    await reader.stop();
    next.close();
    present?.close();
    privateKey.wipe();
  }
  putInPlace(folder, replacement, certificates);
}
