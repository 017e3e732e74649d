import { Command } from 'commander';
import { engineOption } from './node.ts';
import { print } from './output.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOf, listenOption, listOption, requireRole } from './settings.ts';

function newCommand(): Command {
  return new Command('new')
    .description("write a recipient's recipient.yaml, with copies of its task files")
    .addOption(dirOption("the recipient's folder"))
    .addOption(listOption('--task <file>', 'a task whose sums it opens; may be given again').makeOptionMandatory())
    .option('--force', 'replace the file that is there')
    .addHelpText('after', examples('veilsum recipient new --dir model-owner --task task.json'))
    .action(async (options: { task: string[]; force?: boolean }, command: Command) => {
      const { writeConfig } = await import('./config-new.ts');
      const request = { tasks: options.task, data: null, force: options.force === true };
      print(`${writeConfig(folderOf(command), 'recipient', request)}: written.`);
    });
}

function runCommand(): Command {
  return new Command('run')
    .description('open sums, make the next model of each, publish it sealed to the nodes')
    .addOption(dirOption("the recipient's folder, with recipient.yaml"))
    .addOption(engineOption())
    .addOption(listenOption())
    .addHelpText(
      'after',
      `
recipient.yaml ('veilsum recipient new' writes one):
  tasks: [task.json]           # the first one makes the first model
  engine: auto
  listen: 0.0.0.0:7443         # where to bind, if not at the card's address

The first model is sealed to the nodes enrolled by then: enrol them before the recipient's first start.
${examples('veilsum recipient run --dir model-owner')}`,
    )
    .action(async (options: { engine?: 'auto' | 'kernel' | 'node-seal' }, command: Command) => {
      const { startRecipient } = await import('./recipient-start.ts');
      const folder = folderOf(command);
      const listen = await listenOf(command);
      await requireRole(folder, 'recipient');
      await runUntilSignal(
        () => startRecipient(folder, options.engine ?? null, listen),
        ({ name, address, tasks }) => `recipient ${name} listens on ${address}: ${tasks.join(', ')}`,
      );
    });
}

export function recipientCommand(): Command {
  return new Command('recipient')
    .description('the owner of the model: it opens sums and nothing else')
    .addCommand(newCommand())
    .addCommand(runCommand());
}
