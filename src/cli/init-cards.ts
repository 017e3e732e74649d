import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../config/files.ts';
import type { Card, CardRole } from '../keys/card.ts';
import { certify, foundFederation, issueOfficer, readAuthority } from '../keys/found.ts';
import { parseOutsideWitness } from '../keys/outside-witness.ts';
import { readCard } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { budgetFor } from '../training/budget.ts';
import { FOUNDING_MINIMUMS } from '../training/task-minimums.ts';
import { CliError, usageError } from './exit.ts';

const cardFile = z.string('a card file is needed').min(1);

/** `init.yaml`, flags. */
export const initSettings = z.strictObject({
  origin: z.string('give the name of the log, such as example.org/veilsum').min(1),
  coordinator: cardFile,
  aggregator: z.array(cardFile, 'at least one card of an aggregator is needed').min(1),
  member: z.array(cardFile, 'at least three cards of members are needed').min(3, 'at least three members are needed'),
  witness: z.array(cardFile).default([]),
  outsideWitness: z.array(z.string().min(1)).default([]),
  threshold: z.int().min(2).optional(),
  faulty: z.int().min(0).optional(),
  minCohort: z.int().min(2).default(FOUNDING_MINIMUMS.minCohort),
  minOrganisations: z.int().min(1).default(FOUNDING_MINIMUMS.minOrganisations),
  minHonest: z.int().min(2).default(FOUNDING_MINIMUMS.minHonest),
  unit: z.enum(['record', 'node']).default('record'),
  epsilon: z.number().positive().default(8),
  delta: z.number().positive().max(0.1).default(1e-5),
  renyiOrder: z.int().optional(),
});
export type InitSettings = z.infer<typeof initSettings>;

function cardOf(path: string, role: CardRole): Card {
  const card = readCard(path);
  if (card.role === role) return card;
  throw usageError(`${path} is the card of ${card.name}, a ${card.role}: --${role} takes a ${role}`);
}

/** Founds a federation from cards: nothing of the parties' keys is needed but what the cards show. */
export async function foundFromCards(
  folder: string,
  settings: InitSettings,
  print: (line: string) => void,
): Promise<void> {
  if (existsSync(join(folder, 'root.key'))) {
    throw new CliError('FILE_EXISTS', `${folder} has founded a federation already: choose another --dir`);
  }
  const { origin, minCohort, minOrganisations, minHonest, unit, epsilon, delta, renyiOrder } = settings;
  const coordinator = cardOf(settings.coordinator, 'coordinator');
  const [aggregators, members, witnesses] = (['aggregator', 'member', 'witness'] as const).map((role) =>
    settings[role].map((path) => cardOf(path, role)),
  ) as [Card[], Card[], Card[]];
  const outsideWitnesses = settings.outsideWitness.map((text) => parseOutsideWitness(nodePrimitives, text));
  const threshold = settings.threshold ?? Math.floor(members.length / 2) + 1;
  const foundation = {
    ...{ origin, coordinator, aggregators, members, witnesses, outsideWitnesses, threshold },
    faulty: settings.faulty ?? threshold - 1,
    minimums: { cohort: minCohort, organisations: minOrganisations, honest: minHonest },
    budget: { unit, ...budgetFor(epsilon, delta, renyiOrder) },
  };
  const now = new Date();
  const federation = await foundFederation(nodePrimitives, systemRng, folder, foundation, now);
  const authority = await readAuthority(folder);
  await issueOfficer(folder, authority, 'officer', 'founders', now);
  for (const card of [coordinator, ...aggregators, ...members, ...witnesses]) {
    writeDurably(join(folder, 'certificates', `${card.name}.crt`), await certify(authority, card, now));
  }
  print(
    `Federation ${origin}: ${threshold} of ${members.length} members open a sum, ${members.length + witnesses.length + outsideWitnesses.length} witness the log.`,
  );
  print(`genesis ${federation.genesisHash}`);
  print(
    `Final from now on: privacy per ${unit}, epsilon ${epsilon} at delta ${delta.toExponential()} for all rounds; no sum of fewer than ${minCohort} nodes of ${minOrganisations} organisations, noise of ${minHonest} or more honest nodes.`,
  );
  print(`Tasks must keep to it: 'veilsum task new --dir ${folder}' and 'task show --dir' compare.`);
  print(
    `Publish the genesis hash where parties and auditors look it up, with ${join(folder, 'federation.json')} and ${join(folder, 'policy.txt')}.`,
  );
  print('Next, each party that was named here (coordinator, aggregators, members, witnesses):');
  print(
    `  veilsum keys join --dir DIR --federation federation.json --certificate NAME.crt --genesis ${federation.genesisHash}`,
  );
  print('and every other one (recipients, nodes), before it is enrolled:');
  print(`  veilsum keys join --dir DIR --federation federation.json --genesis ${federation.genesisHash}`);
  print('Then start members, witnesses and the coordinator, and enrol aggregators, recipients and nodes:');
  print(`  veilsum enrol CARD ... --dir ${folder}`);
}
