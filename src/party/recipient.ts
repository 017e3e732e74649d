import { boxesKey } from '../../protocols/disputes.ts';
import { isRejection, ProtocolError, type Rejection, reject } from '../../protocols/errors.ts';
import { sealModel } from '../../protocols/model-box.ts';
import {
  abortReasonOf,
  type Opening,
  openSum,
  type RecipientDuty,
  recipientDuties,
} from '../../protocols/recipient.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import type { Attempt, Decision, Round } from '../../protocols/transcript.ts';
import { ModelService } from '../grpc/services.ts';
import { sourceOf } from '../grpc/transfer.ts';
import { upload } from '../grpc/upload.ts';
import { addUpAgain } from './corrections.ts';
import { firstPossible } from './duty-loop.ts';
import { type EngineChoice, warmEngines } from './engines.ts';
import { isDown, isReplicas } from './fetch.ts';
import {
  checkBoxes,
  keepSeeds,
  keptSeeds,
  logRoundKey,
  openCohort,
  roundKeyOf,
  type Seeds,
  wipeSeeds,
} from './holder.ts';
import type { LogReader } from './log-reader.ts';
import { fetchModel } from './node-model.ts';
import { fetchAnswers, type Gathered, OpeningInput } from './opening-input.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { openParty, type Party, primitives, rng, runDuties } from './party.ts';
import { keepResult, resultHashFor, results } from './results.ts';
import type { Running } from './running.ts';

/** A released round with what it opened to. */
export interface OpenedRound {
  readonly round: Round;
  /** d exact integers. */
  readonly values: Int32Array;
}

/** Turns opened sums into models. What it must remember it keeps in the recipient's store. */
export interface ModelMaker {
  /** The first model of a task. */
  first(task: Task): Promise<Uint8Array>;
  /** The next model. @param sums - one, or one for each released bucket in the order of buckets. */
  next(task: Task, sums: readonly OpenedRound[], model: Uint8Array): Promise<Uint8Array>;
}

export interface RecipientSetting {
  /** The first one names the first model. */
  readonly tasks: readonly Task[];
  readonly engine: EngineChoice;
  readonly maker: ModelMaker;
  /** How long a sum that t answers do not open waits for the answers of other ready members, in ms. */
  readonly lateAnswersMs?: number;
}

const MODELS = 'models';
/** How long the recipient waits for answers beyond the t that it needs: they name liars. In ms. */
const MORE_ANSWERS_MS = 300;
const LATE_ANSWERS_MS = 60_000;

/**
 * What no aggregator gives, for whatever reason, ends the round by name when it has been waited for.
 *
 * @throws what is no aggregator's answer: aggregators that are down are waited for.
 */
function lost(error: unknown): Rejection {
  if (!isReplicas(error) || isDown(error)) throw error;
  return reject('BLOB_LOST', 'no aggregator gives what was decided over');
}

/**
 * Opens the sum from what was gathered and the answers so far.
 *
 * @returns also whether a rejection is final: nothing that is still to come, or that another replica may have, mends it.
 */
async function openGathered(
  party: Party,
  round: Extract<Round, { phase: 'decided' }>,
  { context, correctionSum, sum }: Gathered,
): Promise<{ readonly opened: Opening | Rejection; readonly isFinal: boolean }> {
  const { decision, record } = round;
  const answers = await fetchAnswers(party, decision);
  const seeds = await seedsFor(party, round, decision);
  if (isRejection(seeds)) return { opened: seeds, isFinal: false };
  using roundKey = roundKeyOf(party, record.announce)!;
  const input = { context, round, decision, recipient: party.name, roundKey, correctionSum, seeds, answers, sum };
  try {
    let opened = openSum(primitives, input);
    if (isRejection(opened) && (opened.rejected === 'KEY_DOES_NOT_FIT' || opened.rejected === 'SUM_MALFORMED')) {
      const again = await addUpAgain(party, round, decision);
      if (again !== null) {
        party.say('corrections were added up wrongly', { round: record.number });
        opened = openSum(primitives, { ...input, correctionSum: again });
      }
    }
    return { opened, isFinal: isRejection(opened) && isBeyondMending(opened, decision, answers.size) };
  } finally {
    wipeSeeds(seeds);
  }
}

