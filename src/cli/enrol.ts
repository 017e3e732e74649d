import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf, listOption } from './settings.ts';

interface EnrolOptions {
  readonly install?: string;
  readonly out?: string;
  readonly pending?: boolean;
  readonly approve?: readonly string[];
  readonly decline?: readonly string[];
}

const HELP = `
A card that lies in its party's own folder gets its certificate installed there.

Parties that were invited ('veilsum invite') bring their cards themselves: --pending shows who asks, with the fingerprint
of the key to compare with what the party sees, --approve enrols.
`;

export function enrolCommand(): Command {
  return new Command('enrol')
    .description('enrol parties: an enrol leaf through the coordinator, and a certificate for each')
    .argument('[card...]', 'card.json files')
    .addOption(dirOption("the founders' folder"))
    .option('--install <folder>', "the party's folder on this machine, to put the certificate there")
    .option('--out <folder>', 'where certificates go as NAME.crt; default: beside each card')
    .option('--pending', 'show who was invited and asks to be enrolled')
    .addOption(listOption('--approve <name>', 'enrol an invited party; may be given again'))
    .addOption(listOption('--decline <name>', 'refuse a request, by name or identifier; may be given again'))
    .addHelpText(
      'after',
      `${HELP}${examples('veilsum enrol node-eu.card.json --dir founders', 'veilsum enrol parties/*/card.json --dir founders', 'veilsum enrol --pending --dir founders', 'veilsum enrol --approve eu-3 --dir founders')}`,
    )
    .action(async (cards: string[], options: EnrolOptions, command: Command) => {
      const { install, out, pending, approve, decline } = options;
      const ways = [cards.length > 0, pending === true, approve !== undefined, decline !== undefined];
      if (ways.filter(Boolean).length !== 1) throw usageError('one of: card files, --pending, --approve, --decline');
      if (cards.length === 0 && (install !== undefined || out !== undefined))
        throw usageError('--install and --out go with card files: invited parties fetch their certificates themselves');
      if (install !== undefined && cards.length !== 1) throw usageError('--install takes one card at a time');
      const folder = folderOf(command);
      if (cards.length > 0) {
        const { enrolCards } = await import('./enrolment.ts');
        return enrolCards(folder, cards, { install: install ?? null, out: out ?? null }, print);
      }
      const { approvePending, declinePending, listPending } = await import('./enrolment-pending.ts');
      if (approve !== undefined) return approvePending(folder, approve, print);
      if (decline !== undefined) return declinePending(folder, decline, print);
      return listPending(folder, print);
    });
}
