import { toBase64 } from '../../crypto/encoding.ts';
import { deriveParameters } from '../../crypto/params.ts';
import type { Body } from '../../protocols/leaves.ts';
import { chargeOf } from '../../protocols/record.ts';
import { at, badGenesis, badRecord, type Forgery, forgery } from './forgery.ts';
import { PaperLog, paperHash } from './paper-log.ts';

/** Of the right length, and nothing can be sealed to it. */
const NO_KEY = toBase64(new Uint8Array(1216).fill(0xff));

/** A leaf by root that enrols a fifth node, and one that differs. */
function enrolling(code: Forgery['code'], what: string, role: Body<'enrol'>['role'], kemKey?: string | null): Forgery {
  return forgery(code, what, () => {
    const log = PaperLog.founded();
    const forged = log.enrolment('fresh', role, kemKey === undefined ? {} : { kemKey });
    const honest = log.leaf('root', 'enrol', log.enrolment('fresh', 'node'));
    return { log, forged: log.leaf('root', 'enrol', forged), honest };
  });
}

/** Members 4 and 5 are enrolled beside the quorum of three. */
function changing(code: Forgery['code'], what: string, over: Partial<Body<'quorum'>>, revoked?: string): Forgery {
  return forgery(code, what, () => {
    const log = PaperLog.founded();
    for (const name of ['member-4', 'member-5'])
      log.post('root', 'enrol', log.enrolment(name, 'member', { kemKey: null }));
    if (revoked !== undefined) log.post('root', 'revoke', { name: revoked, reason: 'lost' });
    const change = { number: 1, members: ['member-1', 'member-2', 'member-4'], threshold: 2 };
    const leaf = (of: typeof change): Uint8Array =>
      log.leaf('root', 'quorum', log.quorumChange(of, ['member-1', 'member-2']));
    return { log, forged: leaf({ ...change, ...over }), honest: leaf(change) };
  });
}

function announcing(code: Forgery['code'], what: string, recipients: string[]): Forgery {
  return forgery(code, what, () => {
    const log = PaperLog.founded();
    const leaf = (to: string[]): Uint8Array =>
      log.leaf('coordinator', 'announce', { task: 'lead-scoring', number: 1, recipients: to });
    return { log, forged: leaf(recipients), honest: leaf(['recipient-1']) };
  });
}

/** An enrolment, signed over its canonical text, whose bytes spell the same value otherwise. */
function respelt(what: string, spell: (text: string) => string): Forgery {
  return forgery('MALFORMED', `${what}, where JSON is to be canonical`, () => {
    const log = PaperLog.founded();
    const honest = log.leaf('root', 'enrol', log.enrolment('fresh', 'node'));
    const text = new TextDecoder().decode(honest);
    return { log, forged: new TextEncoder().encode(spell(text)), honest };
  });
}

/** A leaf about a round that an operator has aborted. */
function afterAbort(what: string, step: 'decide' | 'answers', leaf: (log: PaperLog) => Uint8Array): Forgery {
  return forgery('ROUND_ENDED', what, () => {
    const log = at(step);
    const forged = leaf(log);
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    return { log, forged, honest: null };
  });
}

/** A leaf about a round of which t members have answered, and that is longer than max_leaves by then. */
function overLength(what: string, leaf: (log: PaperLog) => Uint8Array): Forgery {
  return forgery('ROUND_ENDED', `${what} when the round is longer than max_leaves`, () => {
    const log = PaperLog.founded();
    log.open(log.announced(1), { maxLeaves: 20 });
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    for (const node of log.nodes) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    for (const member of log.members.slice(0, 2)) log.post(member, 'answer', log.answer(member));
    for (let i = 0; i < 5; i++) log.post('root', 'enrol', log.enrolment(`more-${i}`, 'aggregator', { kemKey: null }));
    return { log, forged: leaf(log), honest: null };
  });
}

/**
 * Rules that share their code with another one, broken each by itself: with such a rule taken out of the code, the leaf counts or
 * is refused by another name. What breaks every code at least once is in FORGERIES.
 */
