import { Command, Option } from 'commander';
import { usageError } from './exit.ts';
import { dirOption, examples, folderOf, numberOption } from './settings.ts';

interface AcceptOptions {
  readonly address: string;
  readonly genesis?: string;
  readonly wait: number;
}

export function acceptCommand(): Command {
  return new Command('accept')
    .description("accept an invitation: draw the party's keys, ask to be enrolled, fetch the certificate once approved")
    .argument('<invitation>', 'invitation.json from the founders')
    .addOption(dirOption('folder to make for the party; the same one when asking again'))
    .addOption(
      new Option(
        '--address <host:port>',
        'where others reach its server; it listens there too, unless it is started with --listen',
      )
        .env('VEILSUM_ADDRESS')
        .makeOptionMandatory(),
    )
    .option('--genesis <hash>', 'refuse unless the federation has this genesis hash, learnt by other means')
    .addOption(numberOption('--wait <minutes>', 'how long to wait for the founders').default(0))
    .addHelpText(
      'after',
      `\nGive the same command again, with the same folder, to ask what became of the request.
${examples('veilsum keys accept eu-3.invitation.json --dir eu-3 --address eu-3.acme.example:7443 --genesis 5c0e... --wait 60')}`,
    )
    .action(async (file: string, options: AcceptOptions, command: Command) => {
      const { reachableField } = await import('../config/federation.ts');
      if (!reachableField.safeParse(options.address).success)
        throw usageError('--address: host:port where others reach the party, no wildcard (to bind one, use --listen)');
      if (!(options.wait >= 0 && options.wait <= 10_080)) throw usageError('--wait: 0 to 10080 minutes');
      const { acceptOnline } = await import('./acceptance.ts');
      const { print } = await import('./output.ts');
      await acceptOnline(
        folderOf(command),
        file,
        options.address,
        options.genesis ?? null,
        options.wait * 60_000,
        print,
      );
    });
}
