import { vi } from 'vitest';
import { addSignatures, cosign, signCheckpoint } from '../../crypto/checkpoint.ts';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { Frontier, leafHash } from '../../crypto/merkle.ts';
import { makeSigner, type Signer } from '../../crypto/note.ts';
import { witnessKeyName } from '../../protocols/log-policy.ts';
import { makeLeaf } from '../../protocols/verified.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { LogService } from '../../src/grpc/services.ts';
import { checkpointSeed } from '../../src/keys/card.ts';
import { openPartyFolder } from '../../src/keys/party-folder.ts';
import { LogReader } from '../../src/party/log-reader.ts';
import { primitives as p } from '../../src/party/party.ts';
import type { Running } from '../../src/party/running.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { FederationLab } from './federation-lab.ts';

/**
 * A federation whose nodes, 'eu' and 'us', have seen the log; then the coordinator is somebody else, who has its keys, its
 * address and every witness's key, and shows what it likes.
 */
export class LyingLog implements AsyncDisposable {
  readonly lab: FederationLab;
  /** The honest log, and its newest head. */
  readonly leaves: readonly Uint8Array[];
  readonly published: Uint8Array;
  readonly witnesses: readonly Signer[];
  /** The two heads that the last reader called contradictory, the smaller one first. */
  contradiction: readonly [string, string] | null = null;
  /** What the coordinator's address serves now. */
  shown: { leaves: readonly Uint8Array[]; note: Uint8Array };
  readonly #signer: Signer;
  #server: RunningServer | null = null;
  #store: Store | null = null;

  private constructor(
    lab: FederationLab,
    leaves: readonly Uint8Array[],
    published: Uint8Array,
    signer: Signer,
    witnesses: readonly Signer[],
  ) {
    this.lab = lab;
    this.leaves = leaves;
    this.published = published;
    this.#signer = signer;
    this.witnesses = witnesses;
    this.shown = { leaves, note: published };
  }

  static async start(): Promise<LyingLog> {
    const nodes = ['eu', 'us'];
    const lab = await FederationLab.start({ nodes, absent: nodes });
    await lab.log.until((t) => t.models.length === 1);
    const { log } = lab.coordinator.keeper;
    await vi.waitFor(() => {
      if (log.published?.checkpoint.size !== log.size) throw new Error('not published');
    }, 30_000);
    const leaves = await log.entries(0, log.size);
    const published = log.published!.note;
    for (const name of nodes) {
      const { log: reader } = (await lab.run(name)) as Running & { readonly log: LogReader };
      await reader.until((t) => t.size === leaves.length);
      await lab.stop(name); // it keeps the newest head that it has read
    }
    await lab.stop('coordinator');
    const coordinator = await openPartyFolder(lab.path('coordinator'));
    const signer = makeSigner(p, 'ed25519', lab.origin, checkpointSeed(p, coordinator.identity));
    const names = lab.local.cards.filter(({ role }) => role === 'member' || role === 'witness').map(({ name }) => name);
    const witnesses = await Promise.all(
      names.map(async (name) => {
        const { identity } = await openPartyFolder(lab.path(name));
        return makeSigner(p, 'cosignature', witnessKeyName(lab.origin, name), checkpointSeed(p, identity));
      }),
    );
    const made = new LyingLog(lab, leaves, published, signer, witnesses);
    await made.#serve();
    return made;
  }

  async #serve(): Promise<void> {
    this.#store = await openStore(`${this.lab.path('eu')}/state`);
    const { card, tls } = await openPartyFolder(this.lab.path('coordinator'));
    const [host, port] = card.address.split(':') as [string, string];
    const service = implement(LogService, {
      append: async () => ({ leafIndex: 0n }),
      getCheckpoint: async () => ({ checkpoint: this.shown.note }),
      follow: ({ fromIndex }, { signal }) => this.#follow(fromIndex, signal),
    });
    this.#server = await startServer({ host, port: Number(port), tls, services: [service] });
  }

  async *#follow(firstIndex: bigint, signal: AbortSignal) {
    const { leaves, note } = this.shown;
    yield { firstIndex, leaves: leaves.slice(Number(firstIndex)), checkpoint: note };
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }

  /** A head over any leaves, as the log and some witnesses sign it. */
  noteOf(of: readonly Uint8Array[], by: readonly Signer[] = this.witnesses, log = this.#signer): Uint8Array {
    const frontier = new Frontier(p);
    for (const leaf of of) frontier.append(leafHash(p, leaf));
    const head = { origin: log.verifier.name, size: of.length, root: frontier.root() };
    const note = signCheckpoint(p, log, head);
    return addSignatures(
      note,
      by.map((witness) => cosign(p, witness, note, 1)),
    );
  }

  /** What a reader makes of what is shown. @param remembers - whether it knows the head from before its restart. */
  async verdict(of: readonly Uint8Array[], note: Uint8Array, remembers: boolean): Promise<string> {
    this.shown = { leaves: of, note };
    this.contradiction = null;
    const connection = this.lab.connect(await this.lab.tlsOf('eu'), 'coordinator');
    const reader = new LogReader({
      primitives: p,
      policy: this.lab.logPolicy,
      genesisHash: this.lab.policy.genesis,
      coordinator: connection,
      records: remembers ? this.#store!.records : null,
      say: () => {},
      onContradiction: ({ smaller, larger }) => {
        this.contradiction = [fromUtf8(smaller), fromUtf8(larger)];
      },
    });
    reader.start();
    await vi.waitFor(() => {
      if (reader.failure === null && reader.head?.size !== of.length) throw new Error('no verdict yet');
    }, 30_000);
    const code = (reader.failure as (Error & { code?: string }) | null)?.code;
    const outcome = code ?? (reader.isCaughtUp ? 'TAKEN' : 'WAITS');
    await reader.stop();
    connection.close();
    return outcome;
  }

  /** The coordinator rewrites its last leaf into another one that could have stood there. */
  async forked(): Promise<Uint8Array[]> {
    const { identity } = await openPartyFolder(this.lab.path('coordinator'));
    const signer = { name: 'coordinator', log: this.lab.policy.genesis, secret: identity };
    const other = makeLeaf(p, signer, 'announce', { task: 'lab', number: 77, recipients: ['owner'] }, 1);
    return [...this.leaves.slice(0, -1), other];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop(0);
    await this.#store?.[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}
