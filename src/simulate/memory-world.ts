import { DOMAIN } from '../../crypto/domain.ts';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import type { RingEngine, RingShape } from '../../crypto/engine.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { makeSigner } from '../../crypto/note.ts';
import { type RoundRequest, ringShape } from '../../crypto/params.ts';
import { blockBytes, type PayloadContext } from '../../crypto/payload.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { sign } from '../../crypto/signature.ts';
import { isRejection, type Rejection } from '../../protocols/errors.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { witnessKeyName } from '../../protocols/log-policy.ts';
import type { Opening } from '../../protocols/recipient.ts';
import { type RoundRecord, recordHashOf } from '../../protocols/record.ts';
import { logIdOf, possessionBytes } from '../../protocols/rules-register.ts';
import type { Sampling } from '../../protocols/sampled-charge.ts';
import type { SitePolicy } from '../../protocols/site-policy.ts';
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
  /** What genesis says that the budget is worth, in units of 1e-6; left out: 8. */
  readonly budgetEpsilonMicro?: number;
  /** Per-node noise variance and squared sensitivity, integers; they set the charge. */
  readonly sigma2: bigint;
  /** What `sigma2` is divided by; left out: 1. */
  readonly sigma2Denominator?: bigint;
  readonly sensitivity2: bigint;
  /** What the sensitivity is of; left out: norm 1 at 10 steps per 1.0. */
  readonly clipped?: { readonly clipMicro: number; readonly scale: number };
  /** Rounds are over drawn records, and genesis counts at their order; left out: over all, in zCDP. */
  readonly sampling?: Sampling;
  /** The data window of all rounds; left out, each has its own. */
  readonly window?: string;
  /** Rounds run in so many buckets; left out: in none. */
  readonly buckets?: number;
  /** Rounds run without masks; left out: with them. */
  readonly oneShot?: NonNullable<RoundRecord['oneShot']>;
}

/** Where a party stops answering. The run goes on without it. */
export type Vanish = 'upload' | 'confirm' | 'round-key' | 'reseal' | 'ready' | 'answer';

export const TASK = 'lead-scoring';

/** What all parties of a run in memory share: the log, the blobs, the clock, everybody's keys. */
export class MemoryWorld {
  readonly log: MemoryLog;
  readonly blobs = new Map<string, Uint8Array>();
  readonly openings = new Map<string, Opening>();
  readonly refusals: Rejection[] = [];
  /** Parties that vanish at a step, by name. */
  readonly vanished = new Map<string, Vanish>();
  /** Number of the model that a node trained from, where that is not the round's: in rounds without masks. */
  readonly trainedFrom = new Map<string, number>();
  /** Lets a test change what a holder says of a box or answers, a node sends or an aggregator adds up before it goes out. */
  tamper: <T>(
    what: 'share-seeds' | 'box' | 'one-shot' | 'reseal' | 'check' | 'payload' | 'answer' | 'sum',
    party: string,
    value: T,
  ) => T = (_what, _party, value) => value;
  readonly setting: MemorySetting;
  /** Simulated ms; leaves were first seen at these times, by hash. */
  clock = 0;
  readonly seenAt = new Map<string, number>();
  #time = 1_700_000_000_000;
  readonly #identities = new Map<string, SecretBytes>();
  readonly #engines = new Map<string, RingEngine>();

