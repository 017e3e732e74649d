import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import * as disputes from '../../protocols/disputes.ts';
import type { Confirmation } from '../../protocols/node.ts';
import { nextCohort } from '../../protocols/rules-round.ts';
import type { Confirm, Round } from '../../protocols/transcript.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import {
  cohortOf,
  countingRng,
  memorySetting,
  REQUEST,
  smallEngine,
  sumOf,
  updatesOf,
} from '../reference/memory-round.ts';
import { PaperLog } from '../reference/paper-log.ts';

// A node that seals a box to the recipient which holds other seeds than it commits to, or none; a recipient that says so of good
// ones; one that says nothing. Real boxes and commitments, the whole round in memory.

vi.mock('../../protocols/disputes.ts', async (original) => ({ ...(await original<typeof disputes>()) }));

const request = { ...REQUEST, minCohort: 3 };
let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine();
});

afterEach(() => {
  vi.restoreAllMocks();
});

function federationOf(seed: string): MemoryFederation {
  return new MemoryFederation(
    memorySetting(engine, { rng: countingRng(seed), nodes: 8, request, window: 'one window' }),
  );
}

/** This node's boxes to the recipient are noise, the second one too. */
function saboteur(federation: MemoryFederation, bad: string, isPersistent = true): void {
  federation.tamper = (what, party, value) => {
    if (party !== bad) return value;
    if (what === 'box') {
      const made = value as Confirmation;
      const sealed = made.boxes.at(-1)!.sealed.fill(7, 40);
      made.body.boxes.at(-1)!.hash = federation.put(sealed);
    } else if (what === 'reseal' && isPersistent) {
      const again = value as { sealed: Uint8Array; body: { hash: string } };
      again.body.hash = federation.put(again.sealed.fill(9, 40));
    }
    return value;
  };
}

/** The recipient complains about these nodes' boxes, whatever is in them. */
function liar(federation: MemoryFederation, isAbout: (node: string) => boolean): void {
  federation.tamper = (what, party, value) => {
    if (what !== 'check' || party !== 'recipient') return value;
    const { confirm } = value as { confirm: Confirm };
    const lie = { confirm, checked: { confirm: confirm.hash, code: 'SEED_MISMATCH' } };
    return isAbout(confirm.node) ? (lie as typeof value) : value;
  };
}

const spent = (federation: MemoryFederation): number => federation.log.transcript.ledger.spentRhoNano;
const named = (round: Round): string[] =>
  disputes.disputesOf(round.attempts.at(-1)!).map(({ node, holder }) => `${node} ${holder}`);
const setOf = (round: Round): string[] =>
  round.attempts
    .at(-1)!
    .cohort.map(({ node }) => node)
    .sort();
const everybody = (federation: MemoryFederation) => updatesOf(federation.nodeNames);

describe('a node that seals a bad box to the recipient', () => {
  it('once seals again, and the round ends well with it', () => {
    const federation = federationOf('once');
    saboteur(federation, 'node-3', false);
    const round = federation.runRound(1, everybody(federation));
    expect(cohortOf(round)).toHaveLength(8);
    expect(federation.openings.get(round.id)!.values).toEqual(sumOf(everybody(federation), cohortOf(round)));
    expect([...round.attempts[0]!.complaints.values()].flatMap((by) => [...by.keys()])).toEqual(['recipient']);
    expect(federation.heldSecrets).toBe(0);
  });

  it('and again ends the round before its charge; both are named, and nothing is left of the keys', () => {
    const federation = federationOf('twice');
    saboteur(federation, 'node-3');
    const round = federation.runRound(1, everybody(federation));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'BOX_DISPUTED', decision: null });
    expect([named(round), spent(federation), federation.heldSecrets]).toEqual([['node-3 recipient'], 0, 0]);
  });

  it('and never again ends it the same way', () => {
    const federation = federationOf('never');
    saboteur(federation, 'node-3');
    federation.vanished.set('node-3', 'reseal');
    const round = federation.runRound(1, everybody(federation));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'BOX_DISPUTED', decision: null });
    expect(disputes.disputesOf(round.attempts[0]!)).toEqual([{ node: 'node-3', holder: 'recipient', final: false }]);
  });

  it('control: where no decision waits for recipients, the round is charged before anybody hears of it', () => {
    const federation = federationOf('control');
    saboteur(federation, 'node-3');
    vi.spyOn(disputes, 'waitedFor').mockReturnValue([]);
    vi.spyOn(disputes, 'shouldCheckBoxes').mockImplementation(
      (attempt, name) =>
        name !== 'recipient' && attempt.confirms.size === attempt.cohort.length && !attempt.ready.has(name),
    );
    const round = federation.runRound(1, everybody(federation));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'BOX_UNREADABLE' });
    expect(spent(federation)).toBe(round.record.charge.rhoNano);
  });

  it.each(['node-2', 'node-7'])(
    'does not stop training: %s is named in every dispute, and parts without it open',
    (bad) => {
      const federation = federationOf(bad);
      saboteur(federation, bad);
      const updates = everybody(federation);
      let failed: string | null = null;
      let models = 0;
      let charged = 0;
      for (let number = 1; models < 2; number++) {
        expect(number).toBeLessThan(12);
        const round = federation.runRound(number, updates);
        expect(round.record.retryOf).toBe(failed);
        expect(setOf(round)).toHaveLength(failed === null ? 8 : 4);
        if (round.phase === 'released') {
          expect(setOf(round)).not.toContain(bad);
          expect(federation.openings.get(round.id)!.values).toEqual(sumOf(updates, setOf(round)));
          federation.nextModel(round);
          charged += round.record.charge.rhoNano;
          models++;
          failed = null;
        } else {
          expect([round.phase === 'aborted' && round.reason, named(round)]).toEqual([
            'BOX_DISPUTED',
            [`${bad} recipient`],
          ]);
          failed = round.id;
        }
        expect(spent(federation)).toBe(charged);
      }
    },
  );
});

