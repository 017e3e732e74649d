import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { canonicalOf } from '../../src/matching/canonical.ts';
import { MatchingHolder } from '../../src/matching/holder.ts';
import { type HolderLink, type Join, joinKeys } from '../../src/matching/join.ts';
import { type Holder, type KeySet, makeKeySet, signHolderKey } from '../../src/matching/key-set.ts';
import { nodePrimitives as primitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';

export const LOG = 'ab'.repeat(32);

/** Holders of a matching key with stores and key files of their own, in this process, without a network. */
export class MatchingLab implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'veilsum-matching-'));
  readonly names: readonly string[];
  readonly holders = new Map<string, MatchingHolder>();
  readonly #stores = new Map<string, Store>();
  readonly #identities = new Map<string, SecretBytes>();

  private constructor(names: readonly string[]) {
    this.names = names;
  }

  static async start(budget = 1000, names: readonly string[] = ['member-1', 'member-2', 'member-3']) {
    const lab = new MatchingLab(names);
    for (const name of names) {
      lab.#identities.set(name, new SecretBytes('identity', systemRng(32)));
      await lab.restart(name, budget);
    }
    return lab;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** The holder as a new process of it finds its folder. */
  async restart(name: string, budget = 1000): Promise<void> {
    await this.#stores.get(name)?.[Symbol.asyncDispose]();
    mkdirSync(this.path(name), { recursive: true });
    const store = await openStore(join(this.path(name), 'state'));
    this.#stores.set(name, store);
    const folder = this.path(name);
    this.holders.set(name, new MatchingHolder({ primitives, rng: systemRng, folder, records: store.records, budget }));
  }

  get genesis() {
    const members = this.names.map((name) => ({
      name,
      key: toBase64(primitives.ed25519PublicKey(this.#identities.get(name)!.bytes)),
    }));
    return { members } as unknown as Parameters<typeof makeKeySet>[1];
  }

  /** What a holder states about its key. @param publicKey - what it says instead of the truth. */
  async stated(name: string, publicKey?: Uint8Array): Promise<Holder> {
    publicKey ??= await this.holders.get(name)!.publicKey();
    const signature = signHolderKey(primitives, this.#identities.get(name)!, LOG, name, publicKey);
    return { name, publicKey: toHex(publicKey), signature: toHex(signature) };
  }

  async keySet(): Promise<KeySet> {
    const stated = await Promise.all(this.names.map((name) => this.stated(name)));
    return makeKeySet(primitives, this.genesis, LOG, stated);
  }

  /** How a site of an organisation reaches the holders. */
  links(organisation: string, names = this.names): HolderLink[] {
    return names.map((name) => ({
      name,
      evaluate: (publicKey, blinded) => this.holders.get(name)!.evaluate(organisation, publicKey, blinded),
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores.values()) await store[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A site: an organisation's list, and a blinding secret of its own. */
export class Site {
  readonly organisation: string;
  readonly seed: SecretBytes;

  constructor(organisation: string) {
    this.organisation = organisation;
    this.seed = new SecretBytes('blinding', systemRng(32));
  }

  /** Join key by spelling; blank spellings have none. */
  async join(lab: MatchingLab, join: Join, spellings: readonly string[], links?: readonly HolderLink[]) {
    const canonical = new Map(spellings.map((spelling) => [spelling, canonicalOf(join.kind, spelling)]));
    const names = [...canonical.values()].filter((name) => name !== null);
    const keys = await joinKeys(primitives, join, links ?? lab.links(this.organisation), this.seed, names);
    return new Map([...canonical].flatMap(([spelling, name]) => (name === null ? [] : [[spelling, keys.get(name)!]])));
  }
}
