import { Command, Option } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOption, numberOption, requireRole, settingsOf } from './settings.ts';

export function coordinatorCommand(): Command {
  return new Command('coordinator')
    .description('run the coordinator: the log, the rounds, sealed models; it holds no key that opens anything')
    .addOption(dirOption("the coordinator's folder; settings may be in its coordinator.yaml"))
    .addOption(listenOption())
    .addOption(
      new Option('--http <host:port>', 'serve the log (tlog-tiles), /healthz and a page of rounds; default: off').env(
        'VEILSUM_HTTP',
      ),
    )
    .addOption(
      new Option('--export <folder>', 'keep a folder equal to the published log, for audits').env('VEILSUM_EXPORT'),
    )
    .addOption(
      numberOption(
        '--round-key-wait <ms>',
        "how long members' round keys are waited for; default 10000",
        'VEILSUM_ROUND_KEY_WAIT',
      ),
    )
    .addOption(
      numberOption(
        '--ready-wait <ms>',
        'how long members beyond the first t may take to be ready; default 3000',
        'VEILSUM_READY_WAIT',
      ),
    )
    .addOption(
      numberOption(
        '--holder-wait <ms>',
        'how long t members and every recipient may take to check their boxes before the round ends uncharged; default 60000',
        'VEILSUM_HOLDER_WAIT',
      ),
    )
    .addOption(
      numberOption(
        '--answer-wait <ms>',
        'how long t answers are waited for before the round is aborted; default 60000',
        'VEILSUM_ANSWER_WAIT',
      ),
    )
    .addHelpText('after', examples('veilsum coordinator --dir parties/coordinator --http 127.0.0.1:8080 --export log'))
    .action(async (_options, command: Command) => {
      const { coordinatorOptions, coordinatorSettings } = await import('./coordinator-settings.ts');
      const settings = await settingsOf(command, coordinatorSettings, 'coordinator.yaml');
      const { runCoordinator } = await import('../party/coordinator.ts');
      const folder = folderOf(command);
      await requireRole(folder, 'coordinator');
      await runUntilSignal(
        () => runCoordinator(folder, coordinatorOptions(settings)),
        ({ party, address, url }) =>
          `coordinator ${party.name} listens on ${address}${url === null ? '' : `, HTTP on ${url}`}`,
      );
    });
}
