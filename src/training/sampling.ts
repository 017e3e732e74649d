import { conversionCost, epsilonOfRhoNano, type Release, rhoOf } from '../../protocols/accountant.ts';
import { releaseOf } from '../../protocols/record.ts';
import { sampledGaussianEpsilon, sampledGaussianRenyi } from '../../protocols/renyi.ts';
import { LEAST_ORDER, MOST_ORDER, type Sampling } from '../../protocols/sampled-charge.ts';
import { chargeOfTask, type Task } from '../../protocols/task.ts';
import { TrainingError } from './errors.ts';

interface SamplingRequest {
  readonly sampleRate?: number | undefined;
  readonly renyiOrder?: number | undefined;
  readonly epsilon: number;
  readonly delta: number;
  readonly rounds: number;
}

/**
 * How the records of a task are drawn; undefined where they all take part.
 *
 * @throws TrainingError BAD_BUDGET for a rate that is none, a rate where nodes are the unit, or an epsilon that no order carries.
 */
export function samplingFor(request: SamplingRequest, unit: 'record' | 'node'): Sampling | undefined {
  const { sampleRate, renyiOrder } = request;
  if (sampleRate === undefined) return undefined;
  if (unit !== 'record') throw new TrainingError('BAD_BUDGET', 'records are drawn where the unit is the record');
  const rateMicro = Math.round(sampleRate * 1e6);
  if (!(rateMicro >= 1 && rateMicro < 1e6 && Math.abs(rateMicro - sampleRate * 1e6) < 1e-3)) {
    throw new TrainingError('BAD_BUDGET', 'the sample rate lies between 0 and 1, in steps of 0.000001');
  }
  return { rateMicro, order: renyiOrder ?? bestOrder({ ...request, sampleRate }) };
}

/** The integer order at which the rounds need the least noise for (epsilon, delta). */
export function bestOrder(request: Omit<SamplingRequest, 'sampleRate'> & { readonly sampleRate: number }): number {
  const { epsilon, delta, rounds, sampleRate } = request;
  let best = { order: 0, noise: Number.POSITIVE_INFINITY };
  for (let order = LEAST_ORDER; order <= MOST_ORDER; order++) {
    const share = (epsilon - conversionCost(order, delta)) / rounds;
    if (!(share > 0)) continue;
    const noise = leastNoise((z) => sampledGaussianRenyi(sampleRate, z, order) <= share);
    if (noise < best.noise) best = { order, noise };
  }
  if (best.order > 0) return best.order;
  throw new TrainingError('BAD_BUDGET', `no Renyi order up to ${MOST_ORDER} carries so small an epsilon at this delta`);
}

/** From 1/4 on, to three digits: it only ranks orders. */
function leastNoise(fits: (noise: number) => boolean): number {
  let high = 0.25;
  while (!fits(high)) high *= 2;
  let low = high / 2;
  while (high - low > 1e-3 * high) {
    const middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Noise of a release over its sensitivity, as the accountants of the continuous Gaussian take it: rho = 1 / (2 z^2). */
export function noiseRatio(release: Release): number {
  const { numerator, denominator } = rhoOf(release);
  // Both are far beyond a double: 80 bits of the quotient are kept.
  return Math.sqrt(2 ** 79 / Number((numerator << 80n) / denominator));
}

/** What one round of a task tells when no other is opened, for display: at whatever order is best. */
export function epsilonOfOneRound(task: Task, delta: number): number {
  if (task.sampling === undefined) return epsilonOfRhoNano(BigInt(chargeOfTask(task)), delta);
  const step = { rate: task.sampling.rateMicro / 1e6, noise: noiseRatio(releaseOf({ ...task, parameters: task })) };
  return sampledGaussianEpsilon(step, 1, delta).epsilon;
}
