import { Command, Option } from 'commander';
import { type Bits, VARIANTS, type Variant } from '../experiment/compression-names.ts';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface CompressionExperimentFlags {
  readonly model: 'logistic' | 'mlp' | 'both';
  readonly unit: 'record' | 'node';
  readonly epsilon: string;
  readonly bits: string;
  readonly keep: string;
  readonly variants: string;
  readonly full?: boolean;
  readonly sendAbove?: number;
  readonly hidden: number;
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
}

function listOf<T>(text: string, flag: string, what: string, read: (part: string) => T | undefined): readonly T[] {
  return text.split(',').map((part) => {
    const value = read(part.trim());
    if (value === undefined) throw usageError(`${flag}: ${what}, with commas between`);
    return value;
  });
}

const numberIn = (part: string, low: number, high: number): number | undefined => {
  const value = Number(part);
  return part !== '' && value >= low && value <= high ? value : undefined;
};

export function compressionCommand(): Command {
  return new Command('compression')
    .description('bytes a round against accuracy: bits of a value, kept part of the weights, rotation, feedback')
    .argument('[dataset]', `${DATASETS.join(', ')}`, 'synthetic')
    .addOption(new Option('--model <kind>', 'what is trained').choices(['logistic', 'mlp', 'both']).default('both'))
    .addOption(new Option('--unit <unit>', 'whose updates are clipped').choices(['record', 'node']).default('node'))
    .option('--epsilon <e>', 'of all rounds together at delta 1e-5, or none', 'none')
    .option('--bits <list>', '4 to 16; default: what a task has that names none', 'default,4,6,8,12,16')
    .option(
      '--keep <list>',
      'parts of the weights that a round carries, each with the middle of --bits; 1: all',
      '1,0.3,0.1',
    )
    .option('--variants <list>', `${VARIANTS.join(', ')}`, VARIANTS.join(','))
    .option('--full', 'every kept part with every number of bits')
    .addOption(numberOption('--send-above <norm>', 'a node with a shorter update sends none; needs --bits 16'))
    .addOption(numberOption('--hidden <n>', "units of the network's hidden layer").default(256))
    .addOption(numberOption('--rounds <n>', 'of training, in each run').default(20))
    .addOption(numberOption('--seed <n>', 'of the synthetic tables and of the resampling').default(1))
    .option('--out <folder>', 'report.html, report.md, figures and compression.json go here', 'veilsum-compression')
    .addHelpText(
      'after',
      `${examples(
        'veilsum experiment compression synthetic',
        'VEILSUM_DATA=~/tables veilsum experiment compression leads --model mlp --bits 8,16 --keep 1,0.1',
        'veilsum experiment compression --unit record --epsilon 8 --bits default --rounds 200',
        'veilsum experiment compression --bits 16 --keep 1 --variants plain --send-above 0.1',
      )}
All parties run in this process, with the real cryptography. Runs are kept in --out and not repeated. A record's bits cannot
be few: a sum of all of a node's records has to fit in a value.
`,
    )
    .action(async (name: string, _options, command: Command) => {
      const flags = command.opts<CompressionExperimentFlags>();
      const dataset = DATASETS.find((known): known is DatasetName => known === name);
      if (dataset === undefined) throw usageError(`no dataset '${name}': ${DATASETS.join(', ')}`);
      const epsilon = flags.epsilon === 'none' ? 'none' : numberIn(flags.epsilon, 1e-6, 1000);
      if (epsilon === undefined) throw usageError("--epsilon: a number above 0, or 'none'");
      for (const [flag, most] of [
        ['rounds', 1_000_000],
        ['hidden', 256],
      ] as const) {
        if (!(Number.isSafeInteger(flags[flag]) && flags[flag] >= 1 && flags[flag] <= most))
          throw usageError(`--${flag}: a whole number from 1 to ${most}`);
      }
      const bits = listOf<Bits>(flags.bits, '--bits', "whole numbers from 4 to 16 and 'default'", (part) =>
        part === 'default' ? part : Number.isInteger(Number(part)) ? numberIn(part, 4, 16) : undefined,
      );
      const keeps = listOf(flags.keep, '--keep', 'numbers above 0 and up to 1', (part) => numberIn(part, 1e-6, 1));
      const variants = listOf<Variant>(flags.variants, '--variants', VARIANTS.join(', '), (part) =>
        VARIANTS.find((known) => known === part),
      );
      const { runCompression } = await import('../experiment/compression.ts');
      const { unit, sendAbove, hidden, rounds, seed, out } = flags;
      await runCompression({
        ...{ dataset, unit, epsilon, bits, keeps, variants, hidden, rounds, seed, out, print },
        isFull: flags.full === true,
        ...(sendAbove === undefined ? {} : { sendAbove }),
        models: flags.model === 'both' ? ['logistic', 'mlp'] : [flags.model],
      });
    });
}
