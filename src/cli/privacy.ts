import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface PrivacyFlags {
  readonly noise?: number;
  readonly epsilon?: number;
  readonly rounds: number;
  readonly rate: number;
  readonly delta: number;
  readonly json?: boolean;
}

function check({ noise, epsilon, rounds, rate, delta }: PrivacyFlags): void {
  if ((noise === undefined) === (epsilon === undefined))
    throw usageError('give --noise to see what it costs, or --epsilon to see what noise it takes');
  if (noise !== undefined && !(noise >= 0.3 && noise <= 1e6)) throw usageError('--noise: must be from 0.3 to 1e6');
  if (epsilon !== undefined && !(epsilon >= 0.01 && epsilon <= 100))
    throw usageError('--epsilon: must be from 0.01 to 100');
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1_000_000))
    throw usageError('--rounds: must be a whole number up to 1000000');
  if (!(rate > 0 && rate <= 1)) throw usageError('--rate: must be above 0 and at most 1');
  if (!(delta >= 1e-10 && delta <= 0.1)) throw usageError('--delta: must be from 1e-10 to 0.1');
}

export function privacyCommand(): Command {
  return new Command('privacy')
    .description('what noise costs in epsilon, by the accountants there are, before any task is written')
    .addOption(numberOption('--noise <z>', 'standard deviation of the noise in a sum, in units of the clip'))
    .addOption(numberOption('--epsilon <e>', 'instead: the epsilon that all rounds together may cost'))
    .addOption(numberOption('--rounds <n>', 'sums that are opened').default(1))
    .addOption(numberOption('--rate <q>', 'share of the records that each round draws at random').default(1))
    .addOption(numberOption('--delta <d>', 'delta').default(1e-5))
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      `${examples('veilsum privacy --noise 20 --rounds 200', 'veilsum privacy --epsilon 8 --rounds 200')}
The ledger charges 'zCDP'. The others tell how far that is from what is known to be possible.
Rounds do not draw records at random yet: a --rate below 1 is for planning only.
`,
    )
    .action(async (flags: PrivacyFlags) => {
      check(flags);
      const { printPrivacy } = await import('./privacy-table.ts');
      printPrivacy(flags, print);
    });
}
