import { createChecksum } from '../../crypto/checksum.ts';
import { fromHex } from '../../crypto/encoding.ts';
import { blockBytes, createEncryptor, type PayloadContext } from '../../crypto/payload.ts';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import {
  makeConfirmation,
  mayUpload,
  type NodeDuty,
  nodeDuties,
  RoundSecrets,
  resealFor,
  uploadBody,
} from '../../protocols/node.ts';
import { checkRound, type SitePolicy } from '../../protocols/site-policy.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { fitsTask } from '../../protocols/task-fit.ts';
import { type Attempt, newestModel, type Round } from '../../protocols/transcript.ts';
import { AggregationService } from '../grpc/services.ts';
import { upload } from '../grpc/upload.ts';
import type { BlobReader } from '../store/port.ts';
import { dropAllUndecided, dropUndecided, ownCharges, putCharge } from './charges.ts';
import { firstPossible } from './duty-loop.ts';
import { type EngineChoice, payloadContext } from './engines.ts';
import { askReplicas, REPLICA_MS } from './fetch.ts';
import type { LogReader } from './log-reader.ts';
import { modelOrNull } from './node-model.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { openParty, type Party, primitives, rng, runDuties } from './party.ts';
import { putBlocks } from './payload-sums.ts';
import { FINAL, LOOKED_AT_AGAIN, Refusals } from './refusals.ts';
import type { Running } from './running.ts';
import { hasUpload, payloadOf, readUpload, writeUpload } from './upload-file.ts';

