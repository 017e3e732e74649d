import { fromHex } from '../../crypto/encoding.ts';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import { makeConfirmation, mayUpload, type NodeDuty, nodeDuties, resealFor } from '../../protocols/node.ts';
import { checkRound, type SitePolicy } from '../../protocols/site-policy.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { fitsTask } from '../../protocols/task-fit.ts';
import type { Attempt, Round, Transcript } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { AggregationService } from '../grpc/services.ts';
import { dropAllUndecided, ownCharges, putCharge } from './charges.ts';
import { firstPossible } from './duty-loop.ts';
import { type EngineChoice, payloadContext } from './engines.ts';
import { askReplicas, REPLICA_MS } from './fetch.ts';
import { FinishedUpdates, type Trained } from './finished-updates.ts';
import type { LogReader } from './log-reader.ts';
import { modelOrNull } from './node-model.ts';
import { prepareLateOrNot } from './one-shot-upload.ts';
import { checksumOf, prepareUpload, sendUpload } from './own-payload.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { openParty, type Party, primitives, rng, runDuties } from './party.ts';
import { type OnReceipt, Receipts } from './receipts.ts';
import { FINAL, LOOKED_AT_AGAIN, Refusals } from './refusals.ts';
import type { Running } from './running.ts';
import { forget, removeSpent } from './spent.ts';
import { hasUpload, readUpload, sharingSeed } from './upload-file.ts';

/** Where a node's update comes from. */
export interface UpdateSource {
  /**
   * @param model - the round's model, as its bytes.
   * @param log - as this node has verified it, for sources whose answer depends on what was opened before.
   * @returns d integers: quantised, with this node's part of the noise. Null: this node has nothing to send.
   */
  update(task: Task, round: Round, model: Uint8Array, log?: Transcript): Promise<Int32Array | null>;
  /**
   * Training for rounds without masks, which it may outlast. Left out: the source has nothing for those.
   *
   * @returns null: this node has nothing to send.
   */
  train?(task: Task, round: Round, model: Uint8Array, log?: Transcript): Promise<Trained | null>;
}

export interface NodeSetting {
  readonly policy: SitePolicy;
  /** Reads the site's policy file again; left out, `policy` holds as long as the process runs. */
  readonly policyNow?: () => SitePolicy;
  readonly tasks: readonly Task[];
  readonly engine: EngineChoice;
  readonly source: UpdateSource;
  /** Where plain updates go when a round asks for check-sums and the policy allows it. */
  readonly checkSums: (round: Round, values: Int32Array) => void;
}

/** The attempt's seed, then leaf, correction and boxes of its confirmation. */
const confirmFile = (attempt: Attempt): string => `confirm-${attempt.close}`;

/** Sends what is small, to one aggregator after the other. */
async function send(
  party: Party,
  onReceipt: OnReceipt<Connection>,
  ask: (r: Connection) => Promise<{ readonly leafIndex: bigint }>,
): Promise<void> {
  await askReplicas(party.aggregators, async (aggregator) => {
    onReceipt(aggregator, Number((await ask(aggregator)).leafIndex));
  });
}

/** What a duty answers that the site does not allow as things stand. Nothing was sent for it. */
const REFUSED = 'refused';

/** What one process remembers of its duties; after a restart each is looked at anew. */
interface Memory {
  readonly done: Set<string>;
  readonly receipts: Receipts<Connection>;
  readonly refusals: Refusals;
  readonly finished: FinishedUpdates;
}

