import { afterEach, describe, expect, it, vi } from 'vitest';
import { deriveParameters } from '../../crypto/params.ts';
import type { RoundRecord } from '../../protocols/record.ts';
import { nextCohort } from '../../protocols/rules-round.ts';
import { checkCohort, checkRound, type SitePolicy } from '../../protocols/site-policy.ts';
import { taskHashOf } from '../../protocols/task.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { BASE_TASK } from '../reference/base-task.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { PaperLog, p } from '../reference/paper-log.ts';
import { QuorumLab } from '../reference/quorum-lab.ts';

/** A control takes the rule of one decision per window away: every round is a window of its own. */
const weak = vi.hoisted(() => ({ windows: false }));
vi.mock('../../protocols/transcript.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/transcript.ts')>();
  const windowKey: typeof original.windowKey = (t, record) =>
    weak.windows ? JSON.stringify(record) : original.windowKey(t, record);
  return { ...original, windowKey };
});

afterEach(() => {
  weak.windows = false;
});

/** A record of minimums other than the log's. */
function recordWith(log: PaperLog, number: number, over: { minCohort: number; minHonest?: number }): RoundRecord {
  const record = log.record(log.announced(number));
  const parameters = deriveParameters({ ...record.parameters, minHonest: 2, ...over });
  return {
    ...record,
    parameters: { ...parameters, primes: [...parameters.primes], primeBits: [...parameters.primeBits] },
  };
}

/** Opens a round and takes uploads of some nodes. */
function uploaded(log: PaperLog, record: RoundRecord, nodes: readonly string[]): void {
  log.post('coordinator', 'open', { record });
  for (const node of nodes) log.post(node, 'upload', log.upload(node));
}

const closed = (log: PaperLog): string => log.offer(log.leaf('coordinator', 'close', log.close()));