/** Where a node's update comes from. */
export interface UpdateSource {
  /**
   * @param model - the round's model, as its bytes.
   * @returns d integers: quantised, with this node's part of the noise. Null: this node has nothing to send.
   */
  update(task: Task, round: Round, model: Uint8Array): Promise<Int32Array | null>;
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

/** Encrypts an update block by block into the node's own store, then keeps the round's secrets and the upload leaf. */
async function prepareUpload(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  round: Round,
  values: Int32Array,
): Promise<void> {
  const context = await payloadContext(round.record, setting.engine);
  using seed = new SecretBytes('upload seed', rng(32));
  using encryptor = createEncryptor(context, values, seed);
  const blocks = function* () {
    for (let block = 0; block < context.parameters.blocks; block++) yield encryptor.block(block);
  };
  const { hash, lengthBytes } = await putBlocks(party.store, blocks());
  using secrets = new RoundSecrets(
    encryptor.key.slice(),
    new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
    new SecretBytes('mask key', rng(32)),
  );
  const body = uploadBody(primitives, rng, round, secrets, { hash, bytes: lengthBytes }, log.head!);
  // Last, because it says that the rest is complete: without it a restarted node begins anew, under a new key.
  writeUpload(party.rounds, round.id, party.leaf('upload', body), hash, secrets);
}

async function sendUpload(party: Party, round: Round): Promise<void> {
  const { leaf, payloadHash, secrets } = readUpload(party.rounds, round.id);
  secrets[Symbol.dispose]();
  using payload: BlobReader = await party.store.blobs.open(payloadHash);
  const header = { roundId: fromHex(round.id, 32), leaf };
  const receipt = await upload(party.aggregators, AggregationService.upload, header, payload);
  party.say('uploaded', { round: round.record.number, bytes: payload.lengthBytes, leaf: Number(receipt.leafIndex) });
}

/** What a duty answers that the site does not allow as things stand. Nothing was sent for it. */
const REFUSED = 'refused';

async function act(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  done: Set<string>,
  refusals: Refusals,
): Promise<boolean> {
  const t = log.transcript;
  const duties = nodeDuties(t, party.name, (id) => party.rounds.holds(id)).filter((duty) => !done.has(dutyKey(duty)));
  if (duties.length === 0) return false;
  const grounds = refusals.grounds(t, party.name, await ownCharges(party));
  const current = (): NodeSetting => ({ ...setting, policy: grounds!.policy });
  const isOpen = (duty: NodeDuty): boolean => {
    if (duty.duty !== 'upload' && duty.duty !== 'confirm') return true;
    return grounds !== null && !refusals.has(dutyKey(duty), grounds);
  };
  return firstPossible(duties.filter(isOpen), async (duty) => {
    const { round } = duty;
    let refused = false;
    if (duty.duty === 'upload') refused = (await doUpload(party, log, current(), round)) === REFUSED;
    else if (duty.duty === 'confirm') refused = (await confirm(party, log, current(), round, duty.attempt)) === REFUSED;
    else if (duty.duty === 'reseal') await reseal(party, log, round, duty.attempt, duty.holder);
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

async function doUpload(party: Party, log: LogReader, setting: NodeSetting, round: Round): Promise<Done> {
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
    const refusal = mayUpload(setting.policy, log.transcript, round, party.name, await ownCharges(party));
    if (refusal !== null) return refuse(party, 'round refused', round, refusal);
    const model = await modelOrNull(party, log, round);
    if (model === null) return;
    const values = await setting.source.update(task, round, model);
    if (values === null) {
      party.say('nothing to send', { round: round.record.number, until: FINAL });
      return;
    }
    if (round.record.checkSums) setting.checkSums(round, values);
    await prepareUpload(party, log, setting, round, values);
    wipe(values);
  }
  await sendUpload(party, round);
}

/** rho_i over the node's own payload. */
async function checksumOf(
  party: Party,
  context: PayloadContext,
  payloadHash: string,
  closeHash: Uint8Array,
): Promise<Uint32Array> {
  using payload = await party.store.blobs.open(payloadHash);
  using checksum = createChecksum(context, closeHash);
  for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
    const bytes = blockBytes(context.parameters, block);
    checksum.add(block, await payload.read(at, bytes));
    at += bytes;
  }
  return checksum.value();
}

/** One confirmation per attempt: it is kept, with the charge it may lead to, before any of it is sent. */
async function confirm(
  party: Party,
  log: LogReader,
  setting: NodeSetting,
  round: Round,
  attempt: Attempt,
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
  await askReplicas(party.aggregators, (r) => r.callOnce(AggregationService.confirm, request, REPLICA_MS));
  const bytes = correction!.length + leaf!.length + sealed.reduce((sum, box) => sum + box.length, 0);
  party.say('confirmed', { round: round.record.number, attempt: attempt.number, bytes });
}

async function reseal(party: Party, log: LogReader, round: Round, attempt: Attempt, holder: string): Promise<void> {
  using secrets = readUpload(party.rounds, round.id).secrets;
  const kept = party.rounds.read(round.id, confirmFile(attempt));
  if (kept === null) throw new ProtocolError('KEY_LOST', 'the seed of the attempt is gone');
  using fresh = new SecretBytes('attempt seed', decodeParts(kept)[0]!);
  wipe(kept);
  const place = { round, attempt, node: party.name };
  const again = resealFor(primitives, rng, log.transcript, place, secrets, fresh, holder);
  const request = { leaf: party.leaf('reseal', again.body), box: { holder, sealed: again.sealed } };
  await askReplicas(party.aggregators, (r) => r.callOnce(AggregationService.reseal, request, REPLICA_MS));
}

/**
 * Removes every blob that is neither the payload of a round under way nor the newest model: payloads of ended rounds, what
 * a crash left between a payload and the file that names it, models of earlier rounds.
 */
async function removeSpent(party: Party, log: LogReader): Promise<void> {
  const payloads = party.rounds.held.map((round) => payloadOf(party.rounds, round));
  const wanted = new Set([...payloads, newestModel(log.transcript)?.sealedHash]);
  const blobs = await party.store.blobs.list();
  await party.store.blobs.removeAll(blobs.map(({ hash }) => hash).filter((hash) => !wanted.has(hash)));
}

/** The round has ended: every secret of it is wiped, and a charge that never came to a decision is taken back. */
async function forget(party: Party, log: LogReader, round: Round): Promise<void> {
  // The charge first: once the round's files are gone, nothing asks for it again.
  await dropUndecided(party, round);
  party.rounds.forget(round.id);
  await removeSpent(party, log);
  party.say('round ended', { round: round.record.number, phase: round.phase });
}

/** Runs a node until it is stopped. @param setting - made from the node's configuration, or by `node submit`. */
export async function runNode(
  folder: string,
  settingFor: (party: Party) => Promise<NodeSetting>,
  listen?: string,
): Promise<Running & { readonly log: LogReader }> {
  const party = await openParty(folder, undefined, listen);
  const setting = await settingFor(party);
  const done = new Set<string>();
  const refusals = new Refusals(setting.policyNow ?? (() => setting.policy), party.say);
  let isFirst = true;
  const { log, address, stop } = await runDuties(party, [], async (reader) => {
    if (isFirst) {
      await removeSpent(party, reader);
      await dropAllUndecided(party, reader.transcript);
    }
    isFirst = false;
    return act(party, reader, setting, done, refusals);
  });
  return { address, log, stop };
}
