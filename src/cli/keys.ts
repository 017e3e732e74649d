import { join } from 'node:path';
import { Command, Option } from 'commander';
import { CliError, usageError } from './exit.ts';
import { acceptCommand } from './keys-accept.ts';
import { renewCommand } from './keys-renew.ts';
import { replaceCommand } from './keys-replace.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

const ROLES = ['coordinator', 'aggregator', 'member', 'witness', 'node', 'recipient'];

/** What a field takes, for people. */
const FIELDS: Readonly<Record<string, string>> = {
  name: 'lower-case letters, digits and inner hyphens, at most 63',
  role: ROLES.join(', '),
  organisation: 'letters, digits, blanks and . _ : / - only, at most 128',
  region: 'letters, digits, blanks and . _ : / - only, at most 128',
  address: 'host:port where others reach the party, no wildcard (to bind one, start it with --listen)',
};

interface NewOptions {
  readonly name: string;
  readonly role: string;
  readonly organisation: string;
  readonly region: string;
  readonly address: string;
}

function newCommand(): Command {
  return new Command('new')
    .description("draw a party's keys and write its card, the public file that founders enrol it with")
    .addOption(dirOption('folder to make for the party'))
    .addOption(
      new Option('--name <name>', 'unique in the federation: lower-case letters, digits and hyphens')
        .env('VEILSUM_NAME')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--role <role>', 'what the party is').choices(ROLES).env('VEILSUM_ROLE').makeOptionMandatory(),
    )
    .addOption(
      new Option('--organisation <label>', 'who answers for it; default: its name').env('VEILSUM_ORGANISATION'),
    )
    .addOption(
      new Option('--region <label>', 'where its data may not leave').env('VEILSUM_REGION').default('unspecified'),
    )
    .addOption(
      new Option(
        '--address <host:port>',
        'where others reach its server; it listens there too, unless it is started with --listen',
      )
        .env('VEILSUM_ADDRESS')
        .makeOptionMandatory(),
    )
    .addHelpText(
      'after',
      examples(
        'veilsum keys new --dir node-eu --role node --name node-eu --organisation "Acme GmbH" --region eu --address node.acme.example:7443',
      ),
    )
    .action(async (_options, command: Command) => {
      const { z } = await import('zod');
      const { labelField, nameField } = await import('../../protocols/fields.ts');
      const { reachableField } = await import('../config/federation.ts');
      const { cardRoles } = await import('../keys/card.ts');
      const { createPartyFolder } = await import('../keys/party-folder.ts');
      const { nodePrimitives } = await import('../platform/primitives-node.ts');
      const { systemRng } = await import('../platform/rng.ts');
      const given = command.opts<NewOptions>();
      const schema = z.object({
        name: nameField,
        role: z.enum(cardRoles),
        organisation: labelField,
        region: labelField,
        address: reachableField,
      });
      const parsed = schema.safeParse({ ...given, organisation: given.organisation ?? given.name });
      if (!parsed.success) {
        throw usageError(
          parsed.error.issues.map(({ path }) => `--${path[0] as string}: ${FIELDS[path[0] as string]}`).join('; '),
        );
      }
      const folder = folderOf(command);
      await createPartyFolder(nodePrimitives, systemRng, folder, parsed.data);
      print(
        `Keys of ${given.name} (${given.role}) are in ${folder}. Keep the folder private; its card, ${folder}/card.json, is public.`,
      );
      const founds = ['coordinator', 'aggregator', 'member', 'witness'].includes(given.role);
      if (founds)
        print(
          "Next: hand the card to the founders, who name it to 'veilsum init'; then 'veilsum keys join' with what they send back.",
        );
      else
        print(
          "Next: 'veilsum keys join --federation federation.json' with the founders' file, then hand the card to them for 'veilsum enrol'.",
        );
    });
}

