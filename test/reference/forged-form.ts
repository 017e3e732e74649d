import { toBase64 } from '../../crypto/encoding.ts';
import { at, type Forgery, forgery } from './forgery.ts';
import { PaperLog, paperHash } from './paper-log.ts';

export const form: readonly Forgery[] = [
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
  forgery('STALE_TLS_KEY', 'a TLS key in the place of one that was replaced before', () => {
    const log = PaperLog.founded();
    const late = log.tlsKey('node-1', 'late');
    log.post('node-1', 'tls-key', log.tlsKey('node-1'));
    const honest = log.tlsKey('node-1', 'third');
    return { log, forged: log.leaf('node-1', 'tls-key', late), honest: log.leaf('node-1', 'tls-key', honest) };
  }),
  forgery('DUPLICATE_KEY', 'a TLS key that was replaced before', () => {
    const log = PaperLog.founded();
    const old = log.tlsKey('node-1').replaces;
    log.post('node-1', 'tls-key', log.tlsKey('node-1'));
    const honest = log.tlsKey('node-1', 'third');
    const forged = { ...honest, tlsKeySha256: old };
    return { log, forged: log.leaf('node-1', 'tls-key', forged), honest: log.leaf('node-1', 'tls-key', honest) };
  }),
  forgery('DUPLICATE_KEY', "another party's TLS key", () => {
    const log = PaperLog.founded();
    const honest = log.tlsKey('member-1');
    const forged = { ...honest, tlsKeySha256: log.tlsKey('node-1').replaces };
    return { log, forged: log.leaf('member-1', 'tls-key', forged), honest: log.leaf('member-1', 'tls-key', honest) };
  }),
  forgery('REVOKED', 'a TLS key of a party that was revoked', () => {
    const log = PaperLog.founded();
    log.post('root', 'revoke', { name: 'node-1', reason: 'stolen' });
    return {
      log,
      forged: log.leaf('node-1', 'tls-key', log.tlsKey('node-1')),
      honest: log.leaf('node-2', 'tls-key', log.tlsKey('node-2')),
    };
  }),
  forgery('BAD_SIGNATURE', 'a TLS key that the root key names for a party', () => {
    const log = PaperLog.founded();
    const draft = log.draft('node-1', 'tls-key', log.tlsKey('node-1'));
    return { log, forged: log.raw(draft, 'root'), honest: log.raw(draft) };
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
