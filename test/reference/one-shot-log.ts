import type { RoundRecord } from '../../protocols/record.ts';
import { type Forgery, forgery } from './forgery.ts';
import { PaperLog } from './paper-log.ts';

const ONE_SHOT = { buffer: 3, maxStaleness: 1 };

/** A record of a round without masks, announced. */
export function oneShotRecord(log: PaperLog, number: number, over: Partial<RoundRecord> = {}): RoundRecord {
  return log.record(log.announced(number), { masking: 'none', oneShot: ONE_SHOT, ...over });
}

/** With a round without masks opened as the first of the log. */
export function opened(over: Partial<RoundRecord> = {}): PaperLog {
  const log = PaperLog.founded();
  log.post('coordinator', 'open', { record: oneShotRecord(log, 1, over) });
  return log;
}

/** One more round without masks from the newest model, up to its uploads. */
export function uploaded(log: PaperLog, number: number, names: readonly string[] = log.nodes): PaperLog {
  log.post('coordinator', 'open', { record: oneShotRecord(log, number, { window: `round ${number}` }) });
  for (const node of names) log.post(node, 'one-shot', log.oneShot(node));
  return log;
}

/** From uploads to where only the decision is missing. */
export function readied(log: PaperLog): PaperLog {
  log.post('coordinator', 'close', log.close());
  for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
  return log;
}

/** From the decision to the model made of it. */
export function finished(log: PaperLog): PaperLog {
  log.post('coordinator', 'decide', log.decide());
  for (const member of log.members) log.post(member, 'answer', log.answer(member));
  log.post('recipient-1', 'release', log.release());
  log.model(log.decision);
  return log;
}

/** With `rounds` rounds without masks that made as many models. */
export function grown(rounds: number): PaperLog {
  const log = PaperLog.founded();
  for (let number = 1; number <= rounds; number++) finished(readied(uploaded(log, number)));
  return log;
}

const forgedRecord = (what: string, over: Partial<RoundRecord>): Forgery =>
  forgery('PARAMETERS_MISMATCH', what, () => {
    const log = PaperLog.founded();
    const record = oneShotRecord(log, 1);
    const forged = Object.fromEntries(
      Object.entries({ ...record, ...over }).filter(([, value]) => value !== undefined),
    );
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record: forged as RoundRecord }),
      honest: log.leaf('coordinator', 'open', { record }),
    };
  });