function joinCommand(): Command {
  return new Command('join')
    .description("join a federation: keep its public file, sign the card for its log, install the party's certificate")
    .addOption(dirOption("the party's folder"))
    .option('--federation <file>', 'federation.json from the founders; may be left out once it is in the folder')
    .option('--certificate <file>', "the party's certificate (PEM) from the founders")
    .option('--genesis <hash>', 'refuse unless the federation has this genesis hash, learnt by other means')
    .addHelpText(
      'after',
      examples(
        'veilsum keys join --dir member-1 --federation federation.json --certificate member-1.crt   # named to init',
        'veilsum keys join --dir node-eu --federation federation.json   # then hand card.json to the founders',
        'veilsum keys join --dir node-eu --certificate node-eu.crt      # once they have enrolled it',
      ),
    )
    .action(async (options: { federation?: string; certificate?: string; genesis?: string }, command: Command) => {
      const { existsSync } = await import('node:fs');
      const folder = folderOf(command);
      const { readFederation } = await import('../config/federation.ts');
      const { readRequired } = await import('../config/files.ts');
      const { FOLDER, installCertificate, joinFederation, readCard } = await import('../keys/party-folder.ts');
      const { pendingReplacement } = await import('../keys/replacement.ts');
      const { nodePrimitives } = await import('../platform/primitives-node.ts');
      const { spkiPin } = await import('../tls/identity.ts');
      const kept = join(folder, FOLDER.federation);
      if (options.federation === undefined && !existsSync(kept)) {
        throw usageError(
          `${folder} belongs to no federation yet: give --federation federation.json, the founders' public file`,
        );
      }
      const { checkFederation } = await import('./federation-file.ts');
      const federation = readFederation(options.federation ?? kept);
      checkFederation(federation, options.genesis ?? null);
      if (
        options.federation !== undefined &&
        existsSync(kept) &&
        readFederation(kept).genesisHash !== federation.genesisHash
      ) {
        throw new CliError(
          'CONFLICT',
          `${folder} already belongs to another federation: make a new folder, keys belong to one log`,
        );
      }
      const card = readCard(join(folder, FOLDER.card));
      if (options.certificate !== undefined) {
        const certificates = readRequired(options.certificate, 'the certificate').toString('utf8');
        const replacement = await pendingReplacement(folder);
        if (replacement !== null && spkiPin(certificates) === replacement.card.tlsKeySha256) {
          const { installReplacement } = await import('./replacement.ts');
          await installReplacement(folder, replacement, certificates);
          return print(replacedBy(card.role, folder));
        }
        if (spkiPin(certificates) !== card.tlsKeySha256) {
          throw new CliError('PIN_MISMATCH', `${options.certificate} is not a certificate of ${card.name}'s key`);
        }
        installCertificate(folder, certificates, federation.authority);
      }
      const signed = joinFederation(nodePrimitives, folder, federation);
      print(`${card.name} belongs to the federation with genesis ${federation.genesisHash}.`);
      if (existsSync(join(folder, FOLDER.tls, 'tls.crt'))) print(nextOf(card.role, folder));
      else if (signed.possession !== null) print(`Next: hand ${folder}/card.json to the founders for 'veilsum enrol'.`);
      else print("Next: 'veilsum keys join --certificate' with the certificate from the founders.");
    });
}

/** What a party is told whose TLS key was replaced. */
function replacedBy(role: string, folder: string): string {
  const done =
    'The new TLS key stands in the log and is in place; the old one is gone. A running party takes it by itself.';
  if (role === 'node' || role === 'recipient') return done;
  return `${done}
Parties that follow the log know it. One that was not running meanwhile is given ${join(folder, 'federation.json')} ('veilsum keys join --federation').`;
}

/** What is left to do for a party that has its certificate. */
function nextOf(role: string, folder: string): string {
  const card = join(folder, 'card.json');
  if (role === 'aggregator')
    return `Its certificate is installed. It is enrolled like a node before it starts: hand ${card} to the founders for 'veilsum enrol', then 'veilsum aggregator --dir ${folder}'.`;
  if (role === 'node')
    return `Its certificate is installed: 'veilsum node new' and 'veilsum policy new' write what it needs, 'veilsum node run' (or 'submit') --dir ${folder} starts it.`;
  if (role === 'recipient')
    return `Its certificate is installed: 'veilsum recipient new' writes what it needs, 'veilsum recipient run --dir ${folder}' starts it, once the nodes are enrolled.`;
  return `Its certificate is installed: start it with 'veilsum ${role} --dir ${folder}'.`;
}

function showCommand(): Command {
  return new Command('show')
    .description('show what a folder holds: name, role, key fingerprints, federation, certificate')
    .addOption(dirOption("the party's folder"))
    .option('--json', 'machine-readable')
    .addHelpText('after', examples('veilsum keys show --dir node-eu'))
    .action(async (options: { json?: boolean }, command: Command) => {
      const { describeFolder } = await import('./federation-file.ts');
      const shown = describeFolder(folderOf(command));
      if (options.json === true) return print(JSON.stringify(shown));
      for (const [field, value] of Object.entries(shown)) print(`${field.padEnd(13)} ${value ?? '-'}`);
    });
}

export function keysCommand(): Command {
  return new Command('keys')
    .description(
      "a party's keys: make them, join a federation with them, renew their certificates, replace the TLS key, show them",
    )
    .addCommand(newCommand())
    .addCommand(joinCommand())
    .addCommand(acceptCommand())
    .addCommand(renewCommand())
    .addCommand(replaceCommand())
    .addCommand(showCommand());
}
