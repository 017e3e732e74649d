import { Command, Option } from 'commander';
import { usageError } from './exit.ts';
import type { StartedNode } from './node-start.ts';
import { counted, print } from './output.ts';
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
      await runUntilSignal(() => startNode(folder, options.engine ?? null, listen), describeNode);
    });
}

const REGION_YAML = `
region-eu.yaml says where this region's rows are (docs/examples has one for each kind of source):
  node: parties/node-eu        # the node's folder: keys, node.yaml with its tasks, policy
  features: crm-features.yaml  # the public feature file, the same in every region, or a built-in one
  leakage: [closed_amount]     # columns known only after the outcome: no feature may read them
  tables:                      # by the names in the feature file; 'rows' where it derives nothing
    accounts: {from: csv, path: accounts.csv, columns: {account_id: AccountNumber}}
    usage:                     # or from: parquet, postgresql, salesforce
      from: postgresql
      host: db.eu.example
      database: crm
      user: veilsum_reader
      password: {env: CRM_PASSWORD}
      query: SELECT account_id, at, product, status FROM usage

Rows stay in this process's memory. Passwords, tokens and keys come from the environment or from files, never from this one.
`;

function trainCommand(): Command {
  return new Command('train')
    .description("read this region's tables, build features, and train in every round that the site policy allows")
    .requiredOption('--config <file>', "the region's settings: where its rows are")
    .option('--check', 'read and validate, print counts of what is blank or outside ranges, send nothing')
    .addOption(engineOption())
    .addOption(listenOption())
    .addHelpText(
      'after',
      `${REGION_YAML}${examples(
        'veilsum node train --config region-eu.yaml --check',
        'veilsum node train --config region-eu.yaml',
      )}`,
    )
    .action(
      async (
        options: { config: string; check?: boolean; engine?: 'auto' | 'kernel' | 'node-seal' },
        command: Command,
      ) => {
        const { checkRegion, startTraining } = await import('./node-train.ts');
        if (options.check === true) return checkRegion(options.config, print);
        const listen = await listenOf(command);
        await runUntilSignal(() => startTraining(options.config, options.engine ?? null, listen), describeNode);
      },
    );
}

function describeNode({ name, rows, tasks }: StartedNode): string {
  return `node ${name} runs: ${counted(rows, 'row')}, ${tasks.join(', ')}`;
}

function submitCommand(): Command {
  return new Command('submit')
    .description('send one update from a file, of any framework, in the next round that asks for it')
    .addOption(dirOption("the node's folder, with node.yaml"))
    .requiredOption(
      '--update <file>',
      'the update: .safetensors (F16, BF16, F32, F64) or .npy (float16, float32, float64)',
    )
    .addOption(
      listOption(
        '--layers <pattern>',
        "only the file's layers of such a name, '*' for any letters; may be given again",
      ),
    )
    .addOption(
      numberOption('--weight <w>', 'how much the update counts, such as the rows trained on, where the task weighs'),
    )
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
A task that names its tensors ('veilsum task new --like') takes exactly those; of a file with more in it --layers sends some.
${NODE_YAML}${examples(
  'veilsum node submit --dir parties/node-eu --update model.safetensors',
  "veilsum node submit --dir parties/node-eu --update model.safetensors --layers '*.lora_*'",
)}`,
    )
    .action(
      async (
        options: {
          update: string;
          layers?: string[];
          weight?: number;
          task?: string;
          engine?: 'auto' | 'kernel' | 'node-seal';
          timeout?: number;
        },
        command: Command,
      ) => {
        const { submitUpdate } = await import('./node-submit.ts');
        const { update, layers, weight, task, engine, timeout } = options;
        const listen = await listenOf(command);
        const request = {
          path: update,
          ...(layers === undefined ? {} : { layers }),
          weight: weight ?? null,
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

function sampleCommand(): Command {
  return new Command('sample')
    .description('write made-up accounts of four regions with what they did, as CSV, to try features and training on')
    .requiredOption('--out <folder>', 'where to: a folder for each region')
    .addOption(numberOption('--seed <n>', 'of the tables').default(1))
    .addOption(numberOption('--size <x>', 'multiplies the 3,500 accounts').default(1))
    .addHelpText(
      'after',
      examples('veilsum node sample --out tables', 'veilsum node train --config tables/emea/region.yaml --check'),
    )
    .action(async ({ out, seed, size }: { out: string; seed: number; size: number }) => {
      const { writeAccounts } = await import('./node-sample.ts');
      writeAccounts(out, seed, size, print);
    });
}

export function nodeCommand(): Command {
  return new Command('node')
    .description('a regional node: it trains where the data lives')
    .addCommand(newCommand())
    .addCommand(runCommand())
    .addCommand(trainCommand())
    .addCommand(submitCommand())
    .addCommand(sampleCommand());
}
