import { join } from 'node:path';
import { z } from 'zod';
import { type Federation, readFederation } from '../config/federation.ts';
import { readRequired, readValidated } from '../config/files.ts';
import { type Card, cardField } from '../keys/card.ts';
import { issueOfficer, readAuthority } from '../keys/found.ts';
import { replacementField } from '../keys/replacement.ts';
import { expiryOf } from '../tls/expiry.ts';
import { identityOf } from '../tls/identity.ts';
import { placeCertificate } from './enrolment.ts';
import { CliError } from './exit.ts';
import { certifyReplacement } from './replacement.ts';

const dateOf = (certificates: string): string => new Date(expiryOf(certificates)).toISOString().slice(0, 10);

/** A server's key is pinned by everybody: a certificate for another key would be of no use under its name. */
function checkPin({ coordinator, aggregators, members, witnesses }: Federation, card: Card): void {
  const pinned = [coordinator, ...aggregators, ...members, ...witnesses].find(({ name }) => name === card.name);
  if (pinned !== undefined && pinned.tlsKeySha256 !== card.tlsKeySha256)
    throw new CliError('PIN_MISMATCH', `the federation knows ${card.name} by another TLS key than its card's`);
}

const certifiable = z.union([cardField, replacementField]);

/** Certifies cards again, in order, without asking anybody; another key on its party's word. */
export async function renewCards(
  folder: string,
  paths: readonly string[],
  out: string | null,
  say: (line: string) => void,
): Promise<void> {
  const federation = readFederation(join(folder, 'federation.json'));
  const asked = paths.map((path) => ({ path, given: readValidated(path, 'the card', certifiable) }));
  for (const { given } of asked) if (!('leaf' in given)) checkPin(federation, given);
  for (const { path, given } of asked) {
    const isReplacement = 'leaf' in given;
    const { certificates, where } = isReplacement
      ? await certifyReplacement(folder, path, out, given)
      : await placeCertificate({ folder, federation }, path, given, { install: null, out });
    const [{ name }, done] = isReplacement ? [given.card, 'new TLS key certified'] : [given, 'renewed'];
    say(`${name}: ${done}; ${where}, good until ${dateOf(certificates)}`);
  }
}

/** A fresh key and certificate for the officer: nobody pins it. */
export async function renewOfficer(folder: string, say: (line: string) => void): Promise<void> {
  const path = join(folder, 'officer', 'tls.crt');
  const read = (): string => readRequired(path, "the officer's certificate").toString('utf8');
  const { name, organisation } = identityOf(read());
  await issueOfficer(folder, await readAuthority(folder), name, organisation, new Date());
  say(`${name}: renewed with a fresh key, good until ${dateOf(read())}`);
}
