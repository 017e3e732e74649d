import { Command } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, requireRole } from './settings.ts';

export function memberCommand(): Command {
  return new Command('member')
    .description('run a quorum member: round keys, its share of the key of each sum; it witnesses the log too')
    .addOption(dirOption("the member's folder"))
    .addHelpText(
      'after',
      `\nKeep the folder's rounds/ out of backups: it holds the keys of running rounds.\n${examples('veilsum member --dir parties/member-1')}`,
    )
    .action(async (_options, command: Command) => {
      const { runMember } = await import('../party/member.ts');
      const folder = folderOf(command);
      await requireRole(folder, 'member');
      await runUntilSignal(
        () => runMember(folder),
        ({ address }) => `member listens on ${address}`,
      );
    });
}
