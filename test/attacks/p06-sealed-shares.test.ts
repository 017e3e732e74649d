import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromUtf8, utf8 } from '../../crypto/encoding.ts';
import type { RingEngine } from '../../crypto/engine.ts';
import { type AnswerContext, openAnswer, sealAnswer } from '../../crypto/share-box.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { contextOf, hashOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { cohortOf, memorySetting, smallEngine, sumOf, updatesOf } from '../reference/memory-round.ts';
import { PaperLog, p } from '../reference/paper-log.ts';
import { QuorumLab, type Submission } from '../reference/quorum-lab.ts';

/**
 * Controls: a sealing that is bound to its label alone, or that leaves out one part of its place, and seeds that are not
 * compared with their commitments.
 */
const weak = vi.hoisted(() => ({ unbound: false, without: -1, uncommitted: false }));
vi.mock('../../crypto/signature.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/signature.ts')>();
  const infoWithLabel: typeof original.infoWithLabel = (label, ...parts) =>
    /(?:share|answer)-box$/.test(label)
      ? original.infoWithLabel(label, ...parts.filter((_, i) => !weak.unbound && i !== weak.without))
      : original.infoWithLabel(label, ...parts);
  return { ...original, infoWithLabel };
});
vi.mock('../../crypto/sharing.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/sharing.ts')>();
  const seedCommitment: typeof original.seedCommitment = (...args) =>
    weak.uncommitted ? new Uint8Array(32) : original.seedCommitment(...args);
  return { ...original, seedCommitment };
});

afterEach(() => {
  weak.unbound = false;
  weak.without = -1;
  weak.uncommitted = false;
});

describe('P6: an aggregator that hands a member other boxes than were sealed to it', () => {
  let engine: RingEngine;
  beforeAll(async () => {
    engine = await smallEngine();
  });

  /** @param serve - what the aggregator gives member-2 for a node's box; all real boxes to it by node. */
  function roundWith(serve: (node: string, boxes: ReadonlyMap<string, Uint8Array>) => Uint8Array | undefined) {
    const federation = new MemoryFederation(memorySetting(engine));
    const updates = updatesOf(federation.nodeNames);
    const honest = federation.blobs.get.bind(federation.blobs);
    federation.blobs.get = (hash) => {
      const boxes = new Map<string, Uint8Array>();
      let asked: string | null = null;
      for (const round of federation.log.transcript.rounds.values()) {
        const confirms = round.attempts.at(-1)?.confirms.values() ?? [];
        for (const { node, body, hash: confirm } of confirms) {
          const resealed = round.attempts.at(-1)!.complaints.get(confirm)?.get('member-2')?.resealed;
          const own = resealed ?? body.boxes.find(({ holder }) => holder === 'member-2')!.hash;
          boxes.set(node, honest(own)!);
          if (own === hash) asked = node;
        }
      }
      return asked === null ? honest(hash) : serve(asked, boxes);
    };
    const round = federation.runRound(1, updates);
    return { federation, round, updates };
  }

  const next: Record<string, string> = {
    'node-1': 'node-2',
    'node-2': 'node-1',
    'node-3': 'node-4',
    'node-4': 'node-3',
  };
  it.each<[string, Parameters<typeof roundWith>[0]]>([
    ['swaps them between nodes', (node, boxes) => boxes.get(next[node]!)],
    ['gives one node’s for all', (_, boxes) => boxes.get('node-1')],
    ['drops one', (node, boxes) => (node === 'node-3' ? undefined : boxes.get(node))],
    ['changes a bit', (node, boxes) => boxes.get(node)!.with(1150, boxes.get(node)![1150]! ^ 1) as Uint8Array],
    ['cuts one short', (node, boxes) => boxes.get(node)!.slice(1)],
  ])('%s: the member complains, is not counted on, and the round ends well without it', (_, serve) => {
    const { federation, round, updates } = roundWith(serve);
    const [attempt] = round.attempts;
    expect(attempt!.ready).toEqual(new Set(['member-1', 'member-3']));
    const complaints = [...attempt!.complaints.values()].flatMap((by) => [...by.keys()]);
    expect(new Set(complaints)).toEqual(new Set(['member-2']));
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohortOf(round)));
  });

  it('control: the same aggregator, honest, has all three members ready', () => {
    const { round } = roundWith((node, boxes) => boxes.get(node));
    expect(round.attempts[0]!.ready.size).toBe(3);
  });

  it('relabelled leaves do not have their node’s signature', () => {
    const log = PaperLog.founded().until('close');
    const text = fromUtf8(log.leaf('node-1', 'confirm', log.confirm('node-1')));
    expect(log.offer(utf8(text.replace('"actor":"node-1"', '"actor":"node-2"')))).toBe('BAD_SIGNATURE');
    expect(log.offer(utf8(text.replace('"holder":"member-1"', '"holder":"member-9"')))).toBe('BAD_SIGNATURE');
    expect(log.offer(utf8(text))).toBe('counted'); // control
  });
});

