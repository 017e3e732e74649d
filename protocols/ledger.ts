import { type Rejection, reject } from './errors.ts';

/**
 * The privacy budget of a log, in zCDP units of 1e-9 (zCDP adds up over rounds; Bun, Steinke 2016, Lemma 1.7).
 *
 * Laws: `spent + sum(reserved) <= budget` always; `spent` never falls; a charge is taken at the decision, that is before
 * any member answers; whoever replays the same leaves has the same ledger, so a crash loses nothing.
 */
export interface Ledger {
  readonly budgetRhoNano: number;
  readonly spentRhoNano: number;
  /** Round id to what it will cost if it is decided. */
  readonly reserved: ReadonlyMap<string, number>;
}

export function newLedger(budgetRhoNano: number): Ledger {
  return { budgetRhoNano, spentRhoNano: 0, reserved: new Map() };
}

/** What is neither spent nor promised to an open round. */
export function available(ledger: Ledger): number {
  let left = ledger.budgetRhoNano - ledger.spentRhoNano;
  for (const amount of ledger.reserved.values()) left -= amount;
  return left;
}

/** A round is opened: its charge is set aside. @returns BUDGET_EXCEEDED when it does not fit beside what is promised. */
export function reserve(ledger: Ledger, round: string, rhoNano: number): Ledger | Rejection {
  if (rhoNano > available(ledger)) {
    return reject('BUDGET_EXCEEDED', `the round costs ${rhoNano} nano-rho and ${available(ledger)} are left`);
  }
  return { ...ledger, reserved: new Map(ledger.reserved).set(round, rhoNano) };
}

/** A round is decided: its charge is spent, whether or not a result comes of it. */
export function charge(ledger: Ledger, round: string): Ledger | Rejection {
  const rhoNano = ledger.reserved.get(round);
  if (rhoNano === undefined) return reject('CHARGE_MISMATCH', 'no charge was set aside for this round');
  return { ...release(ledger, round), spentRhoNano: ledger.spentRhoNano + rhoNano };
}

/** A round ended without a decision: what was set aside is free again. */
export function release(ledger: Ledger, round: string): Ledger {
  const reserved = new Map(ledger.reserved);
  reserved.delete(round);
  return { ...ledger, reserved };
}