/** The seeds kept with `ready`; where a copy from a backup has none, from the boxes again, about which it is too late to complain. */
async function seedsFor(party: Party, round: Round, { attempt }: Decision): Promise<Seeds | Rejection> {
  const kept = keptSeeds(party, round, attempt);
  if (kept !== null) return kept;
  const { seeds, complaints } = await checkBoxes(party, round, attempt);
  if (complaints.length === 0) return seeds;
  wipeSeeds(seeds);
  return reject('BOX_UNREADABLE', `${complaints.length} of the recipient's boxes do not open`);
}

/** @param answers - how many of them were there. */
function isBeyondMending({ rejected }: Rejection, { attempt }: Decision, answers: number): boolean {
  if (rejected === 'CHECKSUM_MISMATCH' || rejected === 'SUM_MALFORMED') return true; // of bytes that the log names
  return answers === attempt.ready.size;
}

/** Opens the boxes of U before the decision, and says so: the seeds that an opening needs are durable first. */
async function checkOwnBoxes(party: Party, round: Round, attempt: Attempt): Promise<void> {
  const seeds = await openCohort(party, round, attempt);
  if (seeds === null) return;
  keepSeeds(party, round, attempt, seeds);
  wipeSeeds(seeds);
  await party.append(party.leaf('ready', { close: attempt.close }));
}

async function open(
  party: Party,
  log: LogReader,
  round: Round,
  gathering: Promise<Gathered>,
  isLate: () => boolean,
): Promise<void> {
  // A moment for the answers of members beyond the first t.
  const wanted = round.phase === 'decided' ? round.decision.attempt.ready.size : 0;
  const complete = (r: Round | undefined): boolean => r?.phase === 'decided' && r.decision.answers.size >= wanted;
  const moment = AbortSignal.timeout(MORE_ANSWERS_MS);
  const more = log.until((t) => complete(t.rounds.get(round.id)), moment).catch(() => {});
  const gathered = await gathering.catch(lost);
  await more;
  const now = log.transcript.rounds.get(round.id);
  if (now?.phase !== 'decided') return;
  const { decision } = now;
  const { opened, isFinal } = isRejection(gathered)
    ? { opened: gathered, isFinal: false }
    : await openGathered(party, now, gathered).catch((error) => ({ opened: lost(error), isFinal: false }));
  if (isRejection(opened)) {
    // What may be mended is not waited for without end: with t answers the coordinator leaves the round to its recipients.
    if (!isFinal && !isLate()) throw new ProtocolError(opened.rejected, opened.why);
    const reason = abortReasonOf(opened);
    party.say('round not opened', { round: now.record.number, code: opened.rejected, why: opened.why });
    await party.append(party.leaf('abort', { round: now.id, reason }));
    return;
  }
  await keepResult(party, now, opened);
  const body = { decide: decision.hash, resultHash: opened.resultHash, liars: [...opened.liars] };
  await party.append(party.leaf('release', body));
  party.say('sum opened', {
    round: now.record.number,
    nodes: decision.attempt.cohort.length,
    liars: opened.liars.join(),
  });
}

/** Seals a model to the nodes and logs it. What goes out is kept first, so that a retry sends the same bytes. */
async function publish(
  party: Party,
  log: LogReader,
  model: () => Promise<Uint8Array>,
  decide: string | null,
): Promise<void> {
  const t = log.transcript;
  const number = t.models.length;
  const { records, blobs } = party.store;
  let kept = await records.get(MODELS, String(number));
  if (kept === undefined) {
    const bytes = await model();
    const sealed = sealModel(primitives, rng, t, bytes);
    const { hash: modelHash } = await blobs.put([bytes]);
    const { hash: sealedHash } = await blobs.put([sealed]);
    const leaf = party.leaf('model', { number, modelHash, modelBytes: bytes.length, sealedHash, decide });
    kept = encodeParts([leaf, sealed]);
    await records.transact((tx) => tx.insert(MODELS, String(number), kept!));
  }
  const [leaf, sealed] = decodeParts(kept);
  const header = { leaf: leaf!, sealedBytes: BigInt(sealed!.length) };
  await upload([party.coordinator], ModelService.put, header, sourceOf(sealed!));
  party.say('model published', { number });
}

