import { describe, expect, it } from 'vitest';
import { remarkRounds } from '../../protocols/audit-rounds.ts';
import { coordinatorDuties, type Patience } from '../../protocols/coordinator.ts';
import { disputesOf, quarrelsOf } from '../../protocols/disputes.ts';
import { nodeDuties } from '../../protocols/node.ts';
import { dropDetail } from '../../protocols/patch.ts';
import { recipientDuties } from '../../protocols/recipient.ts';
import { nextRetryOf, retrySet } from '../../protocols/retry.ts';
import { nextCohort } from '../../protocols/rules-round.ts';
import { PaperLog, paperHash } from '../reference/paper-log.ts';

// What the log says of recipients that open their boxes before the decision: rules and duties alone, without cryptography.

const names = (log: PaperLog): string[] => nextCohort(log.transcript, log.round).map(({ node }) => node);
const confirmOf = (log: PaperLog, node: string): string => log.attempt.confirms.get(node)!.hash;

/** All of U confirmed and all members are ready; these recipients complain about this node. */
function complained(
  by: readonly string[],
  about: readonly string[],
  over: Partial<PaperLog['setting']> = {},
): PaperLog {
  const log = PaperLog.founded({ nodes: 6, ...over }).until('confirms');
  for (const member of log.members) log.post(member, 'ready', { close: log.attempt.close });
  for (const name of by)
    for (const node of about) log.post(name, 'complaint', { confirm: confirmOf(log, node), code: 'SEED_MISMATCH' });
  return log;
}

/** The second box of these nodes is no better. */
function insisted(log: PaperLog, by: string, about: readonly string[]): PaperLog {
  for (const node of about) {
    log.post(node, 'reseal', { confirm: confirmOf(log, node), holder: by, hash: paperHash(`again ${node}`) });
    log.post(by, 'complaint', { confirm: confirmOf(log, node), code: 'SEED_MISMATCH' });
  }
  return log;
}

/** What the coordinator does after so many ms without a leaf. */
function dutyAfter(log: PaperLog, now: number): string {
  const waits = { roundKeyMs: 1e9, announceMs: 1e9, readyMs: 100, holderMs: 1000, answerMs: 1e9 };
  const patience: Patience = { now, since: () => 0, ...waits };
  const [duty] = coordinatorDuties(log.transcript, patience);
  return duty === undefined ? 'waits' : duty.duty === 'abort' ? duty.reason : duty.duty;
}