async function act(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  { done, receipts, refusals, finished }: Memory,
): Promise<boolean> {
  const t = log.transcript;
  const isDue = (duty: NodeDuty): boolean => {
    const untrue = receipts.takeFalse(dutyKey(duty), t.size);
    if (untrue === null) return !done.has(dutyKey(duty));
    party.say('receipt not borne out by the log', {
      round: duty.round.record.number,
      duty: duty.duty,
      aggregator: untrue.aggregator.address,
      leaf: untrue.leafIndex,
      todo: 'nothing: it is sent again, to another aggregator where there is one',
    });
    return true;
  };
  const duties = nodeDuties(t, party.name, (id) => party.rounds.holds(id)).filter(isDue);
  if (duties.length === 0) return false;
  const grounds = refusals.grounds(t, party.name, await ownCharges(party));
  const current = (): NodeSetting => ({ ...setting, policy: grounds!.policy });
  const isOpen = (duty: NodeDuty): boolean => {
    if (duty.duty !== 'upload' && duty.duty !== 'confirm') return true;
    return grounds !== null && !refusals.has(dutyKey(duty), grounds);
  };
  return firstPossible(duties.filter(isOpen), async (duty) => {
    const { round } = duty;
    const keep: OnReceipt<Connection> = (aggregator, leafIndex) => receipts.keep(dutyKey(duty), aggregator, leafIndex);
    let refused = false;
    if (duty.duty === 'upload') refused = (await doUpload(party, log, current(), round, finished, keep)) === REFUSED;
    else if (duty.duty === 'confirm')
      refused = (await confirm(party, log, current(), round, duty.attempt, keep)) === REFUSED;
    else if (duty.duty === 'reseal') await reseal(party, log, round, duty.attempt, duty.holder, keep);
    else await forget(party, log, round);
    if (refused) refusals.add(dutyKey(duty), grounds!);
    else done.add(dutyKey(duty));
  });
}

function dutyKey(duty: NodeDuty): string {
  const attempt = duty.duty === 'confirm' || duty.duty === 'reseal' ? duty.attempt.close : '';
  return `${duty.duty} ${duty.round.id} ${attempt} ${duty.duty === 'reseal' ? duty.holder : ''}`;
}

function refuse(
  party: Party,
  event: 'round refused' | 'set refused',
  round: Round,
  refusal: Rejection,
): typeof REFUSED {
  const { rejected: code, why } = refusal;
  party.say(event, { round: round.record.number, code, why, until: LOOKED_AT_AGAIN });
  return REFUSED;
}

type Done = typeof REFUSED | undefined;

async function doUpload(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  round: Round,
  finished: FinishedUpdates,
  onReceipt: OnReceipt<Connection>,
): Promise<Done> {
  if (!hasUpload(party.rounds, round.id)) {
    const task = setting.tasks.find((t) => taskHashOf(primitives, t) === round.record.taskHash);
    if (task === undefined) {
      const why = "the task is not among this site's task files";
      party.say('round refused', { round: round.record.number, code: 'POLICY_REFUSES', why, until: FINAL });
      return;
    }
    const misfit = fitsTask(round.record, task);
    if (misfit !== null) {
      const { rejected: code, why } = misfit;
      party.say('round refused', { round: round.record.number, code, why, until: FINAL });
      return;
    }
    // Without what a crash may have left of this very round: without masks its charge is kept before its upload.
    const charged = await ownCharges(party, round.id);
    const refusal = mayUpload(setting.policy, log.transcript, round, party.name, charged);
    if (refusal !== null) return refuse(party, 'round refused', round, refusal);
    if (round.record.masking === 'none') {
      const prepared = await prepareLateOrNot(party, log, setting, { round, task, finished });
      if (isRejection(prepared)) return refuse(party, 'round refused', round, prepared);
      if (prepared) await sendUpload(party, round, onReceipt);
      return;
    }
    const model = await modelOrNull(party, log, round);
    if (model === null) return;
    const values = await setting.source.update(task, round, model, log.transcript);
    if (values === null) {
      party.say('nothing to send', { round: round.record.number, until: FINAL });
      return;
    }
    if (round.record.checkSums) setting.checkSums(round, values);
    await prepareUpload(party, log, setting.engine, round, values);
    wipe(values);
  }
  await sendUpload(party, round, onReceipt);
}