export const oneShotForgeries: readonly Forgery[] = [
  forgedRecord('no masks, and no buffer', { oneShot: undefined as never }),
  forgedRecord('masks, and a buffer', { masking: 'pairwise' }),
  forgedRecord('a buffer below min_cohort', {
    oneShot: { buffer: 2, maxStaleness: 0 },
    parameters: { ...opened().round.record.parameters, minCohort: 3 },
  }),
  forgedRecord('a buffer beyond the largest cohort', { oneShot: { buffer: 17, maxStaleness: 0 } }),
  forgedRecord('no masks, in buckets', { bucket: { index: 0, count: 2 } }),
  forgery('MASKING_MISMATCH', 'an upload with a mask key in a round without masks', () => {
    const log = opened();
    return {
      log,
      forged: log.leaf('node-1', 'upload', log.upload('node-1')),
      honest: log.leaf('node-1', 'one-shot', log.oneShot('node-1')),
    };
  }),
  forgery('MASKING_MISMATCH', 'an upload that shares its key in a round with masks', () => {
    const log = PaperLog.founded().until('open');
    return {
      log,
      forged: log.leaf('node-1', 'one-shot', log.oneShot('node-1')),
      honest: log.leaf('node-1', 'upload', log.upload('node-1')),
    };
  }),
  forgery('MASKING_MISMATCH', 'a confirmation in a round without masks', () => {
    const log = uploaded(PaperLog.founded(), 1);
    log.post('coordinator', 'close', log.close());
    return {
      log,
      forged: log.leaf('node-1', 'confirm', log.confirm('node-1')),
      honest: log.leaf('member-1', 'ready', { close: log.attempt.close }),
    };
  }),
  forgery('MALFORMED', 'an upload with the fields of both kinds', () => {
    const log = opened();
    const body = log.oneShot('node-1');
    const forged = log.raw({ ...log.draft('node-1', 'one-shot', body), body: { ...body, key: log.maskKey('node-1') } });
    return { log, forged, honest: log.leaf('node-1', 'one-shot', body) };
  }),
  forgery('TOO_STALE', 'an upload trained more models ago than the round takes', () => {
    const log = grown(2);
    log.post('coordinator', 'open', { record: oneShotRecord(log, 3, { window: 'round 3' }) });
    return {
      log,
      forged: log.leaf('node-1', 'one-shot', log.oneShot('node-1', 2)),
      honest: log.leaf('node-1', 'one-shot', log.oneShot('node-1', 1)),
    };
  }),
  forgery('MODEL_MISMATCH', 'an upload that dates its model: an old one under the number of the newest', () => {
    const log = grown(1);
    log.post('coordinator', 'open', { record: oneShotRecord(log, 2, { window: 'round 2' }) });
    const old = log.oneShot('node-1', 1);
    const model = { number: 1, hash: old.model.hash };
    return {
      log,
      forged: log.leaf('node-1', 'one-shot', { ...old, model }),
      honest: log.leaf('node-1', 'one-shot', old),
    };
  }),
  forgery('MODEL_MISMATCH', "an upload from a model newer than the round's", () => {
    const log = uploaded(PaperLog.founded(), 1, ['node-1', 'node-2', 'node-3']);
    const older = log.round.id;
    finished(readied(uploaded(log, 2)));
    const { modelHash } = log.transcript.models[1]!;
    const body = { ...log.oneShot('node-4'), round: older, nonce: '1'.repeat(64), payloadHash: '2'.repeat(64) };
    const sharing = log.sharing(log.round.record, 'once more');
    const honest = {
      ...body,
      ...sharing,
      boxes: body.boxes,
      model: { number: 0, hash: log.transcript.models[0]!.modelHash },
    };
    return {
      log,
      forged: log.leaf('node-4', 'one-shot', { ...honest, model: { number: 1, hash: modelHash } }),
      honest: log.leaf('node-4', 'one-shot', honest),
    };
  }),
  forgery('SEED_REUSED', 'the sharing of another round', () => {
    const log = uploaded(PaperLog.founded(), 1);
    const { seeds } = log.round.uploads.get('node-1')!.shared!;
    finished(readied(log));
    log.post('coordinator', 'open', { record: oneShotRecord(log, 2, { window: 'round 2' }) });
    const body = log.oneShot('node-1');
    return {
      log,
      forged: log.leaf('node-1', 'one-shot', { ...body, seeds }),
      honest: log.leaf('node-1', 'one-shot', body),
    };
  }),
  forgery('BOXES_MISMATCH', 'an upload without a box for a member', () => {
    const log = opened();
    const body = log.oneShot('node-1');
    return {
      log,
      forged: log.leaf('node-1', 'one-shot', { ...body, boxes: body.boxes.slice(1) }),
      honest: log.leaf('node-1', 'one-shot', body),
    };
  }),
  forgery('BAD_COHORT', 'a close without one of the uploads', () => {
    const log = uploaded(PaperLog.founded(), 1);
    const honest = log.close();
    const forged = { ...honest, uploads: honest.uploads.slice(1) };
    return { log, forged: log.leaf('coordinator', 'close', forged), honest: log.leaf('coordinator', 'close', honest) };
  }),
  forgery('COHORT_TOO_SMALL', 'a close over one upload', () => {
    const log = uploaded(PaperLog.founded(), 1, ['node-1']);
    return { log, forged: log.leaf('coordinator', 'close', log.close()), honest: null };
  }),
];
