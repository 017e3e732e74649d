import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf, numberOption } from './settings.ts';

function openCommand(): Command {
  return new Command('open')
    .description('open a round of a task; what it costs in privacy is printed first')
    .addOption(dirOption("the founders' folder (an officer's certificate)"))
    .requiredOption('--task <file>', 'the task file that the coordinator, recipients and sites have')
    .addOption(numberOption('--rounds <n>', 'open this many, each after the one before has ended; default 1'))
    .option('-y, --yes', 'do not ask; needed without a terminal, as in a script')
    .option('-w, --wait', 'wait for the end of the round and say what became of it')
    .addHelpText('after', examples('veilsum round open --dir founders --task task.json --wait'))
    .action(async (options: { task: string; rounds?: number; yes?: boolean; wait?: boolean }, command: Command) => {
      const { openRounds } = await import('./round-open.ts');
      const { task, rounds = 1, yes, wait } = options;
      const request = {
        taskFile: task,
        rounds,
        ask: yes !== true,
        wait: wait === true || rounds > 1,
      };
      await openRounds(folderOf(command), request, print);
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('list the rounds of the log, read and verified here')
    .addOption(dirOption("the founders' folder, or any party's"))
    .option('--task <label>', 'of this task only')
    .option('--json', 'machine-readable')
    .addHelpText('after', examples('veilsum round list --dir founders'))
    .action(async (options: { task?: string; json?: boolean }, command: Command) => {
      const { listRounds } = await import('./round-list.ts');
      await listRounds(folderOf(command), options.task ?? null, options.json === true, print);
    });
}

function abortCommand(): Command {
  return new Command('abort')
    .description('end a round: nothing of it is opened unless it was decided already')
    .argument('<round>', "the round's number within its task, or the beginning of its id")
    .addOption(dirOption("the founders' folder (an officer's certificate)"))
    .option('--task <label>', 'which task, where the log has several')
    .addHelpText('after', examples('veilsum round abort 3 --dir founders'))
    .action(async (round: string, options: { task?: string }, command: Command) => {
      const { abortRound } = await import('./round-abort.ts');
      await abortRound(folderOf(command), round, options.task ?? null, print);
    });
}

export function roundCommand(): Command {
  return new Command('round')
    .description('rounds: open, list, abort')
    .addCommand(openCommand())
    .addCommand(listCommand())
    .addCommand(abortCommand());
}
