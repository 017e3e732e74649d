import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function replaceCommand(): Command {
  return new Command('replace')
    .description("draw another TLS key for a party that is enrolled: after a theft, or by a site's own rules")
    .addOption(dirOption("the party's folder"))
    .addHelpText(
      'after',
      `
The present key stays in use until 'keys join --certificate' has the new one's certificate; that command names the new key in
the log, signed by the party's identity key, and then puts it in place. Peers that follow the log know the party by the new key
from that leaf on, and refuse the old one at once. A key that the log has seen is never taken again. Where tls-key.json was lost,
the same command writes it anew for the same key, which the founders certify again.
${examples(
  'veilsum keys replace --dir member-1                                    # the party: writes member-1/tls-key.json',
  'veilsum keys renew tls-key.json --dir founders --out renewed           # the founders',
  'veilsum keys join --dir member-1 --certificate renewed/member-1.crt    # the party, which may be running',
)}`,
    )
    .action(async (_options: object, command: Command) => {
      const { drawReplacement } = await import('../keys/replacement.ts');
      const { nodePrimitives } = await import('../platform/primitives-node.ts');
      const folder = folderOf(command);
      const path = await drawReplacement(nodePrimitives, folder, Date.now());
      print(`The new TLS key is drawn; the present one stays in use.
Next: hand a copy of ${path} to the founders for 'veilsum keys renew', then 'veilsum keys join --dir ${folder} --certificate' here.`);
    });
}
