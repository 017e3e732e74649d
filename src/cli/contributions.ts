import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples } from './settings.ts';

interface ContributionFlags {
  readonly policy?: string;
  readonly genesis?: string;
  readonly dir?: string;
  readonly json?: boolean;
  readonly html?: string;
}

export function contributionsCommand(): Command {
  return new Command('contributions')
    .description(
      'who took part in the rounds of a log, by node, region and organisation; from its files, once they verify',
    )
    .argument('[folder]', 'the log as a tlog-tiles folder (checkpoint, tile/...)')
    .option('--policy <file>', 'C2SP tlog-policy: keys of the log and its witnesses, learnt by other means')
    .option('--genesis <hash>', 'pins genesis')
    .option(
      '--dir <folder>',
      "a recipient's folder: the sums that it opened, for noised rows and buckets; else the log alone",
    )
    .option('--json', 'the report as one JSON object')
    .option('--html <file>', 'the report as one page with pictures')
    .addHelpText(
      'after',
      `${examples('veilsum contributions log --policy policy.txt', 'veilsum contributions log --policy policy.txt --dir parties/recipient --html contributions.html')}
A log that does not verify is refused (exit code 1), one with missing files is not decided (2). Nothing is opened for it: rows and
updates are known as far as noised sums tell them, never of one region alone. src/contributions/README.md: what can be gamed.
`,
    )
    .action(async (folder: string | undefined, _options, command: Command) => {
      const flags = command.opts<ContributionFlags>();
      if (folder === undefined || flags.policy === undefined)
        throw usageError(
          "a log's folder and --policy are needed, as in 'veilsum contributions log --policy policy.txt'",
        );
      if (flags.json === true && flags.html !== undefined) throw usageError('--json or --html, not both');
      const { runContributions } = await import('./contributions-run.ts');
      await runContributions({ ...flags, folder, policy: flags.policy }, print);
    });
}
