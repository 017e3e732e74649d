import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { keepBug, readCorpus, writeCorpus } from './corpus.ts';
import { Coverage, Reached } from './coverage.ts';
import { distil, execute, type Flaw, fuzz } from './session.ts';
import type { Target } from './target.ts';
import { groupNames, targetsOf } from './targets.ts';

const HELP = `npm run fuzz -- [--target NAME]... [--seconds N] [--seed S] [--keep]

Runs decoders on inputs that V8's block coverage guides, until the time is over or one of them does what it must not.
  --target NAME   one decoder, may be repeated; default: all of them
  --seconds N     per target; default 30
  --seed S        the same seed makes the same choices; default 1
  --keep          writes what reached new code to test/fuzz/corpus (an input that breaks something is always written)
  --list          names the targets
`;

const root = resolve(import.meta.dirname, '../..');

const flags = {
  target: { type: 'string', multiple: true },
  seconds: { type: 'string', default: '30' },
  seed: { type: 'string', default: '1' },
  keep: { type: 'boolean', default: false },
  group: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function complain(target: Target, { what, message, input }: Flaw): void {
  console.error(`${target.name}: ${what}: ${message}`);
  console.error(`  kept as ${keepBug(target.name, input)}, which npm test runs from now on`);
}

async function run(target: Target, coverage: Coverage, seed: string, seconds: number, keep: boolean): Promise<boolean> {
  const seeds = await target.seeds();
  coverage.take();
  const corpus = readCorpus(target.name).map(({ bytes }) => bytes);
  for (const input of [...seeds, ...corpus]) {
    const outcome = await execute(target, input);
    if (typeof outcome !== 'string') {
      complain(target, outcome);
      return false;
    }
  }
  const reached = new Reached();
  reached.add(coverage.take());
  const start = performance.now();
  const found: Uint8Array[] = [];
  let shown = start;
  const { tally, flaw } = await fuzz(target, {
    seed,
    pool: [...seeds, ...corpus],
    guide: { coverage, reached },
    onNews: (input) => found.push(input),
    more: ({ executions }) => {
      const now = performance.now();
      if (now - shown > 5000) {
        shown = now;
        console.error(`${target.name}: ${executions} executions, ${found.length} new inputs, ${reached.blocks} blocks`);
      }
      return now - start < seconds * 1000;
    },
  });
  const perSecond = Math.round(tally.executions / ((performance.now() - start) / 1000));
  const counts = `${tally.executions} executions, ${perSecond}/s, ${tally.accepted} accepted`;
  console.log(`${target.name.padEnd(20)} ${counts}, ${found.length} new inputs`);
  if (flaw !== null) complain(target, flaw);
  if (keep) writeCorpus(target.name, await distil(target, coverage, seeds, [...corpus, ...found]));
  return flaw === null;
}

const { values } = parseArgs({ options: flags });
const seconds = Number(values.seconds);
const isChosen = ({ name }: Target): boolean => values.target === undefined || values.target.includes(name);

/** One group in this process. @returns whether all of its chosen targets are sound. */
async function runGroup(group: string): Promise<boolean> {
  using coverage = new Coverage(['crypto', 'protocols', 'src', 'proto'].map((folder) => resolve(root, folder)));
  let sound = true;
  for (const target of (await targetsOf(group)).filter(isChosen)) {
    sound = (await run(target, coverage, values.seed, seconds, values.keep)) && sound;
  }
  return sound;
}

/** Each group in a process of its own: few scripts to read the coverage of, and a crash ends one group only. */
function runAll(): boolean {
  const statuses = groupNames.map((group) => {
    const args = [...process.execArgv, ...process.argv.slice(1), '--group', group];
    return spawnSync(process.execPath, args, { stdio: 'inherit' }).status;
  });
  return statuses.every((status) => status === 0);
}

if (values.help) console.log(HELP);
else if (values.list) {
  for (const group of groupNames) {
    for (const { name, reads } of await targetsOf(group)) console.log(`${name.padEnd(20)} ${reads}`);
  }
} else if (!(seconds > 0)) {
  console.error(`--seconds takes a number above 0.\n\n${HELP}`);
  process.exitCode = 3;
} else process.exitCode = (values.group === undefined ? runAll() : await runGroup(values.group)) ? 0 : 1;
