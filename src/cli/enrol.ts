import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function enrolCommand(): Command {
  return new Command('enrol')
    .description('enrol parties from their cards: an enrol leaf through the coordinator, and a certificate for each')
    .argument('<card...>', 'card.json files')
    .addOption(dirOption("the founders' folder"))
    .option('--install <folder>', "the party's folder on this machine, to put the certificate there")
    .option('--out <folder>', 'where certificates go as NAME.crt; default: beside each card')
    .addHelpText(
      'after',
      `\nA card that lies in its party's own folder gets its certificate installed there.\n${examples('veilsum enrol node-eu.card.json --dir founders', 'veilsum enrol parties/*/card.json --dir founders')}`,
    )
    .action(async (cards: string[], options: { install?: string; out?: string }, command: Command) => {
      if (options.install !== undefined && cards.length !== 1) throw usageError('--install takes one card at a time');
      const { enrolCards } = await import('./enrolment.ts');
      await enrolCards(folderOf(command), cards, { install: options.install ?? null, out: options.out ?? null }, print);
    });
}
