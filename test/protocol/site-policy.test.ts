import { describe, expect, it } from 'vitest';
import type { RoundRecord } from '../../protocols/record.ts';
import { checkCohort, checkRound, type SitePolicy, sitePolicyField } from '../../protocols/site-policy.ts';
import { PaperLog, paperHash } from '../reference/paper-log.ts';

// What a site's own file refuses, clause by clause. Each case changes one number; the control is the same round under the
// policy without that change, which is taken.

const log = PaperLog.founded({ minOrganisations: 2, nodes: 5 }).until('close');
const { record } = log.round;

const policy: SitePolicy = sitePolicyField.parse({
  genesis: log.transcript.logId,
  tasks: [record.task],
  recipients: log.recipients,
  minCohort: 2,
  minOrganisations: 2,
  minHonest: 2,
  largestSharePercent: 50,
  budgetRhoNano: 2 * record.charge.rhoNano,
  allowCheckSums: false,
});

const codeOf = (said: ReturnType<typeof checkRound>): string => (said === null ? 'taken' : said.rejected);
const round = (over: Partial<SitePolicy>, other: Partial<RoundRecord> = {}, charged = 0): string =>
  codeOf(checkRound({ ...policy, ...over }, log.transcript, { ...record, ...other }, 'node-1', charged));

describe("P16 a site's policy, before anything is computed", () => {
  it('takes the round that it allows', () => {
    expect(round({})).toBe('taken');
  });

  it.each<[string, Partial<SitePolicy>]>([
    ['another log', { genesis: paperHash('another genesis') }],
    ['a task that is not listed', { tasks: ['churn'] }],
    ['a recipient that is not listed', { recipients: ['somebody'] }],
    ['a smaller cohort than the site asks for', { minCohort: record.parameters.minCohort + 1 }],
    ['fewer organisations', { minOrganisations: record.minOrganisations + 1 }],
    ['a smaller threshold', { minThreshold: record.parameters.threshold + 1 }],
    ['fewer honest nodes', { minHonest: record.parameters.minHonest + 1 }],
    ['a charge beyond the site’s budget', { budgetRhoNano: record.charge.rhoNano - 1 }],
  ])('refuses %s', (_what, over) => {
    expect(round(over)).toBe('POLICY_REFUSES');
  });

  it('counts what its data was charged before, by its own count or the log, whichever is more', () => {
    expect(round({}, {}, record.charge.rhoNano)).toBe('taken');
    expect(round({}, {}, record.charge.rhoNano + 1)).toBe('POLICY_REFUSES');
    const later = PaperLog.founded({ minOrganisations: 2, nodes: 5 }).until('decide');
    const again = (budgetRhoNano: number): string =>
      codeOf(
        checkRound(
          { ...policy, genesis: later.transcript.logId, budgetRhoNano },
          later.transcript,
          record,
          'node-1',
          0,
        ),
      );
    expect(again(2 * record.charge.rhoNano)).toBe('taken');
    expect(again(2 * record.charge.rhoNano - 1)).toBe('POLICY_REFUSES');
  });

  it('refuses rounds of a changed quorum unless it says that it takes them', () => {
    const changed = { ...log.transcript, quorum: { ...log.transcript.quorum, number: 1 } };
    const under = (over: Partial<SitePolicy>): string =>
      codeOf(checkRound({ ...policy, ...over }, changed, record, 'node-1', 0));
    expect(under({})).toBe('POLICY_REFUSES');
    expect(under({ quorumChanges: 'refuse' })).toBe('POLICY_REFUSES');
    expect(under({ quorumChanges: 'accept' })).toBe('taken');
  });

  it('refuses to write plain updates unless it says that it may', () => {
    expect(round({}, { checkSums: true })).toBe('POLICY_REFUSES');
    expect(round({ allowCheckSums: true }, { checkSums: true })).toBe('taken');
  });
});

describe("P13 P16 a site's policy, before the set is confirmed", () => {
  const cohort = (over: Partial<SitePolicy>, node = 'node-1', of = log): string =>
    codeOf(checkCohort({ ...policy, ...over }, of.transcript, record, of.attempt, node));

  it('takes the set that it allows', () => {
    expect(cohort({})).toBe('taken');
    expect(log.attempt.cohort).toHaveLength(5);
  });

  it('refuses a set that does not hold its own upload', () => {
    expect(cohort({}, 'node-9')).toBe('NOT_IN_COHORT');
  });

  it('refuses a set that is smaller, or of fewer organisations, than it asks for', () => {
    expect(cohort({ minCohort: 5 })).toBe('taken');
    expect(cohort({ minCohort: 6 })).toBe('COHORT_TOO_SMALL');
    expect(cohort({ minOrganisations: 5 })).toBe('taken');
    expect(cohort({ minOrganisations: 6 })).toBe('TOO_FEW_ORGS');
  });

  it('refuses a set of which one organisation has more than its share', () => {
    expect(cohort({ largestSharePercent: 20 })).toBe('taken');
    expect(cohort({ largestSharePercent: 19 })).toBe('POLICY_REFUSES');
  });

  it('refuses a set with a node that was revoked since', () => {
    const revoked = PaperLog.founded({ minOrganisations: 2, nodes: 5 }).until('close');
    revoked.post('root', 'revoke', { name: 'node-3', reason: 'lost' });
    expect(cohort({}, 'node-1', revoked)).toBe('REVOKED');
  });
});

it('every clause of the policy file is required, and nothing else is read', () => {
  for (const field of Object.keys(policy)) {
    const { [field as keyof SitePolicy]: _left, ...rest } = policy;
    expect(sitePolicyField.safeParse(rest).success).toBe(false);
  }
  expect(sitePolicyField.safeParse({ ...policy, allowEverything: true }).success).toBe(false);
});
