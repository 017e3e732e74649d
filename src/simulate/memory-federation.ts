import { createChecksum } from '../../crypto/checksum.ts';
import { DOMAIN } from '../../crypto/domain.ts';
import { concat, fromHex, toBase64, toHex } from '../../crypto/encoding.ts';
import type { RingEngine, RingShape } from '../../crypto/engine.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { makeSigner } from '../../crypto/note.ts';
import { deriveParameters, type RoundRequest, ringShape } from '../../crypto/params.ts';
import { blockBytes, createEncryptor, createSum, type PayloadContext } from '../../crypto/payload.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { sign } from '../../crypto/signature.ts';
import { addCorrections } from '../../protocols/aggregator.ts';
import { coordinatorDuties, type Patience } from '../../protocols/coordinator.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { witnessKeyName } from '../../protocols/log-policy.ts';
import { checkBox, makeAnswer, memberDuties } from '../../protocols/member.ts';
import { makeConfirmation, mayUpload, nodeDuties, RoundSecrets, resealFor, uploadBody } from '../../protocols/node.ts';
import { type Opening, openSum, recipientDuties } from '../../protocols/recipient.ts';
import { chargeOf, type RoundRecord, recordHashOf } from '../../protocols/record.ts';
import { logIdOf, possessionBytes } from '../../protocols/rules-register.ts';
import { cohortHashOf } from '../../protocols/rules-round.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Attempt, Round } from '../../protocols/transcript.ts';
import { makeLeaf, NO_LOG } from '../../protocols/verified.ts';
import { MemoryLog } from './memory-log.ts';

/** What a run in memory is made of. Everything that production takes from the platform is passed in. */
export interface MemorySetting {
  readonly primitives: Primitives;
  readonly rng: Rng;
  /** The engine that a party uses; parties may differ. */
  readonly engine: (shape: RingShape, party: string) => RingEngine;
  readonly nodes: number;
  readonly members: number;
  readonly threshold: number;
  readonly request: Pick<RoundRequest, 'dimension' | 'bits' | 'nodesMax' | 'minCohort' | 'minHonest'>;
  readonly budgetRhoNano: number;
  /** Per-node noise variance and squared sensitivity, integers; they set the charge. */
  readonly sigma2: bigint;
  readonly sensitivity2: bigint;
}

/** Where a party stops answering. The run goes on without it. */
export type Vanish = 'upload' | 'confirm' | 'round-key' | 'ready' | 'answer';

interface Kept {
  readonly secrets: RoundSecrets;
  readonly payload: Uint8Array;
  readonly fresh: Map<string, SecretBytes>;
}

const TASK = 'lead-scoring';

/**
 * All parties of a federation in one process over an in-memory wire: the same rules, duties and cryptography as in
 * production, without sockets and disks. Deterministic as far as its `rng` and primitives are.
 */
export class MemoryFederation {
  readonly log: MemoryLog;
  readonly blobs = new Map<string, Uint8Array>();
  readonly openings = new Map<string, Opening>();
  readonly refusals: Rejection[] = [];
  /** Parties that vanish at a step, by name. */
  readonly vanished = new Map<string, Vanish>();
  /** Lets a test change what a member answers or a node sends before it goes out. */
  tamper: <T>(what: 'share-seeds' | 'box' | 'payload' | 'answer', party: string, value: T) => T = (_w, _p, value) =>
    value;
  readonly setting: MemorySetting;
  #time = 1_700_000_000_000;
  #clock = 0;
  readonly #identities = new Map<string, SecretBytes>();
  readonly #roundKeys = new Map<string, SecretBytes>();
  readonly #kept = new Map<string, Kept>();
  readonly #seenAt = new Map<string, number>();
  readonly #engines = new Map<string, RingEngine>();

