import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function inviteListCommand(): Command {
  return new Command('list')
    .description('show the invitations that are open or wait for an answer, with the time they are good until')
    .addOption(dirOption("the founders' folder"))
    .option('--all', 'those that were used, called back or are out of date too')
    .addHelpText('after', examples('veilsum invite list --dir founders'))
    .action(async (options: { all?: boolean }, command: Command) => {
      const { printInvitations } = await import('./invitations.ts');
      await printInvitations(folderOf(command), options.all === true, print);
    });
}

export function inviteRevokeCommand(): Command {
  return new Command('revoke')
    .description('call an invitation back: its file, lost or stolen, is of no more use')
    .argument('<invitation...>', 'names, or the beginning of identifiers')
    .addOption(dirOption("the founders' folder"))
    .addHelpText(
      'after',
      `\nA party that is enrolled already is not touched: 'veilsum revoke NAME' does that.
${examples('veilsum invite revoke eu-3 --dir founders')}`,
    )
    .action(async (wanted: string[], _options, command: Command) => {
      const { revokeInvitations } = await import('./invitations.ts');
      await revokeInvitations(folderOf(command), wanted, print);
    });
}
