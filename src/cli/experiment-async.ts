import { Command } from 'commander';
import type { AsyncOptions } from '../experiment/async.ts';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

type AsyncFlags = Omit<AsyncOptions, 'dataset' | 'print'>;

export function asyncCommand(): Command {
  return new Command('async')
    .description('rounds that wait for slow nodes against buffered ones without masks, for the same (simulated) time')
    .argument('[dataset]', `${DATASETS.join(', ')}`, 'synthetic')
    .addOption(numberOption('--nodes <n>', "made by dealing out the regions' rows").default(8))
    .addOption(numberOption('--slow <n>', 'of them, how many are slow').default(2))
    .addOption(numberOption('--slowness <x>', 'how many times as long slow nodes train').default(6))
    .addOption(numberOption('--buffer <k>', 'updates that close a buffered round').default(4))
    .addOption(numberOption('--max-staleness <s>', 'models that an update may be behind').default(20))
    .addOption(numberOption('--rounds <n>', 'that wait for everybody; the buffered ones have the same time').default(8))
    .addOption(numberOption('--seed <n>', 'of the tables, the split, the paces and the resampling').default(1))
    .option('--out <folder>', 'report.html, report.md, the figure and async.json go here', 'veilsum-async')
    .addHelpText(
      'after',
      `${examples('veilsum experiment async synthetic', 'veilsum experiment async churn --nodes 12 --slow 3 --buffer 4')}
All parties run in this process, with the real cryptography. Time is simulated: it counts training alone.
`,
    )
    .action(async (name: string, _options, command: Command) => {
      const flags = command.opts<AsyncFlags>();
      const dataset = DATASETS.find((known): known is DatasetName => known === name);
      if (dataset === undefined) throw usageError(`no dataset '${name}': ${DATASETS.join(', ')}`);
      for (const [flag, least, most] of [
        ['nodes', 4, 64],
        ['slow', 0, flags.nodes - 1],
        ['buffer', 3, flags.nodes],
        ['maxStaleness', 0, 10_000],
        ['rounds', 1, 200],
      ] as const) {
        if (!(Number.isSafeInteger(flags[flag]) && flags[flag] >= least && flags[flag] <= most))
          throw usageError(
            `--${flag === 'maxStaleness' ? 'max-staleness' : flag}: a whole number from ${least} to ${most}`,
          );
      }
      if (!(flags.slowness >= 1 && flags.slowness <= 100)) throw usageError('--slowness: a number from 1 to 100');
      const { runAsync } = await import('../experiment/async.ts');
      const { nodes, slow, slowness, buffer, maxStaleness, rounds, seed, out } = flags;
      await runAsync({ ...{ dataset, nodes, slow, slowness, buffer, maxStaleness, rounds, seed, out, print } });
    });
}
