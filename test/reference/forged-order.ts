import { NO_LOG } from '../../protocols/verified.ts';
import { at, badGenesis, badRecord, beforeGenesis, type Forgery, forgery } from './forgery.ts';
import { PaperLog, paperHash } from './paper-log.ts';

/** A round of one attempt that a node does not confirm: the second close is one too many. */
function overAttempts(): PaperLog {
  const log = PaperLog.founded();
  log.open(log.announced(1), { maxAttempts: 1 });
  for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
  log.post('coordinator', 'close', log.close());
  for (const node of log.nodes.slice(1)) log.post(node, 'confirm', log.confirm(node));
  return log;
}

/** Two nodes confirmed and two did not: the coordinator may close again. */
function secondAttempt(): PaperLog {
  const log = at('close');
  for (const node of ['node-1', 'node-2']) log.post(node, 'confirm', log.confirm(node));
  return log;
}

export const order: readonly Forgery[] = [
  forgery('GENESIS_NOT_FIRST', 'a second genesis', () => {
    const log = PaperLog.founded();
    return { log, forged: log.leaf('root', 'genesis', log.genesis(), NO_LOG), honest: null };
  }),
  forgery('GENESIS_INVALID', 'a genesis signed under another name', () => {
    const log = beforeGenesis();
    const draft = { v: 1, kind: 'genesis', log: NO_LOG, actor: 'coordinator', time: 1, body: log.genesis() };
    return { log, forged: log.raw(draft, 'root'), honest: log.raw({ ...draft, actor: 'root' }) };
  }),
  badGenesis('GENESIS_INVALID', 'too few cosignatures for what may be corrupt', ({ cosigning }) => ({
    cosigning: { ...cosigning, needed: cosigning.needed - 1 },
  })),
  badGenesis('GENESIS_INVALID', 'a budget that is called less epsilon than it is', ({ budget }) => ({
    budget: { ...budget, epsilonMicro: 1_000_000 },
  })),
  forgery('UNKNOWN_ANNOUNCE', 'a round key for nothing', () => {
    const log = PaperLog.founded();
    const announce = log.announce(1);
    const honest = log.roundKey('member-1', announce);
    const forged = { ...honest, announce: paperHash('nothing') };
    return {
      log,
      forged: log.leaf('member-1', 'round-key', forged),
      honest: log.leaf('member-1', 'round-key', honest),
    };
  }),
  forgery('DUPLICATE_ANNOUNCE', 'a round announced twice', () => {
    const log = PaperLog.founded();
    log.announce(1);
    const body = { task: 'lead-scoring', number: 1, recipients: ['recipient-1'] };
    return {
      log,
      forged: log.leaf('coordinator', 'announce', body),
      honest: log.leaf('coordinator', 'announce', { ...body, number: 2 }),
    };
  }),
  forgery('DUPLICATE_ROUND_KEY', 'two keys by one member for one round', () => {
    const log = PaperLog.founded();
    const announce = log.announced(1);
    return { log, forged: log.leaf('member-1', 'round-key', { announce, kemKey: log.kemKey('other') }), honest: null };
  }),
  forgery('LATE_ROUND_KEY', 'a round key after open', () => {
    const log = PaperLog.founded({ members: 5, threshold: 2 });
    const announce = log.announce(1);
    for (const name of [...log.members.slice(0, 4), 'recipient-1']) {
      log.post(name, 'round-key', log.roundKey(name, announce));
    }
    const late = log.leaf('member-5', 'round-key', log.roundKey('member-5', announce));
    Object.assign(log.setting, { members: 4 });
    log.open(announce);
    return { log, forged: late, honest: null };
  }),
  badRecord('ROUND_KEY_MISSING', 'a member with a key that it did not log', (record) => ({
    members: record.members.map((member, i) => (i === 0 ? { ...member, roundKey: paperHash('none') } : member)),
  })),
  forgery('ROUND_KEY_REUSED', 'the key of an earlier round', () => {
    const log = at('release');
    const earlier = log.transcript.announces.get(log.round.record.announce)!.roundKeys.get('member-1')!.kemKey;
    const announce = log.announce(2);
    return {
      log,
      forged: log.leaf('member-1', 'round-key', { announce, kemKey: earlier }),
      honest: log.leaf('member-1', 'round-key', log.roundKey('member-1', announce)),
    };
  }),
  forgery('ROUND_KEY_REUSED', 'a second round over the same keys', () => {
    const log = at('open');
    const record = { ...log.round.record, window: 'another' };
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest: null };
  }),
  forgery('UNKNOWN_ROUND', 'an upload to no round', () => {
    const log = at('open');
    const honest = log.upload('node-1');
    const forged = { ...honest, round: paperHash('none') };
    return { log, forged: log.leaf('node-1', 'upload', forged), honest: log.leaf('node-1', 'upload', honest) };
  }),
  forgery('ROUND_EXISTS', 'the same record opened twice', () => {
    const log = at('uploads');
    const { record } = log.round;
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record }),
      honest: log.leaf('coordinator', 'close', log.close()),
    };
  }),
  forgery('ROUND_ENDED', 'an answer after the result', () => {
    const log = at('decide');
    for (const member of ['member-1', 'member-2']) log.post(member, 'answer', log.answer(member));
    log.post('recipient-1', 'release', log.release());
    return { log, forged: log.leaf('member-3', 'answer', log.answer('member-3')), honest: null };
  }),
  forgery('ROUND_ENDED', 'a decision after max_leaves', () => {
    const log = PaperLog.founded();
    log.open(log.announced(1), { maxLeaves: 16 });
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    for (const node of log.nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    for (let i = 0; log.transcript.size <= log.round.openIndex + 16; i++) log.enrol(`late-${i}`, 'node');
    return { log, forged: log.leaf('coordinator', 'decide', log.decide()), honest: null };
  }),
  forgery('ROUND_ENDED', 'a round that is opened after its announcement was withdrawn', () => {
    const log = PaperLog.founded();
    const announce = log.announced(1);
    const record = log.record(announce);
    log.post('coordinator', 'abort', { round: announce, reason: 'ROUND_KEY_MISSING' });
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest: null };
  }),
  forgery('ROUND_ENDED', 'a round key for an announcement that was withdrawn', () => {
    const log = PaperLog.founded();
    const announce = log.announce(1);
    log.post('coordinator', 'abort', { round: announce, reason: 'OPERATOR' });
    return { log, forged: log.leaf('member-1', 'round-key', log.roundKey('member-1', announce)), honest: null };
  }),
  forgery('ROUND_ENDED', 'an announcement that is withdrawn twice', () => {
    const log = PaperLog.founded();
    const announce = log.announce(1);
    log.post('coordinator', 'abort', { round: announce, reason: 'OPERATOR' });
    return { log, forged: log.leaf('coordinator', 'abort', { round: announce, reason: 'REVOKED' }), honest: null };
  }),
  ...(['KEY_DOES_NOT_FIT', 'BOX_UNREADABLE', 'CHECKSUM_MISMATCH', 'SUM_MALFORMED', 'BLOB_LOST'] as const).map(
    (reason) =>
      forgery('WRONG_ROLE', `a coordinator that says in a recipient's place: ${reason}`, () => {
        const log = PaperLog.founded().until('answers');
        const abort = (actor: string) => log.leaf(actor, 'abort', { round: log.round.id, reason });
        return { log, forged: abort('coordinator'), honest: abort('recipient-1') };
      }),
  ),
  forgery('WRONG_ROLE', 'a coordinator that finds t answers too few', () => {
    const log = PaperLog.founded().until('answers');
    const abort = (actor: string) => log.leaf(actor, 'abort', { round: log.round.id, reason: 'TOO_FEW_ANSWERS' });
    return { log, forged: abort('coordinator'), honest: abort('recipient-1') };
  }),
  forgery('UNKNOWN_ROUND', 'an opened round that is aborted under the name of its announcement', () => {
    const log = at('open');
    const { id, record } = log.round;
    const abort = (round: string) => log.leaf('coordinator', 'abort', { round, reason: 'OPERATOR' });
    return { log, forged: abort(record.announce), honest: abort(id) };
  }),
  forgery('WRONG_ROLE', 'an announcement that its recipient withdraws', () => {
    const log = PaperLog.founded();
    const body = { round: log.announced(1), reason: 'OPERATOR' } as const;
    return { log, forged: log.leaf('recipient-1', 'abort', body), honest: log.leaf('coordinator', 'abort', body) };
  }),
  forgery('UNKNOWN_MODEL', 'a model number left out', () => {
    const log = at('release');
    const honest = log.modelBody(log.decision);
    const forged = { ...honest, number: honest.number + 1 };
    return { log, forged: log.leaf('recipient-1', 'model', forged), honest: log.leaf('recipient-1', 'model', honest) };
  }),
  forgery('NOT_RELEASED', 'a model from a sum that nobody opened', () => {
    const log = at('answers');
    return {
      log,
      forged: log.leaf('recipient-1', 'model', log.modelBody(log.decision)),
      honest: log.leaf('recipient-1', 'release', log.release()),
    };
  }),
  forgery('DUPLICATE_RELEASE', 'two models from one sum', () => {
    const log = at('release');
    const { decision } = log;
    log.model(decision);
    return { log, forged: log.leaf('recipient-1', 'model', log.modelBody(decision)), honest: null };
  }),
  forgery('LATE_UPLOAD', 'an upload after the close', () => {
    const log = at('open');
    for (const node of log.nodes.slice(1)) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    return { log, forged: log.leaf('node-1', 'upload', log.upload('node-1')), honest: null };
  }),
  forgery('UNKNOWN_CLOSE', 'a confirmation of no close', () => {
    const log = at('close');
    const honest = log.confirm('node-1');
    const forged = { ...honest, close: paperHash('none') };
    return { log, forged: log.leaf('node-1', 'confirm', forged), honest: log.leaf('node-1', 'confirm', honest) };
  }),
  forgery('STALE_ATTEMPT', 'a confirmation of the attempt before', () => {
    const log = secondAttempt();
    const forged = log.leaf('node-3', 'confirm', log.confirm('node-3'));
    log.post('coordinator', 'close', log.close());
    return { log, forged, honest: log.leaf('node-1', 'confirm', log.confirm('node-1')) };
  }),
  forgery('TOO_MANY_ATTEMPTS', 'one attempt more than the record allows', () => {
    const log = overAttempts();
    return {
      log,
      forged: log.leaf('coordinator', 'close', log.close()),
      honest: log.leaf('node-1', 'confirm', log.confirm('node-1')),
    };
  }),
  forgery('NOT_READY', 'a decision that fewer than t members can serve', () => {
    const log = at('confirms');
    const { close } = log.attempt;
    for (const holder of ['member-1', 'recipient-1']) log.post(holder, 'ready', { close });
    return {
      log,
      forged: log.leaf('coordinator', 'decide', log.decide()),
      honest: log.leaf('member-2', 'ready', { close }),
    };
  }),
  forgery('NOT_READY', 'a decision before its recipient could open its boxes', () => {
    const log = at('confirms');
    const { close } = log.attempt;
    for (const member of log.members) log.post(member, 'ready', { close });
    return {
      log,
      forged: log.leaf('coordinator', 'decide', log.decide()),
      honest: log.leaf('recipient-1', 'ready', { close }),
    };
  }),
  forgery('NOT_CONFIRMED', 'a recipient that is said to be late before all of U confirmed', () => {
    const log = at('close');
    const body = { round: log.round.id, reason: 'RECIPIENT_NOT_READY' } as const;
    const forged = log.leaf('coordinator', 'abort', body);
    return { log, forged, honest: log.leaf('node-1', 'confirm', log.confirm('node-1')) };
  }),
  ...(['RECIPIENT_NOT_READY', 'BOX_DISPUTED'] as const).map((reason) =>
    forgery('WRONG_ROLE', `a recipient that is ready and is blamed all the same: ${reason}`, () => {
      const log = at('ready');
      const forged = log.leaf('coordinator', 'abort', { round: log.round.id, reason });
      return { log, forged, honest: log.leaf('coordinator', 'decide', log.decide()) };
    }),
  ),
  forgery('WRONG_ROLE', 'a dispute of which no recipient has said a word', () => {
    const log = at('confirms');
    const confirm = log.attempt.confirms.get('node-1')!.hash;
    log.post('member-1', 'complaint', { confirm, code: 'BOX_UNREADABLE' });
    const abort = (reason: 'BOX_DISPUTED' | 'RECIPIENT_NOT_READY') =>
      log.leaf('coordinator', 'abort', { round: log.round.id, reason });
    return { log, forged: abort('BOX_DISPUTED'), honest: abort('RECIPIENT_NOT_READY') };
  }),
  forgery('NOT_READY', 'an answer of a member that never was ready', () => {
    const log = at('confirms');
    for (const holder of ['member-1', 'member-2', 'recipient-1'])
      log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    return {
      log,
      forged: log.leaf('member-3', 'answer', log.answer('member-3')),
      honest: log.leaf('member-1', 'answer', log.answer('member-1')),
    };
  }),
  forgery('UNKNOWN_DECISION', 'an answer to no decision', () => {
    const log = at('decide');
    const honest = log.answer('member-1');
    const forged = { ...honest, decide: paperHash('none') };
    return { log, forged: log.leaf('member-1', 'answer', forged), honest: log.leaf('member-1', 'answer', honest) };
  }),
];