  constructor(setting: MemorySetting) {
    this.setting = setting;
    const p = setting.primitives;
    const origin = 'memory.veilsum.example/log';
    const cosigner = (name: string) =>
      makeSigner(p, 'cosignature', witnessKeyName(origin, name), this.seed(`${name} witness`));
    const memberNames = Array.from({ length: setting.members }, (_, i) => `member-${i + 1}`);
    const witnessNames = ['witness-1', 'witness-2'];
    const witnesses = [...memberNames, ...witnessNames];
    const logSigner = makeSigner(p, 'ed25519', origin, this.seed('log'));
    this.log = new MemoryLog(p, logSigner, witnesses.map(cosigner));
    const faulty = setting.threshold - 1;
    const genesis: Body<'genesis'> = {
      origin,
      rootKey: this.key('root'),
      logKey: toBase64(logSigner.verifier.publicKey),
      coordinator: this.party('coordinator', 'coordinator', null),
      members: memberNames.map((name) => ({
        ...this.party(name, 'member', null),
        witnessKey: this.key(`${name} witness`),
      })),
      threshold: setting.threshold,
      witnesses: witnessNames.map((name) => ({ name, organisation: name, witnessKey: this.key(`${name} witness`) })),
      cosigning: { witnesses: witnesses.length, needed: Math.floor((witnesses.length + faulty) / 2) + 1, faulty },
      minimums: { cohort: 2, organisations: 1, honest: 2 },
      budget: {
        unit: 'record',
        rhoNano: setting.budgetRhoNano,
        epsilonMicro: setting.budgetEpsilonMicro ?? 8_000_000,
        deltaExponent: 5,
        ...(setting.sampling === undefined ? {} : { renyiOrder: setting.sampling.order }),
      },
      approvals: 'none',
    };
    const bytes = makeLeaf(p, { name: 'root', log: NO_LOG, secret: this.seed('root') }, 'genesis', genesis, this.#time);
    this.append(bytes);
    const log = logIdOf(p, genesis);
    for (const [name, role] of [
      ...this.nodeNames.map((n) => [n, 'node'] as const),
      ['recipient', 'recipient'] as const,
    ]) {
      const kemKey = toBase64(xwingKeyPair(p, this.seed(`${name} kem`)).publicKey);
      const party = this.party(name, role, kemKey);
      const possession = toBase64(sign(p, this.seed(name), DOMAIN.enrolment, possessionBytes(log, party)));
      this.post('root', 'enrol', { ...party, possession });
    }
    const model = setting.rng(64);
    this.publishModel(model, null);
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
      ...(this.setting.oneShot === undefined ? {} : { maskingNone: 'accept' }),
    };
  }

  seed(name: string): SecretBytes {
    const seed = this.#identities.get(name) ?? new SecretBytes(name, this.setting.rng(32));
    this.#identities.set(name, seed);
    return seed;
  }

  key(name: string): string {
    return toBase64(this.setting.primitives.ed25519PublicKey(this.seed(name).bytes));
  }

  party<R extends Body<'enrol'>['role']>(name: string, role: R, kemKey: string | null) {
    const tlsKeySha256 = toHex(this.setting.primitives.sha256(this.seed(`${name} tls`).bytes));
    return { name, role, organisation: name, region: 'here', key: this.key(name), kemKey, tlsKeySha256 };
  }

  append(bytes: Uint8Array): string | null {
    const signed = this.log.append(bytes);
    if (isRejection(signed)) {
      this.refusals.push(signed);
      return null;
    }
    this.seenAt.set(signed.hash, this.clock);
    return signed.hash;
  }

  post<K extends Kind>(actor: string, kind: K, body: Body<K>): string | null {
    this.#time += 1;
    const signer = { name: actor, log: this.log.transcript.logId, secret: this.seed(actor) };
    return this.append(makeLeaf(this.setting.primitives, signer, kind, body, this.#time));
  }

  put(bytes: Uint8Array): string {
    const hash = toHex(this.setting.primitives.sha256(bytes));
    this.blobs.set(hash, bytes);
    return hash;
  }

  publishModel(model: Uint8Array, decide: string | null): void {
    const modelHash = toHex(this.setting.primitives.sha256(model));
    const number = this.log.transcript.models.length;
    this.post('recipient', 'model', {
      number,
      modelHash,
      modelBytes: model.length,
      sealedHash: this.put(model),
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

  gone(name: string, step: Vanish): boolean {
    return this.vanished.get(name) === step;
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
