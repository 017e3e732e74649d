import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Transcript } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';
import { TransportError } from '../grpc/errors.ts';
import { LogService } from '../grpc/services.ts';
import type { Card } from '../keys/card.ts';
import { certify, enrolLeaf, readAuthority } from '../keys/found.ts';
import { FOLDER, installCertificate, readCard } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { asking, type Caller, openCaller, readLogOnce, requireOfficer } from './caller.ts';
import { CliError } from './exit.ts';

export interface Placement {
  /** The party's folder, where the certificate is installed. */
  readonly install: string | null;
  /** Where `NAME.crt` goes otherwise. */
  readonly out: string | null;
}

/** Parties that genesis names need no enrol leaf: they get a certificate only. */
function isFounding({ genesis }: Caller, card: Card): boolean {
  const named = [genesis.coordinator, ...genesis.members];
  if (card.role === 'witness')
    return genesis.witnesses.some(({ name, witnessKey }) => name === card.name && witnessKey === card.witnessKey);
  return named.some(({ name, key }) => name === card.name && key === card.key);
}

/** The same party again is no mistake: a command that was cut is given again. */
function isEnrolled(t: Transcript, card: Card): boolean {
  const party = t.parties.get(card.name);
  if (party === undefined) return false;
  if (party.revoked) throw new CliError('REVOKED', `${card.name} was revoked: it needs a new name and new keys`);
  if (party.key === card.key && party.tlsKeySha256 === card.tlsKeySha256) return true;
  throw new CliError('DUPLICATE_NAME', `another party is enrolled as ${card.name}: names are never used twice`);
}

async function enrolOne(caller: Caller, t: Transcript, card: Card): Promise<string> {
  if (isFounding(caller, card)) return 'is in genesis';
  if (isEnrolled(t, card)) return `was enrolled already (leaf ${t.parties.get(card.name)!.index})`;
  const { coordinator, federation, folder } = caller;
  const leaf = enrolLeaf(nodePrimitives, folder, federation, card, Date.now());
  try {
    const { leafIndex } = await asking('the coordinator', coordinator, () =>
      coordinator.call(LogService.append, { leaf }),
    );
    return `enrolled as ${card.role} (leaf ${leafIndex})`;
  } catch (error) {
    const cause = (error as Error).cause;
    if (cause instanceof TransportError && cause.code === 'NO_POSSESSION') {
      throw new CliError(
        'NO_POSSESSION',
        `the card of ${card.name} is signed for another log, or was changed: run 'veilsum keys join' in its folder again`,
      );
    }
    throw error;
  }
}

/** Issues a certificate and puts it where its party finds it. */
export async function placeCertificate(
  founders: Pick<Caller, 'folder' | 'federation'>,
  path: string,
  card: Card,
  { install, out }: Placement,
): Promise<{ readonly certificates: string; readonly where: string }> {
  const certificates = await certify(await readAuthority(founders.folder), card, new Date());
  const isOwn = existsSync(join(dirname(path), FOLDER.identity)) && out === null;
  const folder = install ?? (isOwn ? dirname(path) : null);
  if (folder !== null) {
    const there = readCard(join(folder, FOLDER.card));
    if (there.tlsKeySha256 !== card.tlsKeySha256)
      throw new CliError('PIN_MISMATCH', `${folder} is not the folder of ${card.name}`);
    installCertificate(folder, certificates, founders.federation.authority);
    return { certificates, where: `certificate installed in ${folder}` };
  }
  const file = join(out ?? dirname(path), `${card.name}.crt`);
  writeDurably(file, certificates);
  return { certificates, where: `certificate: ${file}` };
}

/** Enrols every card, in order; stops at the first that is refused. What was done stays done and is found again. */
export async function enrolCards(
  folder: string,
  paths: readonly string[],
  placement: Placement,
  say: (line: string) => void,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'enrolling');
  const cards = paths.map((path) => ({ path, card: readCard(path) }));
  const { transcript } = await readLogOnce(caller);
  for (const { path, card } of cards) {
    const done = await enrolOne(caller, transcript, card);
    const { where } = await placeCertificate(caller, path, card, placement);
    say(`${card.name}: ${done}; ${where}`);
  }
}
