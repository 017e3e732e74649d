import { Command } from 'commander';
import { print } from './output.ts';
import type { PolicyFlags } from './policy-new.ts';
import { dirOption, examples, folderOf, numberOption } from './settings.ts';

function newCommand(): Command {
  return new Command('new')
    .description("write a site's policy.yaml from a task: what this site allows, for its operator to read and tighten")
    .addOption(dirOption("the node's folder, joined to a federation"))
    .requiredOption('--task <file>', 'the task file that the site takes part in')
    .addOption(
      numberOption(
        '--rounds <n>',
        "rounds of that task that the budget is enough for; default: the log's whole budget",
      ),
    )
    .option(
      '--accept-masking-none',
      "take part in the task's asynchronous rounds: the node shares its key before anybody knows who else is in the sum",
    )
    .option('--force', 'replace the policy that is there')
    .addHelpText('after', examples('veilsum policy new --dir parties/node-eu --task task.json --rounds 50'))
    .action(async (options: { task: string; rounds?: number } & PolicyFlags, command: Command) => {
      const { writePolicy } = await import('./policy-new.ts');
      const path = writePolicy(folderOf(command), options.task, options.rounds ?? null, options);
      print(`${path}: written. Read it: the node does nothing that it does not allow.`);
    });
}

export function policyCommand(): Command {
  return new Command('policy').description("a site's own rules, which its node obeys").addCommand(newCommand());
}
