import { Command, Option } from 'commander';
import { DATASETS } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf, listOption, numberOption, settingsOf } from './settings.ts';

const LOCAL_HELP = `
Nodes and recipients are enrolled afterwards ('veilsum enrol'). Unit, epsilon, delta and minimums are final: take the line that
'veilsum task new' prints for your task.

Without --local, the founders bring the cards that every party made with 'veilsum keys new'. What is written into --dir:
  root.key, authority/, officer/   secret: enrolling, certificates, opening rounds
  federation.json                  public: every party joins with it
  policy.txt                       public: auditors verify with it
  certificates/NAME.crt            public: one for each party that was named
The same settings may be in init.yaml in --dir.

With --local, all parties get their folders under --dir on this machine, ready to be started.
`;

export function initCommand(): Command {
  return new Command('init')
    .description('found a federation: root key, certificate authority, genesis of the log')
    .addOption(dirOption("the founders' folder; with --local, the folder for everything"))
    .option('--origin <name>', "the log's name, such as example.org/veilsum")
    .option('--coordinator <card>', "the coordinator's card.json")
    .addOption(listOption('--aggregator <card>', 'a card; may be given again'))
    .addOption(listOption('--member <card>', 'a card of a quorum member, in order; may be given again'))
    .addOption(listOption('--witness <card>', 'a card of a witness outside the quorum; may be given again'))
    .addOption(
      listOption(
        '--outside-witness <witness>',
        "a C2SP tlog-witness of other people as 'NAME VKEY URL', as in a policy file; may be given again",
      ),
    )
    .addOption(numberOption('--threshold <t>', 'members that open a sum together; default: more than half'))
    .addOption(numberOption('--faulty <f>', 'witnesses that may be corrupt or restored; default t - 1'))
    .addOption(numberOption('--min-cohort <n>', 'no sum of fewer nodes is ever opened; default 3'))
    .addOption(numberOption('--min-organisations <n>', 'nor of fewer organisations; default 2'))
    .addOption(numberOption('--min-honest <n>', 'nor with less noise than this many nodes add; default 2'))
    .addOption(
      new Option(
        '--unit <unit>',
        'whose privacy the budget counts: node for updates from files; default record',
      ).choices(['record', 'node']),
    )
    .addOption(numberOption('--epsilon <e>', 'the whole budget of the log; default 8'))
    .addOption(numberOption('--delta <d>', 'a power of ten; default 1e-5'))
    .addOption(
      numberOption('--renyi-order <a>', "for rounds over drawn records: as 'veilsum task new --sample-rate' prints"),
    )
    .option('--local', 'all parties on this machine, for trying out')
    .addOption(numberOption('--nodes <n>', 'with --local and --features or --dimension: how many; default 4'))
    .addOption(new Option('--dataset <name>', 'with --local: nodes train on these tables').choices(DATASETS))
    .option(
      '--features <file>',
      'with --local: nodes train on tables of your own, by this feature file (docs/examples)',
    )
    .addOption(
      numberOption('--dimension <d>', "with --local: nodes bring updates of this many numbers ('veilsum node submit')"),
    )
    .addOption(numberOption('--rounds <n>', 'with --local: rounds that the budget is divided among; default 10'))
    .addOption(
      new Option('--masking <kind>', "with --local: none for asynchronous rounds, as in 'veilsum task new'").choices([
        'pairwise',
        'none',
      ]),
    )
    .addOption(numberOption('--buffer <k>', 'with --masking none: uploads that close a round; default --min-cohort'))
    .addOption(numberOption('--max-staleness <s>', 'with --masking none: models that an update may be behind'))
    .addOption(listOption('--node <card>', 'enrolled afterwards').hideHelp())
    .addOption(listOption('--recipient <card>', 'enrolled afterwards').hideHelp())
    .addHelpText(
      'after',
      `${LOCAL_HELP}${examples(
        'veilsum init --dir founders --origin example.org/veilsum --coordinator coordinator/card.json \\\n      --aggregator aggregator-1/card.json --aggregator aggregator-2/card.json --member member-1/card.json \\\n      --member member-2/card.json --member member-3/card.json --witness witness-1/card.json --threshold 2',
        'veilsum init --local --dir fed --dataset synthetic',
        'veilsum init --local --dir fed --features crm-features.yaml --nodes 3',
        'veilsum init --local --dir fed --dimension 100 --nodes 4',
      )}`,
    )
    .action(async (options: { local?: boolean; node?: string[]; recipient?: string[] }, command: Command) => {
      if (options.node !== undefined || options.recipient !== undefined)
        throw usageError(
          "nodes and recipients are not named here: once the federation runs, enrol them with 'veilsum enrol CARD --dir founders'",
        );
      const folder = folderOf(command);
      if (options.local === true) {
        const { initLocally, localSettings } = await import('./init-local.ts');
        const settings = await settingsOf(command, localSettings, null);
        const { dataset, features, dimension } = settings;
        if ([dataset, features, dimension].filter((one) => one !== undefined).length > 1) {
          throw usageError(
            '--dataset, --features and --dimension exclude one another: nodes train on tables from here, on tables of their own, or bring updates',
          );
        }
        if (settings.nodes !== undefined && features === undefined && dimension === undefined)
          throw usageError(
            '--nodes goes with --features or --dimension: a dataset has one node for each of its regions',
          );
        return initLocally(folder, settings, print);
      }
      const { foundFromCards, initSettings } = await import('./init-cards.ts');
      await foundFromCards(folder, await settingsOf(command, initSettings, 'init.yaml'), print);
    });
}
