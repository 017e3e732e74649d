import { parseArgs } from 'node:util';
import { realKit, toyKit } from './kits.ts';
import { runSeed, type Verdict } from './run.ts';
import { INVARIANTS } from './truth.ts';

const HELP = `npm run simulate -- [options]

Runs federations that are all in one process, one after the other, each drawn from a seed: machines crash, messages are
lost, repeated and reordered, parties lie. What must hold is checked all along. Equal seeds run alike.

  --seed N        first seed, default 1
  --steps M       stop after the seed in which M steps are reached, default 1000000
  --seeds K       stop after K seeds
  --real-every R  repeat every R-th seed with the real cryptography and compare, default 100; 0 never
  --real          run with the real cryptography only
  --trace         print every event: for one seed
  --help

Exit code 0: nothing found; 1: something that must not be, with the command that replays it; 3: usage.
`;

interface Options {
  readonly seed: number;
  readonly steps: number;
  readonly seeds: number;
  readonly realEvery: number;
  readonly onlyReal: boolean;
  readonly trace: boolean;
}

function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      steps: { type: 'string', default: '1000000' },
      seeds: { type: 'string', default: 'Infinity' },
      'real-every': { type: 'string', default: '100' },
      real: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const [seed, steps, seeds, realEvery] = [values.seed, values.steps, values.seeds, values['real-every']].map(Number);
  if ([seed, steps, seeds, realEvery].some((x) => x === undefined || Number.isNaN(x) || x < 0))
    throw new Error('seed, steps, seeds and real-every are numbers');
  return {
    seed: seed!,
    steps: steps!,
    seeds: seeds!,
    realEvery: realEvery!,
    onlyReal: values.real,
    trace: values.trace,
  };
}

function report(verdict: Verdict, kit: string): void {
  const { seed, steps, failure } = verdict;
  if (failure === null) return;
  console.log(
    `\nseed ${seed}, ${kit} primitives, step ${steps}\n${failure.what}\nCorrupt: ${failure.corrupt}\n\nLast events (step, virtual time, who):`,
  );
  for (const line of failure.lastEvents) console.log(line);
  const real = kit === 'real' ? ' --real' : '';
  console.log(`\nReplay: npm run simulate -- --seed ${seed} --seeds 1 --real-every 0${real} --trace`);
}

/**
 * What differs between the two runs of one seed; null when nothing does. Where the order of hashes decided something, the runs
 * may part there, and only what was found is compared.
 */
function difference(toy: Verdict, real: Verdict): string | null {
  if (toy.failure?.id !== real.failure?.id) return `toy: ${toy.failure?.what}, real: ${real.failure?.what}`;
  if (toy.isByHashes || real.isByHashes) return null;
  if (toy.steps !== real.steps) return `${toy.steps} steps with toy primitives, ${real.steps} with the real ones`;
  const other = toy.outcome.findIndex((line, i) => line !== real.outcome[i]);
  return other < 0 ? null : `toy: ${toy.outcome[other]}\nreal: ${real.outcome[other]}`;
}

/** @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let options: Options | null;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error((error as Error).message);
    return 3;
  }
  if (options === null) {
    console.log(
      HELP +
        Object.entries(INVARIANTS)
          .map(([id, text]) => `\n  ${id.padEnd(4)}${text}`)
          .join(''),
    );
    return 0;
  }
  const { seed: first, steps: goal, seeds, realEvery, onlyReal, trace } = options;
  const show = trace ? (line: string) => console.log(line) : null;
  if (!trace) Error.stackTraceLimit = 3; // refusals are thrown by the thousand
  const counts = new Map<string, number>();
  let steps = 0;
  let compared = 0;
  let toyMs = 0;
  let coreMs = 0;
  let shown = performance.now();
  let seed = first;
  for (; steps < goal && seed - first < seeds; seed++) {
    const started = performance.now();
    const used = process.cpuUsage();
    const verdict = runSeed(seed, onlyReal ? await realKit() : toyKit(), show);
    toyMs += performance.now() - started;
    coreMs += process.cpuUsage(used).user / 1000;
    steps += verdict.steps;
    for (const [kind, count] of Object.entries(verdict.counts)) counts.set(kind, (counts.get(kind) ?? 0) + count);
    if (verdict.failure !== null) {
      report(verdict, onlyReal ? 'real' : 'toy');
      return 1;
    }
    if (!onlyReal && realEvery > 0 && seed % realEvery === 0) {
      const real = runSeed(seed, await realKit());
      compared++;
      const differs = difference(verdict, real);
      if (differs !== null) {
        report(real, 'real');
        console.log(`\nseed ${seed}: toy and real primitives disagree\n${differs}`);
        return 1;
      }
    }
    if (performance.now() - shown > 5000) {
      shown = performance.now();
      console.error(`seed ${seed}, ${steps} steps, ${perMinute(steps, toyMs)} steps a minute`);
    }
  }
  const kinds = [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
  console.log(`${seed - first} seeds from ${first}, ${steps} steps (${kinds}): nothing found`);
  const speed = `${perMinute(steps, coreMs)} steps per minute of processor time, ${perMinute(steps, toyMs)} by the clock`;
  console.log(`${speed}; ${compared} seeds repeated with the real primitives, same verdicts`);
  return 0;
}

function perMinute(steps: number, ms: number): number {
  return Math.round((steps / ms) * 60_000);
}

process.exitCode = await main(process.argv.slice(2));
