import { createChecksum } from '../../crypto/checksum.ts';
import { fromHex } from '../../crypto/encoding.ts';
import { ringShape } from '../../crypto/params.ts';
import { createEncryptor, type PayloadContext } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { openModel } from '../../protocols/model-box.ts';
import {
  type Confirmation,
  makeConfirmation,
  mayUpload,
  type NodeDuty,
  nodeDuties,
  RoundSecrets,
  resealFor,
  uploadBody,
} from '../../protocols/node.ts';
import { type RoundRecord, recordHashOf } from '../../protocols/record.ts';
import { checkRound } from '../../protocols/site-policy.ts';
import { type Attempt, decisionOf, isOver, newestModel, type Round } from '../../protocols/transcript.ts';
import { Receipts } from '../party/receipts.ts';
import { ROUNDS } from './disk.ts';
import { DIMENSION } from './founding.ts';
import { splitBlocks } from './memory-world.ts';
import type { Request } from './messages.ts';
import { CallFailed } from './network.ts';
import { CHARGES, confirmKey, type KeptConfirm, type KeptUpload, uploadKey } from './node-disk.ts';
import { accepted, type Services, type Task } from './process.ts';
import { ReaderProcess } from './reader-process.ts';
import type { Replica } from './replicas.ts';

/** A site's node, whose update is one-hot: 1 at its own coordinate. Mirrors src/party/node.ts, write by write. */
export class NodeProcess extends ReaderProcess {
  readonly services: Services = {};
  /** Duties that this process has done: its leaf may be in the log, but not yet in a cosigned head. */
  #done = new Set<string>();
  #receipts = new Receipts<Replica>(() => this.world.clock);
  #isFirst = true;

  protected override begin(): void {
    this.#done = new Set();
    this.#receipts = new Receipts<Replica>(() => this.world.clock);
    this.#isFirst = true;
    super.begin();
  }

  /** Whether anything of a round is left. */
  holds(round: string): boolean {
    return this.disk.keys(`${ROUNDS}${round}/`).length > 0;
  }

  protected *act(): Task<boolean> {
    if (this.#isFirst) {
      yield* this.#removeSpent();
      yield* this.#dropAllUndecided();
    }
    this.#isFirst = false;
    const duties = nodeDuties(this.t, this.name, (id) => this.holds(id));
    return yield* this.firstPossible(
      duties.filter((duty) => this.#isDue(dutyKey(duty))),
      (duty) => this.perform(duty),
    );
  }

  #isDue(duty: string): boolean {
    if (this.#receipts.takeFalse(duty, this.t.size) === null) return !this.#done.has(duty);
    this.say('receipt not borne out by the log');
    return true;
  }

  /** Sends a leaf with what belongs to it, and keeps who says that it is logged. */
  *#send<M extends 'upload' | 'confirm' | 'reseal'>(duty: string, method: M, request: Request<M>): Task {
    yield* this.askReplicas(this.replicas, method, request, (leafIndex, replica) =>
      this.#receipts.keep(duty, replica, leafIndex as number),
    );
  }

  protected *perform(duty: NodeDuty): Task {
    const { round } = duty;
    if (duty.duty === 'upload') yield* this.#upload(round);
    else if (duty.duty === 'confirm') yield* this.#confirm(round, duty.attempt);
    else if (duty.duty === 'reseal') yield* this.#reseal(round, duty.attempt, duty.holder);
    else yield* this.#forget(round);
    this.markDone(duty);
  }

  protected context(record: RoundRecord): PayloadContext {
    const { parameters } = record;
    const engine = this.founding.engine(ringShape(parameters));
    return { parameters, recordHash: recordHashOf(this.primitives, record), engine, primitives: this.primitives };
  }

  /** One-hot: nobody else's coordinate, and another one in each of four rounds in turn. */
  protected values(round: Round): Int32Array {
    const values = new Int32Array(DIMENSION);
    values[(round.record.number % 4) * 8 + this.founding.nodes.indexOf(this.name)] = 1;
    return values;
  }

  protected markDone(duty: NodeDuty): void {
    this.#done.add(dutyKey(duty));
  }

  /** Forgets that a duty was done, and what was kept of it. Honest nodes never do. */
  protected *forgetDuty(duty: NodeDuty): Task {
    const key = duty.duty === 'confirm' ? confirmKey(duty.round.id, duty.attempt.close) : uploadKey(duty.round.id);
    this.#done.delete(dutyKey(duty));
    yield* this.write([[key, null]]);
  }

