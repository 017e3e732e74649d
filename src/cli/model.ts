import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf, numberOption } from './settings.ts';

function fetchCommand(): Command {
  return new Command('fetch')
    .description('fetch a global model that was sealed to this node or recipient, open it, check it against the log')
    .addOption(dirOption("the node's or the recipient's folder"))
    .requiredOption('--out <file>', 'where to: .safetensors, readable by its owner alone')
    .addOption(numberOption('--number <n>', 'of the model, as the log counts them; default: the newest'))
    .addHelpText(
      'after',
      examples(
        'veilsum model fetch --dir parties/node-eu --out model.safetensors',
        'veilsum score --model model.safetensors --task task.json --data region-eu.yaml',
      ),
    )
    .action(async (options: { out: string; number?: number }, command: Command) => {
      const { fetchModelFile } = await import('./model-fetch.ts');
      await fetchModelFile(folderOf(command), options.out, options.number ?? null, print);
    });
}

export function modelCommand(): Command {
  return new Command('model').description('the global models that rounds made').addCommand(fetchCommand());
}
