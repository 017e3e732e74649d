import { Command, Option } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf, listOption, numberOption } from './settings.ts';

const STEPS = `
Two rounds, each charged to the same budget as training:
  1  which values several nodes have       task ... --out presence.json; round open; fetch ... --out kept.json
  2  counts, means, deviations, quantiles  task ... --kept kept.json --out figures.json; round open; fetch ... --out scaled.yaml
The second counts only what passed in the first. The file that it gives is one to train with: task new --features scaled.yaml.
`;

function taskCommand(): Command {
  return new Command('task')
    .description('write the task of a round that counts: which values several nodes have or, with --kept, the figures')
    .requiredOption('--out <file>', 'where to')
    .requiredOption(
      '--features <file>',
      'the feature file that every region has: numbers with low and high, levels and texts to choose from',
    )
    .option('--kept <file>', "second step: what passed in the first, as 'statistics fetch' wrote it")
    .addOption(listOption('--recipient <name>', 'who opens the sum; may be given again').makeOptionMandatory())
    .addOption(numberOption('--nodes <n>', 'nodes that are expected').makeOptionMandatory())
    .addOption(numberOption('--least-nodes <m>', 'first step: nodes that a value passes from; default 2'))
    .addOption(
      numberOption('--least-customers <k>', 'first step: records, in all nodes, that a value passes from; default 20'),
    )
    .option('--name <label>', "the task's name; default: lead-scoring, which what comes after it has, too")
    .option('--window <label>', 'the data that the round is over', 'first')
    .addOption(numberOption('--records-max <n>', 'most records of one node; default 16384'))
    .addOption(numberOption('--epsilon <e>', 'of this round; default 1'))
    .addOption(numberOption('--delta <d>', 'a power of ten; default 1e-5'))
    .addOption(
      numberOption('--budget <e>', 'epsilon of the whole federation, to say what is left; default 8, or that of --dir'),
    )
    .addOption(numberOption('--min-cohort <n>', 'fewest nodes in a sum; default one less than --nodes, but three'))
    .addOption(numberOption('--min-honest <n>', 'nodes whose noise alone has to suffice; default one less again'))
    .addOption(numberOption('--min-organisations <n>', 'fewest organisations in a sum; default the smallest cohort'))
    .addOption(numberOption('--members <n>', 'size of the quorum; default 5'))
    .addOption(numberOption('--threshold <t>', 'of the quorum; default 3'))
    .addOption(numberOption('--upload-ms <ms>', 'time for uploads; default 60000'))
    .addOption(numberOption('--confirm-ms <ms>', 'time for confirmations; default 30000'))
    .addOption(new Option('--dir <folder>', "the founders' folder, or a party's: compare with its federation"))
    .addHelpText(
      'after',
      `${STEPS}${examples(
        'veilsum statistics task --features crm-counted.yaml --nodes 4 --recipient model-owner --out presence.json',
        'veilsum statistics task --features crm-counted.yaml --kept kept.json --nodes 4 --recipient model-owner --out figures.json',
      )}`,
    )
    .action(async (_options, command: Command) => {
      const { writeStatisticsTask } = await import('./statistics-task.ts');
      writeStatisticsTask(command.opts(), print);
    });
}

function fetchCommand(): Command {
  return new Command('fetch')
    .description(
      'read an opened round of statistics from this recipient, which must be running, and write what it says: of the first step what passed, of the second the feature file with scales and levels',
    )
    .addOption(dirOption("the recipient's folder"))
    .requiredOption('--round <n>', 'number of the round, or the beginning of its id')
    .requiredOption('--features <file>', 'the feature file that the round was over')
    .requiredOption('--out <file>', 'of the first step .json; of the second .yaml or .json')
    .option('--task <label>', 'which task, where the log has several')
    .addHelpText(
      'after',
      `${STEPS}${examples(
        'veilsum statistics fetch --dir owner --round 1 --features crm-counted.yaml --out kept.json',
        'veilsum statistics fetch --dir owner --round 2 --features crm-counted.yaml --out crm-scaled.yaml',
      )}`,
    )
    .action(async (options: { round: string; features: string; out: string; task?: string }, command: Command) => {
      const { fetchStatistics } = await import('./statistics-fetch.ts');
      const { task, ...wanted } = options;
      await fetchStatistics(folderOf(command), { ...wanted, task: task ?? null }, print);
    });
}

export function statisticsCommand(): Command {
  return new Command('statistics')
    .description('scales and levels for a feature file, from what all nodes count together under the same privacy')
    .addHelpText('after', STEPS)
    .addCommand(taskCommand())
    .addCommand(fetchCommand());
}