describe('P6: what the sealing binds, when the hash in the leaf does not help', () => {
  const NODES = ['one', 'two', 'three'];
  const PLACES = ['close leaf', 'bucket', 'node', 'member'];
  let lab: QuorumLab;
  let submissions: Submission[];

  async function setUp(): Promise<void> {
    const parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
    lab = new QuorumLab(contextOf(parameters, await kernelOf(parameters)), systemRng);
    for (const node of NODES) lab.upload(node, valuesOf(node, 300, 12));
    submissions = NODES.map((node) => lab.confirm(node, NODES, 'close'));
  }

  /** A member's view of `at` when it is given the box that `from` sealed to `holder`. */
  const moved = (from: Submission, at: Submission, holder = 0): string => {
    const boxes = at.boxes.with(0, from.boxes[holder]!);
    return lab.seedsFor({ ...at, boxes }, 0) === null ? 'refused' : 'taken';
  };

  it('a box of another node, attempt, or member is refused', async () => {
    await setUp();
    const [one, two] = submissions as [Submission, Submission];
    const again = lab.confirm('one', NODES, 'another close');
    expect([moved(two, one), moved(again, one), moved(one, one, 1)]).toEqual(['refused', 'refused', 'refused']);
    expect(moved(one, one)).toBe('taken'); // control
  });

  /** What is made of a box that is right but for its close leaf, its bucket, its node or its member, in this order. */
  function misplaced(): string[] {
    const [one, two] = submissions as [Submission, Submission];
    const again = lab.confirm('one', NODES, 'another close');
    const inBucket = { ...one, context: { ...one.context, bucket: 1 } };
    // A box to member 1, read with its key as the one of member 0.
    const toAnother = { ...one, boxes: one.boxes.with(0, one.boxes[1]!) };
    const asAnother = lab.openBox(toAnother, 0, lab.holders[1]!.key) === null ? 'refused' : 'taken';
    return [moved(again, one), moved(one, inBucket), moved(two, one), asAnother];
  }
  const others = (without: number): string[] => PLACES.map((_, i) => (i === without ? 'taken' : 'refused'));

  it('the sealing alone refuses it, each part of the place by itself: without that part it is taken', async () => {
    weak.uncommitted = true;
    await setUp();
    expect(misplaced()).toEqual(others(-1));
    for (const without of PLACES.keys()) {
      weak.without = without;
      await setUp();
      expect([PLACES[without], misplaced()]).toEqual([PLACES[without], others(without)]); // control
    }
  });

  it('the commitments alone refuse it too: without both it is taken', async () => {
    weak.unbound = true;
    await setUp();
    expect(misplaced()).toEqual(others(-1));
    weak.uncommitted = true;
    await setUp();
    expect(misplaced()).toEqual(PLACES.map(() => 'taken')); // control
  });

  it('an answer of another decision, member, recipient or bucket is refused', async () => {
    await setUp();
    const { key, publicKey } = lab.holders[3]!;
    const place: AnswerContext = { decideHash: hashOf('decide'), bucket: 0, member: 1, recipient: 0 };
    const places: Partial<AnswerContext>[] = [
      { decideHash: hashOf('last round’s') },
      { member: 2 },
      { recipient: 1 },
      { bucket: 1 },
    ];
    const sums = () => new Map([[0, Uint16Array.from({ length: 64 }, (_, i) => 31 * i)]]);
    const opened = (sealed: Uint8Array, over: Partial<AnswerContext>) =>
      openAnswer(p, key, { ...place, ...over }, sealed, 11, 64);
    const sealed = sealAnswer(p, systemRng, place, publicKey, sums(), 11);
    expect(opened(sealed, {})).toEqual({ sums: sums() }); // control
    for (const over of places) expect(opened(sealed, over)).toEqual({ rejected: 'ANSWER_DOES_NOT_OPEN' });
    weak.unbound = true;
    const loose = sealAnswer(p, systemRng, place, publicKey, sums(), 11);
    for (const over of places) expect(opened(loose, over)).toEqual({ sums: sums() }); // control
  });
});
