import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function renewCommand(): Command {
  return new Command('renew')
    .description('certify keys again before their certificates expire: the same keys, so that every pin stays right')
    .argument('[card...]', "card.json files; none: the officer's own certificate, with a fresh key")
    .addOption(dirOption("the founders' folder"))
    .option('--out <folder>', 'where certificates go as NAME.crt; default: beside each card')
    .addHelpText(
      'after',
      `
Works without the coordinator, whose certificate may be the one that expired. It does not look into the log: a party that
was revoked, or has another key there, stays refused by every server whatever certificate it shows.
Each party then: veilsum keys join --certificate NAME.crt, and starts again.
${examples('veilsum keys renew coordinator.card.json --dir founders --out renewed', 'veilsum keys renew --dir founders')}`,
    )
    .action(async (cards: string[], options: { out?: string }, command: Command) => {
      if (cards.length === 0 && options.out !== undefined) throw usageError('--out goes with card files');
      const { renewCards, renewOfficer } = await import('./renewal.ts');
      const folder = folderOf(command);
      if (cards.length === 0) await renewOfficer(folder, print);
      else await renewCards(folder, cards, options.out ?? null, print);
    });
}
