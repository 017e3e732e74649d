import { Command, Option } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

function exportCommand(): Command {
  return new Command('export')
    .description("write the published log as a tlog-tiles folder for 'veilsum audit'; again later, it adds what is new")
    .requiredOption('--out <folder>', 'where to')
    .addOption(dirOption("the coordinator's folder, running or not"))
    .addOption(new Option('--from <url>', "the coordinator's HTTP address instead: for anybody").env('VEILSUM_LOG_URL'))
    .addHelpText(
      'after',
      examples(
        'veilsum log export --dir parties/coordinator --out log',
        'veilsum log export --from http://127.0.0.1:8080 --out log',
      ),
    )
    .action(async (options: { out: string; from?: string }, command: Command) => {
      const { exportFromFolder, exportFromUrl } = await import('./log-export.ts');
      const { size, written } =
        options.from === undefined
          ? await exportFromFolder(folderOf(command), options.out)
          : await exportFromUrl(options.from, options.out);
      print(
        `${options.out}: ${size} leaves, ${written} files written. Verify it with: veilsum audit ${options.out} --policy policy.txt`,
      );
    });
}

export function logCommand(): Command {
  return new Command('log').description("the transparency log's files").addCommand(exportCommand());
}
