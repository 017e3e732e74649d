import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { OPTIMISERS, type Optimiser } from '../learning/optimisers.ts';
import { usageError } from './exit.ts';
import { asyncCommand } from './experiment-async.ts';
import { compressionCommand } from './experiment-compression.ts';
import { datasetsOf, epsilonsOf } from './experiment-lists.ts';
import { personalCommand } from './experiment-personal.ts';
import { robustCommand } from './experiment-robust.ts';
import { semiCommand } from './experiment-semi.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface ExperimentFlags {
  readonly model: 'logistic' | 'mlp' | 'both';
  readonly epsilon: string;
  readonly optimiser: Optimiser;
  readonly rounds?: number;
  readonly processes?: string;
  readonly processRounds?: number;
  readonly jobs: number;
  readonly seed: number;
  readonly out: string;
}

function processesOf(
  { processes, processRounds }: Pick<ExperimentFlags, 'processes' | 'processRounds'>,
  datasets: readonly DatasetName[],
) {
  if (processes === undefined) {
    if (processRounds === undefined) return undefined;
    throw usageError('--process-rounds goes with --processes');
  }
  const dataset = datasets.find((name) => name === processes);
  if (dataset === undefined)
    throw usageError(`--processes: one of the datasets of this experiment: ${datasets.join(', ')}`);
  if (processRounds !== undefined && !(Number.isSafeInteger(processRounds) && processRounds >= 1))
    throw usageError('--process-rounds: a whole number from 1');
  return { dataset, rounds: processRounds ?? Number.MAX_SAFE_INTEGER };
}

export function experimentCommand(): Command {
  return (
    new Command('experiment')
      // Its subcommand has options of the same names, with other defaults.
      .enablePositionalOptions()
      .addCommand(robustCommand())
      .addCommand(personalCommand())
      .addCommand(semiCommand())
      .addCommand(compressionCommand())
      .addCommand(asyncCommand())
      .description('federated against regional and centralised models on tables, at several epsilons: a report to read')
      .argument(
        '<dataset...>',
        `${DATASETS.join(', ')}; or all. All but synthetic, conversations and accounts are read from the folder VEILSUM_DATA`,
      )
      .addOption(
        new Option('--model <kind>', 'what is trained').choices(['logistic', 'mlp', 'both']).default('logistic'),
      )
      .option(
        '--epsilon <list>',
        'record-level privacy of all rounds together, at delta 1e-5; none: no privacy',
        'none,8,3,1,0.5',
      )
      .addOption(
        new Option('--optimiser <rule>', "of the recipient's step on an opened sum")
          .choices(OPTIMISERS)
          .default('momentum'),
      )
      .addOption(numberOption('--rounds <n>', 'training rounds; default: what suits the dataset and model, 200'))
      .option(
        '--processes <dataset>',
        'train one of the datasets once more with every party a process, at the weakest privacy of the list, and compare',
      )
      .addOption(numberOption('--process-rounds <n>', 'of that job, the first so many rounds; default: all'))
      .addOption(
        numberOption('--jobs <n>', 'datasets at once, each in a process of its own').default(
          availableParallelism(),
          'one a processor',
        ),
      )
      .addOption(numberOption('--seed <n>', 'of the synthetic tables and of the resampling').default(1))
      .option(
        '--out <folder>',
        'report.html, report.md, figures, experiment.json and every model go here',
        'veilsum-experiment',
      )
      .addHelpText(
        'after',
        `${examples('veilsum experiment synthetic --epsilon none,8', 'VEILSUM_DATA=~/tables veilsum experiment all --model both --processes leads')}
The last one is everything: all tables, both models, five epsilons, one job over processes. All parties of a job run in one process,
with the real cryptography, unless --processes says otherwise.
It needs all regions' rows in one place, to compare: for tables that may be. Runs are kept in --out and not repeated, so
that an experiment that was stopped goes on.
`,
      )
      .action(async (names: readonly string[], _options, command: Command) => {
        const { model, epsilon, optimiser, rounds, seed, out, jobs, ...flags } = command.opts<ExperimentFlags>();
        if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1))
          throw usageError('--rounds: a whole number from 1');
        if (!(Number.isSafeInteger(jobs) && jobs >= 1)) throw usageError('--jobs: a whole number from 1');
        const datasets = datasetsOf(names);
        const processes = processesOf(flags, datasets);
        const epsilons = epsilonsOf(epsilon);
        const { runExperiment } = await import('../experiment/experiment.ts');
        await runExperiment({
          ...{ datasets, epsilons, optimiser, seed, out, jobs, print },
          models: model === 'both' ? ['logistic', 'mlp'] : [model],
          ...(rounds === undefined ? {} : { rounds }),
          ...(processes === undefined ? {} : { processes }),
        });
      })
  );
}
