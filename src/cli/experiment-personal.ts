import { Command, Option } from 'commander';
import { DATASETS } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { datasetsOf, epsilonsOf } from './experiment-lists.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface PersonalFlags {
  readonly model: 'logistic' | 'mlp' | 'both';
  readonly epsilon: string;
  readonly rounds?: number;
  readonly seed: number;
  readonly out: string;
}

export function personalCommand(): Command {
  return new Command('personal')
    .description("a head of each region's own against the common model and against regions alone, region by region")
    .argument('<dataset...>', `${DATASETS.join(', ')}; or all`)
    .addOption(new Option('--model <kind>', 'what is trained').choices(['logistic', 'mlp', 'both']).default('both'))
    .option('--epsilon <list>', 'record-level privacy of the common model, at delta 1e-5; none: no privacy', 'none,8')
    .addOption(numberOption('--rounds <n>', 'training rounds; default: what suits the dataset and model, 200'))
    .addOption(numberOption('--seed <n>', 'of the synthetic tables and of the folds').default(1))
    .option('--out <folder>', 'report.html, report.md, figures and personal.json go here', 'veilsum-personal')
    .addHelpText(
      'after',
      `${examples('veilsum experiment personal churn bank-drift', 'veilsum experiment personal synthetic --model logistic --epsilon 1')}
Two ways: the head of a common model fitted afterwards, as by 'veilsum model personalise'; and, for networks without privacy, head and
common layers trained together, as by 'veilsum task new --unit node --local-layer'. Every run is made anew, with the real cryptography.
`,
    )
    .action(async (names: readonly string[], _options, command: Command) => {
      const { model, epsilon, rounds, seed, out } = command.opts<PersonalFlags>();
      if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1))
        throw usageError('--rounds: a whole number from 1');
      const datasets = datasetsOf(names);
      const epsilons = epsilonsOf(epsilon);
      const { runPersonal } = await import('../experiment/personal.ts');
      await runPersonal({
        ...{ datasets, epsilons, seed, out, print },
        models: model === 'both' ? ['logistic', 'mlp'] : [model],
        ...(rounds === undefined ? {} : { rounds }),
      });
    });
}
