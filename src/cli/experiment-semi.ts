import { Command, Option } from 'commander';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { type PseudoFlags, withRecordPseudoOptions } from './pseudo-flags.ts';
import { examples, numberOption } from './settings.ts';

interface SemiFlags extends Omit<PseudoFlags, 'pseudoLocalPrecision'> {
  readonly hide: string;
  readonly model: 'logistic' | 'mlp';
  readonly epsilon: string;
  readonly decay: number;
  readonly rounds?: number;
  readonly seed: number;
  readonly out: string;
}

function hideOf(text: string): readonly (number | 'regions')[] {
  return text.split(',').map((part) => {
    const percent = Number(part);
    if (part.trim() === 'regions') return 'regions';
    if (percent > 0 && percent < 100) return percent;
    throw usageError("--hide: percentages above 0 and below 100, and 'regions', with commas between");
  });
}

function epsilonOf(text: string): number | 'none' {
  const epsilon = Number(text);
  if (text === 'none') return text;
  if (epsilon > 0 && epsilon <= 1000) return epsilon;
  throw usageError("--epsilon: a number above 0, or 'none'");
}

/** How sure a model has to be, unless asked otherwise. */
const CONFIDENCE = 0.9;

export function semiCommand(): Command {
  const command = new Command('semi')
    .description('hides labels: labelled rows only, the same with a weight decay, pseudo labels, all labels')
    .argument('[dataset]', `${DATASETS.join(', ')}`, 'synthetic')
    .option('--hide <list>', "percent of the labels, at random; 'regions': all but the largest region's", '80,95,98')
    .addOption(new Option('--model <kind>', 'what is trained').choices(['logistic', 'mlp']).default('logistic'))
    .option('--epsilon <e>', 'record-level privacy of all rounds together, at delta 1e-5; none: no privacy', 'none')
    .addOption(numberOption('--decay <l>', 'L2 penalty of the run that is compared with, beside none').default(0.01))
    .addOption(numberOption('--rounds <n>', 'of training, in each run; default: what suits the dataset and model, 200'))
    .addOption(
      numberOption('--seed <n>', 'of synthetic tables, of the labels that are hidden, of the resampling').default(1),
    )
    .option('--out <folder>', 'report.html, report.md, figures and semi.json go here', 'veilsum-semi');
  return withRecordPseudoOptions(command, String(CONFIDENCE))
    .addHelpText(
      'after',
      `${examples('veilsum experiment semi synthetic --hide 95', 'VEILSUM_DATA=~/tables veilsum experiment semi leads --hide 80,95,98,regions --pseudo-weight 0.25')}
All parties run in this process, with the real cryptography; three runs for each entry of --hide.
`,
    )
    .action(async (name: string, _options, own: Command) => {
      const flags = own.opts<SemiFlags>();
      const dataset = DATASETS.find((known): known is DatasetName => known === name);
      if (dataset === undefined) throw usageError(`no dataset '${name}': ${DATASETS.join(', ')}`);
      const { model: kind, rounds, seed, out, decay: weightDecay } = flags;
      if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1))
        throw usageError('--rounds: a whole number from 1');
      if (!(weightDecay > 0 && weightDecay < 1)) throw usageError('--decay: a number above 0 and below 1');
      const [hide, epsilon] = [hideOf(flags.hide), epsilonOf(flags.epsilon)];
      const { pseudoOf } = await import('./pseudo-request.ts');
      const pseudo = pseudoOf({ ...flags, pseudoLabels: flags.pseudoLabels ?? CONFIDENCE, isOfFiles: false })!;
      const { runSemi } = await import('../experiment/semi.ts');
      await runSemi({
        ...{ dataset, hide, kind, epsilon, pseudo, weightDecay, seed, out, print },
        ...(rounds === undefined ? {} : { rounds }),
      });
    });
}