/** One confirmation per attempt: it is kept, with the charge it may lead to, before any of it is sent. */
async function confirm(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  round: Round,
  attempt: Attempt,
  onReceipt: OnReceipt<Connection>,
): Promise<Done> {
  const name = confirmFile(attempt);
  if (!party.rounds.has(round.id, name)) {
    // Again, since the upload: of two rounds that are open at once each may fit the site's budget, and both not.
    const charged = await ownCharges(party, round.id);
    const refusal = checkRound(setting.policy, log.transcript, round.record, party.name, charged);
    if (refusal !== null) return refuse(party, 'round refused', round, refusal);
    using secrets = readUpload(party.rounds, round.id).secrets;
    const context = await payloadContext(round.record, setting.engine);
    const own = attempt.cohort.find((upload) => upload.node === party.name)!;
    const checksum = await checksumOf(party, context, own.body.payloadHash, fromHex(attempt.close, 32));
    using fresh = new SecretBytes('attempt seed', rng(32));
    const place = { round, attempt, node: party.name };
    const made = makeConfirmation(primitives, rng, log.transcript, setting.policy, place, secrets, fresh, checksum);
    if (isRejection(made)) return refuse(party, 'set refused', round, made);
    await putCharge(party, round);
    const sealed = made.boxes.map((box) => box.sealed);
    const kept = encodeParts([fresh.bytes, party.leaf('confirm', made.body), made.correction, ...sealed]);
    party.rounds.write(round.id, name, kept);
    wipe(kept);
  }
  const kept = party.rounds.read(round.id, name)!;
  const [seed, leaf, correction, ...sealed] = decodeParts(kept);
  wipe(kept);
  wipe(seed!);
  const holders = [...round.record.members, ...round.record.recipients];
  const boxes = sealed.map((bytes, i) => ({ holder: holders[i]!.name, sealed: bytes }));
  const request = { leaf: leaf!, correction: correction!, boxes };
  await send(party, onReceipt, (r) => r.callOnce(AggregationService.confirm, request, REPLICA_MS));
  const bytes = correction!.length + leaf!.length + sealed.reduce((sum, box) => sum + box.length, 0);
  party.say('confirmed', { round: round.record.number, attempt: attempt.number, bytes });
}

/** What the boxes of an attempt were sealed from. @throws ProtocolError KEY_LOST */
function seedOf(party: Party, round: Round, attempt: Attempt): SecretBytes {
  if (round.record.masking === 'none') return sharingSeed(party.rounds, round.id);
  const kept = party.rounds.read(round.id, confirmFile(attempt));
  if (kept === null) throw new ProtocolError('KEY_LOST', 'the seed of the attempt is gone');
  const seed = new SecretBytes('attempt seed', decodeParts(kept)[0]!);
  wipe(kept);
  return seed;
}

async function reseal(
  party: Party,
  log: LogReader,
  round: Round,
  attempt: Attempt,
  holder: string,
  onReceipt: OnReceipt<Connection>,
): Promise<void> {
  using secrets = readUpload(party.rounds, round.id).secrets;
  using fresh = seedOf(party, round, attempt);
  const place = { round, attempt, node: party.name };
  const again = resealFor(primitives, rng, log.transcript, place, secrets, fresh, holder);
  const request = { leaf: party.leaf('reseal', again.body), box: { holder, sealed: again.sealed } };
  // To all of them at once: the one that took the first box may have lost it, and after the second there is no third.
  const sent = party.aggregators.map(async (aggregator) => {
    const { leafIndex } = await aggregator.callOnce(AggregationService.reseal, request, REPLICA_MS);
    onReceipt(aggregator, Number(leafIndex));
  });
  await Promise.any(sent).catch(({ errors }: AggregateError) => {
    throw errors[0];
  });
}

/** Runs a node until it is stopped. @param setting - made from the node's configuration, or by `node submit`. */
export async function runNode(
  folder: string,
  settingFor: (party: Party) => Promise<NodeSetting>,
  listen?: string,
): Promise<Running & { readonly log: LogReader }> {
  const party = await openParty(folder, undefined, listen);
  const setting = await settingFor(party);
  const refusals = new Refusals(setting.policyNow ?? (() => setting.policy), party.say);
  const finished = new FinishedUpdates();
  const memory: Memory = { done: new Set(), receipts: new Receipts(), refusals, finished };
  let isFirst = true;
  const { log, address, stop } = await runDuties(party, [], async (reader) => {
    if (isFirst) {
      await removeSpent(party, reader);
      await dropAllUndecided(party, reader.transcript);
    }
    isFirst = false;
    return act(party, reader, setting, memory);
  });
  const stopAndWipe = async (): Promise<void> => {
    await stop();
    finished[Symbol.dispose]();
  };
  return { address, log, stop: stopAndWipe };
}
