import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { addSignatures, cosign, signCheckpoint } from '../crypto/checkpoint.ts';
import { DOMAIN } from '../crypto/domain.ts';
import { toBase64, toHex } from '../crypto/encoding.ts';
import { HashTree } from '../crypto/hash-tree.ts';
import { xwingKeyPair } from '../crypto/hpke.ts';
import { leafHash } from '../crypto/merkle.ts';
import { makeSigner } from '../crypto/note.ts';
import { setCount } from '../crypto/params.ts';
import { formatPolicy } from '../crypto/policy.ts';
import { SecretBytes } from '../crypto/secret.ts';
import { heldBy, subsets } from '../crypto/sharing.ts';
import { sign } from '../crypto/signature.ts';
import { bundleBytes, TILE_WIDTH, type TileRef, tileBytes, tilePath, tilesOf } from '../crypto/tiles.ts';
import { budgetRhoNano } from '../protocols/accountant.ts';
import type { Body, Kind } from '../protocols/leaves.ts';
import { policyOf, witnessKeyName } from '../protocols/log-policy.ts';
import { emptyTranscript } from '../protocols/patch.ts';
import { takeLeaf } from '../protocols/rules.ts';
import { possessionBytes } from '../protocols/rules-register.ts';
import { cohortHashOf, nextCohort } from '../protocols/rules-round.ts';
import { recordOf, type Task } from '../protocols/task.ts';
import type { Round } from '../protocols/transcript.ts';
import { makeLeaf, NO_LOG } from '../protocols/verified.ts';
import { nodePrimitives as p } from '../src/platform/primitives-node.ts';
import { systemRng as rng } from '../src/platform/rng.ts';
import { benchTask } from './bench-task.ts';

const ORIGIN = 'bench.veilsum.example/log';
const MEMBERS = 5;
const THRESHOLD = 3;
const NODES = 100;
const sets = subsets(MEMBERS, THRESHOLD);

const REQUEST = { dimension: 10_000, bits: 16, nodesMax: 128, minCohort: 10, minHonest: 5 };
const TASK: Task = {
  ...benchTask(REQUEST.dimension),
  ...REQUEST,
  task: 'lead-scoring',
  window: '2026-Q4',
  noise: { sigma2Numerator: '4000000', sigma2Denominator: '1' },
  sensitivity2: '100',
  scale: 10,
  maxLeaves: 10_000,
  uploadMs: 1000,
  confirmMs: 1000,
};

/** The writer's own signatures are not verified while they are made: the audit does that. */
const writing = { ...p, ed25519Verify: () => true };

const hash = (): string => toHex(rng(32));

/**
 * A log of rounds of 100 nodes and a quorum of 3 of 5, taken in by the rules, with real keys and signatures. What no rule
 * reads (payloads, boxes, shares) is random: its hashes look like any.
 */
class BenchLog {
  transcript = emptyTranscript();
  readonly tree = new HashTree(p);
  #time = 1_700_000_000_000;
  #pending: Uint8Array[] = [];
  readonly #folder: string;
  readonly #seeds = new Map<string, SecretBytes>();
  readonly members = Array.from({ length: MEMBERS }, (_, i) => `member-${i + 1}`);
  readonly nodes = Array.from({ length: NODES }, (_, i) => `node-${i + 1}`);

