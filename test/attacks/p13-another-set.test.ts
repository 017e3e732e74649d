import { describe, expect, it, vi } from 'vitest';
import { SecretBytes } from '../../crypto/secret.ts';
import type { Rejection } from '../../protocols/errors.ts';
import { type Confirmation, makeConfirmation, nodeDuties, RoundSecrets } from '../../protocols/node.ts';
import { checkCohort, type SitePolicy } from '../../protocols/site-policy.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { PaperLog, p } from '../reference/paper-log.ts';

/** A control takes the node's own look at the set away. */
const weak = vi.hoisted(() => ({ cohort: false }));
vi.mock('../../protocols/site-policy.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/site-policy.ts')>();
  const checkCohort: typeof original.checkCohort = (...args) => (weak.cohort ? null : original.checkCohort(...args));
  return { ...original, checkCohort };
});

/** What a node does when it is asked to confirm the newest set. */
function confirmation(log: PaperLog, node: string, over: Partial<SitePolicy> = {}): Confirmation | Rejection {
  const { round, attempt } = log;
  const { ringDegree, primes } = round.record.parameters;
  const maskSecret = new SecretBytes('mask key', log.seed(`mask ${node} ${round.id}`).bytes.slice());
  using secrets = new RoundSecrets(
    new Int16Array(ringDegree),
    new SecretBytes('update hash', new Uint8Array(32)),
    maskSecret,
  );
  using fresh = new SecretBytes('attempt seed', systemRng(32));
  const place = { round, attempt, node };
  const checksum = new Uint32Array(6 * primes.length);
  return makeConfirmation(p, systemRng, log.transcript, log.sitePolicy(over), place, secrets, fresh, checksum);
}

const codeOf = (made: Confirmation | Rejection): string => ('rejected' in made ? made.rejected : 'confirmed');

describe('P13: a node confirms only the logged, cosigned set that holds its upload', () => {
  it('a set without it, too small, of too few organisations, or outside its own policy: refused', () => {
    const log = PaperLog.founded({ nodes: 5 });
    log.open(log.announced(1));
    for (const node of log.nodes.slice(0, 4)) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    expect(codeOf(confirmation(log, 'node-5'))).toBe('NOT_IN_COHORT');
    expect(codeOf(confirmation(log, 'node-1', { minCohort: 5 }))).toBe('COHORT_TOO_SMALL');
    expect(codeOf(confirmation(log, 'node-1', { minOrganisations: 5 }))).toBe('TOO_FEW_ORGS');
    expect(codeOf(confirmation(log, 'node-1', { largestSharePercent: 24 }))).toBe('POLICY_REFUSES');
    expect(codeOf(confirmation(log, 'node-1'))).toBe('confirmed'); // control
    weak.cohort = true;
    for (const over of [{ minCohort: 5 }, { minOrganisations: 5 }, { largestSharePercent: 24 }])
      expect(codeOf(confirmation(log, 'node-1', over))).toBe('confirmed'); // control
    weak.cohort = false;
    log.post('root', 'revoke', { name: 'node-4', reason: 'gone' });
    expect(codeOf(confirmation(log, 'node-1'))).toBe('REVOKED');
    expect(checkCohort(log.sitePolicy(), log.transcript, log.round.record, log.attempt, 'node-1')?.rejected).toBe(
      'REVOKED',
    );
  });

  it('one confirmation per attempt, none after the decision; the duty is gone with the leaf, also after a restart', () => {
    const log = PaperLog.founded().until('close');
    const duties = () =>
      nodeDuties(log.transcript, 'node-1', () => true)
        .filter(({ duty }) => duty === 'confirm')
        .map(({ duty }) => duty);
    expect(duties()).toEqual(['confirm']);
    log.post('node-1', 'confirm', log.confirm('node-1'));
    expect(duties()).toEqual([]); // recomputed from the log alone, so a restarted node has no other answer
    const again = { ...log.confirm('node-1'), correctionHash: '7'.repeat(64), seeds: log.confirm('node-2').seeds };
    expect(log.offer(log.leaf('node-1', 'confirm', again))).toBe('DUPLICATE_CONFIRM');
    for (const node of log.nodes.slice(1)) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    const late = log.leaf('node-1', 'confirm', { ...again, seeds: log.confirm('node-3').seeds });
    log.post('coordinator', 'decide', log.decide());
    expect(log.offer(late)).toBe('ALREADY_DECIDED');
    expect(duties()).toEqual([]);
    // Confirming twice is what gives a node away: the control is in p07b-whole-quorum.test.ts.
  });

  it('a set that is closed for one view only does not exist in the log', () => {
    const log = PaperLog.founded().until('uploads');
    const honest = log.close();
    const shown = { ...honest, uploads: honest.uploads.slice(0, 2) };
    expect(log.offer(log.leaf('coordinator', 'close', shown))).toBe('BAD_COHORT');
    expect(log.offer(log.leaf('coordinator', 'close', { ...honest, cohortHash: '7'.repeat(64) }))).toBe('BAD_COHORT');
    expect(log.offer(log.leaf('coordinator', 'close', honest))).toBe('counted'); // control
    // Two sets shown to two nodes under forged heads: masks do not cancel, see p07b-whole-quorum and p13-shown-another-set.
    expect(log.offer(log.leaf('node-1', 'confirm', { ...log.confirm('node-1'), close: '7'.repeat(64) }))).toBe(
      'UNKNOWN_CLOSE',
    );
  });
});