  constructor(setting: MemorySetting) {
    this.setting = setting;
    const p = setting.primitives;
    const origin = 'memory.veilsum.example/log';
    const cosigner = (name: string) =>
      makeSigner(p, 'cosignature', witnessKeyName(origin, name), this.#seed(`${name} witness`));
    const memberNames = Array.from({ length: setting.members }, (_, i) => `member-${i + 1}`);
    const witnessNames = ['witness-1', 'witness-2'];
    const witnesses = [...memberNames, ...witnessNames];
    const logSigner = makeSigner(p, 'ed25519', origin, this.#seed('log'));
    this.log = new MemoryLog(p, logSigner, witnesses.map(cosigner));
    const faulty = setting.threshold - 1;
    const genesis: Body<'genesis'> = {
      origin,
      rootKey: this.#key('root'),
      logKey: toBase64(logSigner.verifier.publicKey),
      coordinator: this.#party('coordinator', 'coordinator', null),
      members: memberNames.map((name) => ({
        ...this.#party(name, 'member', null),
        witnessKey: this.#key(`${name} witness`),
      })),
      threshold: setting.threshold,
      witnesses: witnessNames.map((name) => ({ name, organisation: name, witnessKey: this.#key(`${name} witness`) })),
      cosigning: { witnesses: witnesses.length, needed: Math.floor((witnesses.length + faulty) / 2) + 1, faulty },
      minimums: { cohort: 2, organisations: 1, honest: 2 },
      budget: { unit: 'record', rhoNano: setting.budgetRhoNano, epsilonMicro: 8_000_000, deltaExponent: 5 },
      approvals: 'none',
    };
    const bytes = makeLeaf(
      p,
      { name: 'root', log: NO_LOG, secret: this.#seed('root') },
      'genesis',
      genesis,
      this.#time,
    );
    this.#append(bytes);
    const log = logIdOf(p, genesis);
    for (const [name, role] of [
      ...this.nodeNames.map((n) => [n, 'node'] as const),
      ['recipient', 'recipient'] as const,
    ]) {
      const kemKey = toBase64(xwingKeyPair(p, this.#seed(`${name} kem`)).publicKey);
      const party = this.#party(name, role, kemKey);
      const possession = toBase64(sign(p, this.#seed(name), DOMAIN.enrolment, possessionBytes(log, party)));
      this.#post('root', 'enrol', { ...party, possession });
    }
    const model = setting.rng(64);
    this.#publishModel(model, null);
  }

  get nodeNames(): string[] {
    return Array.from({ length: this.setting.nodes }, (_, i) => `node-${i + 1}`);
  }

  get policy(): SitePolicy {
    return {
      genesis: this.log.transcript.logId,
      tasks: [TASK],
      recipients: ['recipient'],
      minCohort: 2,
      minOrganisations: 1,
      minHonest: 2,
      largestSharePercent: 100,
      budgetRhoNano: this.setting.budgetRhoNano,
      allowCheckSums: true,
    };
  }

  #seed(name: string): SecretBytes {
    const seed = this.#identities.get(name) ?? new SecretBytes(name, this.setting.rng(32));
    this.#identities.set(name, seed);
    return seed;
  }

  #key(name: string): string {
    return toBase64(this.setting.primitives.ed25519PublicKey(this.#seed(name).bytes));
  }

  #party<R extends Body<'enrol'>['role']>(name: string, role: R, kemKey: string | null) {
    const tlsKeySha256 = toHex(this.setting.primitives.sha256(this.#seed(`${name} tls`).bytes));
    return { name, role, organisation: name, region: 'here', key: this.#key(name), kemKey, tlsKeySha256 };
  }

  #append(bytes: Uint8Array): string | null {
    const signed = this.log.append(bytes);
    if (isRejection(signed)) {
      this.refusals.push(signed);
      return null;
    }
    this.#seenAt.set(signed.hash, this.#clock);
    return signed.hash;
  }

  #post<K extends Kind>(actor: string, kind: K, body: Body<K>): string | null {
    this.#time += 1;
    const signer = { name: actor, log: this.log.transcript.logId, secret: this.#seed(actor) };
    return this.#append(makeLeaf(this.setting.primitives, signer, kind, body, this.#time));
  }

  #put(bytes: Uint8Array): string {
    const hash = toHex(this.setting.primitives.sha256(bytes));
    this.blobs.set(hash, bytes);
    return hash;
  }

  #publishModel(model: Uint8Array, decide: string | null): void {
    const modelHash = toHex(this.setting.primitives.sha256(model));
    const number = this.log.transcript.models.length;
    this.#post('recipient', 'model', {
      number,
      modelHash,
      modelBytes: model.length,
      sealedHash: this.#put(model),
      decide,
    });
  }

  context(record: RoundRecord, party: string): PayloadContext {
    const shape = ringShape(record.parameters);
    const key = `${party} ${JSON.stringify(shape)}`;
    const engine = this.#engines.get(key) ?? this.setting.engine(shape, party);
    this.#engines.set(key, engine);
    const { primitives } = this.setting;
    return { parameters: record.parameters, recordHash: recordHashOf(primitives, record), engine, primitives };
  }

  /** The record of the next round over the keys that were announced. */
  #record(announce: string, number: number, members: readonly string[]): RoundRecord {
    const t = this.log.transcript;
    const { request, threshold, sigma2, sensitivity2 } = this.setting;
    const keys = t.announces.get(announce)!.roundKeys;
    const parameters = deriveParameters({ ...request, members: members.length, threshold });
    const noise = { sigma2Numerator: String(sigma2), sigma2Denominator: '1' };
    const model = t.models.at(-1)!;
    return {
      version: 1,
      announce,
      number,
      task: TASK,
      taskHash: '11'.repeat(32),
      window: `round-${number}`,
      unit: 'record',
      masking: 'pairwise',
      approvals: 'none',
      checkSums: false,
      parameters: { ...parameters, primes: [...parameters.primes], primeBits: [...parameters.primeBits] },
      members: members.map((name) => ({ name, roundKey: keys.get(name)!.hash })),
      recipients: [{ name: 'recipient', roundKey: keys.get('recipient')!.hash }],
      minOrganisations: 1,
      noise,
      sensitivity2: String(sensitivity2),
      clipMicro: 1_000_000,
      scale: 65_536,
      charge: { rhoNano: chargeOf({ noise, sensitivity2: String(sensitivity2), parameters }) },
      modelHash: model.modelHash,
      modelNumber: model.number,
      maxAttempts: 4,
      maxLeaves: 10_000,
      uploadMs: 1000,
      confirmMs: 1000,
    };
  }

  #gone(name: string, step: Vanish): boolean {
    return this.vanished.get(name) === step;
  }

  /** @returns whether anything was done. */
  #coordinate(): boolean {
    const patience: Patience = {
      now: this.#clock,
      since: (hash) => this.#seenAt.get(hash) ?? 0,
      roundKeyMs: 500,
      readyMs: 500,
      answerMs: 5000,
    };
    const [duty] = coordinatorDuties(this.log.transcript, patience);
    if (duty === undefined) return false;
    if (duty.duty === 'open') {
      const record = this.#record(duty.announce.hash, duty.announce.number, duty.members);
      return this.#post('coordinator', 'open', { record }) !== null;
    }
    if (duty.duty === 'abort')
      return this.#post('coordinator', 'abort', { round: duty.round.id, reason: duty.reason }) !== null;
    if (duty.duty === 'close') {
      const { round, attempt, cohort } = duty;
      const sumHash = this.#sum(
        round,
        cohort.map((upload) => upload.body.payloadHash),
      );
      const uploads = cohort.map((upload) => upload.index);
      return (
        this.#post('coordinator', 'close', {
          round: round.id,
          attempt,
          uploads,
          cohortHash: cohortHashOf(this.setting.primitives, cohort),
          sumHash,
        }) !== null
      );
    }
    const { attempt, record, id } = duty.round;
    const confirms = attempt.cohort.map((upload) => attempt.confirms.get(upload.node)!);
    const corrections = confirms.map((confirm) => this.blobs.get(confirm.body.correctionHash)!);
    return (
      this.#post('coordinator', 'decide', {
        round: id,
        attempt: attempt.number,
        close: attempt.close,
        confirms: confirms.map((confirm) => confirm.index),
        sumHash: attempt.sumHash,
        correctionSumHash: this.#put(addCorrections(record, corrections)),
        rhoNano: record.charge.rhoNano,
      }) !== null
    );
  }

  #sum(round: Round, payloads: readonly string[]): string {
    const context = this.context(round.record, 'aggregator');
    using sum = createSum(context);
    for (const hash of payloads) {
      for (const [block, wire] of splitBlocks(context, this.blobs.get(hash)!)) sum.add(block, wire);
    }
    const blocks = Array.from({ length: context.parameters.blocks }, (_, block) => sum.block(block));
    return this.#put(concat(...blocks));
  }

  #actNode(name: string, updates: ReadonlyMap<string, Int32Array>): boolean {
    const t = this.log.transcript;
    const duty = nodeDuties(t, name, (id) => this.#kept.has(`${name} ${id}`))[0];
    if (duty === undefined) return false;
    const slot = `${name} ${duty.round.id}`;
    if (duty.duty === 'forget') {
      this.#kept.get(slot)!.secrets[Symbol.dispose]();
      return this.#kept.delete(slot);
    }
    if (duty.duty === 'upload') {
      const values = updates.get(name);
      return values !== undefined && !this.#gone(name, 'upload') && this.#upload(name, duty.round, values);
    }
    if (duty.duty === 'confirm') return !this.#gone(name, 'confirm') && this.#confirm(name, duty.round, duty.attempt);
    const kept = this.#kept.get(slot)!;
    const { primitives, rng } = this.setting;
    const place = { round: duty.round, attempt: duty.attempt, node: name };
    const again = resealFor(primitives, rng, t, place, kept.secrets, kept.fresh.get(duty.attempt.close)!, duty.holder);
    this.#put(again.sealed);
    return this.#post(name, 'reseal', again.body) !== null;
  }

  #upload(name: string, round: Round, values: Int32Array): boolean {
    const { primitives: p, rng } = this.setting;
    const refusal = mayUpload(this.policy, this.log.transcript, round, name, 0);
    if (refusal !== null) {
      this.refusals.push(refusal);
      return false;
    }
    const context = this.context(round.record, name);
    using seed = new SecretBytes('upload seed', rng(32));
    using encryptor = createEncryptor(context, values, seed);
    const blocks = Array.from({ length: context.parameters.blocks }, (_, block) => encryptor.block(block));
    const payload = this.tamper('payload', name, concat(...blocks));
    const secrets = new RoundSecrets(
      encryptor.key.slice(),
      new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
      new SecretBytes('mask key', rng(32)),
    );
    this.#kept.set(`${name} ${round.id}`, { secrets, payload, fresh: new Map() });
    const seen = { size: this.log.leaves.length, root: this.log.root() };
    return (
      this.#post(
        name,
        'upload',
        uploadBody(p, rng, round, secrets, { hash: this.#put(payload), bytes: payload.length }, seen),
      ) !== null
    );
  }

  #confirm(name: string, round: Round, attempt: Attempt): boolean {
    const { primitives: p, rng } = this.setting;
    const { secrets, payload, fresh } = this.#kept.get(`${name} ${round.id}`)!;
    const context = this.context(round.record, name);
    using checksum = createChecksum(context, fromHex(attempt.close, 32));
    for (const [block, wire] of splitBlocks(context, payload)) checksum.add(block, wire);
    const seed = new SecretBytes('attempt seed', rng(32));
    fresh.set(attempt.close, seed);
    const place = { round, attempt, node: name };
    const made = makeConfirmation(p, rng, this.log.transcript, this.policy, place, secrets, seed, checksum.value());
    if (isRejection(made)) {
      this.refusals.push(made);
      return false;
    }
    const sent = this.tamper('box', name, made);
    this.#put(sent.correction);
    for (const box of sent.boxes) this.#put(box.sealed);
    return this.#post(name, 'confirm', sent.body) !== null;
  }

  #roundKey(name: string, announce: string): boolean {
    const seed = new SecretBytes('round key', this.setting.rng(32));
    this.#roundKeys.set(`${name} ${announce}`, seed);
    const kemKey = toBase64(xwingKeyPair(this.setting.primitives, seed).publicKey);
    return this.#post(name, 'round-key', { announce, kemKey }) !== null;
  }

  #forget(name: string, announce: string): boolean {
    this.#roundKeys.get(`${name} ${announce}`)!.wipe();
    return this.#roundKeys.delete(`${name} ${announce}`);
  }

  #actMember(name: string): boolean {
    const { primitives: p, rng } = this.setting;
    const t = this.log.transcript;
    const [duty] = memberDuties(t, name, (announce) => this.#roundKeys.has(`${name} ${announce}`));
    if (duty === undefined) return false;
    if (duty.duty === 'round-key') return !this.#gone(name, 'round-key') && this.#roundKey(name, duty.announce.hash);
    if (duty.duty === 'forget') return this.#forget(name, duty.announce.hash);
    if (this.#gone(name, duty.duty === 'answer' ? 'answer' : 'ready')) return false;
    const { round } = duty;
    const attempt = duty.duty === 'answer' ? duty.decision.attempt : duty.attempt;
    const roundKey = this.#roundKeys.get(`${name} ${round.record.announce}`)!;
    const seeds = new Map<string, readonly SecretBytes[]>();
    for (const confirm of attempt.confirms.values()) {
      const resealed = attempt.complaints.get(confirm.hash)?.get(name)?.resealed;
      const hash = resealed ?? confirm.body.boxes.find((box) => box.holder === name)!.hash;
      const checked = checkBox(p, roundKey, round, attempt, confirm, name, this.blobs.get(hash) ?? null);
      if (!('seeds' in checked)) return this.#post(name, 'complaint', checked) !== null;
      seeds.set(confirm.node, checked.seeds);
    }
    if (duty.duty === 'check-boxes') return this.#post(name, 'ready', { close: attempt.close }) !== null;
    const answer = makeAnswer(p, rng, t, round, duty.decision, name, this.tamper('share-seeds', name, seeds));
    for (const { sealed } of answer.sealed) this.#put(sealed);
    return this.#post(name, 'answer', answer.body) !== null;
  }

  #actRecipient(name: string): boolean {
    const { primitives: p } = this.setting;
    const t = this.log.transcript;
    const duties = recipientDuties(t, name, (announce) => this.#roundKeys.has(`${name} ${announce}`));
    const duty = duties.find((d) => d.duty !== 'next-model' && d.duty !== 'first-model');
    if (duty === undefined) return false;
    if (duty.duty === 'round-key') return this.#roundKey(name, duty.announce.hash);
    if (duty.duty === 'forget') return this.#forget(name, duty.announce.hash);
    if (duty.duty !== 'open') return false;
    const { round, decision } = duty;
    // All that will answer have: an opening that fails is final, so it is not tried before.
    const context = this.context(round.record, name);
    const sum = new Map(splitBlocks(context, this.blobs.get(decision.body.sumHash)!));
    const opened = openSum(p, {
      context,
      round,
      decision,
      recipient: name,
      roundKey: this.#roundKeys.get(`${name} ${round.record.announce}`)!,
      correctionSum: this.blobs.get(decision.body.correctionSumHash)!,
      boxes: new Map(
        [...decision.attempt.confirms.values()].map((c) => [c.node, this.blobs.get(c.body.boxes.at(-1)!.hash)!]),
      ),
      answers: new Map(
        [...decision.answers].map(([member, { body }]) => [
          member,
          this.tamper('answer', member, this.blobs.get(body.sealed[0]!.hash)!),
        ]),
      ),
      block: (block) => sum.get(block)!,
    });
    if (isRejection(opened)) {
      this.refusals.push(opened);
      const reason =
        opened.rejected === 'KEY_DOES_NOT_FIT' || opened.rejected === 'CHECKSUM_MISMATCH'
          ? opened.rejected
          : 'TOO_FEW_ANSWERS';
      return this.#post(name, 'abort', { round: round.id, reason }) !== null;
    }
    this.openings.set(round.id, opened);
    return (
      this.#post(name, 'release', {
        decide: decision.hash,
        resultHash: opened.resultHash,
        liars: [...opened.liars],
      }) !== null
    );
  }

  /**
   * Runs one round to its end: every party does its duties; when nobody has one, time passes.
   *
   * @param updates - d integers per node.
   * @returns the round as the log has it.
   */
  runRound(number: number, updates: ReadonlyMap<string, Int32Array>): Round {
    const announced = this.#post('coordinator', 'announce', { task: TASK, number, recipients: ['recipient'] });
    if (announced === null) throw new ProtocolError('UNKNOWN_ANNOUNCE', 'the round could not be announced');
    const members = Array.from({ length: this.setting.members }, (_, i) => `member-${i + 1}`);
    for (let idle = 0; idle < 80; ) {
      let acted = this.#coordinate();
      for (const name of this.nodeNames) acted = this.#actNode(name, updates) || acted;
      for (const name of members) acted = this.#actMember(name) || acted;
      if (!acted) acted = this.#actRecipient('recipient');
      if (acted) idle = 0;
      else {
        this.#clock += 250;
        idle++;
      }
      const round = this.log.transcript.rounds.get(this.log.transcript.announces.get(announced)?.openedAs ?? '');
      if (!acted && round !== undefined && (round.phase === 'released' || round.phase === 'aborted')) return round;
    }
    throw new ProtocolError('ROUND_RUNNING', 'the round did not end');
  }

  /** Publishes the next model after a released round. */
  nextModel(round: Round): void {
    if (round.phase !== 'released') throw new ProtocolError('NOT_RELEASED', 'the round has no result');
    this.#publishModel(this.setting.rng(64), round.decision.hash);
  }

  /** Secrets of ended rounds that are still held: none, after a run. */
  get heldSecrets(): number {
    return this.#kept.size + this.#roundKeys.size;
  }
}

/** Blocks of a payload with their numbers. */
export function* splitBlocks(context: PayloadContext, payload: Uint8Array): Generator<[number, Uint8Array]> {
  for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
    const bytes = blockBytes(context.parameters, block);
    yield [block, payload.subarray(at, at + bytes)];
    at += bytes;
  }
}
