import { z } from 'zod';
import { type Rejection, reject } from './errors.ts';
import { countField, hashField, labelField, nameField } from './fields.ts';
import type { RoundRecord } from './record.ts';
import { type Attempt, decisionOf, findParty, type Transcript } from './transcript.ts';

/**
 * What one site allows, in a file of its own. A node obeys this file and the log, and nobody's word beside them.
 * Every number is the site's; genesis may be laxer and then does not matter.
 */
export const sitePolicyField = z.strictObject({
  /** Pins the log, and with it quorum, threshold, witnesses and minimums. */
  genesis: hashField,
  tasks: z.array(labelField).min(1).max(64),
  recipients: z.array(nameField).min(1).max(64),
  minCohort: z.int().min(2).max(1024),
  minOrganisations: z.int().min(1).max(1024),
  minHonest: z.int().min(2).max(1024),
  /** Largest part of a cohort that may belong to one organisation, in percent. */
  largestSharePercent: z.int().min(1).max(100),
  /** Most zCDP that this site's data may be charged over all rounds, in units of 1e-9. */
  budgetRhoNano: countField,
  /** Whether the node may write its plain update to a private folder when a round asks for it. */
  allowCheckSums: z.boolean(),
  /** Fewest members that may be able to open a sum together. Left out: what the federation has. */
  minThreshold: z.int().min(2).max(64).optional(),
  /** Whether the node goes on under another quorum than that of genesis, one that its members approved. Left out: no. */
  quorumChanges: z.enum(['accept', 'refuse']).optional(),
  /**
   * Whether the node takes part in rounds without masks, where it shares its key before anybody knows U. Left out: no. Of U it
   * then has what the record promises; `largestSharePercent` cannot be asked.
   */
  maskingNone: z.enum(['accept', 'refuse']).optional(),
});

export type SitePolicy = z.infer<typeof sitePolicyField>;

/** What the decided rounds that hold the node's upload have cost its data, by the log. */
export function chargedTo(t: Transcript, node: string): number {
  let spent = 0;
  for (const round of t.rounds.values()) {
    if (decisionOf(round)?.attempt.cohort.some((upload) => upload.node === node)) spent += round.record.charge.rhoNano;
  }
  return spent;
}

/**
 * Whether the site lets its node take part in a round. Asked before anything is computed.
 *
 * @param charged - the node's own count of what its data was charged; the larger of it and the log's is used.
 */
export function checkRound(
  policy: SitePolicy,
  t: Transcript,
  record: RoundRecord,
  node: string,
  charged: number,
): Rejection | null {
  const refuse = (why: string): Rejection => reject('POLICY_REFUSES', `the site's policy does not allow this: ${why}`);
  const { parameters } = record;
  if (t.logId !== policy.genesis) return refuse('another log (genesis hash)');
  if (parameters.threshold < (policy.minThreshold ?? 0)) return refuse('too few members could open the sum');
  if (t.quorum.number > 0 && policy.quorumChanges !== 'accept')
    return refuse('the quorum was changed (quorumChanges: accept takes what its members approved)');
  if (record.masking === 'none' && policy.maskingNone !== 'accept')
    return reject(
      'MASKING_REFUSED',
      "the round has no pairwise masks, and the site's policy does not accept that (maskingNone: accept takes the weaker claim)",
    );
  if (!policy.tasks.includes(record.task)) return refuse('the task is not listed');
  if (!record.recipients.every((recipient) => policy.recipients.includes(recipient.name)))
    return refuse('a recipient is not listed');
  if (parameters.minCohort < policy.minCohort) return refuse('min_cohort is too small');
  if (record.minOrganisations < policy.minOrganisations) return refuse('min_orgs is too small');
  if (parameters.minHonest < policy.minHonest) return refuse('min_honest is too small');
  if (record.checkSums && !policy.allowCheckSums) return refuse('plain updates may not be written (check-sums)');
  const spent = Math.max(charged, chargedTo(t, node));
  if (spent + record.charge.rhoNano > policy.budgetRhoNano)
    return refuse('the privacy budget of this site would be overspent');
  return null;
}

/** Whether the site lets its node confirm the set that was closed over. */
export function checkCohort(
  policy: SitePolicy,
  t: Transcript,
  record: RoundRecord,
  attempt: Attempt,
  node: string,
): Rejection | null {
  const { cohort } = attempt;
  if (!cohort.some((upload) => upload.node === node)) return reject('NOT_IN_COHORT', 'the set does not hold this node');
  const least = Math.max(policy.minCohort, record.parameters.minCohort);
  if (cohort.length < least) return reject('COHORT_TOO_SMALL', 'the set is smaller than this site allows');
  const sizes = new Map<string, number>();
  for (const upload of cohort) {
    const party = findParty(t, upload.node);
    if (party === null || party.revoked) return reject('REVOKED', 'a node of the set is not enrolled');
    sizes.set(party.organisation, (sizes.get(party.organisation) ?? 0) + 1);
  }
  if (sizes.size < Math.max(policy.minOrganisations, record.minOrganisations)) {
    return reject('TOO_FEW_ORGS', 'the set holds fewer organisations than this site allows');
  }
  if (Math.max(...sizes.values()) * 100 > policy.largestSharePercent * cohort.length) {
    return reject('POLICY_REFUSES', 'one organisation has a larger part of the set than this site allows');
  }
  return null;
}
