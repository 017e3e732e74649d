import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex } from '../../crypto/encoding.ts';
import type { Round } from '../../protocols/transcript.ts';
import { inTurn } from '../../src/grpc/replicas.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { Receipts } from '../../src/party/receipts.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// An aggregator that acknowledges uploads and confirmations, and drops them. It is the one that is asked first.

const LIAR = 'aggregator-1';
const lies = vi.hoisted(() => ({
  /** Kinds of leaves that the liar gives a receipt for and never logs. */
  kinds: [] as string[],
  dropped: 0,
  /** It logs confirmations and second boxes, and keeps none of the boxes. */
  losesBoxes: false,
  lost: 0,
  /** Weakened: nodes send second boxes to the liar alone. */
  isToOne: false,
}));
vi.mock('../../src/party/party.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/party.ts')>();
  const { AggregationService } = await import('../../src/grpc/services.ts');
  const openParty: typeof original.openParty = async (...args) => {
    const party = await original.openParty(...args);
    const [, other] = party.aggregators;
    const callOnce = other!.callOnce.bind(other);
    other!.callOnce = async (method, ...rest) => {
      if (lies.isToOne && (method as unknown) === AggregationService.reseal) throw new Error('not sent');
      return callOnce(method, ...rest);
    };
    if (party.name !== 'aggregator-1') return party;
    const append: typeof party.append = async (leaf) => {
      if (!lies.kinds.includes(JSON.parse(new TextDecoder().decode(leaf)).kind)) return party.append(leaf);
      lies.dropped++;
      return 7; // a leaf of the founding
    };
    const { blobs } = party.store;
    const [put, putAll] = [blobs.put.bind(blobs), blobs.putAll.bind(blobs)];
    // A box is the only thing of its size; what a confirmation puts first is the correction.
    const isBox = (content: unknown): boolean => Array.isArray(content) && content[0].length < 3000;
    blobs.put = async (content) => {
      if (!lies.losesBoxes || !isBox(content)) return put(content);
      lies.lost++;
      return { hash: '', lengthBytes: 0 };
    };
    blobs.putAll = async (contents) => {
      if (!lies.losesBoxes) return putAll(contents);
      lies.lost += contents.length - 1;
      return putAll(contents.slice(0, 1));
    };
    return { ...party, append };
  };
  return { ...original, openParty };
});

