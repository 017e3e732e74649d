import { Command, Option } from 'commander';
import { usageError } from './exit.ts';
import { inviteListCommand, inviteRevokeCommand } from './invite-revoke.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf, numberOption } from './settings.ts';

const ROLES = ['node', 'recipient', 'aggregator', 'witness'];
const LABEL = 'letters, digits, blanks and . _ : / - only, at most 128';

interface InviteOptions {
  readonly name: string;
  readonly role: 'node' | 'recipient' | 'aggregator' | 'witness';
  readonly organisation?: string;
  readonly region: string;
  readonly days: number;
  readonly out: string;
}

function newCommand(): Command {
  return new Command('new')
    .description('invite a party: a file with which it asks to be enrolled, once, under this name only')
    .addOption(dirOption("the founders' folder"))
    .addOption(
      new Option('--name <name>', 'lower-case letters, digits and hyphens; never used before').makeOptionMandatory(),
    )
    .addOption(new Option('--role <role>', 'what the party will be').choices(ROLES).makeOptionMandatory())
    .option('--organisation <label>', 'who answers for it; default: its name')
    .option('--region <label>', 'where its data may not leave', 'unspecified')
    .addOption(numberOption('--days <n>', 'how long it may be used').default(7))
    .option('--out <file>', 'the invitation', 'invitation.json')
    .addHelpText(
      'after',
      `\nThe file is secret until it is used: hand it over on a channel that reaches the right people. Nothing is sent: the
coordinator learns of the invitation when it is used or called back ('veilsum invite revoke'), and nobody is enrolled before 'veilsum enrol --approve'.
${examples('veilsum invite --dir founders --name eu-3 --role node --organisation "Acme GmbH" --region eu --out eu-3.invitation.json')}`,
    )
    .action(async (options: InviteOptions, command: Command) => {
      const { join } = await import('node:path');
      const { labelField, nameField } = await import('../../protocols/fields.ts');
      const { readFederation } = await import('../config/federation.ts');
      const { readAuthority } = await import('../keys/found.ts');
      const { writeInvitation } = await import('../keys/invite.ts');
      const { nodePrimitives } = await import('../platform/primitives-node.ts');
      const { systemRng } = await import('../platform/rng.ts');
      const { name, role, region, days, out } = options;
      const organisation = options.organisation ?? name;
      if (!nameField.safeParse(name).success)
        throw usageError('--name: lower-case letters, digits and inner hyphens, at most 63');
      if (!labelField.safeParse(organisation).success) throw usageError(`--organisation: ${LABEL}`);
      if (!labelField.safeParse(region).success) throw usageError(`--region: ${LABEL}`);
      if (!Number.isInteger(days) || days < 1 || days > 90) throw usageError('--days: 1 to 90');
      const folder = folderOf(command);
      const federation = readFederation(join(folder, 'federation.json'));
      const authority = await readAuthority(folder);
      const written = await writeInvitation(
        nodePrimitives,
        systemRng,
        folder,
        { federation, authority },
        { name, role, organisation, region },
        { now: new Date(), days, out },
      );
      print(
        `${name} (${role}) is invited until ${new Date(written.expires).toISOString()}: hand over ${out}, in confidence.`,
      );
      print(`There: veilsum keys accept ${out} --dir ${name} --address HOST:PORT --genesis ${federation.genesisHash}`);
      print(`Here afterwards: veilsum enrol --pending, and veilsum enrol --approve ${name}`);
    });
}

export function inviteCommand(): Command {
  return new Command('invite')
    .description('invite parties, see which invitations are open, call one back')
    .addCommand(newCommand(), { isDefault: true })
    .addCommand(inviteListCommand())
    .addCommand(inviteRevokeCommand())
    .addHelpText(
      'after',
      `\n'veilsum invite --name ...' is short for 'veilsum invite new --name ...'; see 'veilsum invite new --help'.
${examples('veilsum invite --dir founders --name eu-3 --role node --out eu-3.invitation.json', 'veilsum invite list --dir founders', 'veilsum invite revoke eu-3 --dir founders')}`,
    );
}
