import { DOMAIN } from '../../crypto/domain.ts';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import type { RingEngine, RingShape } from '../../crypto/engine.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { makeSigner, type Signer } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { sign } from '../../crypto/signature.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { policyOf, witnessKeyName } from '../../protocols/log-policy.ts';
import { logIdOf, possessionBytes } from '../../protocols/rules-register.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import { makeLeaf, NO_LOG } from '../../protocols/verified.ts';
import { SPARE } from './changes.ts';
import { Secrecy } from './secrecy.ts';
import { Violation } from './truth.ts';

/** What a run takes from the platform: toy or real. */
export interface Kit {
  readonly name: 'toy' | 'real';
  readonly primitives: Primitives;
  readonly engine: (shape: RingShape) => RingEngine;
}

/** How large a federation is, and what its rounds ask for. */
export interface Sizes {
  readonly nodes: number;
  readonly members: number;
  readonly threshold: number;
  readonly recipients: number;
  readonly outsideWitnesses: number;
  readonly aggregators: number;
  readonly minCohort: number;
  /** Rounds that the budget pays for; the last one may not fit. */
  readonly budgetRounds: number;
}

/** Values per update: one coordinate per node, for each of four rounds in turn. */
export const DIMENSION = 32;
export const TASK = 'one-hot';
const ORIGIN = 'simulated.veilsum.example/log';
const START_MS = 1_700_000_000_000;
/** sensitivity2 / (2 * minHonest * sigma2) in units of 1e-9: what every round costs. */
export const ROUND_RHO_NANO = 2_500_000;

const named = (role: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);

/** A founded federation: everybody's keys, the first leaves of its log, its policies. */
export class Founding {
  readonly kit: Kit;
  readonly secrecy: Secrecy;
  readonly rng: Rng;
  readonly sizes: Sizes;
  readonly nodes: readonly string[];
  readonly members: readonly string[];
  readonly recipients: readonly string[];
  readonly aggregators: readonly string[];
  readonly witnesses: readonly string[];
  readonly genesis: Body<'genesis'>;
  readonly logId: string;
  readonly policy: Policy;
  readonly logSigner: Signer;
  /** Genesis and enrolments: in the log before the run begins. */
  readonly firstLeaves: readonly Uint8Array[];
  readonly #secrets = new Map<string, SecretBytes>();
  readonly #engines = new Map<string, RingEngine>();

