import { Command, Option } from 'commander';
import { ATTACKS, type Attack } from '../experiment/attack-names.ts';
import { AGGREGATES, type Aggregate } from '../learning/aggregates.ts';
import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface RobustFlags {
  readonly attack: string;
  readonly bad: string;
  readonly rule: Exclude<Aggregate, 'mean'>;
  readonly nodes: number;
  readonly buckets: number;
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
}

function attacksOf(text: string): readonly Attack[] {
  if (text === 'all') return ATTACKS;
  return text.split(',').map((part) => {
    const known = ATTACKS.find((attack) => attack === part.trim());
    if (known === undefined) throw usageError(`--attack: ${ATTACKS.join(', ')}, with commas between; or all`);
    return known;
  });
}

function percentsOf(text: string): readonly number[] {
  return text.split(',').map((part) => {
    const percent = Number(part);
    if (percent > 0 && percent < 50) return percent;
    throw usageError('--bad: numbers above 0 and below 50, with commas between');
  });
}

export function robustCommand(): Command {
  return new Command('robust')
    .description('bad nodes against no defence, a robust rule over encrypted buckets, and the same rule in the clear')
    .argument('[dataset]', `${DATASETS.join(', ')}`, 'synthetic')
    .option('--attack <list>', `${ATTACKS.join(', ')}; or all`, 'all')
    .option('--bad <list>', 'parts of the nodes that are bad, in percent', '10,20,30')
    .addOption(
      new Option('--rule <rule>', "over the buckets' means")
        .choices(AGGREGATES.filter((rule) => rule !== 'mean'))
        .default('median'),
    )
    .addOption(numberOption('--nodes <n>', "made by dealing out the regions' rows").default(20))
    .addOption(numberOption('--buckets <b>', 'that the nodes are divided into').default(5))
    .addOption(numberOption('--rounds <n>', 'of training, in each run').default(10))
    .addOption(numberOption('--seed <n>', 'of the tables, the split, who is bad, and the resampling').default(1))
    .option('--out <folder>', 'report.html, report.md, figures and robust.json go here', 'veilsum-robust')
    .addHelpText(
      'after',
      `${examples('veilsum experiment robust synthetic', 'veilsum experiment robust --attack backdoor --bad 20 --rule geometric-median')}
A median over b buckets stands less than b / 2 poisoned ones; three-sigma does nothing below 8 buckets.
All parties run in this process, with the real cryptography where it says encrypted. Every run is made anew.
`,
    )
    .action(async (name: string, _options, command: Command) => {
      const flags = command.opts<RobustFlags>();
      const dataset = DATASETS.find((known): known is DatasetName => known === name);
      if (dataset === undefined) throw usageError(`no dataset '${name}': ${DATASETS.join(', ')}`);
      for (const [flag, least] of [
        ['nodes', 4],
        ['buckets', 2],
        ['rounds', 1],
      ] as const) {
        if (!(Number.isSafeInteger(flags[flag]) && flags[flag] >= least))
          throw usageError(`--${flag}: a whole number from ${least}`);
      }
      const { runRobust } = await import('../experiment/robust.ts');
      const { nodes, buckets, rounds, rule, seed, out } = flags;
      const [attacks, percents] = [attacksOf(flags.attack), percentsOf(flags.bad)];
      await runRobust({ ...{ dataset, attacks, percents, rule, nodes, buckets, rounds, seed, out, print } });
    });
}
