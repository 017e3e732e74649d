import { Command } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, requireRole } from './settings.ts';

export function witnessCommand(): Command {
  return new Command('witness')
    .description('run an outside witness: it cosigns heads of the log that extend the last one it cosigned')
    .addOption(dirOption("the witness's folder"))
    .addHelpText('after', examples('veilsum witness --dir parties/witness-1'))
    .action(async (_options, command: Command) => {
      const { runWitness } = await import('../party/witness.ts');
      const folder = folderOf(command);
      await requireRole(folder, 'witness');
      await runUntilSignal(
        () => runWitness(folder),
        ({ address }) => `witness listens on ${address}`,
      );
    });
}
