import { Command, Option } from 'commander';
import { AGGREGATES } from '../learning/aggregates.ts';
import { DATASETS } from '../learning/dataset-names.ts';
import { OPTIMISERS } from '../learning/optimisers.ts';
import { withCompressionOptions } from './compression-flags.ts';
import { usageError } from './exit.ts';
import { withMaskingOptions } from './masking-flags.ts';
import { print } from './output.ts';
import { withPseudoOptions } from './pseudo-flags.ts';
import { examples, listOption, numberOption } from './settings.ts';

function newCommand(): Command {
  return new Command('new')
    .description('write a task file: what a kind of round sums, with the noise that its budget asks for')
    .requiredOption('--out <file>', 'where to')
    .addOption(listOption('--recipient <name>', 'who opens the sums; may be given again').makeOptionMandatory())
    .addOption(numberOption('--nodes <n>', 'nodes that are expected').makeOptionMandatory())
    .option('--name <label>', "the task's name; default: lead-scoring, or updates")
    .option('--window <label>', 'the data that the rounds are over', 'first')
    .addOption(
      new Option(
        '--dir <folder>',
        "the founders' folder, or a party's: compare with what that federation was founded for",
      ),
    )
    .optionsGroup('What is trained, on tables:')
    .addOption(new Option('--dataset <name>', 'train on tables with this public schema').choices(DATASETS))
    .option(
      '--features <file>',
      'or with a feature file of your own, which every region has (docs/examples; fields: src/learning/README.md)',
    )
    .addOption(
      numberOption('--records-max <n>', 'most records of one node, which set the bits of a value; default 16384'),
    )
    .addOption(new Option('--model <kind>', 'with --dataset or --features').choices(['logistic', 'mlp']))
    .addOption(numberOption('--hidden <n>', 'with --model mlp: units of its hidden layer, up to 256; default 16'))
    .addOption(new Option('--optimiser <rule>', 'how the recipient steps; default momentum').choices(OPTIMISERS))
    .addOption(numberOption('--server-rate <r>', "learning rate of the recipient's step"))
    .addOption(numberOption('--weight-decay <l>', "L2 penalty in the recipient's step; default 0"))
    .optionsGroup('Local training (--unit node):')
    .addOption(numberOption('--local-steps <n>', 'with --unit node: steps of local training a round; default 20'))
    .addOption(numberOption('--local-batch <n>', 'with --unit node: rows a step; default 128'))
    .addOption(numberOption('--local-rate <r>', 'with --unit node: learning rate of local training; default 0.3'))
    .addOption(numberOption('--proximal <mu>', 'with --unit node: how strongly FedProx pulls back; default 0'))
    .addOption(
      listOption(
        '--local-layer <name>',
        'with --unit node: a layer of the model that stays on each node, output.weight say; may be given again',
      ),
    )
    .optionsGroup('Or summed, from files:')
    .addOption(numberOption('--dimension <d>', 'or sum updates that nodes bring as files, of this many numbers'))
    .option(
      '--like <file>',
      'or of the layers of this .safetensors file, by name and shape; its numbers are not looked at',
    )
    .addOption(
      listOption('--only <pattern>', "with --like: layers of such a name, '*' for any letters; may be given again"),
    )
    .optionsGroup('Weights of nodes:')
    .addOption(
      numberOption(
        '--weight-max <n>',
        'with --unit node, --dimension or --like: nodes weigh as their rows, or as they say, in secret, up to this',
      ),
    )
    .optionsGroup('Privacy:')
    .addOption(
      new Option('--unit <unit>', 'whose privacy is counted; with --dimension always node').choices(['record', 'node']),
    )
    .addOption(numberOption('--sample-rate <q>', 'every round is over records that nodes draw with this probability'))
    .addOption(listOption('--sensitive <column>', 'column under stronger protection; may be given again'))
    .addOption(numberOption('--sensitive-share <s>', 'part of the clip that sensitive columns have; default 0.25'))
    .addOption(numberOption('--clip <norm>', 'L2 norm that one unit is clipped to; with --dimension default 1'))
    .addOption(
      numberOption('--rounds <n>', "rounds that the budget is divided among; default 10, or the dataset's own"),
    )
    .addOption(numberOption('--epsilon <e>', 'of all rounds together; default 8'))
    .addOption(numberOption('--delta <d>', 'a power of ten; default 1e-5'))
    .optionsGroup('Minimums, quorum and time:')
    .addOption(numberOption('--min-cohort <n>', 'fewest nodes in a sum; default one less than --nodes, but three'))
    .addOption(numberOption('--min-honest <n>', 'nodes whose noise alone has to suffice; default one less again'))
    .addOption(numberOption('--min-organisations <n>', 'fewest organisations in a sum; default the smallest cohort'))
    .addOption(
      numberOption(
        '--buckets <b>',
        'divide the nodes into b buckets, each with a sum and minimums of its own; default none',
      ),
    )
    .addOption(
      new Option(
        '--aggregate <rule>',
        "with --buckets: how the buckets' means become one update; default mean",
      ).choices(AGGREGATES),
    )
    .addOption(numberOption('--members <n>', 'size of the quorum; default 5'))
    .addOption(numberOption('--threshold <t>', 'of the quorum; default 3'))
    .addOption(numberOption('--upload-ms <ms>', 'time for uploads; default 60000'))
    .addOption(numberOption('--confirm-ms <ms>', 'time for confirmations; default 30000'))
    .option('--check-sums', 'ask nodes to keep their plain integers in a private folder: for demonstrations only')
    .addHelpText(
      'after',
      `
Write the task before 'veilsum init': a federation is founded for its task, and unit, budget and minimums are final then.
The line that founds it is printed.
${examples(
  'veilsum task new --dataset synthetic --nodes 4 --recipient model-owner --rounds 10 --out task.json',
  'veilsum task new --features crm-features.yaml --nodes 4 --recipient model-owner --out task.json',
  'veilsum task new --dataset leads --nodes 4 --recipient model-owner --sample-rate 0.1 --rounds 400 --out task.json',
  'veilsum task new --dataset synthetic --nodes 6 --recipient model-owner --min-cohort 3 --masking none --out task.json',
  'veilsum task new --dimension 4000 --clip 1 --nodes 4 --recipient model-owner --out task.json',
  "veilsum task new --like adapter.safetensors --only '*.lora_*' --nodes 4 --recipient model-owner --out task.json",
)}`,
    )
    .action(async (_options, command: Command) => {
      const { writeTask } = await import('./task-new.ts');
      const flags = command.opts();
      if (['dataset', 'features', 'dimension', 'like'].filter((flag) => flags[flag] !== undefined).length !== 1) {
        throw usageError(
          'give one of --dataset and --features (train on tables), --dimension and --like (sum updates from files)',
        );
      }
      if (flags['only'] !== undefined && flags['like'] === undefined)
        throw usageError('--only goes with --like: it chooses layers of that file');
      const isOfFiles = flags['dimension'] !== undefined || flags['like'] !== undefined;
      if (flags['weightMax'] !== undefined && flags['unit'] !== 'node' && !isOfFiles)
        throw usageError(
          '--weight-max goes with --unit node, --dimension and --like: of unit record, records are counted anyway',
        );
      if (isOfFiles && flags['unit'] === 'record')
        throw usageError(
          '--unit record goes with --dataset: an update from a file is clipped as a whole, which protects the node',
        );
      if (isOfFiles && (flags['sampleRate'] ?? flags['sensitive']) !== undefined)
        throw usageError('--sample-rate and --sensitive go with --dataset: they are about records and their columns');
      const local = ['localSteps', 'localBatch', 'localRate', 'proximal'].filter((flag) => flags[flag] !== undefined);
      if (local.length > 0 && flags['unit'] !== 'node')
        throw usageError('--local-steps, --local-batch, --local-rate and --proximal go with --unit node');
      if (flags['localLayer'] !== undefined && isOfFiles)
        throw usageError(
          '--local-layer goes with --dataset; of updates from files --only chooses the layers that are summed',
        );
      if (flags['aggregate'] !== undefined && flags['buckets'] === undefined)
        throw usageError('--aggregate goes with --buckets: it is applied to the means of buckets');
      if (flags['aggregate'] !== undefined && isOfFiles)
        throw usageError('--aggregate goes with --dataset: sums of updates from files are handed on as their mean');
      if (flags['hidden'] !== undefined && flags['model'] !== 'mlp')
        throw usageError('--hidden goes with --model mlp: a logistic regression has no hidden layer');
      if (flags['sensitiveShare'] !== undefined && flags['sensitive'] === undefined)
        throw usageError('--sensitive-share goes with --sensitive');
      if (isOfFiles && flags['model'] !== undefined)
        throw usageError(
          '--model goes with --dataset: with --dimension and --like nodes bring updates of a model of their own',
        );
      await writeTask(command.opts(), print);
    });
}

function showCommand(): Command {
  return new Command('show')
    .description('show what a task file means: size, noise, cost per round, hash')
    .argument('<file>')
    .addOption(numberOption('--delta <d>', 'at which epsilon is said').default(1e-5))
    .option(
      '--dir <folder>',
      "the founders' folder, or a party's: with its quorum, and whether it can open such rounds",
    )
    .addHelpText('after', examples('veilsum task show task.json', 'veilsum task show task.json --dir founders'))
    .action(async (file: string, options: { delta: number; dir?: string }) => {
      const { showTask } = await import('./task-new.ts');
      showTask(file, options, print);
    });
}

export function taskCommand(): Command {
  return new Command('task')
    .description('task files, which officers, nodes and recipients share')
    .addCommand(withMaskingOptions(withPseudoOptions(withCompressionOptions(newCommand()))))
    .addCommand(showCommand());
}
