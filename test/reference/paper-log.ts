import { addSignatures, cosign, signCheckpoint } from '../../crypto/checkpoint.ts';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, type Json, toBase64, toHex, utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { makeSigner } from '../../crypto/note.ts';
import { deriveParameters, setCount } from '../../crypto/params.ts';
import { formatPolicy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { sign } from '../../crypto/signature.ts';
import { bundleBytes, TILE_WIDTH, tileBytes, tilePath, tilesOf } from '../../crypto/tiles.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { policyOf, witnessKeyName } from '../../protocols/log-policy.ts';
import { emptyTranscript } from '../../protocols/patch.ts';
import { chargeOf, type RoundRecord } from '../../protocols/record.ts';
import { takeLeaf } from '../../protocols/rules.ts';
import { approvalBytes, type QuorumChange } from '../../protocols/rules-membership.ts';
import { logIdOf, possessionBytes } from '../../protocols/rules-register.ts';
import { cohortHashOf, nextCohort } from '../../protocols/rules-round.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Attempt, Round, Transcript } from '../../protocols/transcript.ts';
import { NO_LOG } from '../../protocols/verified.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { remembering } from './remembering.ts';

/** What paper logs are written and read with: a test reads the same leaves many times. */
export const p = remembering(nodePrimitives);

export const ORIGIN = 'paper.veilsum.example/log';

export interface PaperSetting {
  readonly members: number;
  readonly threshold: number;
  readonly nodes: number;
  readonly recipients: number;
  readonly minOrganisations: number;
  readonly budgetRhoNano: number;
}

const SETTING: PaperSetting = {
  members: 3,
  threshold: 2,
  nodes: 4,
  recipients: 1,
  minOrganisations: 1,
  budgetRhoNano: 1_000_000_000,
};

/** Key generation is slow, and a name always has the same key. */
const KEM_KEYS = new Map<string, string>();

/** A leaf before it is signed, as a forger may want it. */
export interface Draft {
  v: number;
  kind: string;
  log: string;
  actor: string;
  time: number;
  body: unknown;
}

/** 32 bytes in hexadecimal that stand for something that is not made here. */
export const paperHash = (what: string): string => toHex(p.sha256(utf8(what)));

/**
 * A log of leaves alone: real signatures and keys, made-up payloads, boxes and shares. The rules look at nothing else, so
 * whoever holds every key (here: the test) can write any history. Deterministic.
 */
export class PaperLog {
  readonly setting: PaperSetting;
  leaves: Uint8Array[] = [];
  transcript: Transcript = emptyTranscript();
  #time = 1_700_000_000_000;
  readonly #seeds = new Map<string, SecretBytes>();

  constructor(setting: Partial<PaperSetting> = {}, edit: (genesis: Body<'genesis'>) => void = () => {}) {
    this.setting = { ...SETTING, ...setting };
    const genesis = this.genesis();
    edit(genesis);
    this.post('root', 'genesis', genesis, NO_LOG);
  }

  /** With nodes, recipients and the first model. */
  static founded(setting: Partial<PaperSetting> = {}): PaperLog {
    const log = new PaperLog(setting);
    for (const name of log.names('node', log.setting.nodes)) log.enrol(name, 'node');
    for (const name of log.recipients) log.enrol(name, 'recipient');
    log.model(null);
    return log;
  }

  /** With a leaf of every kind, as honest parties write it. */
  static everyKind(): PaperLog {
    const log = PaperLog.founded().until('confirms');
    const { hash } = log.attempt.confirms.get('node-1')!;
    log.post('member-1', 'complaint', { confirm: hash, code: 'SEED_MISMATCH' });
    log.post('node-1', 'reseal', { confirm: hash, holder: 'member-1', hash: log.attempt.close });
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    for (const member of log.members) log.post(member, 'answer', log.answer(member));
    log.post('recipient-1', 'release', log.release());
    log.post('root', 'quorum', log.quorumChange({ number: 1, members: log.members, threshold: 2 }, log.members));
    log.post('node-3', 'tls-key', log.tlsKey('node-3'));
    log.post('root', 'revoke', { name: 'node-4', reason: 'lost' });
    log.open(log.announced(2), { window: 'another', masking: 'none', oneShot: { buffer: 2, maxStaleness: 0 } });
    log.post('node-1', 'one-shot', log.oneShot('node-1'));
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    log.open(log.announced(3), { window: 'a third' });
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    return log;
  }

  /** What a site of this log allows. */
  sitePolicy(over: Partial<SitePolicy> = {}): SitePolicy {
    return {
      genesis: this.transcript.logId,
      tasks: ['lead-scoring'],
      recipients: ['recipient-1'],
      minCohort: 2,
      minOrganisations: 2,
      minHonest: 2,
      largestSharePercent: 60,
      budgetRhoNano: 1_000_000_000,
      allowCheckSums: false,
      ...over,
    };
  }

  names(role: string, count: number): string[] {
    return Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);
  }

  get members(): string[] {
    return this.names('member', this.setting.members);
  }

  get nodes(): string[] {
    return this.names('node', this.setting.nodes);
  }

  /** Whoever is sealed a box by every node. */
  get holders(): string[] {
    return [...this.members, ...this.recipients];
  }

  get recipients(): string[] {
    return this.names('recipient', this.setting.recipients);
  }

  seed(name: string): SecretBytes {
    const known = this.#seeds.get(name) ?? new SecretBytes(name, p.sha256(utf8(`seed ${name}`)));
    this.#seeds.set(name, known);
    return known;
  }

  key(name: string): string {
    return toBase64(p.ed25519PublicKey(this.seed(name).bytes));
  }

  kemKey(name: string): string {
    const known = KEM_KEYS.get(name) ?? toBase64(xwingKeyPair(p, this.seed(`kem ${name}`)).publicKey);
    KEM_KEYS.set(name, known);
    return known;
  }

  maskKey(name: string): string {
    return toBase64(p.x25519PublicKey(this.seed(`mask ${name}`).bytes));
  }

  party<R extends Body<'enrol'>['role']>(name: string, role: R, kemKey: string | null) {
    const tlsKeySha256 = paperHash(`tls ${name}`);
    return { name, role, organisation: `org-${name}`, region: 'here', key: this.key(name), kemKey, tlsKeySha256 };
  }

  genesis(): Body<'genesis'> {
    const { threshold, minOrganisations, budgetRhoNano } = this.setting;
    const witnesses = ['witness-1', 'witness-2'];
    const all = this.members.length + witnesses.length;
    const faulty = threshold - 1;
    return {
      origin: ORIGIN,
      rootKey: this.key('root'),
      logKey: this.key('log'),
      coordinator: this.party('coordinator', 'coordinator', null),
      members: this.members.map((name) => ({
        ...this.party(name, 'member', null),
        witnessKey: this.key(`${name} witness`),
      })),
      threshold,
      witnesses: witnesses.map((name) => ({ name, organisation: name, witnessKey: this.key(`${name} witness`) })),
      cosigning: { witnesses: all, needed: Math.floor((all + faulty) / 2) + 1, faulty },
      minimums: { cohort: 2, organisations: minOrganisations, honest: 2 },
      budget: { unit: 'record', rhoNano: budgetRhoNano, epsilonMicro: 100_000_000, deltaExponent: 5 },
      approvals: 'none',
    };
  }

  /** Signs whatever it is told to, with the key of `signer`. No form is checked. */
  raw(draft: Draft, signer = draft.actor): Uint8Array {
    const { v, kind, log, actor, time, body } = draft;
    const core = { v, kind, log, actor, time, body } as unknown as Json;
    const sig = toBase64(sign(p, this.seed(signer), DOMAIN.leaf, canonicalBytes(core)));
    return canonicalBytes({ ...(core as object), sig } as unknown as Json);
  }

  draft<K extends Kind>(actor: string, kind: K, body: Body<K>, log = this.transcript.logId): Draft {
    return { v: 1, kind, log, actor, time: ++this.#time, body };
  }

  leaf<K extends Kind>(actor: string, kind: K, body: Body<K>, log = this.transcript.logId): Uint8Array {
    return this.raw(this.draft(actor, kind, body, log));
  }

  /** Takes a leaf in. @returns its hash. @throws Error with the code, unless it counts. */
  take(bytes: Uint8Array): string {
    const taken = takeLeaf(p, this.transcript, bytes);
    if (taken.outcome !== 'counted') throw new Error(`${taken.rejection.rejected}: ${taken.rejection.why}`);
    this.transcript = taken.next;
    this.leaves.push(bytes);
    return taken.signed.hash;
  }

  post<K extends Kind>(actor: string, kind: K, body: Body<K>, log = this.transcript.logId): string {
    return this.take(this.leaf(actor, kind, body, log));
  }

  /** What the log says to a leaf: `counted`, or the code of the refusal. Changes the log only if it counts. */
  offer(bytes: Uint8Array): string {
    const taken = takeLeaf(p, this.transcript, bytes);
    if (taken.outcome === 'refused') return taken.rejection.rejected;
    this.transcript = taken.next;
    this.leaves.push(bytes);
    return taken.outcome === 'void' ? taken.rejection.rejected : 'counted';
  }

  enrolment(name: string, role: Body<'enrol'>['role'], over: Partial<Body<'enrol'>> = {}): Body<'enrol'> {
    const party = { ...this.party(name, role, this.kemKey(name)), ...over };
    const possession = toBase64(
      sign(p, this.seed(name), DOMAIN.enrolment, possessionBytes(this.transcript.logId, party)),
    );
    return { ...party, possession };
  }

  enrol(name: string, role: Body<'enrol'>['role']): string {
    return this.post('root', 'enrol', this.enrolment(name, role));
  }

  /** A change of the quorum with approvals. @param approved - what the approvers signed, where that is another change. */
  quorumChange(change: QuorumChange, approvers: readonly string[], approved = change): Body<'quorum'> {
    const bytes = approvalBytes(this.transcript.logId, approved);
    const approvals = approvers.map((member) => ({
      member,
      signature: toBase64(sign(p, this.seed(member), DOMAIN.quorumChange, bytes)),
    }));
    return { ...change, members: [...change.members], approvals };
  }

  /** A TLS key that nobody has had, in the place of the party's present one. */
  tlsKey(name: string, next = 'next'): Body<'tls-key'> {
    return {
      tlsKeySha256: paperHash(`${next} tls ${name}`),
      replaces: this.transcript.parties.get(name)!.tlsKeySha256,
    };
  }

  modelBody(decide: string | null): Body<'model'> {
    const number = this.transcript.models.length;
    return { number, modelHash: paperHash(`model ${number}`), modelBytes: 64, sealedHash: paperHash('sealed'), decide };
  }

  model(decide: string | null): string {
    return this.post('recipient-1', 'model', this.modelBody(decide));
  }

  announce(number: number): string {
    return this.post('coordinator', 'announce', { task: 'lead-scoring', number, recipients: this.recipients });
  }

  roundKey(name: string, announce: string): Body<'round-key'> {
    return { announce, kemKey: this.kemKey(`${name} ${announce}`) };
  }

  /** Announces a round and logs everybody's key for it. @returns the announcement. */
  announced(number: number): string {
    const announce = this.announce(number);
    for (const name of this.holders) {
      this.post(name, 'round-key', this.roundKey(name, announce));
    }
    return announce;
  }

  record(announce: string, over: Partial<RoundRecord> = {}): RoundRecord {
    const { members, threshold, minOrganisations } = this.setting;
    const { number, roundKeys } = this.transcript.announces.get(announce)!;
    const request = { dimension: 300, bits: 16, nodesMax: 16, minCohort: 2, minHonest: 2 };
    const parameters = deriveParameters({ ...request, members, threshold });
    const noise = { sigma2Numerator: '10000', sigma2Denominator: '1' };
    const sensitivity2 = '100';
    const holder = (name: string) => ({ name, roundKey: roundKeys.get(name)!.hash });
    const model = this.transcript.models.at(-1)!;
    return {
      version: 1,
      announce,
      number,
      task: 'lead-scoring',
      taskHash: paperHash('task'),
      window: '2026-Q4',
      retryOf: null,
      unit: 'record',
      masking: 'pairwise',
      approvals: 'none',
      checkSums: false,
      parameters: { ...parameters, primes: [...parameters.primes], primeBits: [...parameters.primeBits] },
      members: this.members.map(holder),
      recipients: this.recipients.map(holder),
      minOrganisations,
      noise,
      sensitivity2,
      clipMicro: 1_000_000,
      scale: 10,
      charge: { rhoNano: chargeOf({ noise, sensitivity2, parameters }) },
      modelHash: model.modelHash,
      modelNumber: model.number,
      maxAttempts: 4,
      maxLeaves: 10_000,
      uploadMs: 1000,
      confirmMs: 1000,
      ...over,
    };
  }

  open(announce: string, over: Partial<RoundRecord> = {}): Round {
    this.post('coordinator', 'open', { record: this.record(announce, over) });
    return this.round;
  }

  /** The round that was opened last. */
  get round(): Round {
    return [...this.transcript.rounds.values()].at(-1)!;
  }

  get attempt(): Attempt {
    return this.round.attempts.at(-1)!;
  }

  upload(node: string): Body<'upload'> {
    const { id, record } = this.round;
    const seen = { size: this.leaves.length, root: toHex(this.tree().root()) };
    return {
      round: id,
      key: this.maskKey(`${node} ${id}`),
      nonce: paperHash(`nonce ${node} ${id}`),
      payloadHash: paperHash(`payload ${node} ${id}`),
      payloadBytes: record.parameters.payloadBytes,
      seen,
    };
  }

  /** An upload of a round without masks. @param back - how many models ago it was trained. */
  oneShot(node: string, back = 0): Body<'one-shot'> {
    const { record } = this.round;
    const { key: _, ...upload } = this.upload(node);
    const model = this.transcript.models[record.modelNumber - back]!;
    return {
      ...upload,
      model: { number: model.number, hash: model.modelHash },
      ...this.sharing(record, `${node} ${this.round.id}`),
    };
  }

  close(): Body<'close'> {
    const cohort = nextCohort(this.transcript, this.round);
    return {
      round: this.round.id,
      attempt: this.round.attempts.length + 1,
      uploads: cohort.map((upload) => upload.index),
      cohortHash: cohortHashOf(p, cohort),
      sumHash: paperHash(`sum ${cohort.map((upload) => upload.index).join()}`),
    };
  }

  confirm(node: string): Body<'confirm'> {
    const { record } = this.round;
    const { close } = this.attempt;
    const checksum = Array.from({ length: 6 * record.parameters.primes.length }, (_, i) => i);
    return { close, modelHash: record.modelHash, ...this.sharing(record, `${node} ${close}`), checksum };
  }

  sharing(record: RoundRecord, of: string): Pick<Body<'confirm'>, 'correctionHash' | 'boxes' | 'seeds'> {
    const { members, threshold } = record.parameters;
    const named = (what: string) => paperHash(`${what} ${of}`);
    return {
      correctionHash: named('correction'),
      boxes: [...record.members, ...record.recipients].map(({ name }) => ({ holder: name, hash: named(name) })),
      seeds: Array.from({ length: setCount(members, threshold) + 1 }, (_, i) =>
        toBase64(p.sha256(utf8(named(`seed ${i}`)))),
      ),
    };
  }

  decide(): Body<'decide'> {
    const { round, attempt } = this;
    return {
      round: round.id,
      attempt: attempt.number,
      close: attempt.close,
      confirms: attempt.cohort.map((upload) => attempt.confirms.get(upload.node)!.index),
      sumHash: attempt.sumHash,
      correctionSumHash: paperHash('corrections'),
      rhoNano: round.record.charge.rhoNano,
    };
  }

  get decision(): string {
    return [...this.transcript.roundOfDecide].find(([, round]) => round === this.round.id)![0];
  }

  /** Every holder of a set logs the same hash for it. */
  answer(member: string, tag = 'share'): Body<'answer'> {
    const { record } = this.round;
    const { members, threshold } = record.parameters;
    const index = record.members.findIndex(({ name }) => name === member);
    const shares: string[] = [];
    for (const [set, holders] of setsOf(members, threshold).entries()) {
      if (holders.includes(index)) shares.push(paperHash(`${tag} ${set} ${this.decision}`));
    }
    const sealed = record.recipients.map(({ name }) => ({ recipient: name, hash: paperHash(`to ${name} ${member}`) }));
    return { decide: this.decision, shares, sealed };
  }

  release(): Body<'release'> {
    return { decide: this.decision, resultHash: paperHash(`result ${this.decision}`), liars: [] };
  }

  /** Goes on with the newest round up to and including a step. */
  until(
    step: 'open' | 'uploads' | 'close' | 'confirms' | 'ready' | 'decide' | 'answers' | 'release',
    number = 1,
  ): this {
    const all = (names: readonly string[], act: (name: string) => void): void => {
      for (const name of names) act(name);
    };
    const cohort = (): string[] => this.attempt.cohort.map(({ node }) => node);
    const steps: Record<string, () => void> = {
      open: () => this.open(this.announced(number)),
      uploads: () => all(this.nodes, (node) => this.post(node, 'upload', this.upload(node))),
      close: () => this.post('coordinator', 'close', this.close()),
      confirms: () => all(cohort(), (node) => this.post(node, 'confirm', this.confirm(node))),
      ready: () => all(this.holders, (holder) => this.post(holder, 'ready', { close: this.attempt.close })),
      decide: () => this.post('coordinator', 'decide', this.decide()),
      answers: () => all(this.members, (member) => this.post(member, 'answer', this.answer(member))),
      release: () => this.post('recipient-1', 'release', this.release()),
    };
    for (const [name, act] of Object.entries(steps)) {
      act();
      if (name === step) return this;
    }
    return this;
  }

  tree(leaves: readonly Uint8Array[] = this.leaves): HashTree {
    const tree = new HashTree(p);
    for (const leaf of leaves) tree.append(leafHash(p, leaf));
    return tree;
  }

  get policyFile(): Uint8Array {
    return formatPolicy(policyOf(p, this.genesis()));
  }

  /** A head over any leaves, signed by the log and by as many witnesses as one likes: what a malicious log can make. */
  head(
    leaves: readonly Uint8Array[] = this.leaves,
    options: { witnesses?: number; seconds?: number; origin?: string } = {},
  ): Uint8Array {
    const { witnesses = 99, seconds = 1_700_000_100, origin = ORIGIN } = options;
    const head = { origin, size: leaves.length, root: this.tree(leaves).root() };
    const note = signCheckpoint(p, makeSigner(p, 'ed25519', origin, this.seed('log')), head);
    const names = [...this.members, 'witness-1', 'witness-2'].slice(0, witnesses);
    const lines = names.map((name) =>
      cosign(
        p,
        makeSigner(p, 'cosignature', witnessKeyName(ORIGIN, name), this.seed(`${name} witness`)),
        note,
        seconds,
      ),
    );
    return addSignatures(note, lines);
  }

  /** The log's id of a genesis body. */
  static idOf(genesis: Body<'genesis'>): string {
    return logIdOf(p, genesis);
  }
}

function setsOf(members: number, threshold: number): number[][] {
  const sets: number[][] = [];
  const choose = (from: number, chosen: number[]): void => {
    if (chosen.length === members - threshold + 1) sets.push(chosen);
    else for (let next = from; next < members; next++) choose(next + 1, [...chosen, next]);
  };
  choose(0, []);
  return sets;
}

/** The files of a log over some leaves (C2SP tlog-tiles), without its checkpoint. */
export function filesOf(leaves: readonly Uint8Array[]): Map<string, Uint8Array> {
  const tree = new HashTree(p);
  for (const leaf of leaves) tree.append(leafHash(p, leaf));
  const files = new Map<string, Uint8Array>();
  for (const ref of tilesOf(leaves.length)) {
    const first = ref.index * TILE_WIDTH;
    const bytes =
      ref.kind === 'entries' ? bundleBytes(leaves.slice(first, first + ref.width)) : tileBytes(tree.read, ref);
    files.set(tilePath(ref), bytes);
  }
  return files;
}
