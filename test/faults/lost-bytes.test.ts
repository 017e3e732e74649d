import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Store } from '../../src/store/port.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// Aggregators that lose what they took, or give out other bytes than they should, over real processes' calls.

const fault = vi.hoisted(() => ({
  /** A payload vanishes before it is added up. */
  losePayload: false,
  /** The sum is lost after the coordinator has its hash. */
  loseSum: false,
  /** What aggregator and coordinator agree on instead of the sum. */
  sum: null as Uint8Array | null,
  corrections: (bytes: Uint8Array): Uint8Array => bytes,
  /** The control: a replica that lacks bytes is asked for ever. */
  isEndless: false,
}));
vi.mock('../../src/party/payload-sums.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/payload-sums.ts')>();
  const sumPayloads = async (store: Store, ...rest: [never, readonly string[]]) => {
    if (fault.losePayload) await store.blobs.remove(rest[1][0]!);
    const sum = await original.sumPayloads(store, ...rest);
    if (fault.loseSum) await store.blobs.remove(sum.hash);
    if (fault.sum === null) return sum;
    const { hash, lengthBytes } = await store.blobs.put([fault.sum]);
    return { hash, bytes: lengthBytes };
  };
  return { ...original, sumPayloads };
});
vi.mock('../../protocols/aggregator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/aggregator.ts')>();
  const addCorrections: typeof original.addCorrections = (...args) =>
    fault.corrections(original.addCorrections(...args));
  return { ...original, addCorrections };
});
vi.mock('../../src/party/asking.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/asking.ts')>();
  const keptAsking: typeof original.keptAsking = (...args) =>
    fault.isEndless ? original.turnAsking(...args) : original.keptAsking(...args);
  return { ...original, keptAsking };
});

const none = { ...fault };
const nodes = ['eu', 'us', 'apac'];
let lab: FederationLab;

async function roundWith(told: Partial<typeof fault>, window: number) {
  Object.assign(fault, none, told);
  const id = await lab.open(window);
  const end = await lab.end(id);
  Object.assign(fault, none);
  return { id, end };
}

beforeAll(async () => {
  lab = await FederationLab.start({ nodes });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('a payload that every replica lost', () => {
  it('ends the round by itself, before anything is charged', async () => {
    const { id, end } = await roundWith({ losePayload: true }, 0);
    expect(end).toBe('BLOB_LOST');
    expect(lab.round(id).attempts).toEqual([]);
    expect(lab.log.transcript.ledger).toMatchObject({ spentRhoNano: 0, reserved: new Map() });
    const said = lab.events.filter(({ event }) => event === 'bytes lost');
    expect(said).toMatchObject([{ party: 'coordinator', duty: 'close' }]);
  });

  it('control: asked for without end, it keeps the round open until an officer ends it', async () => {
    Object.assign(fault, none, { losePayload: true, isEndless: true });
    const id = await lab.open(0);
    const failures = () => lab.events.filter(({ event, party }) => event === 'duty failed' && party === 'coordinator');
    const before = failures().length;
    while (failures().length < before + 3) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(lab.round(id).phase).toBe('uploading');
    const round = lab.round(id).id;
    await lab.coordinator.keeper.append(lab.coordinator.party.leaf('abort', { round, reason: 'OPERATOR' }));
    expect(await lab.end(id)).toBe('OPERATOR');
    Object.assign(fault, none);
  });
});

describe('a decided sum', () => {
  it('that every replica lost ends the round by name', async () => {
    expect((await roundWith({ loseSum: true }, 1)).end).toBe('BLOB_LOST');
  });

  it('that is no payload of the round ends it by name, whatever its length', async () => {
    expect((await roundWith({ sum: new Uint8Array(7) }, 2)).end).toBe('BLOB_LOST');
    const bytes = lab.log.transcript.rounds.values().next().value!.record.parameters.payloadBytes;
    expect((await roundWith({ sum: new Uint8Array(bytes).fill(0xff) }, 3)).end).toBe('SUM_MALFORMED');
  });

  it('of corrections that is malformed ends it by name', async () => {
    expect((await roundWith({ corrections: (bytes) => bytes.slice(1) }, 4)).end).toBe('SUM_MALFORMED');
  });
});

it('and afterwards a round is opened exactly', async () => {
  const { id, end } = await roundWith({}, 5);
  expect(end).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, 7, 300));
});
