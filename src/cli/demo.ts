import { Command, Option } from 'commander';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface DemoFlags {
  readonly dataset: DatasetName;
  readonly model: 'logistic' | 'mlp';
  readonly rounds: number;
  readonly epsilon: number;
  readonly sampleRate?: number;
  readonly seed: number;
  readonly out: string;
  readonly kills: boolean;
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('a whole federated job on this machine: every party a process, mutual TLS, parties killed on the way')
    .addOption(
      new Option(
        '--dataset <name>',
        'synthetic and conversations (with a column of text) are made here; the others are read from the folder VEILSUM_DATA',
      )
        .choices(DATASETS)
        .env('VEILSUM_DATASET')
        .default('synthetic'),
    )
    .addOption(new Option('--model <kind>', 'what is trained').choices(['logistic', 'mlp']).default('logistic'))
    .addOption(numberOption('--rounds <n>', 'training rounds').default(10))
    .addOption(numberOption('--epsilon <e>', 'record-level privacy of all rounds together, at delta 1e-5').default(8))
    .addOption(
      numberOption(
        '--sample-rate <q>',
        'every round is over records that nodes draw with this probability; default: over all',
      ),
    )
    .addOption(numberOption('--seed <n>', 'of the synthetic tables').default(1))
    .addOption(
      new Option('--out <folder>', 'report.json, convergence.svg, policy.txt, log/ and blobs/ go here')
        .env('VEILSUM_OUT')
        .default('veilsum-demo'),
    )
    .option('--no-kills', 'let every party live')
    .addHelpText(
      'after',
      examples(
        'veilsum demo',
        'veilsum demo --sample-rate 0.5 --no-kills',
        'VEILSUM_DATA=~/tables veilsum demo --dataset bank --out veilsum-demo-bank',
      ),
    )
    .action(async (_options, command: Command) => {
      const flags = command.opts<DemoFlags>();
      if (!Number.isSafeInteger(flags.rounds) || flags.rounds < 1) throw usageError('--rounds: a whole number from 1');
      if (!(flags.epsilon > 0)) throw usageError('--epsilon: a number above 0');
      const { runDemo } = await import('../demo/demo.ts');
      process.exitCode = await runDemo({ ...flags, print });
    });
}