const nodes = ['eu', 'us', 'apac'];
let lab: FederationLab;
let number = 0;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, coordinator: { readyMs: 15_000 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

afterEach(() => {
  vi.restoreAllMocks();
  Object.assign(lies, { kinds: [], dropped: 0, losesBoxes: false, lost: 0, isToOne: false });
});

const told = () => lab.events.filter(({ event }) => event === 'receipt not borne out by the log');

/** A round in which the liar drops what it acknowledges of these kinds. */
async function roundWithout(kinds: string[]): Promise<{ id: string; round: Round }> {
  const before = told().length;
  lies.kinds = kinds;
  const id = await lab.open();
  number++;
  expect(await lab.end(id)).toBe('released');
  expect(lies.dropped).toBeGreaterThan(0);
  const address = lab.local.cards.find(({ name }) => name === LIAR)!.address;
  expect(told().slice(before)).toHaveLength(lies.dropped);
  for (const event of told().slice(before))
    expect(event).toMatchObject({ aggregator: address, duty: kinds[0], leaf: 7 });
  return { id, round: lab.round(id) };
}

/** As if for the first time: whoever was asked last is the first again. */
async function startAgain(): Promise<void> {
  for (const name of [LIAR, ...nodes]) {
    await lab.stop(name);
    await lab.run(name);
  }
}

describe('a node whose aggregator gives a false receipt', () => {
  it('for its upload notices it in the log, and is in the sum by way of another one', async () => {
    const { id, round } = await roundWithout(['upload']);
    expect(round.attempts[0]!.cohort.map(({ node }) => node).sort()).toEqual(nodes.toSorted());
    expect(await lab.result(id)).toEqual(plainSum(nodes, number, 300));
  });

  it('for its confirmation notices it too: nobody is left out, and there is one attempt', async () => {
    await startAgain();
    const { id, round } = await roundWithout(['confirm']);
    expect(round.attempts).toHaveLength(1);
    expect(await lab.result(id)).toEqual(plainSum(nodes, number, 300));
  });

  it('and logs its confirmation without keeping the boxes: the second ones go to all aggregators, and nobody is left out', async () => {
    await startAgain();
    lies.losesBoxes = true;
    const id = await lab.open();
    number++;
    expect(await lab.end(id)).toBe('released');
    const { attempts } = lab.round(id);
    expect(attempts).toHaveLength(1);
    const complaints = [...attempts[0]!.complaints.values()].flatMap((by) => [...by.values()]);
    expect(complaints.length).toBeGreaterThan(0);
    expect(complaints.every(({ resealed, final }) => resealed !== null && !final)).toBe(true);
    // The liar lost the second ones as well.
    expect(lies.lost).toBeGreaterThan(nodes.length * (lab.round(id).record.members.length + 1));
    expect(await lab.result(id)).toEqual(plainSum(nodes, number, 300));
  });

  it('control: where the second ones go to whoever lost the first, nobody can be ready with any node', async () => {
    await startAgain();
    Object.assign(lies, { losesBoxes: true, isToOne: true });
    const id = await lab.open();
    const isFinal = (r: Round) => [...r.attempts[0]!.complaints.values()].map((by) => by.get('owner')?.final === true);
    await lab.until(id, (r) => r.attempts.length > 0 && isFinal(r).filter(Boolean).length === nodes.length);
    expect([lab.round(id).attempts[0]!.ready.size, lab.round(id).attempts[0]!.readyRecipients.size]).toEqual([0, 0]);
    await lab.officer.call(RoundService.abort, { roundId: fromHex(id, 32) }, { deadlineMs: 30_000 });
    expect(await lab.end(id)).toBe('OPERATOR');
  });

  it('control: where a receipt is believed, no upload ever stands in the log', async () => {
    vi.spyOn(Receipts.prototype, 'takeFalse').mockReturnValue(null);
    for (const node of nodes) {
      await lab.stop(node);
      await lab.run(node);
    }
    const sent = () => lab.events.filter(({ event }) => event === 'uploaded').length;
    const before = sent();
    lies.kinds = ['upload'];
    const id = await lab.open();
    await vi.waitFor(() => expect(sent()).toBe(before + nodes.length), 30_000);
    // Long enough for a node that looks: it looks every second.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await lab.officer.call(RoundService.abort, { roundId: fromHex(id, 32) }, { deadlineMs: 30_000 });
    expect([await lab.end(id), lab.round(id).uploads.size]).toEqual(['OPERATOR', 0]);
  });
});

describe('a receipt', () => {
  const aggregator = { name: 'one' };
  const other = { name: 'two' };

  it('is false when the log has gone past its index, or shows nothing for long; then its aggregator is asked last', () => {
    let now = 0;
    const receipts = new Receipts(() => now);
    expect(receipts.takeFalse('upload', 100)).toBeNull(); // none was given
    receipts.keep('upload', aggregator, 40);
    expect([receipts.takeFalse('upload', 40), receipts.takeFalse('confirm', 41)]).toEqual([null, null]);
    expect(inTurn([aggregator, other])).toEqual([aggregator, other]);
    expect(receipts.takeFalse('upload', 41)).toEqual({ aggregator, leafIndex: 40 });
    expect(inTurn([aggregator, other])).toEqual([other, aggregator]);
    expect(receipts.takeFalse('upload', 41)).toBeNull(); // told once
    receipts.keep('upload', other, 10 ** 9);
    now += 7_999;
    expect(receipts.takeFalse('upload', 41)).toBeNull();
    now += 1;
    expect(receipts.takeFalse('upload', 41)).toEqual({ aggregator: other, leafIndex: 10 ** 9 });
  });
});
