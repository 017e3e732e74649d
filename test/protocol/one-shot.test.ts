import { beforeAll, describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { otherHashesOf } from '../../protocols/aggregator.ts';
import { nodeDuties } from '../../protocols/node.ts';
import { stalenessOf, weightOf, weightOfCohort } from '../../protocols/one-shot.ts';
import { checkRound } from '../../protocols/site-policy.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { cohortOf, memorySetting, smallEngine, sumOf, updatesOf } from '../reference/memory-round.ts';
import { opened } from '../reference/one-shot-log.ts';

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});

const federationOf = (nodes: number, buffer: number, maxStaleness = 2): MemoryFederation =>
  new MemoryFederation(memorySetting(engine, { nodes, oneShot: { buffer, maxStaleness } }));

describe('a round without masks', () => {
  it('opens the exact sum; nobody is asked for more than the upload', () => {
    const federation = federationOf(4, 4);
    const updates = updatesOf(federation.nodeNames);
    for (const number of [1, 2]) {
      const round = federation.runRound(number, updates);
      expect(cohortOf(round)).toEqual(federation.nodeNames);
      expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, federation.nodeNames));
      federation.nextModel(round);
    }
    const kinds = federation.log.leaves.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)).kind);
    expect(kinds.filter((kind) => kind === 'one-shot')).toHaveLength(8);
    expect(kinds.filter((kind) => kind === 'upload' || kind === 'confirm')).toEqual([]);
    expect(federation.refusals).toEqual([]);
    expect(federation.heldSecrets).toBe(0);
  });

  it('is closed once its buffer is full, whoever is still training; one that is late goes into the next', () => {
    const federation = federationOf(5, 3);
    const updates = updatesOf(federation.nodeNames);
    federation.vanished.set('node-1', 'upload').set('node-2', 'upload');
    const before = federation.clock;
    const first = federation.runRound(1, updates);
    expect(cohortOf(first)).toEqual(['node-3', 'node-4', 'node-5']);
    expect(federation.clock - before).toBeLessThan(first.record.uploadMs);
    federation.nextModel(first);
    // Both were at work on model 0 meanwhile, and their updates count now, one model behind.
    federation.vanished.clear();
    federation.trainedFrom.set('node-1', 0).set('node-2', 0);
    const second = federation.runRound(2, updates);
    expect(second.record.modelNumber).toBe(1);
    const cohort = cohortOf(second);
    expect(cohort).toEqual(expect.arrayContaining(['node-1', 'node-2']));
    expect(federation.openings.get(second.id)!.values).toEqual(sumOf(updates, cohort));
    if (second.phase !== 'released') throw new Error(second.phase);
    const { cohort: uploads } = second.decision.attempt;
    const staleness = uploads.map((upload) => stalenessOf(second.record, upload));
    expect(staleness).toEqual(cohort.map((name) => (name === 'node-1' || name === 'node-2' ? 1 : 0)));
    expect(weightOfCohort(second.record, uploads)).toBeCloseTo(2 * Math.SQRT1_2 + (cohort.length - 2), 12);
  });

  it('weights are 1 for who is not behind, and fall; a round with masks divides by its nodes', () => {
    expect([0, 1, 3, 8].map(weightOf)).toEqual([1, 1 / Math.sqrt(2), 0.5, 1 / 3]);
    const masked = new MemoryFederation(memorySetting(engine));
    const round = masked.runRound(1, updatesOf(masked.nodeNames));
    if (round.phase !== 'released') throw new Error(round.phase);
    expect(weightOfCohort(round.record, round.decision.attempt.cohort)).toBe(4);
  });

  it('waits for its buffer until uploads are late, and then goes on with min_cohort', () => {
    const federation = federationOf(4, 4);
    federation.vanished.set('node-1', 'upload').set('node-2', 'upload');
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    expect(cohortOf(round)).toEqual(['node-3', 'node-4']);
    expect(federation.clock).toBeGreaterThanOrEqual(round.record.uploadMs);
  });

  it('ends uncharged with fewer than min_cohort', () => {
    const federation = federationOf(3, 3);
    federation.vanished.set('node-1', 'upload').set('node-2', 'upload');
    const round = federation.runRound(1, updatesOf(federation.nodeNames));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'COHORT_TOO_SMALL', decision: null });
    expect(federation.log.transcript.ledger.spentRhoNano).toBe(0);
  });

  /** node-1's boxes to some members hold what nobody can open, and nothing better comes. */
  function sealedBadly(members: readonly string[]): MemoryFederation {
    const federation = federationOf(4, 4);
    federation.tamper = (what, party, value) => {
      if (party !== 'node-1' || (what !== 'one-shot' && what !== 'reseal')) return value;
      if (what === 'reseal') return { ...value, sealed: new Uint8Array(1200) };
      const made = value as {
        body: { boxes: { holder: string; hash: string }[] };
        boxes: { holder: string; sealed: Uint8Array }[];
      };
      for (const [i, box] of made.boxes.entries()) {
        if (!members.includes(box.holder)) continue;
        box.sealed = new Uint8Array(1200).fill(i);
        made.body.boxes[i]!.hash = federation.put(box.sealed);
      }
      return value;
    };
    return federation;
  }

  it('goes on without a node whose boxes too few members can open, and with one that fails a single member', () => {
    const updates = updatesOf(federationOf(4, 4).nodeNames);
    const left = sealedBadly(['member-1', 'member-2']).runRound(1, updates);
    expect(cohortOf(left)).toEqual(['node-2', 'node-3', 'node-4']);
    expect(left.attempts).toHaveLength(2);
    const federation = sealedBadly(['member-1']);
    const kept = federation.runRound(1, updates);
    expect(cohortOf(kept)).toEqual(federation.nodeNames);
    expect(federation.openings.get(kept.id)!.values).toEqual(sumOf(updates, federation.nodeNames));
  });

  it('a second box helps: it is bound to the round, in every attempt', () => {
    const federation = federationOf(3, 3);
    federation.tamper = (what, party, value) => {
      if (party !== 'node-1' || what !== 'one-shot') return value;
      const made = value as { boxes: { sealed: Uint8Array }[]; body: { boxes: { hash: string }[] } };
      made.boxes[1]!.sealed = new Uint8Array(1200);
      made.body.boxes[1]!.hash = federation.put(made.boxes[1]!.sealed);
      return value;
    };
    const updates = updatesOf(federation.nodeNames);
    const round = federation.runRound(1, updates);
    expect(cohortOf(round)).toEqual(federation.nodeNames);
    expect(round.attempts).toHaveLength(1);
    const { complaints, confirms } = round.attempts[0]!;
    expect(complaints.get(confirms.get('node-1')!.hash)?.get('member-2')).toMatchObject({ final: false });
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, federation.nodeNames));
  });

  it('a failed sum is tried again over a part of its nodes, like any other', () => {
    const federation = new MemoryFederation(
      memorySetting(engine, { nodes: 4, window: 'one', oneShot: { buffer: 4, maxStaleness: 0 } }),
    );
    const updates = updatesOf(federation.nodeNames);
    federation.tamper = (what, party, value) => {
      if (what === 'payload' && party === 'node-1') (value as Uint8Array).fill(1, 0, 500);
      return value;
    };
    const failed = federation.runRound(1, updates);
    expect(failed).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
    federation.tamper = (_what, _party, value) => value;
    const again = federation.runRound(2, updates);
    expect(again.record.retryOf).toBe(failed.id);
    expect(cohortOf(again)).toHaveLength(2);
    expect(federation.openings.get(again.id)!.values).toEqual(sumOf(updates, cohortOf(again)));
  });
});