  #charged(except = ''): number {
    let spent = 0;
    for (const key of this.disk.keys(CHARGES)) if (key !== CHARGES + except) spent += this.disk.get<number>(key)!;
    return spent;
  }

  *#upload(round: Round): Task {
    if (!this.disk.has(uploadKey(round.id))) {
      const refusal = mayUpload(this.founding.sitePolicy, this.t, round, this.name, this.#charged());
      if (refusal !== null) return this.say(`round refused: ${refusal.rejected}`);
      yield* this.#fetchModel(round.record.modelHash);
      yield* this.#prepare(round, this.values(round));
    }
    const { leaf, payloadHash } = this.disk.get<KeptUpload>(uploadKey(round.id))!;
    const payload = this.disk.get<Uint8Array>(`blobs/${payloadHash}`)!;
    yield* this.#send(dutyKey({ duty: 'upload', round }), 'upload', { leaf, payload });
  }

  *#fetchModel(modelHash: string): Task<Uint8Array> {
    const entry = this.t.models.findLast((model) => model.modelHash === modelHash);
    if (entry === undefined) throw new CallFailed('UNKNOWN_MODEL');
    const key = `blobs/${entry.sealedHash}`;
    if (!this.disk.has(key)) {
      const fetched = yield* this.call(this.setting.coordinator, 'getModel', entry.sealedHash);
      if (this.founding.hash(fetched) !== entry.sealedHash) throw new CallFailed('MODEL_MISMATCH');
      yield* this.write([[key, fetched]]);
    }
    const kem = this.founding.secret(`${this.name} kem`);
    const sealed = this.disk.get<Uint8Array>(key)!;
    return accepted(openModel(this.primitives, kem, this.t.logId, this.name, sealed, modelHash));
  }

  /** The payload first; last the file that says that the rest is complete. */
  *#prepare(round: Round, values: Int32Array): Task {
    const { rng } = this.founding;
    const context = this.context(round.record);
    using seed = new SecretBytes('upload seed', rng(32));
    using encryptor = createEncryptor(context, values, seed);
    const payload = this.tamperPayload(round, encryptor.block(0));
    const payloadHash = this.founding.hash(payload);
    this.setting.truth.plain.set(payloadHash, values.slice());
    yield* this.write([[`blobs/${payloadHash}`, payload]]);
    using secrets = new RoundSecrets(
      encryptor.key.slice(),
      new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
      new SecretBytes('mask key', rng(32)),
    );
    this.#keep('a one-time key', bytesOf(secrets.key));
    this.#keep('a mask key', secrets.maskSecret.bytes);
    this.#keep('an upload seed', seed.bytes);
    this.setting.truth.usedKey(this.name, this.founding.hash(bytesOf(secrets.key)), payloadHash);
    const header = { hash: payloadHash, bytes: payload.length };
    const body = uploadBody(this.primitives, rng, round, secrets, header, this.head);
    const kept: KeptUpload = {
      leaf: this.leaf('upload', body),
      payloadHash,
      key: secrets.key.slice(),
      updateHash: secrets.updateHash.bytes.slice(),
      maskSecret: secrets.maskSecret.bytes.slice(),
    };
    yield* this.write([[uploadKey(round.id), kept]]);
  }

  #keep(what: string, secret: Uint8Array): void {
    this.founding.secrecy.made(what, secret);
  }

  #secrets(round: Round): RoundSecrets {
    const kept = this.disk.get<KeptUpload>(uploadKey(round.id));
    if (kept === undefined) throw new CallFailed('KEY_LOST');
    return new RoundSecrets(
      this.tamperKey(round, kept.key.slice()),
      new SecretBytes('update hash', kept.updateHash.slice()),
      new SecretBytes('mask key', kept.maskSecret.slice()),
    );
  }

  *#confirm(round: Round, attempt: Attempt): Task {
    const { kit, rng, sitePolicy } = this.founding;
    const p = kit.primitives;
    const key = confirmKey(round.id, attempt.close);
    if (!this.disk.has(key)) {
      const charged = this.#charged(round.id);
      const refusal = checkRound(sitePolicy, this.t, round.record, this.name, charged);
      if (refusal !== null) return this.say(`round refused: ${refusal.rejected}`);
      using secrets = this.#secrets(round);
      const context = this.context(round.record);
      const own = attempt.cohort.find((upload) => upload.node === this.name)!;
      const payload = this.disk.get<Uint8Array>(`blobs/${own.body.payloadHash}`);
      if (payload === undefined) throw new CallFailed('NOT_FOUND');
      using checksum = createChecksum(context, fromHex(attempt.close, 32));
      for (const [block, wire] of splitBlocks(context, payload)) checksum.add(block, wire);
      using fresh = new SecretBytes('attempt seed', rng(32));
      this.#keep('an attempt seed', fresh.bytes);
      const place = { round, attempt, node: this.name };
      const value = checksum.value();
      const confirmation = makeConfirmation(p, rng, this.t, sitePolicy, place, secrets, fresh, value);
      if ('rejected' in confirmation) return this.say(`set refused: ${confirmation.rejected}`);
      const made = this.tamperConfirmation(round, confirmation);
      const seed = fresh.bytes.slice();
      yield* this.write([[CHARGES + round.id, round.record.charge.rhoNano]]);
      const kept: KeptConfirm = {
        seed,
        leaf: this.leaf('confirm', made.body),
        correction: made.correction,
        boxes: made.boxes,
      };
      yield* this.write([[key, kept]]);
    }
    const { leaf, correction, boxes } = this.disk.get<KeptConfirm>(key)!;
    this.setting.truth.confirmed(this.name, round, attempt, this.founding.hash(leaf));
    yield* this.#send(dutyKey({ duty: 'confirm', round, attempt }), 'confirm', { leaf, correction, boxes });
  }

  *#reseal(round: Round, attempt: Attempt, holder: string): Task {
    const { kit, rng } = this.founding;
    using secrets = this.#secrets(round);
    const kept = this.disk.get<KeptConfirm>(confirmKey(round.id, attempt.close));
    if (kept === undefined) throw new CallFailed('KEY_LOST');
    using fresh = new SecretBytes('attempt seed', kept.seed.slice());
    const place = { round, attempt, node: this.name };
    const again = resealFor(kit.primitives, rng, this.t, place, secrets, fresh, holder);
    const box = { holder, sealed: this.tamperReseal(again.sealed) };
    const body = { ...again.body, hash: this.founding.hash(box.sealed) };
    const duty = dutyKey({ duty: 'reseal', round, attempt, holder });
    yield* this.#send(duty, 'reseal', { leaf: this.leaf('reseal', body), box });
  }

  /** Blobs that are neither the payload of a round under way nor the newest model. */
  *#removeSpent(): Task {
    const uploads = this.disk.keys(ROUNDS).filter((key) => key.endsWith('/upload'));
    const wanted = new Set(uploads.map((key) => `blobs/${this.disk.get<KeptUpload>(key)!.payloadHash}`));
    wanted.add(`blobs/${newestModel(this.t)?.sealedHash}`);
    const spent = this.disk.keys('blobs/').filter((key) => !wanted.has(key));
    if (spent.length > 0) yield* this.write(spent.map((key) => [key, null]));
  }

  *#forget(round: Round): Task {
    // The charge first: once the round's files are gone, nothing asks for it again.
    yield* this.#dropUndecided(round);
    yield* this.write(this.disk.keys(`${ROUNDS}${round.id}/`).map((key) => [key, null]));
    yield* this.#removeSpent();
  }

  *#dropUndecided(round: Round): Task {
    if (decisionOf(round) === null) yield* this.write([[CHARGES + round.id, null]]);
  }

  /** Mirrors `dropAllUndecided` of src/party/charges.ts. */
  *#dropAllUndecided(): Task {
    for (const key of this.disk.keys(CHARGES)) {
      const round = this.t.rounds.get(key.slice(CHARGES.length));
      if (round !== undefined && isOver(this.t, round)) yield* this.#dropUndecided(round);
    }
  }

  /** An honest node sends what it made. Corrupt ones override these. */
  protected tamperPayload(_round: Round, payload: Uint8Array): Uint8Array {
    return payload;
  }
  protected tamperKey(_round: Round, key: Int16Array): Int16Array {
    return key;
  }
  protected tamperConfirmation(_round: Round, made: Confirmation): Confirmation {
    return made;
  }
  protected tamperReseal(sealed: Uint8Array): Uint8Array {
    return sealed;
  }
}

function bytesOf(key: Int16Array): Uint8Array {
  return new Uint8Array(key.buffer, key.byteOffset, key.byteLength);
}

function dutyKey(duty: NodeDuty): string {
  const attempt = duty.duty === 'confirm' || duty.duty === 'reseal' ? duty.attempt.close : '';
  return `${duty.duty} ${duty.round.id} ${attempt} ${duty.duty === 'reseal' ? duty.holder : ''}`;
}
