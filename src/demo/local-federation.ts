import { join } from 'node:path';
import type { Body } from '../../protocols/leaves.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import type { Federation } from '../config/federation.ts';
import { writeDurably } from '../config/files.ts';
import type { Card, CardRole } from '../keys/card.ts';
import { certify, enrolLeaf, foundFederation, issueOfficer, readAuthority } from '../keys/found.ts';
import type { OutsideWitness } from '../keys/outside-witness.ts';
import { createPartyFolder, installCertificate, joinFederation, type NewParty } from '../keys/party-folder.ts';
import { freePort } from '../platform/free-port.ts';
import { nodePrimitives as p } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';

export interface LocalParty {
  readonly name: string;
  readonly role: CardRole;
  readonly organisation: string;
  readonly region: string;
}

export interface LocalFederationRequest {
  readonly folder: string;
  readonly origin: string;
  readonly parties: readonly LocalParty[];
  /** Witnesses of other people, reached over HTTP. */
  readonly outsideWitnesses?: readonly OutsideWitness[];
  readonly threshold: number;
  readonly minimums: Body<'genesis'>['minimums'];
  readonly budget: Body<'genesis'>['budget'];
}

export interface LocalFederation {
  readonly folder: string;
  readonly federation: Federation;
  readonly cards: readonly Card[];
  /** Enrol leaves of aggregators, recipients and nodes, to be appended to the new log. */
  readonly enrolments: readonly Uint8Array[];
  /** A party's folder. */
  path(name: string): string;
}

/**
 * Founds a federation whose parties all live on this machine, each with a folder, keys and a certificate of its own. A
 * real federation makes the same steps on many machines: `keys new`, `init`, `keys join`, `enrol`.
 */
export async function foundLocally(request: LocalFederationRequest): Promise<LocalFederation> {
  const path = (name: string): string => join(request.folder, 'parties', name);
  const cards: Card[] = [];
  for (const party of request.parties) {
    const placed: NewParty = { ...party, address: `127.0.0.1:${await freePort()}` };
    cards.push(await createPartyFolder(p, systemRng, path(party.name), placed));
  }
  const of = (role: CardRole): Card[] => cards.filter((card) => card.role === role);
  const founders = join(request.folder, 'founders');
  const now = new Date();
  const foundation = {
    origin: request.origin,
    coordinator: of('coordinator')[0]!,
    aggregators: of('aggregator'),
    members: of('member'),
    witnesses: of('witness'),
    outsideWitnesses: request.outsideWitnesses ?? [],
    threshold: request.threshold,
    faulty: request.threshold - 1,
    minimums: request.minimums,
    budget: request.budget,
  };
  const federation = await foundFederation(p, systemRng, founders, foundation, now);
  const authority = await readAuthority(founders);
  const enrolments: Uint8Array[] = [];
  for (const card of cards) {
    installCertificate(path(card.name), await certify(authority, card, now), federation.authority);
    const joined = joinFederation(p, path(card.name), federation);
    if (joined.possession === null || card.role === 'witness' || card.role === 'member') continue;
    enrolments.push(enrolLeaf(p, founders, federation, joined, now.getTime()));
  }
  await issueOfficer(founders, authority, 'officer', 'founders', now);
  return { folder: request.folder, federation, cards, enrolments, path };
}

/** What a demonstration site allows: its own minimums, and no more than the whole budget. */
export function writeSite(
  local: LocalFederation,
  node: string,
  task: Task,
  budgetRhoNano: number,
  data: { train: string; heldOut: string } | null,
  engine: string,
): void {
  const policy: SitePolicy = {
    genesis: local.federation.genesisHash,
    tasks: [task.task],
    recipients: [...task.recipients],
    minCohort: task.minCohort,
    minOrganisations: task.minOrganisations,
    minHonest: task.minHonest,
    largestSharePercent: 50,
    budgetRhoNano,
    allowCheckSums: task.checkSums,
    ...(task.oneShot === undefined ? {} : { maskingNone: 'accept' }),
  };
  const folder = local.path(node);
  writeDurably(join(folder, 'policy.yaml'), `${JSON.stringify(policy, null, 2)}\n`);
  writeDurably(join(folder, 'task.json'), `${JSON.stringify(task, null, 2)}\n`);
  writeDurably(
    join(folder, 'node.yaml'),
    `${JSON.stringify({ tasks: ['task.json'], policy: 'policy.yaml', data, engine }, null, 2)}\n`,
  );
}
