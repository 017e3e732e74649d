import { budgetRhoNano, epsilonOfRhoNano } from '../../protocols/accountant.ts';
import { TrainingError } from './errors.ts';

/**
 * The share of delta that conversions leave aside for events outside the zCDP account: a rounding beyond the stated
 * sensitivity (2^-64 a node and round), a noise sample beyond its bits (2^-102 a value). `fitNoise` adds them up.
 */
export const DELTA_RESERVE = 2 ** -20;

/** The budget of a log, as its genesis states it. */
export interface Budget {
  /** Units of 1e-9, rounded down. */
  readonly rhoNano: number;
  readonly epsilonMicro: number;
  /** delta = 10^-deltaExponent. */
  readonly deltaExponent: number;
}

/** @throws TrainingError BAD_BUDGET unless 0 < epsilon <= 1000 in steps of 1e-6, and delta is 0.1, 0.01 and so on. */
export function budgetFor(epsilon: number, delta: number): Budget {
  const epsilonMicro = Math.round(epsilon * 1e6);
  if (!(epsilonMicro >= 1 && epsilonMicro <= 1e9 && Math.abs(epsilonMicro - epsilon * 1e6) < 1e-3)) {
    throw new TrainingError('BAD_BUDGET', 'epsilon is a number from 0.000001 to 1000 with at most six decimals');
  }
  const deltaExponent = Math.round(-Math.log10(delta));
  if (!(deltaExponent >= 1 && deltaExponent <= 30 && Math.abs(delta * 10 ** deltaExponent - 1) < 1e-9)) {
    throw new TrainingError('BAD_BUDGET', 'delta is a power of ten from 0.1 to 1e-30, such as 1e-5');
  }
  const rhoNano = Number(budgetRhoNano(epsilonMicro / 1e6, deltaIn(deltaExponent)));
  return { rhoNano, epsilonMicro, deltaExponent };
}

/** What a spent rho means at the budget's delta, from above. For display: decisions are taken in nano-rho. */
export function epsilonOf(rhoNano: number, deltaExponent: number): number {
  return epsilonOfRhoNano(BigInt(rhoNano), deltaIn(deltaExponent));
}

function deltaIn(deltaExponent: number): number {
  return 10 ** -deltaExponent * (1 - DELTA_RESERVE);
}