describe('who takes part', () => {
  it('a site that does not say so is in no round without masks', () => {
    const log = opened();
    const { record } = log.round;
    const said = (maskingNone?: 'accept' | 'refuse') =>
      checkRound(
        log.sitePolicy({ minOrganisations: 1, ...(maskingNone === undefined ? {} : { maskingNone }) }),
        log.transcript,
        record,
        'node-1',
        0,
      )?.rejected ?? 'taken';
    expect([said(), said('refuse'), said('accept')]).toEqual(['MASKING_REFUSED', 'MASKING_REFUSED', 'taken']);
  });

  it('a node owes nothing after its upload but second boxes', () => {
    const log = opened();
    for (const node of log.nodes) log.post(node, 'one-shot', log.oneShot(node));
    log.post('coordinator', 'close', log.close());
    expect(nodeDuties(log.transcript, 'node-1', () => true)).toEqual([]);
    const { hash } = log.round.uploads.get('node-1')!;
    log.post('member-1', 'complaint', { confirm: hash, code: 'BOX_UNREADABLE' });
    expect(nodeDuties(log.transcript, 'node-1', () => true)).toMatchObject([{ duty: 'reseal', holder: 'member-1' }]);
  });

  it('aggregators remove what came with an upload, also where no attempt ever held it', () => {
    const log = opened();
    log.post('node-1', 'one-shot', log.oneShot('node-1'));
    const { correctionHash, boxes } = log.oneShot('node-1');
    expect(otherHashesOf(log.round)).toEqual([correctionHash, ...boxes.map(({ hash }) => hash)]);
  });
});
