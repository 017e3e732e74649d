import { Command, Option } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { runUntilSignal } from './run-until-signal.ts';
import {
  dirOption,
  examples,
  folderOf,
  listenOf,
  listenOption,
  listOption,
  numberOption,
  requireRole,
} from './settings.ts';

/** In place of what node.yaml or recipient.yaml says. */
export function engineOption(): Option {
  return new Option('--engine <name>', 'ring engine; auto takes node-seal for small updates, the kernel for large ones')
    .choices(['auto', 'kernel', 'node-seal'])
    .env('VEILSUM_ENGINE');
}

const NODE_YAML = `
node.yaml ('veilsum node new' writes one):
  tasks: [task.json]           # task files this site takes part in
  policy: policy.yaml          # what the site allows; 'veilsum policy new' writes one
  data:                        # CSV with a header; leave out where updates come from 'veilsum node submit'
    train: train.csv
    heldOut: held-out.csv
  engine: auto
  listen: 0.0.0.0:7443         # where to bind, if not at the card's address
`;

function newCommand(): Command {
  return new Command('new')
    .description("write a node's node.yaml, with copies of its task files")
    .addOption(dirOption("the node's folder"))
    .addOption(
      listOption('--task <file>', 'a task that the site takes part in; may be given again').makeOptionMandatory(),
    )
    .option(
      '--train <csv>',
      "rows to train on, as seen from the node's folder; left out: 'veilsum node submit' sends updates",
    )
    .option('--held-out <csv>', 'rows to evaluate with; goes with --train')
    .option('--force', 'replace the file that is there')
    .addHelpText(
      'after',
      examples(
        'veilsum node new --dir node-eu --task task.json',
        'veilsum node new --dir node-eu --task task.json --train train.csv --held-out held-out.csv',
      ),
    )
    .action(
      async (options: { task: string[]; train?: string; heldOut?: string; force?: boolean }, command: Command) => {
        const { task, train, heldOut, force } = options;
        if ((train === undefined) !== (heldOut === undefined)) throw usageError('--train and --held-out go together');
        const { writeConfig } = await import('./config-new.ts');
        const data = train === undefined || heldOut === undefined ? null : { train, heldOut };
        const path = writeConfig(folderOf(command), 'node', { tasks: task, data, force: force === true });
        print(`${path}: written. Next: 'veilsum policy new --dir ${folderOf(command)} --task ${task[0]}'.`);
      },
    );
}

function runCommand(): Command {
  return new Command('run')
    .description('train on the tables that node.yaml names, in every round that the site policy allows')
    .addOption(dirOption("the node's folder, with node.yaml"))
    .addOption(engineOption())
    .addOption(listenOption())
    .addHelpText('after', `${NODE_YAML}${examples('veilsum node run --dir parties/node-eu')}`)
    .action(async (options: { engine?: 'auto' | 'kernel' | 'node-seal' }, command: Command) => {
      const { startNode } = await import('./node-start.ts');
      const folder = folderOf(command);
      const listen = await listenOf(command);
      await requireRole(folder, 'node');
      await runUntilSignal(
        () => startNode(folder, options.engine ?? null, listen),
        ({ name, rows, tasks }) => `node ${name} runs: ${rows} rows, ${tasks.join(', ')}`,
      );
    });
}

function submitCommand(): Command {
  return new Command('submit')
    .description('send one update from a file, of any framework, in the next round that asks for it')
    .addOption(dirOption("the node's folder, with node.yaml"))
    .requiredOption('--update <file>', 'the update: .safetensors (F32) or .npy (float32, float64)')
    .option('--task <label>', 'which task, where node.yaml names several')
    .addOption(engineOption())
    .addOption(listenOption())
    .addOption(
      numberOption(
        '--timeout <seconds>',
        'give up when no round has opened by then; default: wait for ever',
        'VEILSUM_TIMEOUT',
      ),
    )
    .addHelpText(
      'after',
      `
The update is clipped as a whole to the task's L2 norm, rounded, noised, encrypted and masked here; then this command
takes part in the round to its end and says whether the update is in the sum (exit code 0) or not (1).
${NODE_YAML}${examples('veilsum node submit --dir parties/node-eu --update model.safetensors')}`,
    )
    .action(
      async (
        options: { update: string; task?: string; engine?: 'auto' | 'kernel' | 'node-seal'; timeout?: number },
        command: Command,
      ) => {
        const { submitUpdate } = await import('./node-submit.ts');
        const { update, task, engine, timeout } = options;
        const listen = await listenOf(command);
        const request = {
          path: update,
          task: task ?? null,
          engine: engine ?? null,
          timeoutMs: timeout === undefined ? null : timeout * 1000,
          ...(listen === undefined ? {} : { listen }),
        };
        const folder = folderOf(command);
        await requireRole(folder, 'node');
        await submitUpdate(folder, request, print);
      },
    );
}

export function nodeCommand(): Command {
  return new Command('node')
    .description('a regional node: it trains where the data lives')
    .addCommand(newCommand())
    .addCommand(runCommand())
    .addCommand(submitCommand());
}
