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
 * own rows (TensorFlow.js, as the product's node does it), the rest as in `round`.
 *
 * The baseline is the same training without clipping, noise, rounding to the task's scale and encryption, its updates summed by the
 * processes of round-plain.ts, in turns with ours. It leaves out what that one does, and with it the next model: made, sealed,
 * fetched and opened it is a cost of ours.
 */
export async function run(): Promise<BenchRow[]> {
  const rows = Math.max(...[0, 1, 2, 3].map((node) => tablesOf(node).train.rowCount));
  const made = makeTask({
    ...{ dataset: 'conversations', schema: wideSchema(), model: 'mlp', hidden: HIDDEN, unit: 'node' },
    ...{ nodes: 4, minCohort: 3, minHonest: 2, minOrganisations: 2, recipients: ['recipient'], window: 'bench' },
    // Little noise, so that both kinds of rounds train on models that are alike; drawing it takes as long.
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
  const of = (times: readonly RoundTimes[], name: string): number => median(times.map((round) => round[name]!));
  const what = `a local epoch (${rows} rows), d = ${made.task.dimension}`;
  return ['wall', 'cpu', 'upload'].flatMap((name): BenchRow[] => {
    const [ours, clear] = [of(sealed, name), of(plain, name)];
    const baseline = `the same training in the clear: ${clear.toFixed(0)} ms`;
    const added = median(sealed.map((round, i) => 100 * (round[name]! / plain[i]![name]! - 1)));
    return [
      { name, value: ours, unit: `ms a round, ${what}`, baseline, ratio: clear / ours },
      ...(name === 'upload'
        ? []
        : [
            {
              name: `${name}-added`,
              value: added,
              unit: '%, median of pairs',
              baseline: 'the same training in the clear',
              ratio: null,
            },
          ]),
    ];
  });
}
