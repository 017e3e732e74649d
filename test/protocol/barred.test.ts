import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection } from '../../src/grpc/connection.ts';
import { type FollowOptions, followLog } from '../../src/grpc/follow.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { AggregationService, LogService, PartyService } from '../../src/grpc/services.ts';
import { type Authority, createAuthority } from '../../src/tls/authority.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { EnrolmentDoor } from './enrolment-lab.ts';
import { codeOf, party } from './parties.ts';

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ recheck: false }));

vi.mock('../../src/grpc/gate.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/gate.ts')>();
  class Gate extends real.Gate {
    override recheck(): void {
      if (!without.recheck) super.recheck();
    }
  }
  return { ...real, Gate };
});
beforeEach(() => {
  without.recheck = false;
});

describe('calls that run while their caller is barred', () => {
  let authority: Authority;
  let server: RunningServer;
  let connection: Connection;
  let revoked = '';
  let entered: AbortController;
  const forEver = new Promise<never>(() => {});

  /** Handlers that never look at their signal. */
  const deaf = [
    implement(PartyService, {
      status: () => {
        entered.abort();
        return forEver;
      },
    }),
    implement(LogService, {
      append: () => forEver,
      getCheckpoint: () => forEver,
      follow: async function* () {
        yield { firstIndex: 0n, leaves: [], checkpoint: new Uint8Array(0) };
        entered.abort();
        await forEver;
      },
    }),
  ];

  async function connected(tls: TlsIdentity): Promise<Connection> {
    return new Connection({ address: server.address, tls, expected: { pins: [server.identity.spkiSha256] } });
  }

  beforeAll(async () => {
    authority = await createAuthority('ours', new Date());
    const tls = await party(authority, 'c', 'coordinator');
    const isRevoked = (peer: { name: string }): boolean => peer.name === revoked;
    server = await startServer({ host: '127.0.0.1', port: 0, tls, services: deaf, isRevoked });
    connection = await connected(await party(authority, 'eu-1', 'node'));
  });
  beforeEach(() => {
    revoked = '';
    entered = new AbortController();
  });
  afterAll(async () => {
    connection.close();
    await server.stop(0);
  });

  async function drain(source: AsyncIterable<unknown>): Promise<void> {
    for await (const _item of source);
  }

  it.each([
    ['unary', () => connection.callOnce(PartyService.status, {}, 60_000)],
    ['stream', () => drain(connection.stream(LogService.follow, { fromIndex: 0n }, { idleMs: null }))],
  ])('%s: ends by name, and only theirs', async (_name, start) => {
    const other = await connected(await party(authority, 'eu-2', 'node'));
    const running = codeOf(start());
    await once(entered.signal, 'abort');
    entered = new AbortController();
    const innocent = codeOf(other.callOnce(PartyService.status, {}, 60_000));
    await once(entered.signal, 'abort');
    revoked = 'eu-1';
    server.recheckCallers();
    expect(await running).toBe('CERTIFICATE_REVOKED');
    expect(await Promise.race([innocent, Promise.resolve('RUNNING')])).toBe('RUNNING');
    other.close();
  });

  it('a caller that was ended leaves no place taken', async () => {
    for (let round = 0; round < 70; round++) {
      revoked = '';
      entered = new AbortController();
      const running = codeOf(connection.callOnce(PartyService.status, {}, 60_000));
      await once(entered.signal, 'abort');
      revoked = 'eu-1';
      server.recheckCallers();
      expect(await running).toBe('CERTIFICATE_REVOKED');
    }
  });
});

describe('a revocation in the log', () => {
  let lab: FederationLab;
  let door: EnrolmentDoor;
  const absent = ['eu-1', 'eu-2', 'owner', 'aggregator-2'];

  beforeAll(async () => {
    lab = await FederationLab.start({ nodes: ['eu-1', 'eu-2'], absent });
    await lab.log.until((t) => t.parties.has('eu-2'));
    door = await EnrolmentDoor.open(lab);
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  /** Follows the log as a party; resolves with the code it ends with. */
  async function following(name: string, seen: (size: number) => void, options: FollowOptions): Promise<string> {
    const connection = lab.connect(await lab.tlsOf(name), 'coordinator');
    let size = 0;
    const code = await codeOf(
      (async () => {
        for await (const { leaves } of followLog(connection, 0, options)) {
          size += leaves.length;
          seen(size);
        }
      })(),
    );
    connection.close();
    return code;
  }

  it("ends the party's open Follow stream and upload, and nobody else's", async () => {
    const stop = new AbortController();
    let sizes = [0, 0];
    const seeing = (i: number) => (size: number) => {
      sizes = sizes.with(i, size);
    };
    const revoked = following('eu-1', seeing(0), {});
    const other = following('eu-2', seeing(1), { signal: stop.signal });
    await vi.waitFor(() => expect(Math.min(...sizes)).toBeGreaterThan(0), 10_000);
    const aggregator = lab.connect(await lab.tlsOf('eu-1'), 'aggregator-1');
    const upload = aggregator.duplex(AggregationService.upload); // nothing is sent: it waits for its header
    await door.revoke('eu-1');
    expect(await revoked).toBe('CERTIFICATE_REVOKED');
    expect(await codeOf(upload.read())).toBe('CERTIFICATE_REVOKED');
    aggregator.close();
    const before = sizes[1]!;
    await vi.waitFor(() => expect(sizes[1]).toBeGreaterThanOrEqual(lab.log.transcript.size), 10_000);
    expect(before).toBeLessThanOrEqual(sizes[1]!);
    stop.abort();
    expect(await other).toBe('SUCCEEDED');
  });

  it('control: where running calls are not asked about again, a revoked party goes on reading', async () => {
    without.recheck = true;
    let size = 0;
    const seeing = (now: number): void => {
      size = now;
    };
    const stop = new AbortController();
    const revoked = following('eu-2', seeing, { signal: stop.signal });
    await vi.waitFor(() => expect(size).toBeGreaterThan(0), 10_000);
    await door.revoke('eu-2');
    await vi.waitFor(() => expect(size).toBeGreaterThanOrEqual(lab.log.transcript.size), 10_000);
    stop.abort();
    expect(await revoked).toBe('SUCCEEDED');
  });
});
