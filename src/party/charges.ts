import { decisionOf, isOver, type Round, type Transcript } from '../../protocols/transcript.ts';
import type { Party } from './party.ts';

/** What a node's own data was charged, by its own count: zCDP in units of 1e-9, by round. Outlives every round. */
const CHARGES = 'charges';

/** Durable when it resolves: before anything of a confirmation is sent. */
export async function putCharge(party: Party, round: Round): Promise<void> {
  const charge = new TextEncoder().encode(String(round.record.charge.rhoNano));
  await party.store.records.transact((tx) => tx.put(CHARGES, round.id, charge));
}

/** Rounds that the node confirmed, decided or not, together. @param except - a round left out. */
export async function ownCharges(party: Party, except = ''): Promise<number> {
  let spent = 0;
  for (const { key, value } of await party.store.records.list(CHARGES)) {
    if (key !== except) spent += Number(new TextDecoder().decode(value));
  }
  return spent;
}

/**
 * A round that ended without a decision costs nothing, nor one without masks whose decision does not hold the node. A decided one
 * that only grew too long was answered for all that.
 */
export async function dropUndecided(party: Party, round: Round): Promise<void> {
  const decision = decisionOf(round);
  const isLeftOut =
    round.record.masking === 'none' && decision?.attempt.cohort.every(({ node }) => node !== party.name) === true;
  if (decision === null || isLeftOut) await party.store.records.transact((tx) => tx.delete(CHARGES, round.id));
}

/** Takes back what a crash, or a revocation that was none, left behind: charges of rounds that ended without a decision. */
export async function dropAllUndecided(party: Party, transcript: Transcript): Promise<void> {
  for (const { key } of await party.store.records.list(CHARGES)) {
    const round = transcript.rounds.get(key);
    if (round !== undefined && isOver(transcript, round)) await dropUndecided(party, round);
  }
}