describe('P16: small cohorts are refused', () => {
  it('a set of min_cohort - 1 is not closed over, nor decided after nodes were revoked', () => {
    const log = PaperLog.founded();
    uploaded(log, recordWith(log, 1, { minCohort: 4 }), log.nodes.slice(0, 3));
    expect(closed(log)).toBe('COHORT_TOO_SMALL');
    log.post('node-4', 'upload', log.upload('node-4'));
    expect(closed(log)).toBe('counted'); // control
    for (const node of log.nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    const decide = log.leaf('coordinator', 'decide', log.decide());
    log.post('root', 'revoke', { name: 'node-4', reason: 'gone' });
    expect(log.offer(decide)).toBe('REVOKED');
  });

  it('the next attempt cannot shrink below it', () => {
    const log = PaperLog.founded();
    uploaded(log, recordWith(log, 1, { minCohort: 4 }), log.nodes);
    expect(closed(log)).toBe('counted');
    for (const node of log.nodes.slice(1)) log.post(node, 'confirm', log.confirm(node));
    expect(closed(log)).toBe('COHORT_TOO_SMALL');
  });

  it('one approver enrolling fakes: of one organisation they do not count as several, nor past their share', () => {
    const log = PaperLog.founded({ nodes: 2, minOrganisations: 3 });
    const fakes = ['fake-1', 'fake-2', 'fake-3'];
    const enrol = (name: string, organisation: string) =>
      log.post('root', 'enrol', log.enrolment(name, 'node', { organisation }));
    for (const fake of fakes) enrol(fake, 'org-node-2');
    uploaded(log, log.record(log.announced(1)), ['node-1', 'node-2', ...fakes]);
    expect(closed(log)).toBe('TOO_FEW_ORGS');
    // With a third organisation the log's own rule is satisfied, and each site's is not: 4 of 6 are org-node-2's.
    enrol('other', 'third');
    log.post('other', 'upload', log.upload('other'));
    expect(closed(log)).toBe('counted');
    const verdict = (over: Partial<SitePolicy>) =>
      checkCohort(
        log.sitePolicy({ largestSharePercent: 50, ...over }),
        log.transcript,
        log.round.record,
        log.attempt,
        'node-1',
      )?.rejected ?? 'confirmed';
    expect(verdict({})).toBe('POLICY_REFUSES');
    expect(verdict({ largestSharePercent: 100, minOrganisations: 4 })).toBe('TOO_FEW_ORGS');
    expect(verdict({ largestSharePercent: 100, minCohort: 7 })).toBe('COHORT_TOO_SMALL');
    expect(verdict({ largestSharePercent: 67 })).toBe('confirmed'); // control: a laxer site is fooled
  });

  it('a record below a node’s own policy is not taken part in, whatever genesis allows', () => {
    const log = PaperLog.founded().until('open');
    const { record } = log.round;
    const verdict = (over: Partial<SitePolicy>, charged = 0) =>
      checkRound(
        log.sitePolicy({ largestSharePercent: 50, minOrganisations: 1, ...over }),
        log.transcript,
        record,
        'node-1',
        charged,
      )?.rejected;
    for (const over of [
      { minCohort: 3 },
      { minOrganisations: 2 },
      { minHonest: 3 },
      { tasks: ['another'] },
      { recipients: ['another'] },
      { genesis: '7'.repeat(64) },
      { budgetRhoNano: record.charge.rhoNano - 1 },
    ]) {
      expect([over, verdict(over)]).toEqual([over, 'POLICY_REFUSES']);
    }
    expect(verdict({})).toBeUndefined(); // control
    expect(verdict({ budgetRhoNano: record.charge.rhoNano })).toBeUndefined();
    expect(verdict({ budgetRhoNano: record.charge.rhoNano }, 1)).toBe('POLICY_REFUSES');
  });
});

describe('P16: differencing is refused', () => {
  const P = ['node-1', 'node-2'];
  const Q = ['node-3', 'node-4'];
  const ALL = [...P, ...Q, 'node-5'];

  /** Runs a round over some nodes to its decision. @returns what the log says to the first leaf that it refuses. */
  function decided(log: PaperLog, number: number, nodes: readonly string[]): string {
    const record = log.record(log.announced(number));
    const open = log.offer(log.leaf('coordinator', 'open', { record }));
    if (open !== 'counted') return open;
    for (const node of nodes) log.post(node, 'upload', log.upload(node));
    closed(log);
    for (const node of nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    return log.offer(log.leaf('coordinator', 'decide', log.decide()));
  }

  it('a second sum over the same model and window: at open, and for rounds that were open already at the decision', () => {
    const log = PaperLog.founded({ nodes: 5 });
    expect([decided(log, 1, P), decided(log, 2, Q), decided(log, 3, ALL)]).toEqual([
      'counted',
      'WINDOW_DECIDED',
      'WINDOW_DECIDED',
    ]);
    // Two that race: both are open before either is decided.
    const race = PaperLog.founded({ nodes: 5 }).until('ready');
    const first = race.decide();
    const record = race.record(race.announced(2));
    race.post('coordinator', 'open', { record });
    for (const node of P) race.post(node, 'upload', race.upload(node));
    closed(race);
    for (const node of P) race.post(node, 'confirm', race.confirm(node));
    for (const holder of race.holders) race.post(holder, 'ready', { close: race.attempt.close });
    const second = race.leaf('coordinator', 'decide', race.decide());
    expect(race.offer(race.leaf('coordinator', 'decide', first))).toBe('counted');
    expect(race.offer(second)).toBe('WINDOW_DECIDED');
  });

  it('control: without that rule P, Q and P+Q+v are decided, and their sums are v’s update', async () => {
    weak.windows = true;
    const log = PaperLog.founded({ nodes: 5 });
    expect([decided(log, 1, P), decided(log, 2, Q), decided(log, 3, ALL)]).toEqual(['counted', 'counted', 'counted']);
    const parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
    const lab = new QuorumLab(contextOf(parameters, await kernelOf(parameters)), systemRng);
    for (const node of ALL) lab.upload(node, valuesOf(node, 300, 16));
    const sumOf = (nodes: readonly string[]): Int32Array => {
      const submissions = nodes.map((node) => lab.confirm(node, nodes, `close over ${nodes.join()}`));
      return lab.open(lab.unmask(submissions, [0, 1, lab.recipient]), lab.sum(nodes))!;
    };
    const [p1, q, all] = [sumOf(P), sumOf(Q), sumOf(ALL)];
    expect(all.map((x, i) => x - p1[i]! - q[i]!)).toEqual(valuesOf('node-5', 300, 16));
  });

  it('a renamed data window is another task, which no site has approved, and costs the budget again', () => {
    const renamed = { ...BASE_TASK, window: `${BASE_TASK.window} again` };
    // Nodes take part in the task files that lie on their own disk, by hash: src/party/node.ts.
    expect(taskHashOf(p, renamed)).not.toBe(taskHashOf(p, BASE_TASK));
    const cost = PaperLog.founded().until('open').round.record.charge.rhoNano;
    const log = PaperLog.founded({ nodes: 5, budgetRhoNano: 2 * cost - 1 });
    expect(decided(log, 1, P)).toBe('counted');
    const again = log.record(log.announced(2), { window: 'renamed' });
    expect(log.offer(log.leaf('coordinator', 'open', { record: again }))).toBe('BUDGET_EXCEEDED');
    const richer = PaperLog.founded({ nodes: 5, budgetRhoNano: 2 * cost });
    expect(decided(richer, 1, P)).toBe('counted');
    const record = richer.record(richer.announced(2), { window: 'renamed' });
    expect(richer.offer(richer.leaf('coordinator', 'open', { record }))).toBe('counted'); // control
  });

  it('a recipient that calls an opened sum unopenable gets the same set once more, never all of it but one', () => {
    const log = PaperLog.founded({ nodes: 5 }).until('answers');
    const first = log.round;
    log.post('coordinator', 'abort', { round: first.id, reason: 'OPERATOR' });
    const next = (number: number) => log.record(log.announced(number), { retryOf: first.id });
    // A reason that could follow an opening without a lie is no failure.
    expect(log.offer(log.leaf('coordinator', 'open', { record: next(2) }))).toBe('WINDOW_DECIDED');

    const lied = (uploads: number): PaperLog => {
      const other = PaperLog.founded({ nodes: 5 }).until('answers');
      const failed = other.round.id;
      other.post('recipient-1', 'abort', { round: failed, reason: 'KEY_DOES_NOT_FIT' });
      const record = recordWith(other, 2, { minCohort: 3 });
      uploaded(other, { ...record, retryOf: failed }, other.nodes.slice(0, uploads));
      return other;
    };
    expect(nextCohort(lied(4).transcript, lied(4).round)).toEqual([]);
    const same = lied(5);
    expect(closed(same)).toBe('counted');
    for (const node of same.nodes) same.post(node, 'confirm', same.confirm(node));
    for (const holder of same.holders) same.post(holder, 'ready', { close: same.attempt.close });
    expect(same.offer(same.leaf('coordinator', 'decide', same.decide()))).toBe('counted');
    // Two noised sums of one set, both charged.
    expect(same.attempt.cohort).toHaveLength(5);
    expect(same.transcript.ledger.spentRhoNano).toBe(2 * first.record.charge.rhoNano);
  });
});
