import { describe, expect, it } from 'vitest';
import { canonicalBytes, fromUtf8, type Json, toBase64 } from '../../crypto/encoding.ts';
import { checkOf } from '../../protocols/checks.ts';
import { coordinatorDuties } from '../../protocols/coordinator.ts';
import { REJECTIONS, type RejectionCode } from '../../protocols/errors.ts';
import { memberDuties } from '../../protocols/member.ts';
import { nodeDuties } from '../../protocols/node.ts';
import { isVoid } from '../../protocols/rules.ts';
import { nextCohort } from '../../protocols/rules-round.ts';
import { CORNERS } from '../reference/forged-corners.ts';
import { FORGERIES } from '../reference/forgeries.ts';
import { PaperLog, paperHash } from '../reference/paper-log.ts';

/** Codes that no leaf is refused with: what files, checkpoints, blobs and a party's own secrets are refused with. */
const ONLY_PARTIES: readonly RejectionCode[] = [
  'TOO_LARGE', // no bundle of a log holds such a leaf
  'PAYLOAD_HASH', // aggregators
  'BAD_CHECKPOINT', // readers
  'NOT_COSIGNED',
  'ROLLED_BACK',
  'SPLIT_VIEW',
  'POLICY_REFUSES', // sites
  'MASKING_REFUSED',
  'SEED_MISMATCH', // members, as a complaint
  'BOX_UNREADABLE',
  'CHECKSUM_MISMATCH', // recipients
  'KEY_DOES_NOT_FIT',
  'SUM_MALFORMED',
  'BLOB_LOST', // recipients and the coordinator
  'OVER_DEADLINE', // nodes
  'KEY_LOST',
];

describe('every rule', () => {
  it.each([...FORGERIES, ...CORNERS].map((forgery) => [forgery.code, forgery.what, forgery] as const))(
    '%s: %s',
    (code, _what, forgery) => {
      const { log, honest, forged } = forgery.make();
      const before = log.leaves.length;
      const said = log.offer(forged);
      expect(said).toBe(code);
      // A refused leaf changes nothing, a void one only the length.
      expect(log.transcript.size).toBe(isVoid(code) ? before + 1 : before);
      if (honest !== null) expect(log.offer(honest)).toBe('counted');
    },
  );

  it('has a forgery, or is said by parties only', () => {
    const forged = new Set<RejectionCode>(FORGERIES.map(({ code }) => code));
    const missing = REJECTIONS.filter((code) => !forged.has(code) && !ONLY_PARTIES.includes(code));
    expect(missing).toEqual([]);
    expect(ONLY_PARTIES.filter((code) => forged.has(code))).toEqual([]);
  });

  it('belongs to a numbered check', () => {
    const homeless = FORGERIES.map(({ code }) => code).filter((code) => checkOf(code) === null);
    expect(homeless).toEqual([]);
  });
});

