import { toBase64 } from '../../crypto/encoding.ts';
import type { RejectionCode } from '../../protocols/errors.ts';
import type { RoundRecord } from '../../protocols/record.ts';
import { chargeOf } from '../../protocols/record.ts';
import { NO_LOG } from '../../protocols/verified.ts';
import { PaperLog, type PaperSetting, paperHash } from './paper-log.ts';

/** One way to break one rule, by somebody who holds every key there is. */
export interface Forgery {
  readonly code: RejectionCode;
  readonly what: string;
  make(): {
    /** The history before it, all of it in order. */
    readonly log: PaperLog;
    readonly forged: Uint8Array;
    /** What an honest party would have written there: the control. Null where there is nothing to write. */
    readonly honest: Uint8Array | null;
  };
}

type Step = Parameters<PaperLog['until']>[0];
const at = (step: Step, setting: Partial<PaperSetting> = {}): PaperLog => PaperLog.founded(setting).until(step);

function forgery(code: RejectionCode, what: string, make: Forgery['make']): Forgery {
  return { code, what, make };
}

/** A record that differs from the honest one, opened by the coordinator. */
function badRecord(
  code: RejectionCode,
  what: string,
  over: (record: RoundRecord, log: PaperLog) => Partial<RoundRecord>,
  setting: Partial<PaperSetting> = {},
): Forgery {
  return forgery(code, what, () => {
    const log = PaperLog.founded(setting);
    const record = log.record(log.announced(1));
    const forged = log.leaf('coordinator', 'open', { record: { ...record, ...over(record, log) } });
    return { log, forged, honest: log.leaf('coordinator', 'open', { record }) };
  });
}

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

