import { at, type Forgery, forgery } from './forgery.ts';
import { PaperLog, paperHash } from './paper-log.ts';

export const round: readonly Forgery[] = [
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
