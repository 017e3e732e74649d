import { openCheckpoint } from '../crypto/checkpoint.ts';
import {
  bytesEqual,
  canonicalBytes,
  concat,
  fromBase64,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
  u64be,
} from '../crypto/encoding.ts';
import { Frontier, leafHash } from '../crypto/merkle.ts';
import type { Signer } from '../crypto/note.ts';
import { sign, verify } from '../crypto/signature.ts';
import { followLog } from '../src/grpc/follow.ts';
import { LogStore } from '../src/log/log-store.ts';
import type { Witness } from '../src/party/ask-witness.ts';
import { Cosigning } from '../src/party/cosigning.ts';
import type { ServedLog } from '../src/party/log-service.ts';
import { type Party, primitives as p } from '../src/party/party.ts';

/**
 * The log of the baseline: leaves of four kinds, signed and canonical as the real ones, in the real log store, cosigned
 * by the real witnesses through the code that the coordinator uses. Left out: the rules of a round.
 */
export interface PlainLeaf {
  readonly kind: 'open' | 'upload' | 'close' | 'release';
  readonly actor: string;
  readonly round: number;
  /** Hash of what the leaf is about: a payload, a sum, a result. */
  readonly hash: string;
  readonly bytes: number;
}

const LABEL = 'veilsum/v1/bench-plain-leaf';

export function makePlainLeaf(party: Party, leaf: Omit<PlainLeaf, 'actor'>): Uint8Array {
  const core = { ...leaf, actor: party.name };
  const sig = toBase64(sign(p, party.folder.identity, LABEL, canonicalBytes(core)));
  return canonicalBytes({ ...core, sig });
}

/** Public keys of the parties by name. */
export type Keys = ReadonlyMap<string, Uint8Array>;

/** Checks form and signature of a leaf. */
export function readPlainLeaf(keys: Keys, bytes: Uint8Array): PlainLeaf {
  const { sig, ...core } = parseCanonical(bytes, 65_535) as Record<string, Json>;
  const key = keys.get(String(core['actor']));
  if (key === undefined || !verify(p, key, LABEL, canonicalBytes(core), fromBase64(String(sig), 64))) {
    throw new Error('a plain leaf without its signature');
  }
  return core as unknown as PlainLeaf;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: (index: number) => void;
}

/** Keeps the baseline's log: durable before acknowledged, batched and cosigned as the coordinator's is. */
export class PlainKeeper implements ServedLog {
  readonly log: LogStore;
  readonly stopped = false;
  readonly nodes = 4;
  readonly leaves: PlainLeaf[] = [];
  readonly #keys: Keys;
  readonly #cosigning: Cosigning;
  readonly #listeners = new Set<() => void>();
  readonly #firstSeen = new Map<string, number>();
  readonly #queue: Waiting[] = [];
  #appending = false;

  private constructor(log: LogStore, witnesses: readonly Witness[], party: Party, keys: Keys) {
    this.log = log;
    this.#keys = keys;
    this.#cosigning = new Cosigning(log, party.policy, witnesses, party.say, () => this.#changed());
  }

  static async open(party: Party, signer: Signer, witnesses: readonly Witness[], keys: Keys): Promise<PlainKeeper> {
    const { store, policy } = party;
    const log = await LogStore.open({ primitives: p, records: store.records, signer, policy });
    return new PlainKeeper(log, witnesses, party, keys);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  firstSeen(hash: string): number {
    return this.#firstSeen.get(hash) ?? 0;
  }

  append(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve) => {
      this.#queue.push({ bytes, resolve });
      void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    if (this.#appending) return;
    this.#appending = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, 64);
      const now = performance.now();
      for (const { bytes } of batch) {
        this.leaves.push(readPlainLeaf(this.#keys, bytes));
        this.#firstSeen.set(toHex(leafHash(p, bytes)), now);
      }
      const indices = await this.log.append(batch.map(({ bytes }) => bytes));
      for (const [i, { resolve }] of batch.entries()) resolve(indices[i]!);
      this.#changed();
      // As in the coordinator: uploads matter when all are there, a release to nobody else.
      const uploads = this.leaves.filter(({ kind, round }) => kind === 'upload' && round === this.leaves.at(-1)!.round);
      if (uploads.length === 0 || uploads.length >= this.nodes) this.#cosigning.now();
      else this.#cosigning.soon();
    }
    this.#appending = false;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/**
 * Reads the baseline's log as a party reads the real one: cosignatures up to the quorum, the tree over all leaves, every
 * leaf's signature, and the head kept durably before anybody acts on it. Left out: the rules of a round.
 */
export class PlainReader {
  readonly leaves: PlainLeaf[] = [];
  readonly #keys: Keys;
  readonly #party: Party;
  readonly #keepHead: boolean;
  #wake: (() => void)[] = [];

  constructor(party: Party, keys: Keys, keepHead: boolean) {
    this.#party = party;
    this.#keys = keys;
    this.#keepHead = keepHead;
  }

  start(): void {
    void this.#follow();
  }

  /** Resolves once the leaves under a cosigned head satisfy a condition. */
  async until<T>(find: (leaves: readonly PlainLeaf[]) => T | null): Promise<T> {
    for (;;) {
      const found = find(this.leaves);
      if (found !== null) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async #follow(): Promise<void> {
    const { coordinator, policy, store } = this.#party;
    const frontier = new Frontier(p);
    for await (const { leaves, checkpoint } of followLog(coordinator, 0)) {
      const taken = leaves.map((bytes) => {
        frontier.append(leafHash(p, bytes));
        return readPlainLeaf(this.#keys, bytes);
      });
      if (checkpoint === null) throw new Error('the baseline’s runs are short');
      const head = openCheckpoint(p, checkpoint, policy);
      if (
        !head.quorum ||
        head.checkpoint.size !== frontier.size ||
        !bytesEqual(head.checkpoint.root, frontier.root())
      ) {
        throw new Error('a head that is not over the leaves');
      }
      if (this.#keepHead) {
        const kept = concat(u64be(head.checkpoint.size), head.checkpoint.root);
        await store.records.transact((tx) => tx.put('log-reader', 'head', kept));
      }
      this.leaves.push(...taken);

      for (const wake of this.#wake.splice(0)) wake();
    }
  }
}
