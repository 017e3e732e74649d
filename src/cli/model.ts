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

function listCommand(): Command {
  return new Command('list')
    .description('the models that the log names, what each was made of, and which one is the newest')
    .addOption(dirOption("the folder of any party, or the founders'"))
    .option('--json', 'for machines')
    .addHelpText('after', examples('veilsum model list --dir founders'))
    .action(async (options: { json?: true }, command: Command) => {
      const { listModels } = await import('./model-list.ts');
      await listModels(folderOf(command), options.json === true, print);
    });
}

function rollbackCommand(): Command {
  return new Command('rollback')
    .description('make an earlier model the newest again, for all: it is sealed anew and logged as what it is')
    .addOption(dirOption("the recipient's folder"))
    .addOption(numberOption('--to <n>', "number of the model, as 'veilsum model list' shows it").makeOptionMandatory())
    .option('-y, --yes', 'do not ask; needed without a terminal, as in a script')
    .addHelpText(
      'after',
      `
The models after it stay in the log, and what their rounds cost stays spent. The next round starts from the restored one, without
the momentum of the steps after it. A model has one sum of a task's window: going on from it takes a task with another --window.
${examples('veilsum model list --dir parties/owner', 'veilsum model rollback --dir parties/owner --to 3')}`,
    )
    .action(async (options: { to: number; yes?: true }, command: Command) => {
      const { rollBack } = await import('./model-rollback.ts');
      const { saysYes } = await import('./ask.ts');
      const agrees = async (): Promise<boolean> => options.yes === true || saysYes('Roll back?');
      await rollBack(folderOf(command), options.to, agrees, print);
    });
}

function personaliseCommand(): Command {
  return new Command('personalise')
    .description("fit a head of this node's own to a common model, for its own scores: nothing is sent or charged")
    .requiredOption('--model <file>', "a common model, as 'veilsum model fetch' writes it")
    .requiredOption('--out <file>', 'where to: .safetensors with all layers, readable by its owner alone')
    .option('--config <file>', "the region's settings, as of 'veilsum node train': where its rows are")
    .option('--dir <folder>', "or the node's folder, where its node.yaml names CSV files")
    .option('--task <file>', "the task that the model was trained in; default: the only one of the node's that trains")
    .addHelpText(
      'after',
      `
The last layer is fitted to this region's training rows, the common one (or, where the task has local layers, this node's) as a
prior; the layers below stay common. Cross-validation decides how far it may move, and it stays where nothing better is shown.
${examples(
  'veilsum model fetch --dir parties/node-eu --out model.safetensors',
  'veilsum model personalise --model model.safetensors --config region-eu.yaml --out personal.safetensors',
  'veilsum score --model personal.safetensors --task task.json --data region-eu.yaml',
)}`,
    )
    .action(async (_options, command: Command) => {
      const { personalise } = await import('./model-personalise.ts');
      await personalise(command.opts(), print);
    });
}

export function modelCommand(): Command {
  return new Command('model')
    .description('the global models that rounds made')
    .addCommand(personaliseCommand())
    .addCommand(listCommand())
    .addCommand(fetchCommand())
    .addCommand(rollbackCommand());
}