describe('the coordinator', () => {
  it('decides at once when everybody is ready, and not while a recipient is missing', () => {
    expect(dutyAfter(PaperLog.founded().until('ready'), 0)).toBe('decide');
    const two = complained([], [], { recipients: 2 });
    two.post('recipient-2', 'ready', { close: two.attempt.close });
    expect([0, 500, 999].map((ms) => dutyAfter(two, ms))).toEqual(['waits', 'waits', 'waits']);
    expect(two.offer(two.leaf('coordinator', 'decide', two.decide()))).toBe('NOT_READY');
    two.post('recipient-1', 'ready', { close: two.attempt.close });
    expect(dutyAfter(two, 0)).toBe('decide');
  });

  it('ends a round whose recipient never says anything: named by its silence, and nothing is charged', () => {
    const log = complained([], []);
    expect(dutyAfter(log, 1000)).toBe('RECIPIENT_NOT_READY');
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'RECIPIENT_NOT_READY' });
    expect(log.transcript.ledger).toMatchObject({ spentRhoNano: 0, reserved: new Map() });
    // Nobody chose a set by it: the next round of the window is over everybody again.
    expect(nextRetryOf(log.transcript, log.round.record)).toBeNull();
  });

  it('waits for a second box, and ends a round where it does not come or is no better', () => {
    const log = complained(['recipient-1'], ['node-2']);
    expect([0, 100, 399].map((ms) => dutyAfter(log, ms))).toEqual(['waits', 'waits', 'waits']);
    expect(dutyAfter(log, 400)).toBe('BOX_DISPUTED');
    log.post('node-2', 'reseal', {
      confirm: confirmOf(log, 'node-2'),
      holder: 'recipient-1',
      hash: paperHash('better'),
    });
    expect(dutyAfter(log, 400)).toBe('waits');
    log.post('recipient-1', 'complaint', { confirm: confirmOf(log, 'node-2'), code: 'SEED_MISMATCH' });
    expect(dutyAfter(log, 100)).toBe('BOX_DISPUTED');
    expect(disputesOf(log.attempt)).toEqual([{ node: 'node-2', holder: 'recipient-1', final: true }]);
  });

  it('goes on as ever where members cannot be ready: they say who goes, whatever a recipient complains about', () => {
    const log = PaperLog.founded({ nodes: 6 }).until('confirms');
    for (const member of ['member-1', 'member-2'])
      log.post(member, 'complaint', { confirm: confirmOf(log, 'node-1'), code: 'SEED_MISMATCH' });
    log.post('recipient-1', 'complaint', { confirm: confirmOf(log, 'node-4'), code: 'SEED_MISMATCH' });
    expect(dutyAfter(log, 400)).toBe('close');
    expect(names(log)).toEqual(['node-2', 'node-3', 'node-4', 'node-5', 'node-6']);
  });

  it('waits for a second box of one that is not ready, and not for one of a recipient that is', () => {
    const log = PaperLog.founded({ nodes: 6 }).until('confirms');
    for (const member of ['member-1', 'member-2'])
      log.post(member, 'complaint', { confirm: confirmOf(log, 'node-1'), code: 'SEED_MISMATCH' });
    const confirm = confirmOf(log, 'node-4');
    log.post('recipient-1', 'complaint', { confirm, code: 'SEED_MISMATCH' });
    log.post('node-4', 'reseal', { confirm, holder: 'recipient-1', hash: paperHash('better') });
    expect(dutyAfter(log, 100)).toBe('waits');
    log.post('recipient-1', 'ready', { close: log.attempt.close });
    expect(dutyAfter(log, 100)).toBe('close');
  });

  it('is as patient with slow members in a retry, which has one attempt, as in any round', () => {
    const first = PaperLog.founded({ nodes: 6 }).until('confirms');
    const again = PaperLog.founded({ nodes: 6 }).until('answers');
    const failed = again.round.id;
    again.post('recipient-1', 'abort', { round: failed, reason: 'KEY_DOES_NOT_FIT' });
    again.open(again.announced(2), { retryOf: failed });
    for (const node of again.nodes) again.post(node, 'upload', again.upload(node));
    again.post('coordinator', 'close', again.close());
    for (const { node } of again.attempt.cohort) again.post(node, 'confirm', again.confirm(node));
    for (const log of [first, again]) {
      log.post('recipient-1', 'ready', { close: log.attempt.close });
      expect([100, 999].map((ms) => dutyAfter(log, ms))).toEqual(['waits', 'waits']);
    }
    expect([first, again].map((log) => dutyAfter(log, 1000))).toEqual(['NOT_READY', 'NOT_READY']);
    // Where a node's boxes cannot be used by t members there is nothing to wait for.
    const { node } = again.attempt.cohort[0]!;
    for (const member of ['member-1', 'member-2'])
      again.post(member, 'complaint', { confirm: confirmOf(again, node), code: 'SEED_MISMATCH' });
    expect(dutyAfter(again, 100)).toBe('COHORT_TOO_SMALL');
  });
});

