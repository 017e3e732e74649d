import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchTask } from './bench-task.ts';
import { type BenchJob, type Mode, RoundFederation, type RoundTimes } from './round-federation.ts';
import type { BenchRow } from './row.ts';

/** Rounds measured, after two that warm up compilers and connections. */
const ROUNDS = 7;
const WARM = 2;

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/** Rounds of both kinds in turns, so that whatever else the machine does meets both. */
export async function measure(
  job: BenchJob,
  { rounds = ROUNDS, warm = WARM, modes = ['sealed', 'plain'] as readonly Mode[] } = {},
): Promise<Record<Mode, RoundTimes[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-round-'));
  const federations: RoundFederation[] = [];
  const times: Record<Mode, RoundTimes[]> = { sealed: [], plain: [] };
  try {
    for (const mode of modes) {
      federations.push(await RoundFederation.start(mode, join(folder, mode), job));
    }
    await new Promise((resolve) => setTimeout(resolve, 2000)); // enrolments, the first model
    for (let i = 0; i < warm + rounds; i++) {
      for (const federation of federations) {
        const round = await federation.round();
        if (process.env['BENCH_VERBOSE'] !== undefined)
          console.error(
            federation.mode,
            JSON.stringify(round, (_, v) => (typeof v === 'number' ? Math.round(v) : v)),
          );
        if (i >= warm) times[federation.mode].push(round);
      }
    }
  } finally {
    for (const federation of federations) await federation.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return times;
}

/** Updates that nodes make up: nothing is trained. */
function benchJob(dimension: number): BenchJob {
  const budget = { rhoNano: 1_000_000_000, epsilonMicro: 100_000_000, deltaExponent: 5 };
  return { task: benchTask(dimension), budget };
}

/** Rows of one dimension; `suffix` tells the small round's rows from the large one's. */
function rowsOf({ sealed, plain }: Record<Mode, RoundTimes[]>, suffix: string): BenchRow[] {
  const of = (times: RoundTimes[], name: string): number => median(times.map((round) => round[name]!));
  const added = median(sealed.map((round, i) => round['wall']! - plain[i]!['wall']!));
  const least = Math.min(...sealed.map((round) => round['wall']!)) - Math.min(...plain.map((round) => round['wall']!));
  const phases = ['announce', 'upload', 'close', 'confirm', 'ready', 'decide', 'answer', 'open', 'wall', 'cpu'];
  const rows = phases.map((name): BenchRow => {
    const value = of(sealed, name);
    const without = plain[0]![name] === undefined ? null : of(plain, name);
    const baseline = without === null ? '' : `the round without encryption: ${without.toFixed(0)} ms`;
    return { name: `${name}${suffix}`, value, unit: 'ms', baseline, ratio: without === null ? null : without / value };
  });
  const overPlain = 'over the round without encryption, pair by pair';
  return [
    ...rows,
    { name: `added${suffix}`, value: added, unit: 'ms of wall time, median', baseline: overPlain, ratio: null },
    {
      ...{ name: `added-least${suffix}`, value: least, unit: 'ms of wall time, least round of each kind' },
      ...{ baseline: 'over the least round without encryption', ratio: null },
    },
  ];
}

/**
 * Whole rounds among separate processes: 4 nodes, 3-of-5, two aggregators, two outside witnesses, gRPC over mutual TLS 1.3
 * on loopback, from the officer's request to the logged release. Medians; the sums of all rounds are checked.
 *
 * The baseline is round-plain.ts among as many processes, in turns with ours. It leaves out: encryption, masks, shares and
 * with them the announce, round-key, confirm, ready, decide, answer and model leaves, the rules of a round, the check of
 * residues, the checksum, the model's way to the nodes. Both leave out training and privacy noise.
 */
export async function run(): Promise<BenchRow[]> {
  return [...rowsOf(await measure(benchJob(1_000_000)), ''), ...rowsOf(await measure(benchJob(60)), '-d60')];
}
