import { join } from 'node:path';
import { fromBase64, toBase64 } from '../../crypto/encoding.ts';
import { formatPolicy } from '../../crypto/policy.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import type { Body } from '../../protocols/leaves.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { emptyTranscript } from '../../protocols/patch.ts';
import { takeLeaf } from '../../protocols/rules.ts';
import { logIdOf } from '../../protocols/rules-register.ts';
import { makeLeaf, NO_LOG } from '../../protocols/verified.ts';
import { ConfigError } from '../config/errors.ts';
import type { Endpoint, Federation } from '../config/federation.ts';
import { readKeyFile, writeDurably, writeKeyFile } from '../config/files.ts';
import { type Authority, createAuthority, issue } from '../tls/authority.ts';
import { loadAuthority, saveAuthority, saveTlsIdentity } from '../tls/files.ts';
import { createTlsKey } from '../tls/keys.ts';
import type { Card } from './card.ts';
import type { OutsideWitness } from './outside-witness.ts';

/** What the founders agree on before the first leaf. */
export interface Foundation {
  readonly origin: string;
  readonly coordinator: Card;
  readonly aggregators: readonly Card[];
  readonly members: readonly Card[];
  readonly witnesses: readonly Card[];
  /** Witnesses of other people, asked over HTTP. */
  readonly outsideWitnesses?: readonly OutsideWitness[];
  readonly threshold: number;
  /** f: witnesses assumed corrupt or restored. */
  readonly faulty: number;
  readonly minimums: Body<'genesis'>['minimums'];
  readonly budget: Body<'genesis'>['budget'];
}

const ROOT_KEY = 'root.key';

function endpoint({ name, address, tlsKeySha256 }: Card): Endpoint {
  return { name, address, tlsKeySha256 };
}

/** What the log holds of a card. */
export function partyFields({ name, role, organisation, region, key, kemKey, tlsKeySha256 }: Card) {
  return { name, role, organisation, region, key, kemKey, tlsKeySha256 };
}

/** Smallest w with 2w > W + f. */
function cosignaturesNeeded(witnesses: number, faulty: number): number {
  return Math.floor((witnesses + faulty) / 2) + 1;
}

function genesisBody(foundation: Foundation, rootKey: string): Body<'genesis'> {
  const { coordinator, members, witnesses, outsideWitnesses = [], faulty } = foundation;
  const all = members.length + witnesses.length + outsideWitnesses.length;
  const wanted = [coordinator, ...members, ...witnesses];
  const without = wanted.find((card) => card.witnessKey === null);
  if (without !== undefined) throw new ConfigError('INVALID', `the card of ${without.name} has no checkpoint key`);
  return {
    origin: foundation.origin,
    rootKey,
    logKey: coordinator.witnessKey!,
    coordinator: partyFields(coordinator),
    members: members.map((card) => ({ ...partyFields(card), witnessKey: card.witnessKey! })),
    threshold: foundation.threshold,
    witnesses: [
      ...witnesses.map(({ name, organisation, witnessKey }) => ({ name, organisation, witnessKey: witnessKey! })),
      ...outsideWitnesses.map(({ name, organisation, verifier }) => {
        return { name, organisation, witnessKey: toBase64(verifier.publicKey), keyName: verifier.name };
      }),
    ],
    cosigning: { witnesses: all, needed: cosignaturesNeeded(all, faulty), faulty },
    minimums: foundation.minimums,
    budget: foundation.budget,
    approvals: 'none',
  };
}

/**
 * Founds a federation: root key, certificate authority, genesis leaf, policy file, federation file.
 *
 * @param folder - the founders' folder; holds the root key and the authority's key afterwards.
 * @throws ConfigError INVALID with the reason when no log would take such a genesis.
 */
export async function foundFederation(
  p: Primitives,
  rng: Rng,
  folder: string,
  foundation: Foundation,
  now: Date,
): Promise<Federation> {
  using root = new SecretBytes('root key', rng(32));
  const body = genesisBody(foundation, toBase64(p.ed25519PublicKey(root.bytes)));
  const leaf = makeLeaf(p, { name: 'root', log: NO_LOG, secret: root }, 'genesis', body, now.getTime());
  const taken = takeLeaf(p, emptyTranscript(), leaf);
  if (taken.outcome !== 'counted')
    throw new ConfigError('INVALID', `no such federation can be founded: ${taken.rejection.why}`);
  const authority = await createAuthority('veilsum-authority', now);
  const federation: Federation = {
    version: 1,
    genesis: toBase64(leaf),
    genesisHash: logIdOf(p, body),
    authority: authority.certificate,
    coordinator: endpoint(foundation.coordinator),
    aggregators: foundation.aggregators.map(endpoint),
    members: foundation.members.map(endpoint),
    witnesses: foundation.witnesses.map(endpoint),
    ...(foundation.outsideWitnesses === undefined || foundation.outsideWitnesses.length === 0
      ? {}
      : { httpWitnesses: foundation.outsideWitnesses.map(({ name, url }) => ({ name, url })) }),
  };
  writeKeyFile(join(folder, ROOT_KEY), root);
  await saveAuthority(join(folder, 'authority'), authority);
  writeDurably(join(folder, 'policy.txt'), formatPolicy(policyOf(p, body)));
  writeDurably(join(folder, 'federation.json'), `${JSON.stringify(federation, null, 2)}\n`);
  return federation;
}

/** The authority's certificate for a card: PEM chain. */
export async function certify(authority: Authority, card: Card, now: Date): Promise<string> {
  const host = card.address.slice(0, card.address.lastIndexOf(':')).replaceAll(/[[\]]/g, '');
  const { name, role, organisation } = card;
  return issue(authority, { request: fromBase64(card.request) }, { name, role, organisation }, { now, hosts: [host] });
}

export function readAuthority(folder: string): Promise<Authority> {
  return loadAuthority(join(folder, 'authority'));
}

/** The key that founds, invites, enrols and revokes. */
export function readRootKey(folder: string): SecretBytes {
  return readKeyFile(join(folder, ROOT_KEY), 'root key');
}

/** The enrol leaf for a card that signed for its keys. Signed by the root key in the founders' folder. */
export function enrolLeaf(p: Primitives, folder: string, federation: Federation, card: Card, now: number): Uint8Array {
  if (card.possession === null) {
    throw new ConfigError(
      'INVALID',
      `the card of ${card.name} is not signed for this log: run 'veilsum keys join' in its folder first`,
    );
  }
  using root = readRootKey(folder);
  const body = { ...partyFields(card), possession: card.possession };
  return makeLeaf(p, { name: 'root', log: federation.genesisHash, secret: root }, 'enrol', body, now);
}

/** The revoke leaf for a party. */
export function revokeLeaf(
  p: Primitives,
  folder: string,
  federation: Federation,
  name: string,
  reason: string,
  now: number,
): Uint8Array {
  using root = readRootKey(folder);
  return makeLeaf(p, { name: 'root', log: federation.genesisHash, secret: root }, 'revoke', { name, reason }, now);
}

/** A certificate with which an officer opens rounds and enrols parties; kept in the founders' folder. */
export async function issueOfficer(
  folder: string,
  authority: Authority,
  name: string,
  organisation: string,
  now: Date,
): Promise<void> {
  const key = createTlsKey();
  const certificates = await issue(
    authority,
    { publicKey: key.publicKey },
    { name, role: 'officer', organisation },
    { now },
  );
  await saveTlsIdentity(join(folder, 'officer'), {
    certificates,
    key: key.privateKey,
    authorities: authority.certificate,
  });
  key.privateKey.wipe();
}
