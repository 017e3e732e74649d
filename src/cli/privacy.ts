import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { privacyAuditCommand } from './privacy-audit.ts';
import { examples, numberOption } from './settings.ts';

interface PrivacyFlags {
  readonly noise?: number;
  readonly epsilon?: number;
  readonly task?: string;
  readonly rounds: number;
  readonly rate: number;
  readonly delta: number;
  readonly sensitiveShare?: number;
  readonly json?: boolean;
}

function check({ noise, epsilon, task, rounds, rate, delta, sensitiveShare }: PrivacyFlags): void {
  if ([noise, epsilon, task].filter((flag) => flag !== undefined).length !== 1)
    throw usageError('give --noise to see what it costs, --epsilon to see what noise it takes, or a --task');
  if (task !== undefined && (rate !== 1 || sensitiveShare !== undefined))
    throw usageError('--rate and --sensitive-share stand in the task file');
  if (noise !== undefined && !(noise >= 0.3 && noise <= 1e6)) throw usageError('--noise: must be from 0.3 to 1e6');
  if (epsilon !== undefined && !(epsilon >= 0.01 && epsilon <= 100))
    throw usageError('--epsilon: must be from 0.01 to 100');
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1_000_000))
    throw usageError('--rounds: must be a whole number up to 1000000');
  if (!(rate > 0 && rate <= 1)) throw usageError('--rate: must be above 0 and at most 1');
  if (!(delta >= 1e-10 && delta <= 0.1)) throw usageError('--delta: must be from 1e-10 to 0.1');
  if (sensitiveShare !== undefined && !(sensitiveShare > 0 && sensitiveShare < 1))
    throw usageError('--sensitive-share: must be between 0 and 1');
}

export function privacyCommand(): Command {
  return new Command('privacy')
    .description('what noise costs in epsilon, by the accountants there are, before any round is opened')
    .addOption(numberOption('--noise <z>', 'standard deviation of the noise in a sum, in units of the clip'))
    .addOption(numberOption('--epsilon <e>', 'instead: the epsilon that all rounds together may cost'))
    .option('--task <file>', 'instead: noise, rate and sensitive columns of a task')
    .addOption(numberOption('--rounds <n>', 'sums that are opened').default(1))
    .addOption(numberOption('--rate <q>', 'probability with which each round draws a record').default(1))
    .addOption(numberOption('--sensitive-share <s>', 'part of the clip that sensitive columns have'))
    .addOption(numberOption('--delta <d>', 'delta').default(1e-5))
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      `${examples(
        'veilsum privacy --noise 20 --rounds 200',
        'veilsum privacy --epsilon 8 --rounds 200 --sensitive-share 0.25',
        'veilsum privacy --epsilon 8 --rounds 2000 --rate 0.05',
        'veilsum privacy --task task.json --rounds 200',
        'veilsum privacy audit --epsilon 1',
      )}
The ledger charges 'zCDP', or 'Renyi, one order' where records are drawn. The others tell how far that is from what is known to
be possible.
`,
    )
    .action(async (flags: PrivacyFlags) => {
      check(flags);
      const { printPrivacy } = await import('./privacy-table.ts');
      if (flags.task === undefined) return printPrivacy(flags, print);
      const { printTaskPrivacy } = await import('./privacy-task.ts');
      printTaskPrivacy(flags.task, flags, print);
    })
    .enablePositionalOptions()
    .addCommand(privacyAuditCommand());
}
