import { AccountingError, budgetRhoNano, epsilonOfRhoNano } from '../../protocols/accountant.ts';
import { LEAST_ORDER, MOST_ORDER } from '../../protocols/sampled-charge.ts';
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
  /** Renyi order that the ledger counts at; absent: zCDP. */
  readonly renyiOrder?: number;
}

/**
 * What experiments without privacy are charged to: so much that noise, of which the format needs a little, hides nothing and
 * disturbs nothing. Nobody is told that it protects anything.
 */
export const NO_PRIVACY: Budget = { rhoNano: 4e15, epsilonMicro: 5e12, deltaExponent: 5 };

/**
 * @param renyiOrder - for logs whose rounds may be over drawn records (protocols/sampled-charge.ts).
 * @throws TrainingError BAD_BUDGET unless 0 < epsilon <= 1000 in steps of 1e-6, delta is 0.1, 0.01 and so on, and the order
 *   leaves something of them.
 */
export function budgetFor(epsilon: number, delta: number, renyiOrder?: number): Budget {
  const epsilonMicro = Math.round(epsilon * 1e6);
  if (!(epsilonMicro >= 1 && epsilonMicro <= 1e9 && Math.abs(epsilonMicro - epsilon * 1e6) < 1e-3)) {
    throw new TrainingError('BAD_BUDGET', 'epsilon is a number from 0.000001 to 1000 with at most six decimals');
  }
  const deltaExponent = Math.round(-Math.log10(delta));
  if (!(deltaExponent >= 1 && deltaExponent <= 30 && Math.abs(delta * 10 ** deltaExponent - 1) < 1e-9)) {
    throw new TrainingError('BAD_BUDGET', 'delta is a power of ten from 0.1 to 1e-30, such as 1e-5');
  }
  if (renyiOrder === undefined) {
    return { rhoNano: Number(budgetRhoNano(epsilonMicro / 1e6, deltaIn(deltaExponent))), epsilonMicro, deltaExponent };
  }
  if (!(Number.isInteger(renyiOrder) && renyiOrder >= LEAST_ORDER && renyiOrder <= MOST_ORDER))
    throw new TrainingError('BAD_BUDGET', `the Renyi order is a whole number from ${LEAST_ORDER} to ${MOST_ORDER}`);
  try {
    const rhoNano = Number(budgetRhoNano(epsilonMicro / 1e6, deltaIn(deltaExponent), renyiOrder));
    return { rhoNano, epsilonMicro, deltaExponent, renyiOrder };
  } catch (cause) {
    if (cause instanceof AccountingError) throw new TrainingError('BAD_BUDGET', cause.message, { cause });
    throw cause;
  }
}

/** What a spent charge means at the budget's delta and order, from above. For display: decisions are taken in integers. */
export function epsilonOf(rhoNano: number, deltaExponent: number, renyiOrder?: number): number {
  return epsilonOfRhoNano(BigInt(rhoNano), deltaIn(deltaExponent), renyiOrder);
}

/** Delta that conversions may use: the budget's, less the reserve. */
export function deltaIn(deltaExponent: number): number {
  return 10 ** -deltaExponent * (1 - DELTA_RESERVE);
}
