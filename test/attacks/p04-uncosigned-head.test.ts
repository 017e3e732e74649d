import { afterEach, describe, expect, it, vi } from 'vitest';
import { isRejection } from '../../protocols/errors.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { memberDuties } from '../../protocols/member.ts';
import { nodeDuties } from '../../protocols/node.ts';
import { advance, newReader } from '../../protocols/reader.ts';
import { ORIGIN, PaperLog, p } from '../reference/paper-log.ts';

/** A control takes the witnesses away: any head of the log's own key will do. */
const weak = vi.hoisted(() => ({ witnesses: false }));
vi.mock('../../crypto/checkpoint.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/checkpoint.ts')>();
  const openCheckpoint: typeof original.openCheckpoint = (...args) => {
    const opened = original.openCheckpoint(...args);
    return weak.witnesses ? { ...opened, quorum: true } : opened;
  };
  return { ...original, openCheckpoint };
});

afterEach(() => {
  weak.witnesses = false;
});

/** What members have to do once they are shown a decision, and under which head. */
function answersUnder(log: PaperLog, head: Uint8Array, seen = 0): string {
  const policy = policyOf(p, log.genesis());
  const before =
    seen === 0
      ? newReader(p, policy)
      : advance(p, newReader(p, policy), log.leaves.slice(0, seen), log.head(log.leaves.slice(0, seen)));
  if (isRejection(before)) throw new Error(before.why);
  const after = advance(p, before, log.leaves.slice(seen), head);
  if (isRejection(after)) return after.rejected;
  const duties = log.members.flatMap((name) => memberDuties(after.transcript, name, () => true));
  return `${duties.filter(({ duty }) => duty === 'answer').length} answers`;
}

describe('P4: no opening without a witnessed checkpoint', () => {
  const log = PaperLog.founded().until('decide');
  const { needed, witnesses } = log.genesis().cosigning;

  it('a decision under a head that too few witnesses cosigned is not answered', () => {
    for (let count = 0; count < needed; count++) {
      expect([count, answersUnder(log, log.head(log.leaves, { witnesses: count }))]).toEqual([count, 'NOT_COSIGNED']);
    }
    for (let count = needed; count <= witnesses; count++)
      expect(answersUnder(log, log.head(log.leaves, { witnesses: count }))).toBe('3 answers'); // control
    weak.witnesses = true;
    expect(answersUnder(log, log.head(log.leaves, { witnesses: 0 }))).toBe('3 answers'); // control
  });

  it('nor under a stale head, one of another origin or size, or one that the log did not sign', () => {
    const earlier = log.leaves.slice(0, -1);
    expect(answersUnder(log, log.head(earlier))).toBe('BAD_CHECKPOINT');
    expect(answersUnder(log, log.head(log.leaves, { origin: `${ORIGIN}2` }))).toBe('BAD_CHECKPOINT');
    const head = log.head();
    const text = new TextDecoder().decode(head);
    expect(answersUnder(log, new TextEncoder().encode(text.replace(ORIGIN, 'another.example/log')))).toBe(
      'BAD_CHECKPOINT',
    );
    expect(answersUnder(log, head.subarray(0, head.length - 1))).toBe('BAD_CHECKPOINT');
    // A head that is older than the one seen, over no new leaves.
    const policy = policyOf(p, log.genesis());
    const reader = advance(p, newReader(p, policy), log.leaves, head);
    if (isRejection(reader)) throw new Error(reader.why);
    expect(advance(p, reader, [], log.head(earlier))).toMatchObject({ rejected: 'ROLLED_BACK' });
    expect(answersUnder(log, head)).toBe('3 answers'); // control
  });

  it('a node confirms nothing that only an uncosigned head shows', () => {
    const closing = PaperLog.founded().until('close');
    const duties = (head: Uint8Array): string => {
      const reader = advance(p, newReader(p, policyOf(p, closing.genesis())), closing.leaves, head);
      if (isRejection(reader)) return reader.rejected;
      return nodeDuties(reader.transcript, 'node-1', () => true)
        .map(({ duty }) => duty)
        .join();
    };
    expect(duties(closing.head(closing.leaves, { witnesses: needed - 1 }))).toBe('NOT_COSIGNED');
    expect(duties(closing.head())).toBe('confirm'); // control
  });
});