describe('a recipient that lies about boxes', () => {
  it('gets no set of its choice: parts that lie one in the other or apart, each large enough, and at most one sum', () => {
    const federation = federationOf('chooser');
    liar(federation, (node) => node === 'node-5'); // it wants all of them without node-5
    const updates = everybody(federation);
    const sets: string[][] = [];
    for (let number = 1; ; number++) {
      const round = federation.runRound(number, updates);
      sets.push(setOf(round));
      if (round.phase === 'released') break;
      expect([named(round), spent(federation)]).toEqual([['node-5 recipient'], 0]);
      expect(number).toBeLessThan(4);
    }
    for (const a of sets) {
      expect(a.length).toBeGreaterThanOrEqual(request.minCohort);
      for (const b of sets) {
        const common = a.filter((node) => b.includes(node)).length;
        expect([0, Math.min(a.length, b.length)]).toContain(common);
        if (common > 0 && a.length !== b.length)
          expect(Math.abs(a.length - b.length)).toBeGreaterThanOrEqual(request.minCohort);
      }
    }
    // And the parts were drawn before it said a word: it names another one, and they are the same.
    const again = federationOf('chooser');
    liar(again, (node) => node === 'node-1');
    again.runRound(1, updates);
    expect(setOf(again.runRound(2, updates))).toEqual(sets[1]);
  });

  it('about all of them stops its own rounds, uncharged, for as long as it likes, and learns nothing by it', () => {
    const federation = federationOf('all');
    liar(federation, () => true);
    for (let number = 1; number <= 4; number++) {
      const round = federation.runRound(number, everybody(federation));
      expect(round).toMatchObject({ phase: 'aborted', reason: 'BOX_DISPUTED', decision: null });
      expect(named(round).sort()).toEqual(setOf(round).map((node) => `${node} recipient`));
    }
    expect([spent(federation), federation.openings.size, federation.heldSecrets]).toEqual([0, 0, 0]);
  });

  it('control: with a voice like a member’s it leaves out whom it names, and the difference to the next sum is that node', () => {
    const complained = (): PaperLog => {
      const log = PaperLog.founded({ nodes: 5 }).until('confirms');
      const confirm = log.attempt.confirms.get('node-5')!.hash;
      log.post('recipient-1', 'complaint', { confirm, code: 'SEED_MISMATCH' });
      return log;
    };
    const closed = (log: PaperLog): string => log.offer(log.leaf('coordinator', 'close', log.close()));
    const honest = complained();
    expect([nextCohort(honest.transcript, honest.round).length, closed(honest)]).toEqual([5, 'BAD_COHORT']);
    const { isStuck } = disputes;
    vi.spyOn(disputes, 'isStuck').mockImplementation((attempt, confirm) => isStuck(attempt, confirm, 'recipient-1'));
    const weak = complained();
    expect(closed(weak)).toBe('counted');
    expect(weak.attempt.cohort.map(({ node }) => node)).toEqual(['node-1', 'node-2', 'node-3', 'node-4']);
  });

  it('by silence ends its round, uncharged; the next one is over everybody again', () => {
    const federation = federationOf('mute');
    federation.vanished.set('recipient', 'ready');
    const round = federation.runRound(1, everybody(federation));
    expect(round).toMatchObject({ phase: 'aborted', reason: 'RECIPIENT_NOT_READY', decision: null });
    expect([disputes.waitedFor(round.record, round.attempts[0]!), spent(federation)]).toEqual([['recipient'], 0]);
    federation.vanished.clear();
    const next = federation.runRound(2, everybody(federation));
    expect([next.record.retryOf, cohortOf(next).length, federation.heldSecrets]).toEqual([null, 8, 0]);
  });
});
