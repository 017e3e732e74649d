import { Argument, Command } from 'commander';
import { examples } from './settings.ts';

const BENCHES = [
  'payload',
  'noise',
  'aggregate',
  'quorum',
  'masks',
  'round',
  'train',
  'audit',
  'tables',
  'score',
] as const;

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure on this machine, each figure against a named baseline in the same run; in a checkout only')
    .addArgument(new Argument('<name>', 'what to measure').choices([...BENCHES, 'all']))
    .option('--json', 'end with one line of JSON instead of a table')
    .addHelpText(
      'after',
      `\n'all' runs every one in a process of its own and writes the table of bench/README.md.\n${examples('npm run bench -- payload', 'npm run bench -- noise --json', 'npm run bench -- all')}`,
    )
    .action(async (name: string, options: { json?: boolean }) => {
      const { runBench, runAllBenches } = await import('./bench-run.ts');
      await (name === 'all' ? runAllBenches(BENCHES, options.json === true) : runBench(name, options.json === true));
    });
}