export const CORNERS: readonly Forgery[] = [
  badGenesis('GENESIS_INVALID', 'n below 2t-1', ({ cosigning }) => ({
    threshold: 3,
    cosigning: { ...cosigning, needed: 4, faulty: 2 },
  })),
  badGenesis('GENESIS_INVALID', 'a witness that is counted and not listed', ({ cosigning }) => ({
    cosigning: { ...cosigning, witnesses: cosigning.witnesses + 1, needed: cosigning.needed + 1 },
  })),
  badGenesis('GENESIS_INVALID', 'a cohort below its honest nodes', ({ minimums }) => ({
    minimums: { ...minimums, honest: minimums.cohort + 1 },
  })),
  badGenesis('GENESIS_INVALID', 'a coordinator of another role', ({ coordinator }) => ({
    coordinator: { ...coordinator, role: 'recipient' },
  })),
  badGenesis('BAD_KEY', 'a coordinator with a key that nothing can be sealed to', ({ coordinator }) => ({
    coordinator: { ...coordinator, kemKey: NO_KEY },
  })),
  badGenesis('DUPLICATE_KEY', 'a log that is signed with the root key', ({ rootKey }) => ({ logKey: rootKey })),
  badGenesis('DUPLICATE_NAME', 'two witnesses of one name', ({ witnesses }) => ({
    witnesses: witnesses.map((witness) => ({ ...witness, name: 'witness-1' })),
  })),
  enrolling('WRONG_ROLE', 'a second coordinator', 'coordinator'),
  enrolling('BAD_KEY', 'a node without a key for models', 'node', null),
  enrolling('BAD_KEY', 'a node with a key that nothing can be sealed to', 'node', NO_KEY),
  forgery('UNKNOWN_ACTOR', 'nobody is revoked', () => {
    const log = PaperLog.founded();
    const leaf = (name: string): Uint8Array => log.leaf('root', 'revoke', { name, reason: 'lost' });
    return { log, forged: leaf('node-9'), honest: leaf('node-1') };
  }),
  forgery('REVOKED', 'a party is revoked again', () => {
    const log = PaperLog.founded();
    const leaf = (name: string): Uint8Array => log.leaf('root', 'revoke', { name, reason: 'lost' });
    log.take(leaf('node-1'));
    return { log, forged: leaf('node-1'), honest: leaf('node-2') };
  }),
  announcing('UNKNOWN_ACTOR', 'a round announced for a node', ['node-1']),
  announcing('DUPLICATE_NAME', 'a round announced for one recipient twice', ['recipient-1', 'recipient-1']),
  changing('DUPLICATE_NAME', 'a member twice in a quorum', { members: ['member-1', 'member-1', 'member-4'] }),
  changing('REVOKED', 'a revoked member in a quorum', { members: ['member-1', 'member-2', 'member-5'] }, 'member-5'),
  forgery('QUORUM_MISMATCH', 'a quorum of fewer than 2t-1', () => {
    const log = PaperLog.founded({ members: 5, threshold: 3 });
    const leaf = (members: string[]): Uint8Array =>
      log.leaf('root', 'quorum', log.quorumChange({ number: 1, members, threshold: 3 }, log.members));
    return { log, forged: leaf(log.members.slice(1)), honest: leaf(log.members.toReversed()) };
  }),
  changing('QUORUM_MISMATCH', 'a threshold that the witnesses of genesis do not carry', {
    members: ['member-1', 'member-2', 'member-3', 'member-4', 'member-5'],
    threshold: 3,
  }),
  badRecord('QUORUM_MISMATCH', 'fewer than 2t-1 members listed', ({ members }) => ({ members: members.slice(1) }), {
    members: 5,
    threshold: 3,
  }),
  badRecord(
    'QUORUM_MISMATCH',
    'fewer recipients than announced',
    ({ recipients }) => ({ recipients: recipients.slice(0, 1) }),
    { recipients: 2 },
  ),
  badRecord(
    'QUORUM_MISMATCH',
    'parameters derived for a lower threshold',
    ({ parameters: { dimension, bits, nodesMax, minCohort, minHonest, members } }) => {
      const parameters = deriveParameters({ dimension, bits, nodesMax, minCohort, minHonest, members, threshold: 2 });
      return { parameters: { ...parameters, primes: [...parameters.primes], primeBits: [...parameters.primeBits] } };
    },
    { members: 5, threshold: 3 },
  ),
  badRecord('CHARGE_MISMATCH', 'drawn records where genesis names no Renyi order', (record) => {
    const sampling = { rateMicro: 100_000, order: 8 };
    return { sampling, charge: { rhoNano: chargeOf({ ...record, sampling }) } };
  }),
  badRecord('UNKNOWN_ANNOUNCE', 'a round that was never announced', () => ({ announce: paperHash('none') })),
  badRecord('PARAMETERS_MISMATCH', 'parameters for more members than are listed', () => {
    const { parameters } = PaperLog.founded({ members: 5 }).until('open').round.record;
    return { parameters };
  }),
  forgery('REVOKED', 'a revoked member in a record', () => {
    const log = PaperLog.founded({ members: 4 });
    const announce = log.announced(1);
    log.post('root', 'revoke', { name: 'member-4', reason: 'lost' });
    const leaf = (): Uint8Array => log.leaf('coordinator', 'open', { record: log.record(announce) });
    const forged = leaf();
    Object.assign(log.setting, { members: 3 });
    return { log, forged, honest: leaf() };
  }),
  forgery('BAD_COHORT', 'an upload to a round that is full', () => {
    const log = PaperLog.founded({ nodes: 17 }).until('open');
    for (const node of log.nodes.slice(1)) log.post(node, 'upload', log.upload(node));
    return { log, forged: log.leaf('node-1', 'upload', log.upload('node-1')), honest: null };
  }),
  forgery('REVOKED', 'a close when fewer than t members are left', () => {
    const log = at('uploads');
    const honest = log.leaf('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    for (const name of ['member-1', 'member-2']) log.post('root', 'revoke', { name, reason: 'lost' });
    return { log, forged: log.leaf('coordinator', 'close', log.close()), honest };
  }),
  forgery('BOXES_MISMATCH', 'a confirmation without one of its seeds', () => {
    const log = at('close');
    const honest = log.confirm('node-1');
    const forged = { ...honest, seeds: honest.seeds.slice(1) };
    return { log, forged: log.leaf('node-1', 'confirm', forged), honest: log.leaf('node-1', 'confirm', honest) };
  }),
  forgery('NOT_CONFIRMED', 'a decision before the close', () => {
    const log = at('uploads');
    const close = log.leaf('coordinator', 'close', log.close());
    const { record, id } = log.round;
    const [none, one] = [paperHash('none'), { attempt: 1, confirms: [20, 21] }];
    const body = { ...one, round: id, close: none, sumHash: none, correctionSumHash: none };
    const forged = log.leaf('coordinator', 'decide', { ...body, rhoNano: record.charge.rhoNano });
    return { log, forged, honest: close };
  }),
  forgery('STALE_ATTEMPT', 'a decision about the attempt before', () => {
    const log = at('close');
    const { close } = log.attempt;
    for (const node of ['node-1', 'node-2']) log.post(node, 'confirm', log.confirm(node));
    log.post('coordinator', 'close', log.close());
    for (const node of ['node-1', 'node-2']) log.post(node, 'confirm', log.confirm(node));
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    const honest = log.decide();
    return {
      log,
      forged: log.leaf('coordinator', 'decide', { ...honest, attempt: 1, close }),
      honest: log.leaf('coordinator', 'decide', honest),
    };
  }),
  forgery('ROUND_ENDED', 'an abort of a round that has its result', () => {
    const log = at('release');
    const forged = log.leaf('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    return { log, forged, honest: log.leaf('recipient-1', 'model', log.modelBody(log.decision)) };
  }),
  forgery('ROUND_ENDED', 'an answer after the result', () => {
    const log = at('decide');
    for (const member of log.members.slice(0, 2)) log.post(member, 'answer', log.answer(member));
    const forged = log.leaf('member-3', 'answer', log.answer('member-3'));
    log.post('recipient-1', 'release', log.release());
    return { log, forged, honest: log.leaf('recipient-1', 'model', log.modelBody(log.decision)) };
  }),
  afterAbort('an answer after the abort', 'decide', (log) => log.leaf('member-1', 'answer', log.answer('member-1'))),
  afterAbort('a release after the abort', 'answers', (log) => log.leaf('recipient-1', 'release', log.release())),
  overLength('a release', (log) => log.leaf('recipient-1', 'release', log.release())),
  overLength('a third answer', (log) => log.leaf('member-3', 'answer', log.answer('member-3'))),
  forgery('SHARES_MISMATCH', 'an answer that is sealed to another recipient', () => {
    const log = at('decide');
    const honest = log.answer('member-1');
    const sealed = honest.sealed.map((box) => ({ ...box, recipient: 'node-1' }));
    const forged = log.leaf('member-1', 'answer', { ...honest, sealed });
    return { log, forged, honest: log.leaf('member-1', 'answer', honest) };
  }),
  forgery('WRONG_ROLE', "a model of another recipient's result", () => {
    const log = PaperLog.founded({ recipients: 2 }).until('release');
    const body = log.modelBody(log.decision);
    return { log, forged: log.leaf('recipient-2', 'model', body), honest: log.leaf('recipient-1', 'model', body) };
  }),
  respelt('white space', (text) => text.replace(/}$/, ' }')),
  respelt('keys in another order', (text) => text.replace(/^{("actor":"[^"]*"),(.*),("v":1)}$/, '{$3,$2,$1}')),
  respelt('a number in another spelling', (text) => text.replace(/"v":1}$/, '"v":1.0}')),
  respelt('a key twice', (text) => text.replace(/"v":1}$/, '"v":1,"v":1}')),
  forgery('MALFORMED', 'a signature in another spelling', () => {
    const log = at('open');
    const honest = log.leaf('node-1', 'upload', log.upload('node-1'));
    const text = new TextDecoder().decode(honest);
    // 64 bytes leave four bits of the last character unused; here they are not zero.
    const forged = text.replace(
      /(?<="sig":"[^"]{85})[AQgw]==/,
      (end) => `${{ A: 'B', Q: 'R', g: 'h', w: 'x' }[end[0]!]}==`,
    );
    return { log, forged: new TextEncoder().encode(forged), honest };
  }),
];
