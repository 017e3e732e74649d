import { describe, expect, it, vi } from 'vitest';
import { remarkRounds } from '../../protocols/audit-rounds.ts';
import { coordinatorDuties } from '../../protocols/coordinator.ts';
import { memberDuties } from '../../protocols/member.ts';
import { recipientDuties } from '../../protocols/recipient.ts';
import { MAX_ANNOUNCE_LEAVES } from '../../protocols/transcript.ts';
import { PaperLog } from '../reference/paper-log.ts';

// Announcements that are never opened end in the log, and the keys made for them are wiped.

const weak = vi.hoisted(() => ({ isOff: false }));
vi.mock('../../protocols/transcript.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/transcript.ts')>();
  const isWithdrawn: typeof original.isWithdrawn = (...args) => !weak.isOff && original.isWithdrawn(...args);
  return { ...original, isWithdrawn };
});

const patience = {
  now: 100,
  since: () => 0,
  roundKeyMs: 10,
  announceMs: 50,
  readyMs: 1e9,
  holderMs: 1e9,
  answerMs: 1e9,
};
const keeps = (): boolean => true;
const lost = (): boolean => false;

function duties(log: PaperLog, held: (announce: string) => boolean): string[] {
  const member = memberDuties(log.transcript, 'member-1', held);
  const recipient = recipientDuties(log.transcript, 'recipient-1', held);
  return [...member, ...recipient].map(({ duty }) => duty);
}

/** A round that member-3 has no key for: of a 2-of-3 quorum it can never be opened. */
function incomplete(): { log: PaperLog; announce: string } {
  const log = PaperLog.founded({ members: 3, threshold: 2 });
  const announce = log.announce(1);
  for (const name of ['member-1', 'member-2', 'recipient-1']) log.post(name, 'round-key', log.roundKey(name, announce));
  return { log, announce };
}

it('an announcement is opened without a member that was revoked after it had logged its round key', () => {
  const log = PaperLog.founded({ members: 4, threshold: 2 });
  const announce = log.announce(1);
  for (const name of ['member-1', 'member-2', 'member-3', 'member-4', 'recipient-1'])
    log.post(name, 'round-key', log.roundKey(name, announce));
  log.post('root', 'revoke', { name: 'member-2', reason: 'lost' });
  const [duty] = coordinatorDuties(log.transcript, { ...patience, announceMs: 500 });
  expect(duty).toMatchObject({ duty: 'open', members: ['member-1', 'member-3', 'member-4'] });
});

describe('an announcement that cannot be opened', () => {
  it('is withdrawn by the coordinator when it is late, and its keys are wiped', () => {
    const { log, announce } = incomplete();
    expect(duties(log, keeps)).toEqual([]);
    expect(coordinatorDuties(log.transcript, { ...patience, announceMs: 500 })).toEqual([]);
    expect(coordinatorDuties(log.transcript, patience)).toMatchObject([
      { duty: 'withdraw', announce: { hash: announce } },
    ]);
    expect(remarkRounds(log.transcript)).toMatchObject([
      { code: 'NO_END', text: expect.stringContaining('announced') },
    ]);
    log.post('coordinator', 'abort', { round: announce, reason: 'ROUND_KEY_MISSING' });
    expect(duties(log, keeps)).toEqual(['forget', 'forget']);
    expect(duties(log, lost)).toEqual([]); // nobody makes another key for it
    expect(coordinatorDuties(log.transcript, patience)).toEqual([]);
    expect(remarkRounds(log.transcript)).toEqual([]);
  });

  it('that has every key, but a record that the rules refuse, is tried and then withdrawn', () => {
    const log = PaperLog.founded();
    log.announced(1);
    expect(coordinatorDuties(log.transcript, patience).map(({ duty }) => duty)).toEqual(['open', 'withdraw']);
  });

  it('ends without the coordinator too, by the log’s length', () => {
    const { log, announce } = incomplete();
    const { index } = log.transcript.announces.get(announce)!;
    const later = { ...log.transcript, size: index + MAX_ANNOUNCE_LEAVES };
    const member = (size: number) => memberDuties({ ...later, size }, 'member-1', keeps).map(({ duty }) => duty);
    expect(member(later.size)).toEqual([]);
    expect(member(later.size + 1)).toEqual(['forget']);
  });
});

describe('a coordinator that opens what it has withdrawn', () => {
  const opens = (): string => {
    const log = PaperLog.founded();
    const announce = log.announced(1);
    const record = log.record(announce);
    log.post('coordinator', 'abort', { round: announce, reason: 'OPERATOR' });
    return log.offer(log.leaf('coordinator', 'open', { record }));
  };

  it('opens nothing', () => expect(opens()).toBe('ROUND_ENDED'));

  it('control: without the rule the round runs, under keys that their holders have wiped', () => {
    weak.isOff = true;
    expect(opens()).toBe('counted');
    weak.isOff = false;
  });
});
