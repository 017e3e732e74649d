import { LearningError } from './errors.ts';
import { type Model, makeModel } from './model.ts';
import type { Optimiser } from './optimisers.ts';

/** What the recipient keeps between rounds. Holds released (noised) values only. */
export interface ServerState {
  readonly model: Model;
  readonly velocity: Float32Array;
  /** Running mean of squared steps, for adam and yogi; zeros otherwise. */
  readonly spread: Float32Array;
  /** Rounds that were applied. */
  readonly round: number;
  /** Mean of the noised record counts opened so far; 0 before the first. */
  readonly meanCount: number;
}

export interface ServerSettings {
  readonly learningRate: number;
  /** Heavy-ball momentum in [0, 1): velocity = momentum * velocity + mean gradient. */
  readonly momentum: number;
  /** L2 penalty per round on all weights; 0 for none. */
  readonly weightDecay?: number;
  /**
   * Over how many rounds counts are averaged, the later ones counting more; left out: all alike. For rounds that are not over about
   * the same records.
   */
  readonly countRounds?: number;
  /** Rounds over which the learning rate falls linearly to nothing: what noise did to early steps is then forgotten. */
  readonly decayRounds?: number;
  /** Left out: momentum. The adaptive ones take `momentum` for their first moment. */
  readonly optimiser?: Optimiser;
}

/** beta_2 and tau of the adaptive rules, as Reddi et al. use them (section 5). */
const SPREAD_DECAY = 0.99;
const LEAST_SPREAD = 1e-3;

/** Below this many records a mean is not taken: the noise could make the count vanish or negative. */
const COUNT_FLOOR = 16;

export function initialServerState(model: Model): ServerState {
  const length = model.values.length;
  return { model, velocity: new Float32Array(length), spread: new Float32Array(length), round: 0, meanCount: 0 };
}

/** An opened sum, in the gradient's units, one number per weight first (further coordinates are ignored). */
export type OpenedSum =
  /** Clipped gradients of records; `count` is the opened, noised number of records. */
  | {
      readonly unit: 'record';
      readonly sum: ArrayLike<number>;
      readonly count: number;
      /** Other nodes in every round, or weighted ones: earlier counts say nothing of this sum. */
      readonly isOfItsOwn?: boolean;
    }
  /** Local deltas of `nodes` nodes: the size of the survivor set, which is public; of weighted ones, the sum of weights. */
  | { readonly unit: 'node'; readonly sum: ArrayLike<number>; readonly nodes: number };

/**
 * One server step on the mean m of an opened sum (Reddi et al., ICLR 2021, arXiv 2003.00295): FedAvgM, velocity = momentum *
 * velocity + m, model -= learningRate * velocity; or FedAdam and FedYogi (their Algorithm 2), velocity = momentum * velocity +
 * (1 - momentum) * m, model -= learningRate * velocity / (sqrt(spread) + 1e-3). Post-processing of an opened sum: costs no privacy.
 *
 * For unit = record the divisor is the mean of all counts opened so far, since every round holds about the same records, or where
 * it does not, of the last `countRounds` or so; the sum's own count where other nodes are in every one.
 *
 * @throws LearningError BAD_MODEL, NOT_FINITE or BAD_SETTING; the state given is never changed.
 */
export function serverStep(state: ServerState, opened: OpenedSum, settings: ServerSettings): ServerState {
  const { momentum, weightDecay = 0, optimiser = 'momentum', decayRounds } = settings;
  const learningRate = settings.learningRate * shareLeft(state.round, decayRounds);
  if (!(learningRate > 0 && momentum >= 0 && momentum < 1 && weightDecay >= 0)) {
    throw new LearningError('BAD_SETTING', 'a server step needs learningRate > 0, 0 <= momentum < 1, weightDecay >= 0');
  }
  const { spec, values } = state.model;
  if (opened.sum.length < values.length) {
    throw new LearningError('BAD_MODEL', `the sum has ${opened.sum.length} numbers, the model ${values.length}`);
  }
  const meanCount =
    opened.unit === 'record' ? averageCount(state, opened.count, settings.countRounds) : state.meanCount;
  const count = opened.unit === 'record' && opened.isOfItsOwn === true ? opened.count : meanCount;
  const divisor = opened.unit === 'record' ? Math.max(COUNT_FLOOR, count) : opened.nodes;
  if (!(divisor > 0)) throw new LearningError('BAD_SETTING', 'a sum of deltas has at least one node');
  const velocity = new Float32Array(values.length);
  const spread = new Float32Array(values.length);
  const next = new Float32Array(values.length);
  const isAdaptive = optimiser !== 'momentum';
  for (let i = 0; i < values.length; i++) {
    const step = opened.sum[i]! / divisor + weightDecay * values[i]!;
    velocity[i] = momentum * state.velocity[i]! + (isAdaptive ? 1 - momentum : 1) * step;
    spread[i] = nextSpread(optimiser, state.spread[i]!, step * step);
    const scale = isAdaptive ? Math.sqrt(spread[i]!) + LEAST_SPREAD : 1;
    next[i] = values[i]! - (learningRate * velocity[i]!) / scale;
  }
  return { model: makeModel(spec, next), velocity, spread, round: state.round + 1, meanCount };
}

/** 1 at the first round; at least one round's share, so that a job that goes on longer still moves. */
function shareLeft(round: number, decayRounds: number | undefined): number {
  return decayRounds === undefined ? 1 : Math.max(1, decayRounds - round) / decayRounds;
}

function nextSpread(optimiser: Optimiser, spread: number, square: number): number {
  switch (optimiser) {
    case 'momentum':
      return 0;
    case 'adam':
      return SPREAD_DECAY * spread + (1 - SPREAD_DECAY) * square;
    case 'yogi':
      return spread - (1 - SPREAD_DECAY) * square * Math.sign(spread - square);
    default:
      return optimiser satisfies never;
  }
}

function averageCount(state: ServerState, count: number, countRounds = Number.POSITIVE_INFINITY): number {
  if (!Number.isFinite(count)) throw new LearningError('NOT_FINITE', 'the opened record count is not a number');
  const before = Math.min(state.round, countRounds - 1);
  return (state.meanCount * before + count) / (before + 1);
}