describe('roles', () => {
  const bodies = (log: PaperLog) =>
    ({
      enrol: log.enrolment('new', 'node'),
      revoke: { name: 'node-1', reason: 'lost' },
      quorum: {
        number: 1,
        members: log.members,
        threshold: 2,
        approvals: [{ member: 'member-1', signature: toBase64(new Uint8Array(64)) }],
      },
      'tls-key': { tlsKeySha256: paperHash('next'), replaces: paperHash('present') },
      announce: { task: 'lead-scoring', number: 9, recipients: ['recipient-1'] },
      'round-key': log.roundKey('anybody', [...log.transcript.announces.keys()].at(-1)!),
      model: log.modelBody(null),
      open: { record: log.round.record },
      upload: log.upload('anybody'),
      close: log.close(),
      ready: { close: paperHash('none') },
      abort: { round: log.round.id, reason: 'OPERATOR' as const },
    }) as const;
  /** Who gets past the role check in a round that takes uploads. Who is not here is refused with WRONG_ROLE. */
  const allowed: Record<keyof ReturnType<typeof bodies>, readonly string[]> = {
    enrol: ['root'],
    revoke: ['root'],
    quorum: ['root'],
    'tls-key': ['coordinator', 'member-1', 'recipient-1', 'node-1', 'aggregator-1', 'witness-1'],
    announce: ['coordinator'],
    'round-key': ['member-1', 'recipient-1'],
    model: ['recipient-1'],
    open: ['coordinator'],
    upload: ['node-1'],
    close: ['coordinator'],
    ready: [],
    abort: ['coordinator'],
  };
  const actors = ['root', 'coordinator', 'member-1', 'recipient-1', 'node-1', 'aggregator-1', 'witness-1'];

  it('are held apart: every kind by every actor', () => {
    for (const actor of actors) {
      for (const kind of Object.keys(allowed) as (keyof typeof allowed)[]) {
        if (kind === 'ready') continue; // its role is asked for in a closed round only: below
        const log = PaperLog.founded();
        log.take(log.leaf('root', 'enrol', log.enrolment('aggregator-1', 'aggregator', { kemKey: null })));
        log.take(log.leaf('root', 'enrol', log.enrolment('witness-1', 'witness', { kemKey: null })));
        log.until('open');
        for (const node of ['node-2', 'node-3']) log.post(node, 'upload', log.upload(node));
        const said = log.offer(log.leaf(actor, kind, bodies(log)[kind] as never));
        if (allowed[kind].includes(actor)) expect([actor, kind, said]).not.toContain('WRONG_ROLE');
        else expect([actor, kind, said]).toEqual([actor, kind, 'WRONG_ROLE']);
      }
    }
  });

  it('of a closed and a decided round are held apart too', () => {
    for (const actor of actors.slice(0, 5)) {
      const log = PaperLog.founded().until('confirms');
      const confirm = [...log.attempt.confirms.values()][0]!.hash;
      const said = {
        ready: log.offer(log.leaf(actor, 'ready', { close: log.attempt.close })),
        complaint: log.offer(log.leaf(actor, 'complaint', { confirm, code: 'SEED_MISMATCH' })),
        reseal: log.offer(log.leaf(actor, 'reseal', { confirm, holder: 'member-2', hash: paperHash('box') })),
        decide: log.offer(log.leaf(actor, 'decide', log.decide())),
      };
      const isHolder = actor === 'member-1' || actor === 'recipient-1';
      expect(said.ready === 'counted').toBe(isHolder);
      expect(said.complaint === 'WRONG_ROLE').toBe(!isHolder);
      expect(said.reseal === 'WRONG_ROLE').toBe(actor !== 'node-1');
      expect(said.decide === 'WRONG_ROLE').toBe(actor !== 'coordinator');
      const decided = PaperLog.founded().until('decide');
      const answer = decided.answer('member-1');
      expect(decided.offer(decided.leaf(actor, 'answer', answer)) === 'counted').toBe(actor === 'member-1');
      const answered = PaperLog.founded().until('answers');
      expect(answered.offer(answered.leaf(actor, 'release', answered.release())) === 'counted').toBe(
        actor === 'recipient-1',
      );
    }
  });
});

describe('complaints', () => {
  function complained(members: number, threshold: number, complaining: number): PaperLog {
    const log = PaperLog.founded({ members, threshold }).until('confirms');
    const { hash } = log.attempt.confirms.get('node-1')!;
    for (const member of log.members.slice(0, complaining)) {
      log.post(member, 'complaint', { confirm: hash, code: 'SEED_MISMATCH' });
    }
    return log;
  }

  it('of t-1 lying members put no node out; of one more they do', () => {
    for (const [members, threshold] of [
      [3, 2],
      [5, 3],
      [7, 4],
    ] as const) {
      const cohort = (complaining: number) => {
        const log = complained(members, threshold, complaining);
        return nextCohort(log.transcript, log.round).map(({ node }) => node);
      };
      expect(cohort(threshold - 1)).toContain('node-1');
      expect(cohort(members - threshold + 1)).not.toContain('node-1');
    }
  });

  it('that a second box settled count for nothing; a second complaint does', () => {
    const log = complained(3, 2, 2);
    const { hash } = log.attempt.confirms.get('node-1')!;
    const has = () => nextCohort(log.transcript, log.round).some(({ node }) => node === 'node-1');
    expect(has()).toBe(false);
    log.post('node-1', 'reseal', { confirm: hash, holder: 'member-1', hash: paperHash('again') });
    expect(has()).toBe(true);
    log.post('member-1', 'complaint', { confirm: hash, code: 'BOX_UNREADABLE' });
    expect(has()).toBe(false);
  });

  it('of a revoked member count as an absence, not as a voice', () => {
    const log = complained(5, 3, 1);
    log.post('root', 'revoke', { name: 'member-1', reason: 'lost' });
    const has = () => nextCohort(log.transcript, log.round).some(({ node }) => node === 'node-1');
    expect(has()).toBe(true);
  });
});