describe('a recipient', () => {
  it('looks into its boxes when all of U confirmed, again after each second box, and never once it is ready', () => {
    const duties = (log: PaperLog): string[] =>
      recipientDuties(log.transcript, 'recipient-1', () => true).map(({ duty }) => duty);
    expect(duties(PaperLog.founded().until('close'))).toEqual([]);
    const log = PaperLog.founded().until('confirms');
    expect(duties(log)).toEqual(['check-boxes']);
    expect(recipientDuties(log.transcript, 'recipient-1', () => false)).toEqual([]); // its key of the round is gone
    const confirm = confirmOf(log, 'node-1');
    log.post('recipient-1', 'complaint', { confirm, code: 'BOX_UNREADABLE' });
    expect(duties(log)).toEqual([]);
    const asked = nodeDuties(log.transcript, 'node-1', () => true);
    expect(asked).toMatchObject([{ duty: 'reseal', holder: 'recipient-1' }]);
    log.post('node-1', 'reseal', { confirm, holder: 'recipient-1', hash: paperHash('again') });
    expect(duties(log)).toEqual(['check-boxes']);
    log.post('recipient-1', 'ready', { close: log.attempt.close });
    expect(duties(log)).toEqual([]);
    expect(disputesOf(log.attempt)).toEqual([]);
  });

  it('puts nobody out of U by its word, however many complain and about whom', () => {
    const log = complained(['recipient-1', 'recipient-2'], ['node-1', 'node-3'], { recipients: 2 });
    insisted(log, 'recipient-1', ['node-1', 'node-3']);
    expect(names(log)).toEqual(log.nodes);
    expect(log.offer(log.leaf('coordinator', 'close', log.close()))).toBe('BAD_COHORT'); // nor is there another attempt
  });
});

describe('the audit', () => {
  const said = (log: PaperLog): string[] =>
    remarkRounds(log.transcript)
      .filter(({ code }) => code === 'BOX_REFUSED')
      .map(({ text }) => text);

  it('BOX_REFUSED: names node and holder of every box that stayed unusable, when the round has ended', () => {
    const log = insisted(complained(['recipient-1'], ['node-2', 'node-4']), 'recipient-1', ['node-2']);
    expect(said(log)).toEqual([]); // there may still come a better one
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'BOX_DISPUTED' });
    expect(said(log)).toEqual([
      expect.stringMatching(/recipient-1 could not use the box of node-2, nor the second box/),
      expect.stringMatching(/recipient-1 could not use the box of node-4, and it sealed no second one/),
    ]);
    expect(said(PaperLog.founded().until('release'))).toEqual([]);
  });
});