  constructor(kit: Kit, rng: Rng, sizes: Sizes) {
    this.secrecy = new Secrecy((what) => {
      throw new Violation('S17', what);
    });
    this.kit = { ...kit, primitives: this.secrecy.watching(kit.primitives) };
    this.rng = rng;
    this.sizes = sizes;
    this.nodes = named('node', sizes.nodes);
    this.members = named('member', sizes.members);
    this.recipients = named('recipient', sizes.recipients);
    this.aggregators = named('aggregator', sizes.aggregators);
    this.witnesses = named('witness', sizes.outsideWitnesses);
    const p = this.kit.primitives;
    this.logSigner = makeSigner(p, 'ed25519', ORIGIN, this.secret('log'));
    this.genesis = this.#genesis();
    this.logId = logIdOf(p, this.genesis);
    this.policy = policyOf(p, this.genesis);
    const root = { name: 'root', log: NO_LOG, secret: this.secret('root') };
    const first = makeLeaf(p, root, 'genesis', this.genesis, START_MS);
    const enrolled = [
      ...this.nodes.map((name) => this.#enrolment(name, 'node')),
      ...this.recipients.map((name) => this.#enrolment(name, 'recipient')),
      this.#enrolment(SPARE, 'member'),
    ];
    this.firstLeaves = [first, ...enrolled];
  }

  /** A party's secret by its name and use; one that has no name yet is drawn. */
  secret(name: string): SecretBytes {
    const secret = this.#secrets.get(name) ?? new SecretBytes(name, this.rng(32));
    this.#secrets.set(name, secret);
    return secret;
  }

  witnessSigner(name: string): Signer {
    return makeSigner(this.kit.primitives, 'cosignature', witnessKeyName(ORIGIN, name), this.secret(`${name} witness`));
  }

  leaf<K extends Kind>(actor: string, kind: K, body: Body<K>, clockMs: number): Uint8Array {
    const signer = { name: actor, log: this.logId, secret: this.secret(actor) };
    return makeLeaf(this.kit.primitives, signer, kind, body, START_MS + Math.floor(clockMs));
  }

  hash(bytes: Uint8Array): string {
    return toHex(this.kit.primitives.sha256(bytes));
  }

  /** Engines are shared: they keep nothing of a party beyond the objects they make. */
  engine(shape: RingShape): RingEngine {
    const key = JSON.stringify(shape);
    const engine = this.#engines.get(key) ?? this.kit.engine(shape);
    this.#engines.set(key, engine);
    return engine;
  }

  get sitePolicy(): SitePolicy {
    return {
      genesis: this.logId,
      tasks: [TASK],
      recipients: [...this.recipients],
      minCohort: this.sizes.minCohort,
      minOrganisations: 2,
      minHonest: 2,
      largestSharePercent: 100,
      budgetRhoNano: this.genesis.budget.rhoNano,
      allowCheckSums: true,
      quorumChanges: 'accept',
    };
  }

  /** @param window - rounds over one window exclude each other. */
  task(window: number): Task {
    return {
      version: 1,
      task: TASK,
      window: `window-${window}`,
      unit: 'record',
      recipients: [...this.recipients],
      dimension: DIMENSION,
      bits: 8,
      nodesMax: 16,
      minCohort: this.sizes.minCohort,
      minHonest: 2,
      minOrganisations: 2,
      noise: { sigma2Numerator: '10000', sigma2Denominator: '1' },
      sensitivity2: '100',
      clipMicro: 1_000_000,
      scale: 10,
      maxAttempts: 4,
      maxLeaves: 400,
      uploadMs: 6000,
      confirmMs: 6000,
      checkSums: false,
      learning: null,
    };
  }

  #key(name: string): string {
    return toBase64(this.kit.primitives.ed25519PublicKey(this.secret(name).bytes));
  }

  #party<R extends Body<'enrol'>['role']>(name: string, role: R, kemKey: string | null) {
    const tlsKeySha256 = toHex(this.kit.primitives.sha256(this.secret(`${name} tls`).bytes));
    // Two nodes share an organisation now and then: cohorts count organisations, too.
    const organisation = name === 'node-2' ? 'node-1' : name;
    return { name, role, organisation, region: 'here', key: this.#key(name), kemKey, tlsKeySha256 };
  }

  #genesis(): Body<'genesis'> {
    const { threshold, budgetRounds, minCohort } = this.sizes;
    const all = this.members.length + this.witnesses.length;
    const faulty = threshold - 1;
    return {
      origin: ORIGIN,
      rootKey: this.#key('root'),
      logKey: toBase64(this.logSigner.verifier.publicKey),
      coordinator: this.#party('coordinator', 'coordinator', null),
      members: this.members.map((name) => ({
        ...this.#party(name, 'member', null),
        witnessKey: this.#key(`${name} witness`),
      })),
      threshold,
      witnesses: this.witnesses.map((name) => ({
        name,
        organisation: name,
        witnessKey: this.#key(`${name} witness`),
      })),
      cosigning: { witnesses: all, needed: Math.floor((all + faulty) / 2) + 1, faulty },
      minimums: { cohort: minCohort, organisations: 2, honest: 2 },
      budget: {
        unit: 'record',
        rhoNano: budgetRounds * ROUND_RHO_NANO + 1_000_000,
        epsilonMicro: 8_000_000,
        deltaExponent: 5,
      },
      approvals: 'none',
    };
  }

  #enrolment(name: string, role: 'node' | 'recipient' | 'member'): Uint8Array {
    const p = this.kit.primitives;
    const kemKey = role === 'member' ? null : toBase64(xwingKeyPair(p, this.secret(`${name} kem`)).publicKey);
    const party = this.#party(name, role, kemKey);
    const possession = toBase64(sign(p, this.secret(name), DOMAIN.enrolment, possessionBytes(this.logId, party)));
    return this.leaf('root', 'enrol', { ...party, possession }, 0);
  }
}
