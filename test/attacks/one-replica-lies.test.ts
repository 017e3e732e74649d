import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/grpc/connection.ts';
import { TransportError } from '../../src/grpc/errors.ts';
import { askAgreed } from '../../src/party/agreed.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { codeOf } from '../protocol/parties.ts';

// One aggregator gives the coordinator other bytes than there are, once; everybody else and everything later is honest.

const lie = vi.hoisted(() => ({
  corrections: 0,
  sums: 0,
  /** The control: the coordinator takes the first answer. */
  isBelieved: false,
  /** The control: the recipient takes no other sum of corrections than the one decided over. */
  isFinal: false,
}));
vi.mock('../../protocols/aggregator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/aggregator.ts')>();
  const addCorrections: typeof original.addCorrections = (...args) => {
    const sum = original.addCorrections(...args);
    if (lie.corrections > 0 && new Error().stack!.includes('party/aggregator')) {
      lie.corrections--;
      sum[100]! ^= 1;
    }
    return sum;
  };
  return { ...original, addCorrections };
});
vi.mock('../../src/party/payload-sums.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/payload-sums.ts')>();
  const sumPayloads: typeof original.sumPayloads = async (...args) => {
    const sum = await original.sumPayloads(...args);
    if (lie.sums === 0) return sum;
    lie.sums--;
    return { ...sum, hash: 'ab'.repeat(32) };
  };
  return { ...original, sumPayloads };
});
vi.mock('../../src/party/agreed.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/agreed.ts')>();
  const first: typeof original.askAgreed = (replicas, question) => question.ask(replicas[0]!, question.firstMs);
  const askAgreed: typeof original.askAgreed = (...args) =>
    lie.isBelieved ? first(...args) : original.askAgreed(...args);
  return { ...original, askAgreed };
});
vi.mock('../../src/party/corrections.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/corrections.ts')>();
  const addUpInstead: typeof original.addUpInstead = async (...args) => {
    if (lie.isFinal) throw args[3];
    return original.addUpInstead(...args);
  };
  return { ...original, addUpInstead };
});

const none = { ...lie };
const nodes = ['one', 'two', 'three'];
let lab: FederationLab;
let rounds = 0;

async function roundWith(told: Partial<typeof lie>): Promise<{ end: string; said: readonly unknown[] }> {
  const before = lab.events.length;
  Object.assign(lie, none, told);
  const id = await lab.open(rounds++);
  const end = await lab.end(id);
  expect([lie.corrections, lie.sums]).toEqual([0, 0]); // all of it was told
  Object.assign(lie, none);
  if (end === 'released') expect(await lab.result(id)).toEqual(plainSum(nodes, lab.round(id).record.number, 300));
  const said = lab.events.slice(before).map(({ event }) => event);
  return { end, said };
}

beforeAll(async () => {
  lab = await FederationLab.start({ nodes });
}, 60_000);
afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('a lie told once', () => {
  it('about the corrections: the coordinator asks again and decides over the true sum', async () => {
    const { end, said } = await roundWith({ corrections: 1 });
    expect(end).toBe('released');
    expect(said).toContain('aggregators disagree');
    expect(said).not.toContain('corrections were added up wrongly');
  });

  it('and believed: the recipient adds up the signed corrections itself', async () => {
    const { end, said } = await roundWith({ corrections: 1, isBelieved: true });
    expect(end).toBe('released');
    expect(said).toContain('corrections were added up wrongly');
  });

  it('about the payloads: the coordinator asks again and closes over the true sum', async () => {
    const { end, said } = await roundWith({ sums: 1 });
    expect(end).toBe('released');
    expect(said).toContain('aggregators disagree');
  });

  it('control: believed by both, it ends the round after its charge', async () => {
    const spent = lab.log.transcript.ledger.spentRhoNano;
    expect((await roundWith({ corrections: 1, isBelieved: true, isFinal: true })).end).toBe('BLOB_LOST');
    expect(lab.log.transcript.ledger.spentRhoNano).toBeGreaterThan(spent);
  });

  it('control: a false hash of the payloads, believed, ends it too', async () => {
    expect((await roundWith({ sums: 1, isBelieved: true })).end).toBe('BLOB_LOST');
  });
});

describe('whom the coordinator believes', () => {
  const replicas = ['a', 'b', 'c'].map((address) => ({ address }) as Connection);
  /** @param told - each replica's answers, the last of them for ever. */
  function judged(told: readonly string[][], turn = 0): Promise<string> {
    const asked = new Map<Connection, number>();
    const ask = async (replica: Connection): Promise<string> => {
      const answers = told[replicas.indexOf(replica)]!;
      const n = asked.get(replica) ?? 0;
      asked.set(replica, n + 1);
      const answer = answers[Math.min(n, answers.length - 1)]!;
      if (answer === 'fails') throw new TransportError('INTERNAL', '');
      return answer;
    };
    return askAgreed(replicas.slice(0, told.length), { ask, firstMs: 1, turn, onDispute: () => {} });
  }

  it('two against one, whoever answers first', async () => {
    expect(await judged([['false'], ['true'], ['true']])).toBe('true');
    expect(await judged([['true'], ['true'], ['false']])).toBe('true');
  });

  it('of two, the one that does not change its answer', async () => {
    expect(await judged([['false', 'true'], ['true']])).toBe('true');
    expect(await judged([['true'], ['false', 'other']])).toBe('true');
  });

  it('of two that keep to theirs, each in turn: nothing tells them apart', async () => {
    expect([await judged([['one'], ['two']], 6), await judged([['one'], ['two']], 7)].sort()).toEqual(['one', 'two']);
  });

  it('the one that answers at all', async () => {
    expect(await judged([['fails'], ['true']])).toBe('true');
    expect(await judged([['true'], ['fails']])).toBe('true');
  });

  it('nobody where all change their answers', async () => {
    expect(
      await codeOf(
        judged([
          ['one', 'two'],
          ['three', 'four'],
        ]),
      ),
    ).toBe('SUM_MISMATCH');
  });
});
