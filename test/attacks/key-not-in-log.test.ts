import { afterEach, describe, expect, it, vi } from 'vitest';
import { fromBase64 } from '../../crypto/encoding.ts';
import { PaperLog, paperHash } from '../reference/paper-log.ts';

// A coordinator that hands out keys of its own in the place of a party's: nodes would seal to it, and count its leaves as theirs.

/** The control: whoever reads leaves believes the coordinator about a party's key, and not the log. */
const weak = vi.hoisted(() => ({ keys: new Map<string, string>() }));
vi.mock('../../protocols/verified.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/verified.ts')>();
  const verifyLeaf: typeof original.verifyLeaf = (p, bytes, keyOf, hash) => {
    const told: typeof keyOf = (leaf) => {
      const key = weak.keys.get(leaf.actor);
      return key === undefined ? keyOf(leaf) : fromBase64(key);
    };
    return original.verifyLeaf(p, bytes, told, hash);
  };
  return { ...original, verifyLeaf };
});
afterEach(() => weak.keys.clear());

/** What a reader says to a leaf in a party's name that the coordinator signed, and what it would say if it believed it. */
function offered(log: PaperLog, actor: string, bytes: Uint8Array): [string, string] {
  const before = log.offer(bytes);
  weak.keys.set(actor, log.key('coordinator'));
  return [before, log.offer(bytes)];
}

describe('keys come from the log, whoever says otherwise', () => {
  it('a round key in a member’s name: nodes seal to none that the member has not signed', () => {
    const log = PaperLog.founded();
    const announce = log.announce(1);
    const kemKey = log.kemKey('the coordinator’s own');
    const forged = log.raw(log.draft('member-1', 'round-key', { announce, kemKey }), 'coordinator');
    expect(offered(log, 'member-1', forged)).toEqual(['BAD_SIGNATURE', 'counted']);
    // Control: that is the key that nodes then seal the member's seeds to.
    expect(log.transcript.announces.get(announce)!.roundKeys.get('member-1')!.kemKey).toBe(kemKey);
  });

  it('a record that names a round key of nobody’s leaf', () => {
    const log = PaperLog.founded();
    const record = log.record(log.announced(1));
    const members = record.members.with(0, { ...record.members[0]!, roundKey: paperHash('nobody’s') });
    const opened = (of: typeof record) => log.offer(log.leaf('coordinator', 'open', { record: of }));
    expect(opened({ ...record, members })).toBe('ROUND_KEY_MISSING');
    expect(opened(record)).toBe('counted'); // control: the logged one
  });

  it('an upload in a node’s name, with a mask key that the coordinator holds', () => {
    const log = PaperLog.founded().until('open');
    const forged = log.raw(log.draft('node-1', 'upload', log.upload('node-1')), 'coordinator');
    expect(offered(log, 'node-1', forged)).toEqual(['BAD_SIGNATURE', 'counted']);
    expect(log.round.uploads.has('node-1')).toBe(true); // control: the node is out of its own round
  });

  it('a party that the log does not have, and one that the coordinator enrols', () => {
    const log = PaperLog.founded().until('open');
    const stranger = log.leaf('node-9', 'upload', log.upload('node-9'));
    expect(log.offer(stranger)).toBe('UNKNOWN_ACTOR');
    const enrolment = log.enrolment('node-9', 'node');
    expect(log.offer(log.leaf('coordinator', 'enrol', enrolment))).toBe('WRONG_ROLE');
    const forged = log.raw(log.draft('root', 'enrol', enrolment), 'coordinator');
    expect(offered(log, 'root', forged)).toEqual(['BAD_SIGNATURE', 'counted']);
    expect(log.offer(stranger)).toBe('counted'); // control: enrolled by whoever is believed to be root, it takes part
  });
});
