import { beforeAll, describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { bucketsToOpen, finishedGroup } from '../../protocols/buckets.ts';
import { nodeDuties } from '../../protocols/node.ts';
import { recipientDuties } from '../../protocols/recipient.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { bucketRecord, founded, runBucket } from '../reference/bucket-log.ts';
import { cohortOf, countingRng, memorySetting, smallEngine, sumOf, updatesOf } from '../reference/memory-round.ts';

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});

const federationOf = (nodes: number, buckets: number): MemoryFederation =>
  new MemoryFederation(memorySetting(engine, { nodes, buckets, rng: countingRng(`${nodes} in ${buckets}`) }));

const chargesOf = (federation: MemoryFederation): number => federation.log.transcript.ledger.spentRhoNano;

describe('a round in buckets', () => {
  it('opens the exact sum of every bucket, each charged; together they hold every node once', () => {
    const federation = federationOf(7, 3);
    const updates = updatesOf(federation.nodeNames);
    for (const first of [1, 4]) {
      const rounds = federation.runBuckets(first, updates);
      const cohorts = rounds.map(cohortOf);
      expect(cohorts.flat().sort()).toEqual([...federation.nodeNames].sort());
      expect(cohorts.map(({ length }) => length)).toEqual([3, 2, 2]);
      for (const [i, round] of rounds.entries())
        expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, cohorts[i]!));
      const cost = rounds[0]!.record.charge.rhoNano;
      expect(chargesOf(federation)).toBe((first + 2) * cost);
      federation.nextModel(rounds[0]!);
      expect(federation.log.transcript.models.at(-1)!.number).toBe(first === 1 ? 1 : 2);
    }
    expect(federation.refusals).toEqual([]);
    expect(federation.heldSecrets).toBe(0);
  });

  it('divides the nodes anew for every model', () => {
    const federation = federationOf(7, 3);
    const updates = updatesOf(federation.nodeNames);
    const seen = new Set<string>();
    for (let model = 0; model < 4; model++) {
      const rounds = federation.runBuckets(1 + 3 * model, updates);
      seen.add(JSON.stringify(rounds.map((round) => cohortOf(round).sort())));
      federation.nextModel(rounds[0]!);
    }
    expect(seen.size).toBeGreaterThan(1);
  });

  it('goes on without a bucket that a saboteur ends, where most of them open; the model is made once', () => {
    const federation = federationOf(6, 3);
    federation.tamper = (what, party, value) => {
      if (what === 'payload' && party === 'node-2') (value as Uint8Array).fill(1, 0, 500);
      return value;
    };
    const rounds = federation.runBuckets(1, updatesOf(federation.nodeNames));
    const failed = rounds.filter(({ phase }) => phase === 'aborted');
    expect(failed).toMatchObject([{ reason: 'KEY_DOES_NOT_FIT' }]);
    const released = rounds.filter(({ phase }) => phase === 'released');
    const t = federation.log.transcript;
    expect(finishedGroup(t, failed[0]!.record)).toEqual(released);
    // No retry any more: the set of sums that the model is made of is final.
    expect(bucketsToOpen(t, failed[0]!.record, 3)).toEqual([]);
    const duties = recipientDuties(t, 'recipient', () => false).filter(({ duty }) => duty === 'next-model');
    expect(duties).toMatchObject([{ sums: released.map(({ id }) => ({ id })) }]);
    federation.nextModel(released[0]!);
    expect(recipientDuties(federation.log.transcript, 'recipient', () => false)).toEqual([]);
  });

  it('tries failed buckets again, each over a part of its own nodes, while fewer than most have opened', () => {
    const federation = federationOf(16, 2);
    federation.tamper = (what, party, value) => {
      if (what === 'payload' && party === 'node-2') (value as Uint8Array).fill(1, 0, 500);
      return value;
    };
    const updates = updatesOf(federation.nodeNames);
    const rounds = federation.runBuckets(1, updates);
    const failed = rounds.find((round) => round.phase === 'aborted')!;
    const t = federation.log.transcript;
    expect(finishedGroup(t, failed.record)).toBeNull();
    expect(bucketsToOpen(t, failed.record, 2)).toEqual([failed.record.bucket!.index]);
    const again = federation.runRound(3, updates);
    expect(again.record).toMatchObject({ retryOf: failed.id, bucket: failed.record.bucket });
    const before = failed.attempts.at(-1)!.cohort.map(({ node }) => node);
    const after = again.attempts.at(-1)!.cohort.map(({ node }) => node);
    expect(after).toHaveLength(before.length / 2);
    expect(before).toEqual(expect.arrayContaining(after));
    expect(again.phase).toBe(after.includes('node-2') ? 'aborted' : 'released');
  });

  it('asks a node for an upload in its own bucket only', () => {
    const log = founded();
    for (const index of [0, 1]) log.post('coordinator', 'open', { record: bucketRecord(log, 1 + index, index) });
    for (const node of log.nodes) {
      const duties = nodeDuties(log.transcript, node, () => false);
      expect(duties).toMatchObject([{ duty: 'upload' }]);
      expect(duties.map(({ round }) => round.assigned!.has(node))).toEqual([true]);
    }
  });

  it('opens the buckets in order, each once', () => {
    const log = founded();
    const window = bucketRecord(log, 1, 0);
    expect(bucketsToOpen(log.transcript, window, 2)).toEqual([0, 1]);
    runBucket(log, 2, 0);
    expect(bucketsToOpen(log.transcript, window, 2)).toEqual([1]);
    log.post('coordinator', 'open', { record: bucketRecord(log, 3, 1) });
    expect(bucketsToOpen(log.transcript, window, 2)).toEqual([]);
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    // One of two is not most of them.
    expect(bucketsToOpen(log.transcript, window, 2)).toEqual([1]);
  });

  it('keeps its division whatever is enrolled, revoked or logged later', () => {
    const log = founded();
    log.post('coordinator', 'open', { record: bucketRecord(log, 1, 0) });
    const before = [...log.round.assigned!].sort();
    log.post('coordinator', 'abort', { round: log.round.id, reason: 'OPERATOR' });
    log.enrol('late', 'node');
    log.post('root', 'revoke', { name: before[0]!, reason: 'lost' });
    log.post('coordinator', 'open', { record: bucketRecord(log, 2, 0) });
    expect([...log.round.assigned!].sort()).toEqual(before);
  });
});
