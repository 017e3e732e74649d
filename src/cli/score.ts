import { Command, Option } from 'commander';
import { usageError } from './exit.ts';
import { print } from './output.ts';
import { examples, listOption, numberOption } from './settings.ts';

/** What is scored, by which model: for the ranking and for the server. */
function inputOptions(command: Command): Command {
  return command
    .option('--model <file>', 'the model, as safetensors')
    .option(
      '--data <file>',
      "organisations: a .csv or .csv.gz with the schema's columns, or a region's settings (.yaml)",
    )
    .option('--task <file>', 'the task that the model was trained in: it names kind and schema')
    .option('--schema <file>', "where no task and no region's settings name it: a feature file or a dataset's name")
    .option('--words <file>', 'phrases for the columns, in place of those that come with the schema')
    .option('--outcomes <csv>', 'rows that were not trained on, with known outcome: say how often a chance came true')
    .option('--id <column>', 'unique; default: the number of the row')
    .option('--name <column>', 'how people call an organisation; default: its id')
    .option('--territory <column>', 'whose organisation it is; default: all are of one')
    .addOption(numberOption('--least <k>', 'fewest organisations in an average or a group that is shown').default(10));
}

function serveCommand(): Command {
  return inputOptions(new Command('serve'))
    .description('serve the ranking to sellers: a read-only API and a page, each seller with a token of their own')
    .option('--tokens <file>', "who may read what; 'veilsum score token new' writes it")
    .addOption(listOption('--group <column>', 'a column to summarise by; may be given again'))
    .addOption(new Option('--listen <host:port>', 'address to bind').env('VEILSUM_LISTEN').default('127.0.0.1:8095'))
    .option('--tls-cert <file>', 'certificate with its chain, PEM; goes with --tls-key')
    .option('--tls-key <file>', 'its key, PEM, readable by its owner alone')
    .option('--behind-proxy', 'TLS ends in a proxy on this machine, whose X-Forwarded-For is believed')
    .option('--access-log <file>', 'one line of JSON for each request, without values; default: standard error')
    .addOption(numberOption('--requests <n>', 'of one token a minute').default(600))
    .addHelpText(
      'after',
      `
The table is scored once, at the start; restart for a newer one. Tokens are read again when their file changes.
The API is described at /api/v1/openapi.json.
${examples(
  'veilsum score token new --tokens tokens.json --name anna --territory emea',
  'veilsum score serve --model model.safetensors --task task.json --data organisations.csv --id id --name organisation \\\n      --territory territory --group industry --tokens tokens.json',
)}`,
    )
    .action(async (_options, command: Command) => {
      const { startScores } = await import('./score-serve.ts');
      await startScores(command.opts());
    });
}

function tokensOption(): Option {
  return new Option('--tokens <file>', 'who may read what').makeOptionMandatory();
}

function tokenCommand(): Command {
  const fresh = new Command('new')
    .description('make a token for a seller; it is printed once, the file keeps its hash')
    .addOption(tokensOption())
    .requiredOption('--name <name>', 'whose it is, as the access log says it')
    .addOption(
      listOption(
        '--territory <name>',
        "territory that it opens; may be given again; '*' for all",
      ).makeOptionMandatory(),
    )
    .addOption(numberOption('--days <n>', 'until it expires').default(90))
    .addHelpText('after', examples('veilsum score token new --tokens tokens.json --name anna --territory emea'))
    .action(async (options: { tokens: string; name: string; territory: string[]; days: number }) => {
      const { newToken } = await import('./score-token.ts');
      newToken(options, print);
    });
  const list = new Command('list')
    .description('sellers, their territories and when their tokens expire')
    .addOption(tokensOption())
    .action(async (options: { tokens: string }) => {
      const { listTokens } = await import('./score-token.ts');
      listTokens(options.tokens, print);
    });
  const revoke = new Command('revoke')
    .description('take a token back; a running server refuses it within a second')
    .argument('<name>')
    .addOption(tokensOption())
    .action(async (name: string, options: { tokens: string }) => {
      const { removeSeller } = await import('../scoring/tokens.ts');
      removeSeller(options.tokens, name);
      print(`${name}: revoked`);
    });
  return new Command('token').description("sellers' tokens").addCommand(fresh).addCommand(list).addCommand(revoke);
}

function sampleCommand(): Command {
  return new Command('sample')
    .description('write made-up organisations, rows with known outcome and a model, to try scoring on')
    .requiredOption('--out <folder>', 'where to')
    .addOption(numberOption('--organisations <n>', 'about so many').default(10_000))
    .addHelpText('after', examples('veilsum score sample --out sample'))
    .action(async (options: { out: string; organisations: number }) => {
      const { organisations } = options;
      if (!(Number.isInteger(organisations) && organisations >= 100 && organisations <= 500_000))
        throw usageError('--organisations: must be a whole number from 100 to 500000');
      const { makeSample } = await import('./score-run.ts');
      await makeSample(options.out, organisations, print);
    });
}

export function scoreCommand(): Command {
  return (
    inputOptions(new Command('score'))
      .description('rank organisations by what a model makes of them, with the evidence for each')
      // Its subcommands have options of the same names.
      .enablePositionalOptions()
      .addOption(numberOption('--top <n>', 'the best so many').default(20))
      .addOption(numberOption('--signals <n>', 'of each').default(4))
      .option('--out <file>', 'write to a .csv or .json file, readable by its owner alone')
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        `
Evidence is each column's part in the score: integrated gradients of the log-odds, exact, against the average of the
organisation's territory. It says what the model looked at, not what causes an outcome.
${examples(
  'veilsum score sample --out sample',
  'veilsum score --model sample/model.safetensors --schema synthetic --data sample/organisations.csv --id id --name organisation',
  'veilsum score --model model.safetensors --task task.json --data region-eu.yaml --id AccountId --top 100 --out leads.csv',
)}`,
      )
      .action(async (_options, command: Command) => {
        const { rank } = await import('./score-run.ts');
        await rank(command.opts(), print);
      })
      .addCommand(serveCommand())
      .addCommand(tokenCommand())
      .addCommand(sampleCommand())
  );
}