async function nextModel(
  party: Party,
  log: LogReader,
  setting: RecipientSetting,
  rounds: readonly Round[],
): Promise<Uint8Array> {
  const { taskHash, modelHash } = rounds[0]!.record;
  const task = setting.tasks.find((t) => taskHashOf(primitives, t) === taskHash);
  if (task === undefined)
    throw new ProtocolError('UNKNOWN_MODEL', "the round's task is not among this recipient's task files");
  const sums: OpenedRound[] = [];
  for (const round of rounds) {
    const bytes = await party.store.blobs.get(await resultHashFor(party, round.id));
    sums.push({ round, values: new Int32Array(bytes.slice().buffer) });
  }
  // Another recipient may have made it.
  const { blobs } = party.store;
  const model = (await blobs.has(modelHash)) ? await blobs.get(modelHash) : await fetchModel(party, log, modelHash);
  return setting.maker.next(task, sums, model);
}

/** Runs a recipient: it checks its boxes, opens sums, makes models of them and publishes those to the nodes. */
export async function runRecipient(
  folder: string,
  settingFor: (party: Party) => Promise<RecipientSetting>,
  listen?: string,
): Promise<Running & { readonly log: LogReader; readonly party: Party }> {
  const party = await openParty(folder, undefined, listen);
  const setting = await settingFor(party);
  const done = new Set<string>();
  const input = new OpeningInput(party, setting.engine);
  // By decision: when its sum did not open for the first time, in ms of this process's clock.
  const failedSince = new Map<string, number>();
  const isLate = (decide: string): boolean => {
    const since = failedSince.get(decide) ?? performance.now();
    failedSince.set(decide, since);
    return performance.now() - since >= (setting.lateAnswersMs ?? LATE_ANSWERS_MS);
  };
  const act = async (log: LogReader): Promise<boolean> => {
    warmEngines(log.transcript.rounds.values(), setting.engine);
    // Models are sealed to whoever is enrolled: a recipient that is not enrolled itself yet waits.
    if (!log.transcript.parties.has(party.name)) return false;
    const keeps = (announce: string): boolean => party.rounds.holds(announce);
    for (const round of log.transcript.rounds.values()) {
      if (round.phase !== 'decided' || !keeps(round.record.announce)) continue;
      if (!done.has(`open ${round.decision.hash}`)) void input.gather(round, round.decision);
    }
    const duties = recipientDuties(log.transcript, party.name, keeps).filter(
      (duty) => !done.has(dutyKey(duty, party.name)),
    );
    return firstPossible(duties, (duty) => perform(log, duty));
  };
  const perform = async (log: LogReader, duty: RecipientDuty): Promise<void> => {
    const [task] = setting.tasks;
    if (duty.duty === 'first-model') {
      if (task !== undefined) await publish(party, log, () => setting.maker.first(task), null);
    } else if (duty.duty === 'round-key') await logRoundKey(party, duty.announce.hash);
    else if (duty.duty === 'check-boxes') {
      await checkOwnBoxes(party, duty.round, duty.attempt);
      // Most attempts that all confirmed are decided over: the sum comes while the members check theirs.
      void input.sum(duty.round, duty.attempt.sumHash).catch(() => {});
    } else if (duty.duty === 'open') {
      const { hash } = duty.decision;
      try {
        await open(party, log, duty.round, input.gather(duty.round, duty.decision), () => isLate(hash));
      } finally {
        input.drop(hash);
      }
      failedSince.delete(hash);
    } else if (duty.duty === 'next-model') {
      await publish(party, log, () => nextModel(party, log, setting, duty.sums), duty.decision.hash);
    } else {
      party.rounds.forget(duty.announce.hash);
      const round = log.transcript.rounds.get(duty.announce.openedAs ?? '');
      if (round?.phase === 'aborted') input.drop(round.decision?.hash ?? '');
      if (round !== undefined) await input.forget(round);
    }
    done.add(dutyKey(duty, party.name));
  };
  const { log, address, stop } = await runDuties(party, [results(party)], act);
  return { address, log, party, stop };
}

function dutyKey(duty: RecipientDuty, name: string): string {
  if (duty.duty === 'first-model') return duty.duty;
  if (duty.duty === 'check-boxes') return boxesKey(duty.attempt, name);
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  return `${duty.duty} ${duty.decision.hash}`;
}
