import {
  type ContributionPlan,
  layoutOf,
  nodeContribution,
  readContribution,
} from '../../src/learning/contribution.ts';
import { poolRows, type Region } from '../../src/learning/datasets.ts';
import type { RunDefaults } from '../../src/learning/defaults.ts';
import { LearningError } from '../../src/learning/errors.ts';
import { type Evaluation, evaluateHistogram } from '../../src/learning/evaluation.ts';
import type { Tf } from '../../src/learning/load-tensorflow.ts';
import { initialModel, type Model, type ModelSpec } from '../../src/learning/model.ts';
import { seededRandom } from '../../src/learning/random.ts';
import { modelAuc } from '../../src/learning/references.ts';
import { initialServerState, type ServerSettings, serverStep } from '../../src/learning/server-step.ts';

export interface SimulationSettings extends ServerSettings {
  readonly rounds: number;
  /** Total zCDP budget of all rounds; null for no noise. rho(epsilon 8, delta 1e-5) = 1.2297145. */
  readonly rho: number | null;
  readonly seed: string | number;
}

export interface SimulatedRound {
  /** Exact, on all held-out rows: what no party of a real round can see. */
  readonly auc: number;
  /** What the recipient sees: from the noised counts of the model before this round's step. */
  readonly opened: Evaluation | null;
}

/**
 * A federated run without any cryptography: contributions are added in the clear and one central normal noise vector of
 * sigma = clip / sqrt(2 rho / rounds) is added to the sum. What the defaults were chosen with: its noise is a float from a
 * seed.
 */
export function simulateRounds(
  tf: Tf,
  regions: readonly Region[],
  plan: ContributionPlan,
  settings: SimulationSettings,
): { readonly rounds: readonly SimulatedRound[]; readonly model: Model } {
  const { dimension } = layoutOf(plan);
  const random = seededRandom(`simulate/${settings.seed}`);
  const sigma = settings.rho === null ? 0 : plan.clip / Math.sqrt((2 * settings.rho) / settings.rounds);
  const heldOut = poolRows(regions.map((region) => region.heldOut));
  let state = initialServerState(initialModel(plan.spec, settings.seed));
  const rounds: SimulatedRound[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    const sum = new Float64Array(dimension).map(() => sigma * random.normal());
    for (const region of regions) {
      nodeContribution(tf, state.model, region, plan).forEach((value, i) => {
        sum[i]! += value;
      });
    }
    const { gradient, count, histogram, cellNoise } = readContribution(sum, plan, sigma);
    state = serverStep(state, { unit: 'record', sum: gradient, count }, settings);
    const opened = histogram && plan.bins ? tryEvaluate(histogram, plan.bins, cellNoise) : null;
    rounds.push({ auc: modelAuc(tf, state.model, heldOut), opened });
  }
  return { rounds, model: state.model };
}

/** Null where the noise hides the counts: with few held-out rows a round may well have nothing to say. */
function tryEvaluate(...input: Parameters<typeof evaluateHistogram>): Evaluation | null {
  try {
    return evaluateHistogram(...input);
  } catch (error) {
    if (error instanceof LearningError && error.code === 'ONE_CLASS') return null;
    throw error;
  }
}

/** The round's vector by these settings. @param inputs - width of the design matrix. */
export function planOf(defaults: RunDefaults, inputs: number): ContributionPlan {
  const spec: ModelSpec =
    defaults.model === 'mlp' ? { kind: 'mlp', inputs, hidden: defaults.hidden } : { kind: 'logistic', inputs };
  return { spec, clip: defaults.clip, countShare: defaults.countShare, bins: defaults.bins };
}
