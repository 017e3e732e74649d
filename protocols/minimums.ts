import { CryptoError } from '../crypto/errors.ts';
import { deriveParameters } from '../crypto/params.ts';
import { AccountingError } from './accountant.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { checkOneShot } from './one-shot.ts';
import { chargeOf, type RoundRecord } from './record.ts';
import { chargeOfTask, sumsOf, type Task } from './task.ts';

/** What genesis fixes for good about every round. */
export type Foundations = Pick<Body<'genesis'>, 'minimums' | 'budget'>;

type Terms = Pick<
  RoundRecord,
  'unit' | 'minOrganisations' | 'noise' | 'sensitivity2' | 'sampling' | 'clipMicro' | 'scale'
> & {
  readonly charge: RoundRecord['charge'];
  readonly parameters: Pick<RoundRecord['parameters'], 'minCohort' | 'minHonest' | 'dimension'>;
};

/** Whether a record keeps to genesis: minimums, unit of privacy, noise and its price. */
export function checkMinimums({ minimums, budget }: Foundations, terms: Terms): Rejection | null {
  const { minCohort, minHonest } = terms.parameters;
  const below = (what: string, has: number, wants: number): Rejection =>
    reject('BELOW_MINIMUM', `${what} is below genesis: ${has}, the federation was founded with ${wants}`);
  if (minCohort < minimums.cohort) return below('minCohort', minCohort, minimums.cohort);
  if (terms.minOrganisations < minimums.organisations)
    return below('minOrganisations', terms.minOrganisations, minimums.organisations);
  if (minHonest < minimums.honest) return below('minHonest', minHonest, minimums.honest);
  if (terms.unit !== budget.unit) {
    const why = `the task counts privacy per ${terms.unit}, the federation's budget per ${budget.unit}, and genesis is final`;
    return reject('CHARGE_MISMATCH', why);
  }
  if (terms.noise.sigma2Numerator === '0' || terms.noise.sigma2Denominator === '0')
    return reject('BELOW_MINIMUM', 'a round without noise cannot be opened');
  const sampling = checkSampling(budget, terms);
  if (sampling !== null) return sampling;
  // Clipped to C and scaled, one unit can move a sum by C * scale steps; rounding only adds to that.
  if (BigInt(terms.sensitivity2) * 10n ** 12n < (BigInt(terms.clipMicro) * BigInt(terms.scale)) ** 2n)
    return reject('CHARGE_MISMATCH', 'the sensitivity is below what clip and scale allow');
  if (orNull(() => chargeOf(terms)) !== terms.charge.rhoNano)
    return reject('CHARGE_MISMATCH', 'the charge is not what the noise costs');
  return null;
}

/** What is drawn is records, and charges of drawn rounds add up at one order only. */
function checkSampling(budget: Foundations['budget'], { sampling, unit }: Terms): Rejection | null {
  if (sampling === undefined) return null;
  if (unit !== 'record')
    return reject('CHARGE_MISMATCH', 'only records are drawn: a round over nodes takes all of them');
  if (budget.renyiOrder === undefined)
    return reject('CHARGE_MISMATCH', 'the federation was founded without a Renyi order, so it takes all records');
  if (budget.renyiOrder === sampling.order) return null;
  const why = `the federation counts at Renyi order ${budget.renyiOrder}, the task at ${sampling.order}`;
  return reject('CHARGE_MISMATCH', why);
}

/**
 * Whether rounds of a task can ever be opened: told from genesis and the quorum's size, before anything is announced.
 *
 * @param quorum - all members, and the threshold: a round has as many members as log a key for it.
 * @returns null, or BELOW_MINIMUM, CHARGE_MISMATCH, BUDGET_EXCEEDED, PARAMETERS_MISMATCH.
 */
export function taskFitsGenesis(
  genesis: Foundations,
  quorum: { readonly members: number; readonly threshold: number },
  task: Task,
): Rejection | null {
  const rhoNano = orNull(() => chargeOfTask(task));
  if (rhoNano === null) return reject('BELOW_MINIMUM', 'a round without noise cannot be opened');
  const problem =
    checkOneShot({ ...task, bucket: task.buckets }, task) ??
    checkMinimums(genesis, { ...task, parameters: task, charge: { rhoNano } });
  if (problem !== null) return problem;
  if (rhoNano * sumsOf(task) > genesis.budget.rhoNano)
    return reject('BUDGET_EXCEEDED', 'one round costs more than the whole budget of the federation');
  const { dimension, bits, nodesMax, minCohort, minHonest } = task;
  if (orNull(() => deriveParameters({ dimension, bits, nodesMax, minCohort, minHonest, ...quorum })) === null) {
    const why = `no parameters carry this task under a quorum of ${quorum.threshold}-of-${quorum.members}`;
    return reject('PARAMETERS_MISMATCH', why);
  }
  return null;
}

function orNull<T>(derive: () => T): T | null {
  try {
    return derive();
  } catch (error) {
    if (error instanceof AccountingError || error instanceof CryptoError) return null;
    throw error;
  }
}
