import { Command } from 'commander';
import { engineOption } from './node.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { dirOption, examples, folderOf, listenOf, listenOption, requireRole } from './settings.ts';

function runCommand(): Command {
  return new Command('run')
    .description('open sums, make the next model of each, publish it sealed to the nodes')
    .addOption(dirOption("the recipient's folder, with recipient.yaml"))
    .addOption(engineOption())
    .addOption(listenOption())
    .addHelpText(
      'after',
      `
recipient.yaml:
  tasks: [task.json]           # the first one makes the first model
  engine: auto
  listen: 0.0.0.0:7443         # where to bind, if not at the card's address

The first model is sealed to the nodes enrolled by then: enrol them before the recipient's first start.
${examples('veilsum recipient run --dir parties/recipient')}`,
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
    .addCommand(runCommand());
}