const order: readonly Forgery[] = [
  forgery('GENESIS_NOT_FIRST', 'a second genesis', () => {
    const log = PaperLog.founded();
    return { log, forged: log.leaf('root', 'genesis', log.genesis(), NO_LOG), honest: null };
  }),
  forgery('GENESIS_INVALID', 'a genesis signed under another name', () => {
    const whole = new PaperLog();
    const log = Object.assign(whole, { leaves: [], transcript: emptyLike(whole) });
    const draft = { v: 1, kind: 'genesis', log: NO_LOG, actor: 'coordinator', time: 1, body: log.genesis() };
    return { log, forged: log.raw(draft, 'root'), honest: log.raw({ ...draft, actor: 'root' }) };
  }),
  forgery('GENESIS_INVALID', 'too few cosignatures for what may be corrupt', () => {
    const whole = new PaperLog();
    const log = Object.assign(whole, { leaves: [], transcript: emptyLike(whole) });
    const honest = log.genesis();
    const forged = { ...honest, cosigning: { ...honest.cosigning, needed: honest.cosigning.needed - 1 } };
    return {
      log,
      forged: log.leaf('root', 'genesis', forged, NO_LOG),
      honest: log.leaf('root', 'genesis', honest, NO_LOG),
    };
  }),
  forgery('GENESIS_INVALID', 'a budget that is called less epsilon than it is', () => {
    const whole = new PaperLog();
    const log = Object.assign(whole, { leaves: [], transcript: emptyLike(whole) });
    const honest = log.genesis();
    const forged = { ...honest, budget: { ...honest.budget, epsilonMicro: 1_000_000 } };
    return {
      log,
      forged: log.leaf('root', 'genesis', forged, NO_LOG),
      honest: log.leaf('root', 'genesis', honest, NO_LOG),
    };
  }),
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
    for (const member of log.members) log.post(member, 'ready', { close: log.attempt.close });
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
    log.post('member-1', 'ready', { close: log.attempt.close });
    const { close } = log.attempt;
    return {
      log,
      forged: log.leaf('coordinator', 'decide', log.decide()),
      honest: log.leaf('member-2', 'ready', { close }),
    };
  }),
  forgery('NOT_READY', 'an answer of a member that never was ready', () => {
    const log = at('confirms');
    for (const member of ['member-1', 'member-2']) log.post(member, 'ready', { close: log.attempt.close });
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

/** The state before the first leaf, of the same type. */
function emptyLike(log: PaperLog): PaperLog['transcript'] {
  const { transcript } = log;
  return {
    ...transcript,
    genesis: null,
    logId: NO_LOG,
    size: 0,
    parties: new Map(),
    keys: new Set(),
    leaves: new Set(),
  };
}

const form: readonly Forgery[] = [
  forgery('MALFORMED', 'a field that no rule knows', () => {
    const log = PaperLog.founded();
    const draft = log.draft('coordinator', 'announce', {
      task: 'lead-scoring',
      number: 1,
      recipients: ['recipient-1'],
    });
    const forged = log.raw({ ...draft, body: { ...(draft.body as object), colour: 'red' } });
    return { log, forged, honest: log.raw(draft) };
  }),
  forgery('MALFORMED', 'a space after the leaf', () => {
    const log = PaperLog.founded();
    const honest = log.leaf('coordinator', 'announce', {
      task: 'lead-scoring',
      number: 1,
      recipients: ['recipient-1'],
    });
    return { log, forged: Uint8Array.from([...honest, 0x20]), honest };
  }),
  forgery('UNKNOWN_KIND', 'a kind of the future', () => {
    const log = PaperLog.founded();
    const draft = { ...log.draft('root', 'revoke', { name: 'node-1', reason: 'lost' }), kind: 'pardon' };
    return { log, forged: log.raw(draft), honest: log.raw({ ...draft, kind: 'revoke' }) };
  }),
  forgery('UNKNOWN_VERSION', 'a version of the future', () => {
    const log = PaperLog.founded();
    const draft = { ...log.draft('root', 'revoke', { name: 'node-1', reason: 'lost' }), v: 2 };
    return { log, forged: log.raw(draft), honest: log.raw({ ...draft, v: 1 }) };
  }),
  forgery('BAD_SIGNATURE', 'signed by another', () => {
    const log = at('open');
    const draft = log.draft('node-1', 'upload', log.upload('node-1'));
    return { log, forged: log.raw(draft, 'node-2'), honest: log.raw(draft) };
  }),
  forgery('WRONG_ORIGIN', 'a leaf of another log', () => {
    const log = at('open');
    const draft = log.draft('node-1', 'upload', log.upload('node-1'));
    return { log, forged: log.raw({ ...draft, log: paperHash('another log') }), honest: log.raw(draft) };
  }),
  forgery('BAD_KEY', 'a mask key of small order', () => {
    const log = at('open');
    const honest = log.upload('node-1');
    const forged = { ...honest, key: toBase64(new Uint8Array(32)) };
    return { log, forged: log.leaf('node-1', 'upload', forged), honest: log.leaf('node-1', 'upload', honest) };
  }),
  forgery('BAD_KEY', 'a round key with a malformed ML-KEM part', () => {
    const log = PaperLog.founded();
    const honest = log.roundKey('member-1', log.announce(1));
    const bytes = Buffer.from(honest.kemKey, 'base64').fill(0xff, 0, 1152);
    const forged = { ...honest, kemKey: toBase64(bytes) };
    return {
      log,
      forged: log.leaf('member-1', 'round-key', forged),
      honest: log.leaf('member-1', 'round-key', honest),
    };
  }),
  forgery('BAD_KEY', 'a round key with a small-order X25519 part', () => {
    const log = PaperLog.founded();
    const honest = log.roundKey('member-1', log.announce(1));
    const bytes = Buffer.from(honest.kemKey, 'base64').fill(0, 1184);
    const forged = { ...honest, kemKey: toBase64(bytes) };
    return {
      log,
      forged: log.leaf('member-1', 'round-key', forged),
      honest: log.leaf('member-1', 'round-key', honest),
    };
  }),
  forgery('UNKNOWN_ACTOR', 'somebody who was never enrolled', () => {
    const log = at('open');
    const body = log.upload('node-1');
    return { log, forged: log.leaf('node-9', 'upload', body), honest: log.leaf('node-1', 'upload', body) };
  }),
  forgery('WRONG_ROLE', 'a node that opens a round', () => {
    const log = PaperLog.founded();
    const record = log.record(log.announced(1));
    return { log, forged: log.leaf('node-1', 'open', { record }), honest: log.leaf('coordinator', 'open', { record }) };
  }),
  forgery('REVOKED', 'a node that was revoked', () => {
    const log = at('open');
    log.post('root', 'revoke', { name: 'node-1', reason: 'lost' });
    return {
      log,
      forged: log.leaf('node-1', 'upload', log.upload('node-1')),
      honest: log.leaf('node-2', 'upload', log.upload('node-2')),
    };
  }),
  forgery('DUPLICATE_NAME', 'a name enrolled twice', () => {
    const log = PaperLog.founded();
    const forged = log.enrolment('fresh', 'node');
    const taken = { ...forged, name: 'node-1' };
    return { log, forged: log.leaf('root', 'enrol', taken), honest: log.leaf('root', 'enrol', forged) };
  }),
  forgery('DUPLICATE_NAME', 'a node under the name of a witness', () => {
    const log = PaperLog.founded();
    return {
      log,
      forged: log.leaf('root', 'enrol', log.enrolment('witness-1', 'node')),
      honest: log.leaf('root', 'enrol', log.enrolment('witness-1', 'witness', { kemKey: null })),
    };
  }),
  forgery('DUPLICATE_KEY', 'a key enrolled twice', () => {
    const log = PaperLog.founded();
    const forged = log.enrolment('fresh', 'node', { key: log.key('node-1') });
    return {
      log,
      forged: log.leaf('root', 'enrol', forged),
      honest: log.leaf('root', 'enrol', log.enrolment('fresh', 'node')),
    };
  }),
  forgery('NO_POSSESSION', 'a key that its owner did not sign for', () => {
    const log = PaperLog.founded();
    const honest = log.enrolment('fresh', 'node');
    const forged = { ...honest, possession: log.enrolment('other', 'node').possession };
    return { log, forged: log.leaf('root', 'enrol', forged), honest: log.leaf('root', 'enrol', honest) };
  }),
  forgery('NOT_APPROVED', 'a quorum that fewer than t members approved', () => {
    const { log, leaf } = joined();
    return { log, forged: leaf(['member-1']), honest: leaf(['member-1', 'member-3']) };
  }),
  forgery('NOT_APPROVED', 'one approval counted twice', () => {
    const { log, leaf } = joined();
    return { log, forged: leaf(['member-1', 'member-1']), honest: leaf(['member-2', 'member-3']) };
  }),
  forgery('NOT_APPROVED', 'an approval by a member that is only joining', () => {
    const { log, leaf } = joined();
    return { log, forged: leaf(['member-1', 'member-4']), honest: leaf(['member-1', 'member-2']) };
  }),
  forgery('NOT_APPROVED', 'approvals of another change', () => {
    const { log, change, leaf } = joined();
    const other = { ...change, members: ['member-1', 'member-3', 'member-4'] };
    return { log, forged: leaf(['member-1', 'member-2'], change, other), honest: leaf(['member-1', 'member-2']) };
  }),
  forgery('QUORUM_MISMATCH', 'a quorum with a member that is not enrolled', () => {
    const { log, change, leaf } = joined();
    const bad = { ...change, members: ['member-1', 'member-2', 'node-1'] };
    return { log, forged: leaf(['member-1', 'member-2'], bad), honest: leaf(['member-1', 'member-2']) };
  }),
  forgery('QUORUM_MISMATCH', 'a change of the quorum that was made before', () => {
    const { log, change, leaf } = joined();
    log.take(leaf(['member-1', 'member-2']));
    const again = ['member-1', 'member-4'];
    return { log, forged: leaf(again, change), honest: leaf(again, { ...change, number: 2 }) };
  }),
  forgery('ROUND_RUNNING', 'a quorum changed while a round runs', () => {
    const { log, leaf } = joined();
    log.until('open');
    return { log, forged: leaf(['member-1', 'member-2']), honest: null };
  }),
];

/** A log in which a fourth member is enrolled, and the change that takes it in for the third one. */
function joined() {
  const log = PaperLog.founded();
  log.post('root', 'enrol', log.enrolment('member-4', 'member', { kemKey: null }));
  const change = { number: 1, members: ['member-1', 'member-2', 'member-4'], threshold: 2 };
  const leaf = (approvers: readonly string[], proposed = change, approved = proposed): Uint8Array =>
    log.leaf('root', 'quorum', log.quorumChange(proposed, approvers, approved));
  return { log, change, leaf };
}

const records: readonly Forgery[] = [
  badRecord('PARAMETERS_MISMATCH', 'an error bound that was not derived', ({ parameters }) => ({
    parameters: { ...parameters, errorBound: parameters.errorBound - 1 },
  })),
  badRecord('QUORUM_MISMATCH', 'another threshold than genesis', ({ parameters }) => ({
    parameters: { ...parameters, threshold: 3 },
  })),
  badRecord('QUORUM_MISMATCH', 'members in another order', ({ members }) => ({ members: [...members].reverse() })),
  badRecord('BELOW_MINIMUM', 'fewer organisations than genesis asks for', () => ({ minOrganisations: 1 }), {
    minOrganisations: 2,
  }),
  badRecord('BELOW_MINIMUM', 'a round without noise', ({ noise }) => ({ noise: { ...noise, sigma2Numerator: '0' } })),
  badRecord('CHARGE_MISMATCH', 'noise too narrow for a guarantee', () => ({
    noise: { sigma2Numerator: '1', sigma2Denominator: '1000' },
  })),
  badRecord('CHARGE_MISMATCH', 'a charge below what the noise costs', ({ charge }) => ({
    charge: { rhoNano: charge.rhoNano - 1 },
  })),
  badRecord('CHARGE_MISMATCH', 'a sensitivity of nothing', ({ noise, parameters }) => ({
    sensitivity2: '0',
    charge: { rhoNano: chargeOf({ noise, sensitivity2: '0', parameters }) },
  })),
  badRecord('CHARGE_MISMATCH', 'a sensitivity below what clip and scale allow', ({ noise, parameters, scale }) => ({
    scale: 2 * scale,
    charge: { rhoNano: chargeOf({ noise, sensitivity2: '100', parameters }) },
  })),
  badRecord('CHARGE_MISMATCH', 'another unit of privacy than the budget’s', () => ({ unit: 'node' })),
  badRecord('UNKNOWN_MODEL', 'a model that is not the newest', () => ({ modelHash: paperHash('old') })),
  badRecord('UNKNOWN_ANNOUNCE', 'another number than was announced', () => ({ number: 2 })),
  forgery('BUDGET_EXCEEDED', 'a round beyond the budget', () => {
    const log = PaperLog.founded({ budgetRhoNano: 4_000_000 }).until('release');
    log.model(log.decision);
    const record = log.record(log.announced(2));
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest: null };
  }),
  forgery('BUDGET_EXCEEDED', 'two rounds at once that only one can pay', () => {
    const log = PaperLog.founded({ budgetRhoNano: 4_000_000 }).until('open');
    const record = log.record(log.announced(2), { window: 'another' });
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record }),
      honest: log.leaf('node-1', 'upload', log.upload('node-1')),
    };
  }),
  forgery('WINDOW_DECIDED', 'a second opening over the same model and window', () => {
    const log = at('release');
    const record = log.record(log.announced(2));
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record }),
      honest: log.leaf('coordinator', 'open', { record: { ...record, window: 'another' } }),
    };
  }),
];