describe('money and ends', () => {
  it('an abort frees what was set aside, and never what was charged', () => {
    const before = PaperLog.founded().until('ready');
    const { rhoNano } = before.round.record.charge;
    expect([...before.transcript.ledger.reserved.values()]).toEqual([rhoNano]);
    before.post('coordinator', 'abort', { round: before.round.id, reason: 'OPERATOR' });
    expect(before.transcript.ledger).toMatchObject({ spentRhoNano: 0, reserved: new Map() });
    const after = PaperLog.founded().until('answers');
    after.post('recipient-1', 'abort', { round: after.round.id, reason: 'KEY_DOES_NOT_FIT' });
    expect(after.transcript.ledger).toMatchObject({ spentRhoNano: rhoNano, reserved: new Map() });
    // Nor can its window be decided again.
    after.announced(2);
    const announce = [...after.transcript.announces.keys()].at(-1)!;
    expect(after.offer(after.leaf('coordinator', 'open', { record: after.record(announce) }))).toBe('WINDOW_DECIDED');
  });

  it('a round over max_leaves is over for everybody, without an abort', () => {
    const log = PaperLog.founded();
    log.open(log.announced(1), { maxLeaves: 16 });
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    for (const node of log.nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    log.post('member-1', 'answer', log.answer('member-1'));
    const keeps = () => true;
    expect(memberDuties(log.transcript, 'member-2', keeps).map(({ duty }) => duty)).toEqual(['answer']);
    for (let i = 0; log.transcript.size <= log.round.openIndex + 16; i++) log.enrol(`late-${i}`, 'node');
    expect(log.offer(log.leaf('member-2', 'answer', log.answer('member-2')))).toBe('ROUND_ENDED');
    expect(memberDuties(log.transcript, 'member-2', keeps).map(({ duty }) => duty)).toEqual(['forget']);
    expect(nodeDuties(log.transcript, 'node-1', keeps).map(({ duty }) => duty)).toEqual(['forget']);
  });

  it('a recipient that is revoked gets nothing more, at any step', () => {
    for (const step of ['uploads', 'close', 'ready', 'decide'] as const) {
      const log = PaperLog.founded().until(step);
      log.post('root', 'revoke', { name: 'recipient-1', reason: 'lost' });
      const next = {
        uploads: () => log.leaf('coordinator', 'close', log.close()),
        close: () => log.leaf('node-1', 'confirm', log.confirm('node-1')),
        ready: () => log.leaf('coordinator', 'decide', log.decide()),
        decide: () => log.leaf('member-1', 'answer', log.answer('member-1')),
      };
      expect([step, log.offer(next[step]())]).toEqual([step, 'REVOKED']);
      expect(memberDuties(log.transcript, 'member-1', () => true).some(({ duty }) => duty === 'answer')).toBe(false);
      if (step === 'decide') continue; // what is decided ends late, by the members' silence
      const patience = {
        now: 0,
        since: () => 0,
        roundKeyMs: 1e9,
        announceMs: 1e9,
        readyMs: 1e9,
        holderMs: 1e9,
        answerMs: 1e9,
      };
      expect(coordinatorDuties(log.transcript, patience)).toMatchObject([{ duty: 'abort', reason: 'REVOKED' }]);
    }
  });

  it('members that were revoked after they said ready do not carry a decision', () => {
    const log = PaperLog.founded().until('confirms');
    for (const holder of ['member-1', 'member-2', 'recipient-1'])
      log.post(holder, 'ready', { close: log.attempt.close });
    log.post('root', 'revoke', { name: 'member-1', reason: 'lost' });
    expect(log.offer(log.leaf('coordinator', 'decide', log.decide()))).toBe('NOT_READY');
    log.post('member-3', 'ready', { close: log.attempt.close });
    expect(log.offer(log.leaf('coordinator', 'decide', log.decide()))).toBe('counted');
  });
});

describe('keys', () => {
  it('of whatever kind serve once in a log', () => {
    const log = PaperLog.founded().until('open');
    const roundKey = log.transcript.announces.get(log.round.record.announce)!.roundKeys.get('member-1')!.kemKey;
    const enrolled = (over: object) => log.leaf('root', 'enrol', log.enrolment('new', 'node', over));
    expect(log.offer(enrolled({ kemKey: roundKey }))).toBe('DUPLICATE_KEY');
    expect(log.offer(enrolled({ tlsKeySha256: paperHash('tls member-1') }))).toBe('DUPLICATE_KEY');
    // An identity key as a mask key, a long-term sealing key as a round key.
    const upload = { ...log.upload('node-1'), key: log.key('member-2') };
    expect(log.offer(log.leaf('node-1', 'upload', upload))).toBe('DUPLICATE_KEY');
    const announce = log.announce(2);
    const own = { announce, kemKey: log.kemKey('recipient-1') };
    expect(log.offer(log.leaf('recipient-1', 'round-key', own))).toBe('ROUND_KEY_REUSED');
  });

  it('have one spelling: the top bit of X25519, p + 1, and the unused bits of base64 are refused', () => {
    const log = PaperLog.founded().until('open');
    const good = log.upload('node-1');
    const bytes = Buffer.from(good.key, 'base64');
    bytes[31]! |= 0x80;
    expect(log.offer(log.leaf('node-1', 'upload', { ...good, key: toBase64(bytes) }))).toBe('BAD_KEY');
    const above = new Uint8Array(32).fill(0xff);
    above[0] = 0xee;
    above[31] = 0x7f;
    expect(log.offer(log.leaf('node-1', 'upload', { ...good, key: toBase64(above) }))).toBe('BAD_KEY');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const last = alphabet.indexOf(good.key[42]!);
    const spelt = `${good.key.slice(0, 42)}${alphabet[last + 1]}=`;
    expect(Buffer.from(spelt, 'base64')).toEqual(Buffer.from(good.key, 'base64'));
    expect(log.offer(log.leaf('node-1', 'upload', { ...good, key: spelt }))).toBe('MALFORMED');
    expect(log.offer(log.leaf('node-1', 'upload', good))).toBe('counted');
  });
});

it('no bytes make a rule throw', () => {
  const log = PaperLog.founded().until('release');
  const heads = new PaperLog().transcript;
  expect(heads.size).toBe(1);
  // Every scalar of every leaf becomes something else of its own and of another type, signed by its actor again.
  const replacements: unknown[] = ['', '0', 0, -1, 2 ** 53 - 1, null, [], {}, 'A'.repeat(64), '0'.repeat(64), true];
  const fresh = () => PaperLog.founded().until('release');
  let tried = 0;
  for (const bytes of log.leaves.filter((_, i) => i % 4 === 0)) {
    const { sig: _sig, ...draft } = JSON.parse(fromUtf8(bytes));
    for (const path of paths(draft.body)) {
      const value = replacements[tried++ % replacements.length];
      const changed = structuredClone(draft);
      place(changed.body, path, value);
      const target = tried % 50 === 0 ? fresh() : log;
      expect(() => target.offer(target.raw(changed))).not.toThrow();
    }
  }
  expect(canonicalBytes(tried as Json).length).toBeGreaterThan(2);
});

function* paths(value: unknown, prefix: (string | number)[] = []): Generator<(string | number)[]> {
  if (typeof value !== 'object' || value === null) yield prefix;
  else for (const [key, child] of Object.entries(value)) yield* paths(child, [...prefix, key]);
}

function place(target: Record<string, unknown>, path: readonly (string | number)[], value: unknown): void {
  let at: Record<string, unknown> = target;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[path.at(-1)!] = value;
}

it('the coordinator waits for no node that the round’s model is not sealed to', () => {
  const log = PaperLog.founded().until('open');
  for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
  log.enrol('late', 'node');
  const patience = {
    now: 0,
    since: () => 0,
    roundKeyMs: 1e9,
    announceMs: 1e9,
    readyMs: 1e9,
    holderMs: 1e9,
    answerMs: 1e9,
  };
  expect(coordinatorDuties(log.transcript, patience)).toMatchObject([{ duty: 'close' }]);
});
