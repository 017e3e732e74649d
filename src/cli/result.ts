import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

function fetchCommand(): Command {
  return new Command('fetch')
    .description(
      "fetch an opened sum from this recipient, which must be running, and check it against the log's release leaf",
    )
    .addOption(dirOption("the recipient's folder"))
    .requiredOption('--round <n>', 'number of the round, or the beginning of its id')
    .requiredOption('--out <file>', '.safetensors (F32), .npy (float64) or .json (exact integers and values)')
    .option('--task <label>', 'which task, where the log has several')
    .option('--mean', 'the mean per node instead of the sum')
    .addHelpText(
      'after',
      '\nLayers keep their names and shapes where the task names its tensors; else the file has one tensor, sum or mean.',
    )
    .addHelpText(
      'after',
      examples(
        'veilsum result fetch --dir parties/recipient --round 1 --out sum.npy',
        'veilsum result fetch --dir parties/recipient --round 1 --mean --out mean.safetensors',
      ),
    )
    .action(async (options: { round: string; out: string; task?: string; mean?: boolean }, command: Command) => {
      const { fetchResult } = await import('./result-fetch.ts');
      const { round, out, task, mean } = options;
      await fetchResult(folderOf(command), { round, out, task: task ?? null, mean: mean === true }, print);
    });
}

export function resultCommand(): Command {
  return new Command('result')
    .description("opened sums, for the recipient's own command line")
    .addCommand(fetchCommand());
}
