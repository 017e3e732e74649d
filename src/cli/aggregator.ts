import { Command, Option } from 'commander';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOption, requireRole, settingsOf } from './settings.ts';

export function aggregatorCommand(): Command {
  return new Command('aggregator')
    .description(
      'run an aggregator: takes and adds up encrypted updates; it has no key and can be replaced at any moment',
    )
    .addOption(dirOption("the aggregator's folder; settings may be in its aggregator.yaml"))
    .addOption(
      new Option(
        '--state <folder>',
        'the store, shared by all aggregators of one machine; default: state in --dir',
      ).env('VEILSUM_STATE'),
    )
    .addOption(listenOption())
    .option('--keep-blobs', 'keep what ended rounds leave, for audits with --blobs: the disk grows by every round')
    .addHelpText('after', examples('veilsum aggregator --dir parties/aggregator-1 --state parties/aggregators-state'))
    .action(async (_options, command: Command) => {
      const { z } = await import('zod');
      const { listenSettings } = await import('./listen-settings.ts');
      const { resolve } = await import('node:path');
      const schema = listenSettings.extend({
        state: z.string().min(1).default('state'),
        keepBlobs: z.boolean().default(false),
      });
      const { state, listen, keepBlobs } = await settingsOf(command, schema, 'aggregator.yaml');
      const { runAggregator } = await import('../party/aggregator.ts');
      const folder = folderOf(command);
      await requireRole(folder, 'aggregator');
      // From a file or left out: beside the party's other files. From a flag: where the user stands.
      const isFlag = command.getOptionValueSource('state') !== undefined;
      const stateFolder = resolve(isFlag ? '.' : folder, state);
      await runUntilSignal(
        () => runAggregator(folder, stateFolder, listen, keepBlobs),
        ({ address }) => `aggregator listens on ${address}`,
      );
    });
}
