import type { DatasetName } from './dataset-names.ts';
import type { ScoreBins } from './evaluation.ts';
import type { ModelSpec } from './model.ts';
import type { ServerSettings } from './server-step.ts';

/** `demo` ends within two minutes, `full` is what the measured figures in the README are about. */
export type Profile = 'demo' | 'full';

/** Everything a federated run is told, all of it public. */
export interface RunDefaults extends ServerSettings {
  readonly model: ModelSpec['kind'];
  /** Units of the hidden layer; of no meaning to logistic regression. */
  readonly hidden: number;
  readonly rounds: number;
  /** Record-level budget of all rounds together. */
  readonly epsilon: number;
  readonly delta: number;
  /** Sensitivity of one record on the whole contribution. */
  readonly clip: number;
  readonly countShare: number;
  readonly bins: ScoreBins;
}

type Steps = Pick<RunDefaults, 'rounds' | 'learningRate' | 'momentum'>;

/**
 * Chosen on simulated runs (test/reference/clear-rounds.ts) over clip 0.5 to 4, learning rate 0.2 to 6 and momentum 0.5 to 0.9. Near the
 * best, the clip matters little; few rounds want long steps and little momentum, many rounds the reverse.
 */
const STEPS: Readonly<Record<ModelSpec['kind'], Readonly<Record<Profile, Steps>>>> = {
  logistic: {
    demo: { rounds: 10, learningRate: 4, momentum: 0.5 },
    full: { rounds: 200, learningRate: 1, momentum: 0.9 },
  },
  mlp: {
    demo: { rounds: 12, learningRate: 2, momentum: 0.8 },
    full: { rounds: 200, learningRate: 0.5, momentum: 0.9 },
  },
};

/** Where a table's scores lie: rare outcomes have low log-odds. From public base rates, not from scores. */
const RARE_BINS: ScoreBins = { count: 16, low: -6, high: 2 };
const COMMON_BINS: ScoreBins = { count: 16, low: -4, high: 4 };

/** The chosen settings; any of them can be overridden by spreading. */
export function runDefaults(
  dataset: DatasetName,
  profile: Profile,
  model: ModelSpec['kind'] = 'logistic',
): RunDefaults {
  const isRare = dataset === 'bank' || dataset === 'bank-drift' || dataset === 'clv';
  return {
    model,
    hidden: 16,
    epsilon: 8,
    delta: 1e-5,
    clip: 2,
    countShare: 0.1,
    bins: isRare ? RARE_BINS : COMMON_BINS,
    ...STEPS[model][profile],
  };
}
