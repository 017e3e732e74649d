import { Command } from 'commander';
import { usageError } from './exit.ts';
import { epsilonText, print } from './output.ts';
import { examples, numberOption } from './settings.ts';

interface AuditFlags {
  readonly epsilon: number;
  readonly delta: number;
  readonly rate?: number;
  readonly canaries: number;
  readonly rounds: number;
  readonly confidence: number;
  readonly json?: boolean;
}

/** Noise of the control, as part of what is owed. */
const WEAK = 0.1;

function check({ epsilon, delta, rate, canaries, rounds, confidence }: AuditFlags): void {
  if (!(epsilon >= 0.1 && epsilon <= 8)) throw usageError('--epsilon: must be from 0.1 to 8');
  if (!(delta >= 1e-10 && delta <= 0.01)) throw usageError('--delta: must be a power of ten from 1e-10 to 0.01');
  if (rate !== undefined && !(rate > 0 && rate < 1)) throw usageError('--rate: must be between 0 and 1');
  if (!(Number.isInteger(canaries) && canaries >= 16 && canaries <= 1024))
    throw usageError('--canaries: must be a whole number from 16 to 1024');
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000))
    throw usageError('--rounds: must be a whole number up to 1000');
  if (!(confidence >= 0.5 && confidence < 1)) throw usageError('--confidence: must be from 0.5 and below 1');
}

/** Plays the games twice, with all noise and with a tenth of it, and says what each shows. */
async function runAudit(flags: AuditFlags): Promise<void> {
  check(flags);
  const { createKernelEngine } = await import('../../crypto/engine-kernel.ts');
  const { deriveParameters, ringShape } = await import('../../crypto/params.ts');
  const { loadTensorFlow } = await import('../learning/load-tensorflow.ts');
  const { loadKernelModule } = await import('../platform/kernel.ts');
  const { nodePrimitives: primitives } = await import('../platform/primitives-node.ts');
  const { systemRng: rng } = await import('../platform/rng.ts');
  const { playCanaries, withLessNoise } = await import('../training/canaries.ts');
  const { epsilonLowerBound } = await import('../training/epsilon-bound.ts');
  const { epsilon, delta, rate, canaries, rounds, confidence } = flags;
  const { tf } = await loadTensorFlow(['wasm']);
  const kit: Parameters<typeof playCanaries>[1] = {
    ...{ tf, primitives, rng },
    engineFor: (task, quorum) =>
      createKernelEngine(loadKernelModule(), ringShape(deriveParameters({ ...task, ...quorum }))),
  };
  const request = { epsilon, delta, sampleRate: rate, canaries, rounds };
  const shown = async (over: Partial<Parameters<typeof playCanaries>[0]>): Promise<number> => {
    return epsilonLowerBound(await playCanaries({ ...request, ...over }, kit), delta, confidence).epsilon;
  };
  const honest = await shown({});
  const control = await shown({ asFollowed: (task) => withLessNoise(task, WEAK) });
  const verdict = honest > epsilon ? 'refuted' : control > epsilon ? 'holds' : 'undecided';
  // As an audit of a log: 0 verified, 1 violation, 2 cannot decide.
  process.exitCode = { holds: 0, refuted: 1, undecided: 2 }[verdict];
  if (flags.json === true) {
    print(
      JSON.stringify({
        epsilon,
        delta,
        rate: rate ?? 1,
        trials: canaries * rounds,
        confidence,
        honest,
        control,
        verdict,
      }),
    );
    return;
  }
  print(
    `one round claims epsilon ${epsilon} at delta ${delta.toExponential()}${rate === undefined ? '' : `, records drawn with probability ${rate}`}`,
  );
  print(`${canaries * rounds} trials each, half of them to choose the attack; confidence ${confidence}`);
  print(
    `as it is: epsilon is at least ${epsilonText(honest)}${honest > epsilon ? ': MORE THAN CLAIMED' : ', no more than claimed'}`,
  );
  const caught = control > epsilon ? 'caught' : 'NOT caught: more --rounds are needed for this to mean anything';
  print(`control, nodes that add a tenth of the noise: at least ${epsilonText(control)}, ${caught}`);
}

export function privacyAuditCommand(): Command {
  return new Command('audit')
    .description('attack rounds of our own in this process, and see whether they tell more than they claim')
    .addOption(numberOption('--epsilon <e>', 'that one round claims').default(1))
    .addOption(numberOption('--delta <d>', 'a power of ten').default(1e-5))
    .addOption(numberOption('--rate <q>', 'probability with which the round draws a record; left out: all take part'))
    .addOption(numberOption('--canaries <n>', 'records made to be found, each a trial of its own').default(256))
    .addOption(numberOption('--rounds <n>', 'rounds to play, with all noise and again with a tenth').default(8))
    .addOption(numberOption('--confidence <c>', 'of the lower bound').default(0.999))
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      `${examples('veilsum privacy audit', 'veilsum privacy audit --epsilon 2 --rate 0.2 --rounds 20')}
A lower bound of what is told, never a proof that no more is. Exit code 0: no more than claimed was found, and the control was
caught; 1: more than claimed; 2: too few trials to catch the control.
`,
    )
    .action(runAudit);
}
