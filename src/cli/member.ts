import { Command } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOption, numberOption, requireRole, settingsOf } from './settings.ts';

export function memberCommand(): Command {
  return new Command('member')
    .description('run a quorum member: round keys, its share of the key of each sum; it witnesses the log too')
    .addOption(dirOption("the member's folder; settings may be in its member.yaml"))
    .addOption(listenOption())
    .addOption(
      numberOption(
        '--matching-budget <n>',
        "names that one organisation may have turned into join keys under this member's matching key ('veilsum match'); 0 takes no part; default: 50000",
        'VEILSUM_MATCHING_BUDGET',
      ),
    )
    .addHelpText(
      'after',
      `\nKeep the folder's rounds/ out of backups: it holds the keys of running rounds.\n${examples('veilsum member --dir parties/member-1', 'veilsum member --dir parties/member-1 --listen 0.0.0.0:7443')}`,
    )
    .action(async (_options, command: Command) => {
      const { runMember } = await import('../party/member.ts');
      const { memberSettings } = await import('./listen-settings.ts');
      const { listen, matchingBudget } = await settingsOf(command, memberSettings, 'member.yaml');
      const folder = folderOf(command);
      await requireRole(folder, 'member');
      await runUntilSignal(
        () => runMember(folder, listen, matchingBudget),
        ({ address }) => `member listens on ${address}`,
      );
    });
}