  constructor(folder: string) {
    this.#folder = folder;
    this.post('root', 'genesis', this.#genesis());
    for (const name of [...this.nodes, 'recipient']) {
      const role = name === 'recipient' ? 'recipient' : 'node';
      const party = this.#party(name, role, toBase64(xwingKeyPair(p, this.#seed(`${name} kem`)).publicKey));
      const proof = possessionBytes(this.transcript.logId, party);
      this.post('root', 'enrol', {
        ...party,
        possession: toBase64(sign(p, this.#seed(name), DOMAIN.enrolment, proof)),
      });
    }
    this.#model(null);
  }

  #seed(name: string): SecretBytes {
    const seed = this.#seeds.get(name) ?? new SecretBytes(name, rng(32));
    this.#seeds.set(name, seed);
    return seed;
  }

  #key(name: string): string {
    return toBase64(p.ed25519PublicKey(this.#seed(name).bytes));
  }

  #party<R extends Body<'enrol'>['role']>(name: string, role: R, kemKey: string | null) {
    return { name, role, organisation: name, region: 'here', key: this.#key(name), kemKey, tlsKeySha256: hash() };
  }

  #genesis(): Body<'genesis'> {
    const witnesses = ['witness-1', 'witness-2'];
    return {
      origin: ORIGIN,
      rootKey: this.#key('root'),
      logKey: this.#key('log'),
      coordinator: this.#party('coordinator', 'coordinator', null),
      members: this.members.map((name) => ({
        ...this.#party(name, 'member', null),
        witnessKey: this.#key(`${name} witness`),
      })),
      threshold: THRESHOLD,
      witnesses: witnesses.map((name) => ({ name, organisation: name, witnessKey: this.#key(`${name} witness`) })),
      cosigning: { witnesses: 7, needed: 5, faulty: 2 },
      minimums: { cohort: 10, organisations: 2, honest: 5 },
      budget: { unit: 'record', rhoNano: Number(budgetRhoNano(8, 1e-5)), epsilonMicro: 8_000_000, deltaExponent: 5 },
      approvals: 'none',
    };
  }

  /** @returns the leaf's hash. @throws Error with the code, unless it counts. */
  post<K extends Kind>(actor: string, kind: K, body: Body<K>): string {
    const log = kind === 'genesis' ? NO_LOG : this.transcript.logId;
    const bytes = makeLeaf(p, { name: actor, log, secret: this.#seed(actor) }, kind, body, ++this.#time);
    const taken = takeLeaf(writing, this.transcript, bytes);
    if (taken.outcome !== 'counted') throw new Error(`${kind}: ${taken.rejection.rejected}: ${taken.rejection.why}`);
    this.transcript = taken.next;
    this.tree.append(leafHash(p, bytes));
    this.#pending.push(bytes);
    if (this.#pending.length === TILE_WIDTH) {
      const index = this.tree.size / TILE_WIDTH - 1;
      this.#write({ kind: 'entries', level: 0, index, width: TILE_WIDTH }, bundleBytes(this.#pending));
      this.#pending = [];
    }
    return taken.signed.hash;
  }

  #write(ref: TileRef, bytes: Uint8Array): void {
    const path = join(this.#folder, tilePath(ref));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }

  #model(decide: string | null): void {
    const number = this.transcript.models.length;
    this.post('recipient', 'model', { number, modelHash: hash(), modelBytes: 64, sealedHash: hash(), decide });
  }

  #open(): Round {
    const number = this.transcript.announces.size + 1;
    const announced = this.post('coordinator', 'announce', { task: TASK.task, number, recipients: TASK.recipients });
    for (const name of [...this.members, 'recipient']) {
      const { publicKey } = xwingKeyPair(p, new SecretBytes('round key', rng(32)));
      this.post(name, 'round-key', { announce: announced, kemKey: toBase64(publicKey) });
    }
    const announce = this.transcript.announces.get(announced)!;
    const record = recordOf(p, this.transcript, TASK, announce, this.members, this.transcript.models.at(-1)!);
    this.post('coordinator', 'open', { record });
    return this.#round;
  }

  get #round(): Round {
    return this.transcript.rounds.get([...this.transcript.announces.values()].at(-1)!.openedAs!)!;
  }

  #confirm(round: Round, node: string): void {
    const { record } = round;
    const { primes } = record.parameters;
    const holders = [...record.members, ...record.recipients];
    this.post(node, 'confirm', {
      close: round.attempts.at(-1)!.close,
      modelHash: record.modelHash,
      correctionHash: hash(),
      boxes: holders.map(({ name }) => ({ holder: name, hash: hash() })),
      seeds: Array.from({ length: setCount(MEMBERS, THRESHOLD) + 1 }, () => toBase64(rng(32))),
      checksum: Array.from({ length: 6 * primes.length }, (_, i) => i),
    });
  }

  /** One round of all nodes from its announcement to its result and the next model. */
  round(): void {
    const { id, record } = this.#open();
    const seen = { size: this.tree.size, root: toHex(this.tree.root()) };
    const { payloadBytes } = record.parameters;
    for (const node of this.nodes) {
      const key = toBase64(p.x25519PublicKey(rng(32)));
      this.post(node, 'upload', { round: id, key, nonce: hash(), payloadHash: hash(), payloadBytes, seen });
    }
    const cohort = nextCohort(this.transcript, this.#round);
    const sumHash = hash();
    const uploads = cohort.map(({ index }) => index);
    const cohortHash = cohortHashOf(p, cohort);
    const close = this.post('coordinator', 'close', { round: id, attempt: 1, uploads, cohortHash, sumHash });
    for (const { node } of cohort) this.#confirm(this.#round, node);
    for (const holder of [...this.members, 'recipient']) this.post(holder, 'ready', { close });
    const { confirms } = this.#round.attempts.at(-1)!;
    const decide = this.post('coordinator', 'decide', {
      round: id,
      attempt: 1,
      close,
      confirms: cohort.map(({ node }) => confirms.get(node)!.index),
      sumHash,
      correctionSumHash: hash(),
      rhoNano: record.charge.rhoNano,
    });
    const shares = sets.map(hash);
    for (const [i, member] of this.members.entries()) {
      const held = heldBy(sets, i).map((set) => shares[set]!);
      this.post(member, 'answer', { decide, shares: held, sealed: [{ recipient: 'recipient', hash: hash() }] });
    }
    this.post('recipient', 'release', { decide, resultHash: hash(), liars: [] });
    this.#model(decide);
  }

  /** Writes what is not yet there of the log as it stands, and its checkpoint, cosigned by everybody. */
  finish(): void {
    const { size } = this.tree;
    for (const ref of tilesOf(size)) {
      if (ref.kind === 'hashes') this.#write(ref, tileBytes(this.tree.read, ref));
      else if (ref.width < TILE_WIDTH) this.#write(ref, bundleBytes(this.#pending));
    }
    const signer = makeSigner(p, 'ed25519', ORIGIN, this.#seed('log'));
    const note = signCheckpoint(p, signer, { origin: ORIGIN, size, root: this.tree.root() });
    const lines = [...this.members, 'witness-1', 'witness-2'].map((name) => {
      return cosign(
        p,
        makeSigner(p, 'cosignature', witnessKeyName(ORIGIN, name), this.#seed(`${name} witness`)),
        note,
        1_700_000_000,
      );
    });
    writeFileSync(join(this.#folder, 'checkpoint'), addSignatures(note, lines));
    writeFileSync(join(this.#folder, 'policy.txt'), formatPolicy(policyOf(p, this.transcript.genesis!)));
  }
}

/** Writes a log of whole rounds with at least so many leaves into a folder, with its policy. @returns its size. */
export function writeBenchLog(folder: string, leaves: number): number {
  const log = new BenchLog(folder);
  while (log.tree.size < leaves) log.round();
  log.finish();
  return log.tree.size;
}
