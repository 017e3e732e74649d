import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type SecureContextOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { addSignatures, cosign, signCheckpoint } from '../../crypto/checkpoint.ts';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { Frontier, leafHash } from '../../crypto/merkle.ts';
import { makeSigner, type Signer } from '../../crypto/note.ts';
import { witnessKeyName } from '../../protocols/log-policy.ts';
import { makeLeaf } from '../../protocols/verified.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { LogService, PartyService } from '../../src/grpc/services.ts';
import { checkpointSeed } from '../../src/keys/card.ts';
import { openPartyFolder } from '../../src/keys/party-folder.ts';
import { LogReader } from '../../src/party/log-reader.ts';
import { primitives as p } from '../../src/party/party.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf } from '../protocol/parties.ts';

let lab: FederationLab;
let tls: TlsIdentity;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu', 'us'] });
  tls = await lab.tlsOf('eu');
  const id = await lab.open();
  expect(await lab.end(id)).toBe('released');
  await lab.log.until((t) => t.models.length === 2);
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('every server of a federation', () => {
  const handshake = (port: number, options: SecureContextOptions): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({
        ...options,
        port,
        host: '127.0.0.1',
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('secureConnect', () => resolve(socket.getProtocol()!));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
      socket.on('close', () => resolve('CLOSED'));
    });

  it('refuses a client without a certificate, and TLS 1.2', async () => {
    const { ciphers: _, ...old } = {
      ...secureContextOptions(tls),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    } as const;
    const now = { ...old, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;
    for (const card of lab.local.cards) {
      const bare = lab.connect({ ...tls, certificates: '' }, card.name);
      expect([card.name, await codeOf(bare.callOnce(PartyService.status, {}, 5000))]).toEqual([
        card.name,
        'CERTIFICATE_REQUIRED',
      ]);
      bare.close();
      const port = Number(card.address.split(':')[1]);
      expect([card.name, await handshake(port, old)]).toEqual([card.name, expect.stringMatching(/PROTOCOL_VERSION/)]);
      // Controls: with the certificate, and with TLS 1.3 allowed, the same client gets in.
      expect(await handshake(port, now)).toBe('TLSv1.3');
      const known = lab.connect(tls, card.name);
      expect(await codeOf(known.callOnce(PartyService.status, {}, 5000))).toBe('SUCCEEDED');
      known.close();
    }
  });
});

describe('a log that lies to a node', () => {
  let leaves: readonly Uint8Array[];
  let published: Uint8Array;
  let contradiction: readonly [string, string] | null;
  let server: RunningServer;
  let store: Store;
  let logSigner: Signer;
  let witnesses: Signer[];
  /** What the coordinator's address serves now. */
  let shown: { leaves: readonly Uint8Array[]; note: Uint8Array };

  beforeAll(async () => {
    const { log } = lab.coordinator.keeper;
    await vi.waitFor(() => expect(log.published?.checkpoint.size).toBe(log.size), 5000);
    leaves = await log.entries(0, log.size);
    published = log.published!.note;
    await vi.waitFor(() => expect(lab.log.head!.size).toBe(log.size), 5000);
    // The nodes have seen this head; then the coordinator is somebody else, with its keys and its address.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await lab.stop('eu');
    await lab.stop('us');
    await lab.stop('coordinator');
    const { origin } = lab;
    const coordinator = await openPartyFolder(lab.path('coordinator'));
    logSigner = makeSigner(p, 'ed25519', origin, checkpointSeed(p, coordinator.identity));
    const names = lab.local.cards.filter(({ role }) => role === 'member' || role === 'witness').map(({ name }) => name);
    witnesses = await Promise.all(
      names.map(async (name) => {
        const { identity } = await openPartyFolder(lab.path(name));
        return makeSigner(p, 'cosignature', witnessKeyName(origin, name), checkpointSeed(p, identity));
      }),
    );
    store = await openStore(`${lab.path('eu')}/state`);
    const [host, port] = coordinator.card.address.split(':') as [string, string];
    const service = implement(LogService, {
      append: async () => ({ leafIndex: 0n }),
      getCheckpoint: async () => ({ checkpoint: shown.note }),
      follow: async function* ({ fromIndex }, { signal }) {
        const rest = shown.leaves.slice(Number(fromIndex));
        yield { firstIndex: fromIndex, leaves: [...rest], checkpoint: shown.note };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });
    server = await startServer({ host, port: Number(port), tls: coordinator.tls, services: [service] });
  }, 30_000);

  afterAll(async () => {
    await server.stop(0);
    await store[Symbol.asyncDispose]();
  });

  const headOf = (of: readonly Uint8Array[]) => {
    const frontier = new Frontier(p);
    for (const leaf of of) frontier.append(leafHash(p, leaf));
    return { origin: logSigner.verifier.name, size: of.length, root: frontier.root() };
  };
  const noteOf = (of: readonly Uint8Array[], by: readonly Signer[], log = logSigner): Uint8Array => {
    const note = signCheckpoint(p, log, headOf(of));
    return addSignatures(
      note,
      by.map((witness) => cosign(p, witness, note, 1)),
    );
  };

  /** What a reader makes of what is shown. @param remembers - whether it knows the head from before its restart. */
  async function verdict(of: readonly Uint8Array[], note: Uint8Array, remembers: boolean): Promise<string> {
    shown = { leaves: of, note };
    contradiction = null;
    const connection = lab.connect(tls, 'coordinator');
    const reader = new LogReader({
      primitives: p,
      policy: lab.logPolicy,
      genesisHash: lab.policy.genesis,
      coordinator: connection,
      records: remembers ? store.records : null,
      say: () => {},
      onContradiction: ({ smaller, larger }) => {
        contradiction = [fromUtf8(smaller), fromUtf8(larger)];
      },
    });
    reader.start();
    await vi.waitFor(() => expect(reader.failure !== null || reader.head?.size === of.length).toBe(true), 5000);
    const code = (reader.failure as (Error & { code?: string }) | null)?.code;
    const outcome = code ?? (reader.isCaughtUp ? 'TAKEN' : 'WAITS');
    await reader.stop();
    connection.close();
    return outcome;
  }

  /** The coordinator rewrites its last leaf into another one that could have stood there. */
  async function forked(): Promise<Uint8Array[]> {
    const { identity } = await openPartyFolder(lab.path('coordinator'));
    const signer = { name: 'coordinator', log: lab.policy.genesis, secret: identity };
    const other = makeLeaf(p, signer, 'announce', { task: 'lab', number: 77, recipients: ['owner'] }, 1);
    return [...leaves.slice(0, -1), other];
  }

  it('P4 P13 uncosigned, cosigned by a bare half, or signed by another key: refused', async () => {
    expect(await verdict(leaves, published, true)).toBe('TAKEN'); // control
    expect(await verdict(leaves, noteOf(leaves, []), true)).toBe('NOT_COSIGNED');
    expect(await verdict(leaves, noteOf(leaves, witnesses.slice(0, 3)), true)).toBe('NOT_COSIGNED');
    expect(await verdict(leaves, noteOf(leaves, witnesses.slice(0, 4)), true)).toBe('TAKEN'); // control: w of W
    const other = makeSigner(
      p,
      'ed25519',
      logSigner.verifier.name,
      checkpointSeed(p, (await openPartyFolder(lab.path('us'))).identity),
    );
    expect(await verdict(leaves, noteOf(leaves, witnesses, other), true)).toBe('BAD_CHECKPOINT');
  });

  it('P3 forked, with every witness corrupt: refused by whoever saw the head before; one that saw nothing is fooled', async () => {
    const fork = await forked();
    const shownHead = noteOf(fork, witnesses);
    expect(await verdict(fork, shownHead, true)).toBe('SPLIT_VIEW');
    // Both heads, each with its signatures, are the evidence.
    const [earlier, later] = contradiction!;
    expect(earlier.split('\n').slice(0, 3)).toEqual(fromUtf8(published).split('\n').slice(0, 3));
    expect(earlier.match(/^— /gm)!.length).toBeGreaterThanOrEqual(5); // the log's line, and w of W cosignatures
    expect(later).toBe(fromUtf8(shownHead));
    const longer = [...fork, ...fork.slice(-1)];
    expect(await verdict(longer, noteOf(longer, witnesses), true)).toBe('SPLIT_VIEW');
    expect(await verdict(fork, noteOf(fork, witnesses), false)).toBe('TAKEN'); // control: the kept head is the check
  });

  it('rolled back: nothing is done until the log is as long as it was', async () => {
    const shorter = leaves.slice(0, -3);
    expect(await verdict(shorter, noteOf(shorter, witnesses), true)).toBe('WAITS');
  });

  it('with a leaf that may not stand there: refused, whoever cosigned it', async () => {
    const twice = [...leaves, leaves.at(-1)!];
    expect(await verdict(twice, noteOf(twice, witnesses), true)).toBe('REPLAYED');
    const garbage = [...leaves, new TextEncoder().encode('{}')];
    expect(await verdict(garbage, noteOf(garbage, witnesses), true)).toBe('MALFORMED');
  });

  it('a running node stops there, sends nothing, and keeps both heads in files', async () => {
    const fork = await forked();
    shown = { leaves: fork, note: noteOf(fork, witnesses) };
    await lab.run('us');
    const said = await vi.waitFor(() => {
      const event = lab.events.find((e) => e.party === 'us' && e.event === 'two heads contradict each other');
      expect(event).toBeDefined();
      return event!;
    }, 5000);
    const kept = (name: string): string => readFileSync(join(said['evidence'] as string, name), 'utf8');
    expect(kept('offered')).toBe(fromUtf8(shown.note));
    expect(kept('held')).toBe(said['seen'] as string);
    await vi.waitFor(
      () => expect(lab.events.some((e) => e.party === 'us' && e.event === 'log refused')).toBe(true),
      5000,
    );
  });
});