const round: readonly Forgery[] = [
  forgery('DUPLICATE_UPLOAD', 'two uploads of a node', () => {
    const log = at('open');
    log.post('node-1', 'upload', log.upload('node-1'));
    const second = {
      ...log.upload('node-1'),
      nonce: paperHash('2'),
      key: log.maskKey('2'),
      payloadHash: paperHash('3'),
    };
    return {
      log,
      forged: log.leaf('node-1', 'upload', second),
      honest: log.leaf('node-2', 'upload', log.upload('node-2')),
    };
  }),
  forgery('PAYLOAD_SIZE', 'a payload of another size', () => {
    const log = at('open');
    const honest = log.upload('node-1');
    const forged = { ...honest, payloadBytes: honest.payloadBytes + 1 };
    return { log, forged: log.leaf('node-1', 'upload', forged), honest: log.leaf('node-1', 'upload', honest) };
  }),
  ...(['nonce', 'payloadHash'] as const).map((field) =>
    forgery('NONCE_REUSED', `the ${field} of an earlier upload`, () => {
      const log = at('open');
      log.post('node-1', 'upload', log.upload('node-1'));
      const honest = log.upload('node-2');
      const forged = { ...honest, [field]: log.upload('node-1')[field] };
      return { log, forged: log.leaf('node-2', 'upload', forged), honest: log.leaf('node-2', 'upload', honest) };
    }),
  ),
  forgery('REPLAYED', 'the same leaf twice', () => {
    const log = at('uploads');
    return { log, forged: log.leaves.at(-1)!, honest: log.leaf('coordinator', 'close', log.close()) };
  }),
  forgery('BAD_COHORT', 'a node that uploaded is left out', () => {
    const log = at('uploads');
    const honest = log.close();
    const forged = { ...honest, uploads: honest.uploads.slice(1) };
    return { log, forged: log.leaf('coordinator', 'close', forged), honest: log.leaf('coordinator', 'close', honest) };
  }),
  forgery('BAD_COHORT', 'the close of another view: the same indices, other uploads', () => {
    const other = PaperLog.founded().until('open');
    for (const node of [...other.nodes].reverse()) other.post(node, 'upload', other.upload(node));
    const forged = other.close();
    const log = at('uploads');
    const honest = log.close();
    if (forged.round !== honest.round || forged.uploads.join() !== honest.uploads.join()) throw new Error('no fork');
    const closed = { ...forged, sumHash: honest.sumHash };
    return { log, forged: log.leaf('coordinator', 'close', closed), honest: log.leaf('coordinator', 'close', honest) };
  }),
  forgery('BAD_COHORT', 'a second attempt over the same set', () => {
    const log = at('confirms');
    return {
      log,
      forged: log.leaf('coordinator', 'close', log.close()),
      honest: log.leaf('member-1', 'ready', { close: log.attempt.close }),
    };
  }),
  forgery('COHORT_TOO_SMALL', 'a sum of one node', () => {
    const log = at('open');
    log.post('node-1', 'upload', log.upload('node-1'));
    const forged = log.leaf('coordinator', 'close', log.close());
    return { log, forged, honest: log.leaf('node-2', 'upload', log.upload('node-2')) };
  }),
  forgery('TOO_FEW_ORGS', 'a sum of two nodes of three organisations', () => {
    const log = at('open', { minOrganisations: 3 });
    for (const node of ['node-1', 'node-2']) log.post(node, 'upload', log.upload(node));
    const forged = log.leaf('coordinator', 'close', log.close());
    return { log, forged, honest: log.leaf('node-3', 'upload', log.upload('node-3')) };
  }),
  forgery('NOT_IN_COHORT', 'a confirmation of a node outside U', () => {
    const log = at('open');
    for (const node of log.nodes.slice(1)) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    return {
      log,
      forged: log.leaf('node-1', 'confirm', log.confirm('node-1')),
      honest: log.leaf('node-2', 'confirm', log.confirm('node-2')),
    };
  }),
  forgery('DUPLICATE_CONFIRM', 'two confirmations of a node for one attempt', () => {
    const log = at('close');
    log.post('node-1', 'confirm', log.confirm('node-1'));
    const again = { ...log.confirm('node-1'), correctionHash: paperHash('another') };
    return {
      log,
      forged: log.leaf('node-1', 'confirm', again),
      honest: log.leaf('node-2', 'confirm', log.confirm('node-2')),
    };
  }),
  forgery('MODEL_MISMATCH', 'a node that was given another model', () => {
    const log = at('close');
    const honest = log.confirm('node-1');
    const forged = { ...honest, modelHash: paperHash('another') };
    return { log, forged: log.leaf('node-1', 'confirm', forged), honest: log.leaf('node-1', 'confirm', honest) };
  }),
  forgery('BOXES_MISMATCH', 'a member gets no box', () => {
    const log = at('close');
    const honest = log.confirm('node-1');
    const forged = { ...honest, boxes: honest.boxes.slice(1) };
    return { log, forged: log.leaf('node-1', 'confirm', forged), honest: log.leaf('node-1', 'confirm', honest) };
  }),
  forgery('SEED_REUSED', 'the seeds of another node', () => {
    const log = at('close');
    log.post('node-1', 'confirm', log.confirm('node-1'));
    const honest = log.confirm('node-2');
    const forged = { ...honest, seeds: [log.confirm('node-1').seeds[0]!, ...honest.seeds.slice(1)] };
    return { log, forged: log.leaf('node-2', 'confirm', forged), honest: log.leaf('node-2', 'confirm', honest) };
  }),
  forgery('MALFORMED', 'a checksum residue that is none', () => {
    const log = at('close');
    const honest = log.confirm('node-1');
    const forged = { ...honest, checksum: honest.checksum.map(() => 2 ** 30) };
    return { log, forged: log.leaf('node-1', 'confirm', forged), honest: log.leaf('node-1', 'confirm', honest) };
  }),
  forgery('NOT_CONFIRMED', 'ready before all of U confirmed', () => {
    const log = at('close');
    log.post('node-1', 'confirm', log.confirm('node-1'));
    return {
      log,
      forged: log.leaf('member-1', 'ready', { close: log.attempt.close }),
      honest: log.leaf('node-2', 'confirm', log.confirm('node-2')),
    };
  }),
  forgery('NOT_CONFIRMED', 'a decision over less than U', () => {
    const log = at('ready');
    const honest = log.decide();
    const forged = { ...honest, confirms: honest.confirms.slice(1) };
    return {
      log,
      forged: log.leaf('coordinator', 'decide', forged),
      honest: log.leaf('coordinator', 'decide', honest),
    };
  }),
  forgery('DUPLICATE_READY', 'a member that is ready twice', () => {
    const log = at('confirms');
    const body = { close: log.attempt.close };
    log.post('member-1', 'ready', body);
    return { log, forged: log.leaf('member-1', 'ready', body), honest: log.leaf('member-2', 'ready', body) };
  }),
  forgery('DUPLICATE_COMPLAINT', 'a complaint twice', () => {
    const log = at('confirms');
    const body = { confirm: log.attempt.confirms.get('node-1')!.hash, code: 'SEED_MISMATCH' as const };
    log.post('member-1', 'complaint', body);
    return { log, forged: log.leaf('member-1', 'complaint', body), honest: log.leaf('member-2', 'complaint', body) };
  }),
  forgery('UNKNOWN_CONFIRM', 'a second box for a member that did not complain', () => {
    const log = at('confirms');
    const confirm = log.attempt.confirms.get('node-1')!.hash;
    const forged = log.leaf('node-1', 'reseal', { confirm, holder: 'member-1', hash: paperHash('box') });
    return { log, forged, honest: log.leaf('member-1', 'complaint', { confirm, code: 'BOX_UNREADABLE' }) };
  }),
  forgery('DUPLICATE_RESEAL', 'a third box', () => {
    const log = at('confirms');
    const confirm = log.attempt.confirms.get('node-1')!.hash;
    log.post('member-1', 'complaint', { confirm, code: 'BOX_UNREADABLE' });
    log.post('node-1', 'reseal', { confirm, holder: 'member-1', hash: paperHash('box') });
    const forged = log.leaf('node-1', 'reseal', { confirm, holder: 'member-1', hash: paperHash('third') });
    return { log, forged, honest: log.leaf('member-1', 'complaint', { confirm, code: 'BOX_UNREADABLE' }) };
  }),
  forgery('SUM_MISMATCH', 'a decision over another sum', () => {
    const log = at('ready');
    const honest = log.decide();
    const forged = { ...honest, sumHash: paperHash('another') };
    return {
      log,
      forged: log.leaf('coordinator', 'decide', forged),
      honest: log.leaf('coordinator', 'decide', honest),
    };
  }),
  forgery('CHARGE_MISMATCH', 'a decision that charges less', () => {
    const log = at('ready');
    const honest = log.decide();
    const forged = { ...honest, rhoNano: 0 };
    return {
      log,
      forged: log.leaf('coordinator', 'decide', forged),
      honest: log.leaf('coordinator', 'decide', honest),
    };
  }),
  forgery('ALREADY_DECIDED', 'a second decision', () => {
    const log = at('ready');
    const second = log.leaf('coordinator', 'decide', { ...log.decide(), correctionSumHash: paperHash('other') });
    log.post('coordinator', 'decide', log.decide());
    return { log, forged: second, honest: log.leaf('member-1', 'answer', log.answer('member-1')) };
  }),
  forgery('DUPLICATE_ANSWER', 'two answers of a member', () => {
    const log = at('decide');
    log.post('member-1', 'answer', log.answer('member-1'));
    const forged = log.leaf('member-1', 'answer', log.answer('member-1', 'another'));
    return { log, forged, honest: log.leaf('member-2', 'answer', log.answer('member-2')) };
  }),
  forgery('SHARES_MISMATCH', 'an answer with a share too few', () => {
    const log = at('decide');
    const honest = log.answer('member-1');
    const forged = { ...honest, shares: honest.shares.slice(1) };
    return { log, forged: log.leaf('member-1', 'answer', forged), honest: log.leaf('member-1', 'answer', honest) };
  }),
  forgery('SHARES_MISMATCH', 'a liar who is no member', () => {
    const log = at('answers');
    const honest = log.release();
    const forged = { ...honest, liars: ['node-1'] };
    return {
      log,
      forged: log.leaf('recipient-1', 'release', forged),
      honest: log.leaf('recipient-1', 'release', honest),
    };
  }),
  forgery('TOO_FEW_ANSWERS', 'a result from one answer', () => {
    const log = at('decide');
    log.post('member-1', 'answer', log.answer('member-1'));
    const forged = log.leaf('recipient-1', 'release', log.release());
    return { log, forged, honest: log.leaf('member-2', 'answer', log.answer('member-2')) };
  }),
  forgery('TOO_FEW_ANSWERS', 'a result from one answer besides those called lies', () => {
    const log = at('answers');
    const honest = log.release();
    const forged = { ...honest, liars: ['member-1', 'member-2'] };
    return {
      log,
      forged: log.leaf('recipient-1', 'release', forged),
      honest: log.leaf('recipient-1', 'release', honest),
    };
  }),
  forgery('SHARE_CONFLICT', 'a result from answers that contradict each other', () => {
    const log = at('decide');
    log.post('member-1', 'answer', log.answer('member-1'));
    log.post('member-2', 'answer', log.answer('member-2', 'another'));
    const forged = log.leaf('recipient-1', 'release', log.release());
    return { log, forged, honest: log.leaf('member-3', 'answer', log.answer('member-3')) };
  }),
  forgery('DUPLICATE_RELEASE', 'a recipient that releases twice', () => {
    const log = at('release');
    const forged = log.leaf('recipient-1', 'release', { ...log.release(), liars: ['member-1'] });
    return { log, forged, honest: log.leaf('recipient-1', 'model', log.modelBody(log.decision)) };
  }),
  forgery('RESULT_MISMATCH', 'two recipients with different results', () => {
    const log = at('release', { recipients: 2 });
    const honest = log.release();
    const forged = { ...honest, resultHash: paperHash('another') };
    return {
      log,
      forged: log.leaf('recipient-2', 'release', forged),
      honest: log.leaf('recipient-2', 'release', honest),
    };
  }),
];

export const FORGERIES: readonly Forgery[] = [...form, ...order, ...records, ...round];
