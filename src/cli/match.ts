import { Command, Option } from 'commander';
import { NAME_KINDS, type NameKind } from '../matching/name-kinds.ts';
import { dirOption, examples, folderOf, listOption, numberOption, requireRole } from './settings.ts';

const site = () => dirOption("the site's folder: a node's");
const columnOption = () => new Option('--column <name>', 'the column of names; default: the first');
const kindOption = () => new Option('--kind <kind>', 'what the column holds').choices(NAME_KINDS).default('name');

function canonicalCommand(): Command {
  return new Command('canonical')
    .description('show how names are spelt canonically, and which spellings are one organisation; asks nobody')
    .argument('<names.csv>', 'a table with a header line')
    .addOption(columnOption())
    .addOption(kindOption())
    .option('--out <file>', 'write a CSV of spelling and canonical name instead of printing them')
    .addHelpText(
      'after',
      examples(
        'veilsum match canonical accounts.csv --column account',
        'veilsum match canonical leads.csv --column email --kind domain --out domains.csv',
      ),
    )
    .action(async (path: string, { column, kind, out }: { column?: string; kind: NameKind; out?: string }) => {
      const { showCanonical } = await import('./match-files.ts');
      showCanonical(path, column, kind, out);
    });
}

function keysCommand(): Command {
  return new Command('keys')
    .description(
      "ask the members for their parts of the matching key and keep them as matching.json; prints the key set's id",
    )
    .addOption(site())
    .addOption(
      listOption('--holder <name>', 'a member that holds a part; again for each, two at least; default: all members'),
    )
    .option('--expect <id>', 'refuse unless the key set has this id, learnt from another site')
    .option('--renew', 'take keys that differ from those kept: every site has to join again')
    .addHelpText(
      'after',
      examples('veilsum match keys --dir parties/node-eu', 'veilsum match keys --dir parties/node-us --expect 5f0c...'),
    )
    .action(async (options: { holder?: string[]; expect?: string; renew?: boolean }, command: Command) => {
      const { fetchKeySet } = await import('./match-join.ts');
      await fetchKeySet(folderOf(command), options.holder, options.expect, options.renew === true);
    });
}

function joinCommand(): Command {
  return new Command('join')
    .description(
      'give each account a join key that is the same at every site with the same canonical name; no name leaves',
    )
    .addOption(site())
    .requiredOption('--names <file>', 'CSV with a header line')
    .addOption(columnOption())
    .addOption(kindOption())
    .option('--purpose <text>', 'what the keys are for; sites that join use the same one', 'join')
    .requiredOption('--out <file>', 'the table with one more column, <column>_key')
    .addHelpText(
      'after',
      `\nEach new name costs one evaluation of the organisation's budget at every member; names that were asked before cost none.\n${examples('veilsum match join --dir parties/node-eu --names accounts.csv --column account --out keys.csv')}`,
    )
    .action(
      async (
        options: { names: string; column?: string; kind: NameKind; purpose: string; out: string },
        command: Command,
      ) => {
        const { joinTable } = await import('./match-join.ts');
        await joinTable(folderOf(command), { ...options, column: options.column });
      },
    );
}

function exportCommand(): Command {
  return new Command('export')
    .description('write the join keys of a table without its names, for another site to compare with')
    .requiredOption('--keys <file>', "what 'veilsum match join' wrote")
    .requiredOption('--column <name>', 'the column of names')
    .requiredOption('--out <file>', 'CSV of keys, sorted')
    .addHelpText('after', examples('veilsum match export --keys keys.csv --column account --out for-us.csv'))
    .action(async ({ keys, column, out }: { keys: string; column: string; out: string }) => {
      const { exportKeys } = await import('./match-files.ts');
      exportKeys(keys, column, out);
    });
}

function compareCommand(): Command {
  return new Command('compare')
    .description('which rows are of names that another site, which handed over its keys, has too')
    .requiredOption('--keys <file>', "what 'veilsum match join' wrote here")
    .requiredOption('--column <name>', 'the column of names')
    .requiredOption('--with <file>', "what 'veilsum match export' wrote there")
    .addOption(numberOption('--at-least <k>', 'show nothing when fewer names are shared').default(5))
    .requiredOption('--out <file>', 'the rows of shared names')
    .addHelpText(
      'after',
      examples('veilsum match compare --keys keys.csv --column account --with from-eu.csv --out shared.csv'),
    )
    .action(async (options: { keys: string; column: string; with: string; atLeast: number; out: string }) => {
      const { compareKeys } = await import('./match-files.ts');
      compareKeys(options.keys, options.column, options.with, options.atLeast, options.out);
    });
}

function retireCommand(): Command {
  return new Command('retire')
    .description("wipe this member's part of the matching key: no name can be tried against old join keys any more")
    .addOption(dirOption("the member's folder"))
    .addHelpText('after', examples('veilsum match retire --dir parties/member-1'))
    .action(async (_options, command: Command) => {
      const { retireHolder } = await import('./match-join.ts');
      const folder = folderOf(command);
      await requireRole(folder, 'member');
      retireHolder(folder);
    });
}

export function matchCommand(): Command {
  return new Command('match')
    .description('align accounts across sites without showing lists: canonical names, join keys under a shared key')
    .addCommand(canonicalCommand())
    .addCommand(keysCommand())
    .addCommand(joinCommand())
    .addCommand(exportCommand())
    .addCommand(compareCommand())
    .addCommand(retireCommand());
}
