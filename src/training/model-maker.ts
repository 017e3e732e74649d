import { toHex } from '../../crypto/encoding.ts';
import { dequantise, type Quantiser } from '../../crypto/quantise.ts';
import { weightOfCohort } from '../../protocols/one-shot.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { layoutOf, readContribution } from '../learning/contribution.ts';
import { LearningError } from '../learning/errors.ts';
import { type Evaluation, evaluateHistogram } from '../learning/evaluation.ts';
import { aggregate, clipNorm } from '../learning/robust.ts';
import { encodeSafetensors, namedTensors } from '../learning/safetensors.ts';
import { initialServerState, type OpenedSum, serverStep } from '../learning/server-step.ts';
import type { ModelMaker, OpenedRound } from '../party/recipient.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import type { Store } from '../store/port.ts';
import { type Compressor, compressorOf } from './compression.ts';
import { TrainingError } from './errors.ts';
import { quantiserOf } from './fit-noise.ts';
import {
  contributionPlanOf,
  type LearningPlan,
  parseLearningPlan,
  serverSettingsOf,
  updateShape,
} from './learning-plan.ts';
import { encodeModel, liftSum, readModel } from './local-layers.ts';
import { readOptimiser, writeOptimiser } from './optimiser-state.ts';
import { meanOf, numbersOf } from './weighted.ts';

/** What an opened sum said, beside the next model. Released values only. */
export interface RoundOutcome {
  readonly task: string;
  readonly roundId: string;
  readonly round: number;
  /** The model that the round started from: evaluation is about this one. */
  readonly modelHash: string;
  readonly nextModelHash: string;
  readonly nodes: number;
  /** Noised number of training records; null for unit 'node'. */
  readonly records: number | null;
  /** Null without bins, or where noise hides the counts. */
  readonly evaluation: Evaluation | null;
  /** Standard deviation of the noise in a value that was sent, of the sum, in the update's units. */
  readonly sigma: number;
  /** 'anew': no optimiser state was kept for this model, say because another recipient made it; momentum starts at 0. */
  readonly optimiser: 'continued' | 'anew';
}

export interface ModelMakerSettings {
  readonly store: Pick<Store, 'records'>;
  /** Called before the next model is returned; again, with the same outcome, when a step is repeated after a crash. */
  readonly onOutcome?: (outcome: RoundOutcome) => void;
}

/**
 * Makes models of opened sums. Post-processing: costs no privacy.
 *
 * Law: `next` is a function of task, model, values and the state kept for that model's hash; asked again, also after a
 * restart, it gives the same bytes.
 */
export function createModelMaker({ store, onOutcome }: ModelMakerSettings): ModelMaker {
  return {
    first: async (task) => {
      if (task.learning === null) return encodeMean(task, new Float32Array(numbersOf(task)));
      const plan = parseLearningPlan(task);
      quantiserOf(task);
      return firstModelOf(plan);
    },
    next: async (task, sums, modelBytes) => {
      const quantiser = quantiserOf(task);
      const { round } = sums[0]!;
      const compressor = compressorForTask(task, modelBytes);
      const parts = sums.map((sum) => partOf(task, quantiser, compressor, sum));
      const nodes = parts.reduce((total, part) => total + part.nodes, 0);
      const sum = combine(task, parts, nodes, compressor?.gain ?? 1);
      // Where updates were scaled for being behind: what they are divided by. Else the nodes.
      const weight = parts.reduce((total, part) => total + part.weight, 0);
      // Updates of no model: what is handed on is their noised mean.
      if (task.learning === null) return encodeMean(task, Float32Array.from(meanOf(task, sum, weight)));
      const plan = parseLearningPlan(task);
      const modelHash = hashOf(modelBytes);
      const model = readModel(plan, modelBytes);
      const kept = await readOptimiser(store.records, task.task, modelHash, model);
      const opened = openSum(task, plan, quantiser, { nodes, weight }, sum);
      const state = serverStep(kept?.state ?? initialServerState(model), opened.step, serverSettingsOf(plan));
      const bytes = encodeModel(plan, state.model);
      const nextModelHash = hashOf(bytes);
      await writeOptimiser(store.records, task.task, nextModelHash, { state, from: modelHash }, kept?.from ?? null);
      const isContinued = kept !== null || modelHash === hashOf(firstModelOf(plan));
      onOutcome?.({
        task: task.task,
        roundId: round.id,
        round: round.record.number,
        modelHash,
        nextModelHash,
        nodes,
        records: opened.step.unit === 'record' ? opened.step.count : null,
        evaluation: opened.evaluation,
        sigma: opened.sigma,
        optimiser: isContinued ? 'continued' : 'anew',
      });
      return bytes;
    },
  };
}

interface Part {
  readonly sum: Float64Array;
  readonly nodes: number;
  /** What the updates were scaled by, together: `nodes` in rounds with masks. */
  readonly weight: number;
}

function compressorForTask(task: Task, model: Uint8Array): Compressor | null {
  if (task.compression === undefined) return null;
  return compressorOf(task, updateShape(parseLearningPlan(task), task.clipMicro), model);
}

