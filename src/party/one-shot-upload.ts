import { wipe } from '../../crypto/secret.ts';
import type { Rejection } from '../../protocols/errors.ts';
import { weightOf } from '../../protocols/one-shot.ts';
import { checkRound } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { ownCharges, putCharge } from './charges.ts';
import type { FinishedUpdate, FinishedUpdates } from './finished-updates.ts';
import type { LogReader } from './log-reader.ts';
import type { NodeSetting } from './node.ts';
import { modelOrNull } from './node-model.ts';
import { prepareOneShot } from './own-payload.ts';
import type { Party } from './party.ts';
import { FINAL } from './refusals.ts';

/** The update that goes into a round: one that was finished before, or one that is trained now. Null, and said: there is none. */
async function updateFor(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  { round, task, finished }: OneShotPlace,
): Promise<FinishedUpdate | null> {
  const { record } = round;
  const ready = finished.takeFor(log.transcript, round, party.name);
  if (ready !== null) return ready;
  if (setting.source.train === undefined) {
    const why =
      'where its updates come from, they are made for the round that asks for them: it has none for rounds without masks';
    party.say('nothing to send', { round: record.number, why, until: FINAL });
    return null;
  }
  const bytes = await modelOrNull(party, log, round);
  if (bytes === null) return null;
  const trained = await setting.source.train(task, round, bytes, log.transcript);
  if (trained === null) {
    party.say('nothing to send', { round: record.number, until: FINAL });
    return null;
  }
  const model = { number: record.modelNumber, hash: record.modelHash };
  return finished.keep(record.taskHash, { trained, model, sentTo: null });
}

export interface OneShotPlace {
  readonly round: Round;
  readonly task: Task;
  readonly finished: FinishedUpdates;
}

/**
 * Prepares the upload of a round without masks. Training may take longer than the round: what it comes to then waits for the next
 * one, and counts less there.
 *
 * @returns whether there is something to send; or why the site does not allow it (any more).
 */
export async function prepareLateOrNot(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  place: OneShotPlace,
): Promise<boolean | Rejection> {
  const { round, finished } = place;
  const { record } = round;
  const update = await updateFor(party, log, setting, place);
  if (update === null) return false;
  const now = log.transcript.rounds.get(round.id);
  if (now?.phase !== 'uploading') {
    party.say('update finished late', {
      round: record.number,
      model: update.model.number,
      todo: 'nothing: it goes into the next round',
    });
    return false;
  }
  // Again, since training: other rounds may have been charged meanwhile. What is sent now may be decided over without another word.
  const charged = await ownCharges(party, round.id);
  const refusal = checkRound(setting.policy, log.transcript, record, party.name, charged);
  if (refusal !== null) return refusal;
  const staleness = record.modelNumber - update.model.number;
  const values = update.trained.integers(round, weightOf(staleness));
  try {
    if (record.checkSums) setting.checkSums(round, values);
    await putCharge(party, round);
    finished.keep(record.taskHash, { ...update, sentTo: round.id });
    await prepareOneShot(party, log, setting.engine, round, values, update.model);
  } finally {
    wipe(values);
  }
  party.say('sharing without masks', { round: record.number, model: update.model.number, staleness });
  return true;
}
