import { makeTask } from '../src/training/make-task.ts';
import { measure, median } from './round.ts';
import type { RoundTimes } from './round-federation.ts';
import type { BenchRow } from './row.ts';
import { tablesOf, wideSchema } from './train-party.ts';

const HIDDEN = 256;
const BATCH = 128;
/** Rounds measured, after one that warms up. */
const ROUNDS = 3;
const WARM = 1;

/**
 * Training a network of a million weights and more among separate processes: 4 nodes, each with a local epoch a round over its
 * own rows (TensorFlow.js, as the product's node does it), the rest as in `round`, until the next model is in the log.
 *
 * The baseline is the same training without clipping, noise, rounding to the task's scale and encryption, its updates summed by the
 * processes of round-plain.ts, in turns with ours and from the very models that ours trained in the round of the same number, so that a step
 * costs the same. It leaves out what that one does, and with it the next model: made, sealed, fetched and opened it is a cost of
 * ours, though training in the clear would have to make one and hand it out as well.
 *
 * Local steps are the same work on both sides and most of all time: what else the machine does to them would drown the
 * difference. So `cpu-beside` compares everything but them, against the whole of the baseline.
 */
export async function run(): Promise<BenchRow[]> {
  const rows = Math.max(...[0, 1, 2, 3].map((node) => tablesOf(node).train.rowCount));
  const made = makeTask({
    ...{ dataset: 'conversations', schema: wideSchema(), model: 'mlp', hidden: HIDDEN, unit: 'node' },
    ...{ nodes: 4, minCohort: 3, minHonest: 2, minOrganisations: 2, recipients: ['recipient'], window: 'bench' },
    // Little noise, so that models stay such as training meets; drawing it takes as long.
    epsilon: 1000,
    // No round of it is aborted where the machine has other work.
    ...{ uploadMs: 600_000, confirmMs: 300_000 },
    ...{
      local: { steps: Math.ceil(rows / BATCH), batch: BATCH },
      rounds: ROUNDS + WARM,
      quorum: { members: 5, threshold: 3 },
    },
  });
  const { sealed, plain } = await measure(made, { rounds: ROUNDS, warm: WARM });
  return [
    ...timesOf(sealed, plain, `a local epoch of 4 nodes (${rows} rows), d = ${made.task.dimension}`),
    ...addedOf(sealed, plain),
  ];
}

/** Phases end as in `round`; processor time is of all processes together, then by whose it is, then the parts of it that are told. */
const TIMES = [
  ...['wall', 'announce', 'upload', 'close', 'confirm', 'ready', 'decide', 'answer', 'open', 'model'],
  ...['cpu', 'cpu-nodes', 'cpu-recipient', 'cpu-others', 'cpu-train', 'cpu-read', 'cpu-noise', 'cpu-next'],
];

/** The least of the rounds of each kind. */
function timesOf(sealed: readonly RoundTimes[], plain: readonly RoundTimes[], what: string): BenchRow[] {
  const least = (times: readonly RoundTimes[], name: string): number => Math.min(...times.map((round) => round[name]!));
  return TIMES.map((name) => {
    const value = least(sealed, name);
    const without = plain[0]![name] === undefined ? null : least(plain, name);
    return {
      ...{ name, value, unit: name === 'wall' ? `ms, least of ${sealed.length} rounds, ${what}` : 'ms' },
      baseline: without === null ? '' : `the same training in the clear: ${without.toFixed(0)} ms`,
      ratio: without === null ? null : without / value,
    };
  });
}

/** What the encrypted path adds, in percent. */
function addedOf(sealed: readonly RoundTimes[], plain: readonly RoundTimes[]): BenchRow[] {
  const percent = (ours: number, clear: number): number => 100 * (ours / clear - 1);
  const beside = (round: RoundTimes): number => round['cpu']! - round['cpu-train']!;
  const trained = Math.min(...plain.map((round) => round['cpu-train']!));
  const besides = [sealed, plain].map((rounds) => trained + Math.min(...rounds.map(beside))) as [number, number];
  const row = (name: string, value: number, what: string): BenchRow => {
    return { name, value, unit: `%, ${what}`, baseline: 'the same training in the clear', ratio: null };
  };
  const both = (name: string): BenchRow[] => {
    const pairs = sealed.map((round, i) => percent(round[name]!, plain[i]![name]!));
    const all = pairs.map((value) => value.toFixed(1)).join(', ');
    const leasts = [sealed, plain].map((rounds) => Math.min(...rounds.map((round) => round[name]!))) as [
      number,
      number,
    ];
    return [
      row(`${name}-added`, median(pairs), `median of pairs (${all})`),
      row(`${name}-added-least`, percent(...leasts), 'least of each kind'),
    ];
  };
  return [
    ...both('wall'),
    ...both('cpu'),
    row('cpu-beside', percent(...besides), 'least of each kind, local steps taken as equal'),
  ];
}