function partOf(task: Task, quantiser: Quantiser, compressor: Compressor | null, { round, values }: OpenedRound): Part {
  if (values.length !== task.dimension) {
    throw new TrainingError('WRONG_LENGTH', `the sum has ${values.length} values, the task ${task.dimension}`);
  }
  const sum = dequantise(quantiser, values);
  return { sum: compressor?.expand(sum) ?? sum, ...cohortOf(round) };
}

/**
 * One sum of several: the robust mean of a node's part, over the buckets' means, times all nodes. Counts of the evaluation
 * are added up as they are: a robust rule would bend them, and nothing is trained on them.
 */
function combine(task: Task, parts: readonly Part[], nodes: number, gain: number): Float64Array {
  const plan = task.learning === null ? null : parseLearningPlan(task);
  const means = parts.map((part) => scaled(part.sum, (value) => value / part.nodes));
  const weights = parts.map((part) => part.nodes);
  const mean = aggregate('mean', means, weights);
  const rule = plan?.aggregate ?? 'mean';
  if (rule === 'mean') return scaled(mean, (value) => value * nodes);
  const end = plan?.unit === 'record' ? layoutOf(contributionPlanOf(plan, task.clipMicro)).histogramStart : mean.length;
  const boundOf = plan?.unit === 'node' ? noisyBound(task) : () => Number.POSITIVE_INFINITY;
  const trained = means.map((values, i) => clipNorm(values.subarray(0, end), gain * boundOf(weights[i]!)));
  mean.set(aggregate(rule, trained, weights));
  return scaled(mean, (value) => value * nodes);
}

/** `map` in place. @param values - taken over. */
function scaled(values: Float64Array, by: (value: number) => number): Float64Array {
  for (let i = 0; i < values.length; i++) values[i] = by(values[i]!);
  return values;
}

/**
 * How long a mean of n clipped updates with their noise can be: what is longer was not made by the rules. The noise's norm is above
 * sigma (sqrt d + 3) with probability below e^(-9/2) (Laurent, Massart 2000), and shortening then is no harm.
 */
function noisyBound(task: Task): (nodes: number) => number {
  const { dimension, clip, scale, variance } = quantiserOf(task);
  const step = Math.sqrt(Number(variance.sigma2Numerator) / Number(variance.sigma2Denominator) + 1 / 4) / scale;
  return (nodes) => clip + (step / Math.sqrt(nodes)) * (Math.sqrt(dimension) + 3);
}

interface Opened {
  readonly step: OpenedSum;
  readonly evaluation: Evaluation | null;
  readonly sigma: number;
}

/** Noise: variance nodes * (sigma^2 + 1/4) in squared steps, the quarter for unbiased rounding at its worst. */
function openSum(
  task: Task,
  plan: LearningPlan,
  quantiser: Quantiser,
  { nodes, weight }: Pick<Part, 'nodes' | 'weight'>,
  sum: Float64Array,
): Opened {
  const { sigma2Numerator, sigma2Denominator } = quantiser.variance;
  const variance = Number(sigma2Numerator) / Number(sigma2Denominator) + 1 / 4;
  const sigma = Math.sqrt(nodes * variance) / quantiser.scale;
  if (plan.unit === 'node') {
    const [values, divisor] = task.weightMax === undefined ? [sum, weight] : [meanOf(task, sum, weight), 1];
    return { step: { unit: 'node', sum: liftSum(plan, values), nodes: divisor }, evaluation: null, sigma };
  }
  const contribution = contributionPlanOf(plan, task.clipMicro);
  const { gradient, count, histogram, cellNoise } = readContribution(sum, contribution, sigma);
  const evaluation = histogram && contribution.bins ? tryEvaluate(histogram, contribution.bins, cellNoise) : null;
  return { step: { unit: 'record', sum: gradient, count, isOfItsOwn: task.oneShot !== undefined }, evaluation, sigma };
}

function tryEvaluate(...input: Parameters<typeof evaluateHistogram>): Evaluation | null {
  try {
    return evaluateHistogram(...input);
  } catch (error) {
    if (error instanceof LearningError && error.code === 'ONE_CLASS') return null;
    throw error;
  }
}

/** The model that training begins with, as it goes out: a function of the plan. */
export function firstModelOf(plan: LearningPlan): Uint8Array {
  return encodeModel(plan);
}

function cohortOf(round: Round): Pick<Part, 'nodes' | 'weight'> {
  if ((round.phase === 'decided' || round.phase === 'released') && round.decision.attempt.cohort.length > 0) {
    const { cohort } = round.decision.attempt;
    return { nodes: cohort.length, weight: weightOfCohort(round.record, cohort) };
  }
  throw new TrainingError('NOT_DECIDED', 'the round has no decision, so no sum to step by');
}

function encodeMean({ tensors }: Task, values: Float32Array): Uint8Array {
  return encodeSafetensors(namedTensors(values, tensors ?? [{ name: 'mean', shape: [values.length] }]));
}

function hashOf(bytes: Uint8Array): string {
  return toHex(nodePrimitives.sha256(bytes));
}
