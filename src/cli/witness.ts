import { Command } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOption, requireRole, settingsOf } from './settings.ts';

export function witnessCommand(): Command {
  return new Command('witness')
    .description('run an outside witness: it cosigns heads of the log that extend the last one it cosigned')
    .addOption(dirOption("the witness's folder; settings may be in its witness.yaml"))
    .addOption(listenOption())
    .addHelpText(
      'after',
      examples(
        'veilsum witness --dir parties/witness-1',
        'veilsum witness --dir parties/witness-1 --listen 0.0.0.0:7443',
      ),
    )
    .action(async (_options, command: Command) => {
      const { runWitness } = await import('../party/witness.ts');
      const { listenSettings } = await import('./listen-settings.ts');
      const { listen } = await settingsOf(command, listenSettings, 'witness.yaml');
      const folder = folderOf(command);
      await requireRole(folder, 'witness');
      await runUntilSignal(
        () => runWitness(folder, listen),
        ({ address }) => `witness listens on ${address}`,
      );
    });
}
