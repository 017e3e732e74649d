import { Command } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function renewCommand(): Command {
  return new Command('renew')
    .description('certify keys again before their certificates expire, or the new key of a party that replaces it')
    .argument(
      '[card...]',
      "card.json files, or tls-key.json of 'keys replace'; none: the officer's own certificate, with a fresh key",
    )
    .addOption(dirOption("the founders' folder"))
    .option('--out <folder>', 'where certificates go as NAME.crt; default: beside each card')
    .addHelpText(
      'after',
      `
Works without the coordinator, whose certificate may be the one that expired. It does not look into the log: a party that
was revoked, or has another key there, stays refused by every server whatever certificate it shows.
A new key needs the word of the party's identity key; for parties that genesis does not name, the log is asked for that key.
From then on this folder knows the party by the new one: for the coordinator's, its next commands wait for its 'keys join'.
Each party then: veilsum keys join --certificate NAME.crt. One that is running takes it without a restart.
${examples('veilsum keys renew coordinator.card.json --dir founders --out renewed', 'veilsum keys renew tls-key.json --dir founders --out renewed', 'veilsum keys renew --dir founders')}`,
    )
    .action(async (cards: string[], options: { out?: string }, command: Command) => {
      if (cards.length === 0 && options.out !== undefined) throw usageError('--out goes with card files');
      const { renewCards, renewOfficer } = await import('./renewal.ts');
      const folder = folderOf(command);
      if (cards.length === 0) await renewOfficer(folder, print);
      else await renewCards(folder, cards, options.out ?? null, print);
    });
}
