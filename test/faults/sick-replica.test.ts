import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/grpc/connection.ts';
import { type StatusName, TransportError } from '../../src/grpc/errors.ts';
import { type Implementation, implement } from '../../src/grpc/handlers.ts';
import { type RunningServer, startServer } from '../../src/grpc/server.ts';
import { AggregationService, QuorumService } from '../../src/grpc/services.ts';
import { keptAsking } from '../../src/party/asking.ts';
import { answered, askReplicas, REPLICA_FAILURES } from '../../src/party/fetch.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { codeOf } from '../protocol/parties.ts';

// One of two aggregators answers, but with an error of its own: its disk, its log, its certificate.

const fault = vi.hoisted(() => ({
  /** The control: the first replica's refusal is believed, and asked for again. */
  isCredulous: false,
  /** No replica can read what it gives out. */
  noReads: false,
  /** The control: such failures are waited for without end. */
  isPatient: false,
}));
vi.mock('../../src/grpc/replicas.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/grpc/replicas.ts')>();
  class Rotation extends original.Rotation {
    readonly #first: Connection;
    constructor(replicas: readonly Connection[]) {
      super(replicas);
      this.#first = replicas[0]!;
    }
    override get current(): Connection {
      return fault.isCredulous ? this.#first : super.current;
    }
    override failed(mayPass: boolean): boolean {
      return fault.isCredulous ? mayPass : super.failed(mayPass);
    }
  }
  return { ...original, Rotation };
});
vi.mock('../../src/grpc/download.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/grpc/download.ts')>();
  const sendBlob: typeof original.sendBlob = (...args) => {
    if (fault.noReads && new Error().stack!.includes('party/aggregator')) throw new Error('EIO');
    return original.sendBlob(...args);
  };
  return { ...original, sendBlob };
});
vi.mock('../../src/party/fetch.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/fetch.ts')>();
  const isReplicas: typeof original.isReplicas = (error) =>
    // The recipient's patience alone: the coordinator goes by its own.
    fault.isPatient && !new Error().stack!.includes('party/agreed')
      ? original.isWithoutBytes(error)
      : original.isReplicas(error);
  return { ...original, isReplicas };
});

const FAILURES: readonly [string, StatusName, boolean][] = [
  ['INTERNAL', 'INTERNAL', true],
  ['IO_FAILED', 'INTERNAL', true],
  ['FULL', 'RESOURCE_EXHAUSTED', true],
  ['READ_ONLY', 'UNAVAILABLE', true],
  ['ROLE_REFUSED', 'PERMISSION_DENIED', true],
  ['CERTIFICATE_REVOKED', 'UNAUTHENTICATED', true],
  ['ROUND_ENDED', 'FAILED_PRECONDITION', true],
  ['PIN_MISMATCH', 'UNAUTHENTICATED', false],
  ['NO_SUCH_CALL', 'UNIMPLEMENTED', false],
];

describe('asking replicas', () => {
  const replica = (): Connection => ({}) as Connection;

  it.each(FAILURES)(
    '%s of one goes on to the next, and the next question starts there',
    async (code, status, remote) => {
      const [bad, good] = [replica(), replica()];
      const asked: Connection[] = [];
      const ask = async (one: Connection): Promise<number> => {
        asked.push(one);
        if (one === bad) throw new TransportError(code, 'as it says', { status, remote });
        return 7;
      };
      expect(await askReplicas([bad, good], ask)).toBe(7);
      expect((await answered(keptAsking<Connection, number>([bad, good], REPLICA_FAILURES, 5), ask)).answer).toBe(7);
      expect(asked).toEqual([bad, good, good]);
    },
  );

  it('a refusal is believed when each has been asked; one that is down is told of first', async () => {
    const [one, two] = [replica(), replica()];
    const refusal = new TransportError('ROUND_ENDED', '', { status: 'FAILED_PRECONDITION', remote: true });
    let asked = 0;
    const refuse = async (): Promise<never> => {
      asked++;
      throw refusal;
    };
    expect(await codeOf(askReplicas([one, two], refuse))).toBe('ROUND_ENDED');
    expect(asked).toBe(2);
    const down = async (at: Connection): Promise<never> => {
      throw at === one ? new TransportError('UNREACHABLE', '') : refusal;
    };
    expect(await codeOf(askReplicas([one, two], down))).toBe('UNREACHABLE');
  });

  it('what is no replica’s failure is thrown at once', async () => {
    const ask = async (): Promise<never> => {
      throw new TypeError('a fault of ours');
    };
    await expect(askReplicas([replica(), replica()], ask)).rejects.toThrow('a fault of ours');
  });
});

describe('a round with a replica that answers INTERNAL to everything', () => {
  const nodes = ['one', 'two', 'three'];
  let lab: FederationLab;
  let sick: RunningServer;
  let calls = 0;

  /** Every call of a service fails as on a broken disk. */
  function failing(service: typeof AggregationService | typeof QuorumService): Implementation {
    const fail = async (): Promise<never> => {
      calls++;
      throw new Error('EIO');
    };
    const stream = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: fail }) });
    const handlers = Object.entries(service).map(([name, { responseStream }]) => [
      name,
      responseStream ? stream : fail,
    ]);
    return implement(service as typeof AggregationService, Object.fromEntries(handlers));
  }

  const failures = (party: string) => lab.events.filter((e) => e.event === 'duty failed' && e.party === party);
  async function moreFailures(party: string, count: number): Promise<void> {
    const before = failures(party).length;
    await expect.poll(() => failures(party).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + count);
  }

  beforeAll(async () => {
    lab = await FederationLab.start({ nodes, absent: ['aggregator-1'] });
    const [host, port] = lab.local.cards.find(({ name }) => name === 'aggregator-1')!.address.split(':');
    const services = [failing(AggregationService), failing(QuorumService)];
    sick = await startServer({ host: host!, port: Number(port), tls: await lab.tlsOf('aggregator-1'), services });
  }, 60_000);
  afterAll(async () => {
    await sick.stop(0);
    await lab[Symbol.asyncDispose]();
  }, 60_000);

  it('is released; control: where its word is taken no upload ever arrives', async () => {
    fault.isCredulous = true;
    const id = await lab.open();
    await moreFailures('one', 3);
    expect(lab.round(id).uploads.size).toBe(0);
    fault.isCredulous = false;
    expect(await lab.end(id)).toBe('released');
    expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
    expect(calls).toBeGreaterThan(0);
  });

  it('ends by name when no other one can read the sum; control: else its recipient asks for ever', async () => {
    fault.noReads = true;
    fault.isPatient = true;
    const id = await lab.open(1);
    await lab.until(id, ({ phase }) => phase === 'decided', 30_000);
    await moreFailures('owner', 8); // longer than it waits
    expect(lab.round(id).phase).toBe('decided');
    fault.isPatient = false;
    expect(await lab.end(id)).toBe('BLOB_LOST');
    fault.noReads = false;
  });
});