describe('after a dispute', () => {
  /** A round of six nodes that a recipient and these nodes ended between them. */
  function disputed(about: readonly string[] = ['node-2']): { log: PaperLog; id: string } {
    const log = insisted(complained(['recipient-1'], about), 'recipient-1', about);
    const { id } = log.round;
    log.post('coordinator', 'abort', { round: id, reason: 'BOX_DISPUTED' });
    expect(log.transcript.ledger).toMatchObject({ spentRhoNano: 0, reserved: new Map() });
    return { log, id };
  }
  function reopened(log: PaperLog, number: number, retryOf: string, absent: readonly string[] = []): string[] {
    log.open(log.announced(number), { retryOf });
    for (const node of log.nodes) if (!absent.includes(node)) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    return log.attempt.cohort.map(({ node }) => node).sort();
  }
  /** Another dispute ends it. */
  function disputedAgain(log: PaperLog): string {
    for (const { node } of log.attempt.cohort) log.post(node, 'confirm', log.confirm(node));
    const { node } = log.attempt.cohort[0]!;
    log.post('recipient-1', 'complaint', { confirm: confirmOf(log, node), code: 'SEED_MISMATCH' });
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'BOX_DISPUTED' });
    return log.round.id;
  }

  it('the next round of the window is over a half of the set, whoever was complained about', () => {
    const halves = ['node-1', 'node-5'].map((about) => {
      const { log, id } = disputed([about]);
      expect(nextRetryOf(log.transcript, log.round.record)).toBe(id);
      return reopened(log, 2, id);
    });
    expect(halves[0]).toHaveLength(3);
    expect(halves[1]).toEqual(halves[0]);
  });

  it('says the same to who keeps no detail of ended rounds', () => {
    const { log, id } = disputed();
    const spare = disputed();
    dropDetail(spare.log.transcript, spare.id);
    expect(spare.log.transcript.rounds.get(id)!.attempts[0]!.confirms.size).toBe(0);
    expect(reopened(spare.log, 2, id)).toEqual(reopened(log, 2, id));
  });

  it('and then over the other half; and without whoever stays away, as nothing was decided', () => {
    const { log, id } = disputed();
    const first = reopened(log, 2, id);
    const blamed = log.attempt.cohort[0]!.node;
    const second = reopened(log, 3, disputedAgain(log));
    expect([...first, ...second].sort()).toEqual(log.nodes);
    const quarrels = quarrelsOf(log.transcript, 'lead-scoring');
    expect(quarrels.map(({ node, rounds }) => `${node} ${rounds}`)).toEqual(
      blamed === 'node-2' ? ['node-2 2'] : ['node-2 1', `${blamed} 1`],
    );
    expect(quarrelsOf(log.transcript, 'another task')).toEqual([]);
    const away = disputed();
    const smaller = reopened(away.log, 2, away.id, [first[0]!]);
    expect(smaller.length).toBeGreaterThanOrEqual(2);
    expect(smaller).not.toContain(first[0]);
  });

  it('and over everybody there, when the nodes of the disputed set have become too few', () => {
    const { log, id } = disputed();
    for (const node of log.nodes.slice(1)) log.post('root', 'revoke', { name: node, reason: 'gone' });
    const came = ['new-1', 'new-2'];
    for (const node of came) log.enrol(node, 'node');
    log.open(log.announced(2), { retryOf: id });
    for (const node of ['node-1', ...came]) log.post(node, 'upload', log.upload(node));
    expect(names(log)).toEqual(['node-1', ...came]);
  });

  it('a retry may lose nodes as any round may; after a decision that failed it may not', () => {
    const { log, id } = disputed();
    const half = reopened(log, 2, id);
    for (const node of half.slice(1)) log.post(node, 'confirm', log.confirm(node));
    expect(names(log).sort()).toEqual(half.slice(1));
    log.post('coordinator', 'close', log.close());
    for (const node of half.slice(1)) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    for (const member of log.members) log.post(member, 'answer', log.answer(member));
    const failed = log.round;
    log.post('recipient-1', 'abort', { round: failed.id, reason: 'KEY_DOES_NOT_FIT' });
    // Somebody may know that sum: from here on there are parts of it alone, and none but whole.
    expect(nextRetryOf(log.transcript, failed.record)).toBe(failed.id);
    log.open(log.announced(3), { retryOf: failed.id });
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    expect(names(log).sort()).toEqual(half.slice(1));
    const { record, uploads } = log.round;
    const without = [...uploads.values()].filter(({ node }) => node !== half[1]);
    expect(retrySet(log.transcript, record, without)).toEqual([]);
  });

  it('the window is decided once, by the disputed round’s retry or by a round that names none', () => {
    const { log, id } = disputed();
    const announce = log.announced(2);
    const fresh = log.leaf('coordinator', 'open', { record: log.record(announce) });
    expect(log.offer(fresh)).toBe('counted');
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    for (const node of log.nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    const record = log.record(log.announced(3), { retryOf: id });
    expect(log.offer(log.leaf('coordinator', 'open', { record }))).toBe('WINDOW_DECIDED');
    expect(nextRetryOf(log.transcript, record)).toBeUndefined();
  });

  it('a round that ended for another reason, or a lone word of the coordinator, begins no retry', () => {
    const log = complained(['recipient-1'], ['node-2']);
    const { id } = log.round;
    log.post('coordinator', 'abort', { round: id, reason: 'OPERATOR' });
    const record = log.record(log.announced(2), { retryOf: id });
    expect(log.offer(log.leaf('coordinator', 'open', { record }))).toBe('WINDOW_DECIDED');
  });
});
