import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import * as retry from '../../protocols/retry.ts';
import { cohortHashOf, nextCohort } from '../../protocols/rules-round.ts';
import type { Round, Upload } from '../../protocols/transcript.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { countingRng, memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';
import { PaperLog, p } from '../reference/paper-log.ts';

vi.mock('../../protocols/retry.ts', async (original) => ({ ...(await original<typeof retry>()) }));

const request = { ...REQUEST, minCohort: 3 };
let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine();
});

afterEach(() => {
  vi.restoreAllMocks();
});

function sabotaged(saboteur: string): MemoryFederation {
  const federation = new MemoryFederation(
    memorySetting(engine, { rng: countingRng(saboteur), nodes: 8, request, window: 'one window' }),
  );
  federation.tamper = (what, party, value) => {
    // Any residues below every prime, other ones each time.
    if (what === 'payload' && party === saboteur) (value as Uint8Array).fill(1, 0, 500);
    return value;
  };
  return federation;
}

const cohortOf = (round: Round): string[] => round.attempts.at(-1)!.cohort.map(({ node }: Upload) => node);

describe('sabotage', () => {
  it.each(['node-2', 'node-7'])(
    'by %s: training goes on, and it is soon the only node that all failures share',
    (bad) => {
      const federation = sabotaged(bad);
      const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i + 1)]));
      let models = 0;
      let failed: string | null = null;
      let number = 0;
      const suspects = () => retry.suspectsOf(federation.log.transcript, 'lead-scoring').map(({ node }) => node);
      while (suspects().length !== 1 || suspects()[0] !== bad) {
        expect(++number).toBeLessThan(40);
        const round = federation.runRound(number, updates);
        const cohort = cohortOf(round);
        expect(round.record.retryOf).toBe(failed);
        expect(cohort).toHaveLength(failed === null ? 8 : 4);
        if (round.phase === 'released') {
          expect(cohort).not.toContain(bad);
          const sum = cohort.reduce((total, name) => total + updates.get(name)![0]!, 0);
          expect(federation.openings.get(round.id)!.values).toEqual(new Int32Array(300).fill(sum));
          federation.nextModel(round);
          models++;
          failed = null;
        } else {
          expect(round).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
          expect(cohort).toContain(bad);
          expect(suspects()).toContain(bad);
          failed = round.id;
        }
      }
      expect(models).toBeGreaterThan(0);
    },
  );
});

describe('a retry', () => {
  function failedLog(reason: 'KEY_DOES_NOT_FIT' | 'OPERATOR'): { log: PaperLog; failed: string; announce: string } {
    const log = PaperLog.founded().until('answers');
    const failed = log.round.id;
    log.post(reason === 'OPERATOR' ? 'coordinator' : 'recipient-1', 'abort', { round: failed, reason });
    return { log, failed, announce: log.announced(2) };
  }
  const offered = (log: PaperLog, announce: string, over: object): string =>
    log.offer(log.leaf('coordinator', 'open', { record: log.record(announce, over) }));

  it('of a failed round of its own window is taken, once, and nothing else is', () => {
    const { log, failed, announce } = failedLog('KEY_DOES_NOT_FIT');
    expect(offered(log, announce, {})).toBe('WINDOW_DECIDED');
    expect(offered(log, announce, { retryOf: 'ab'.repeat(32) })).toBe('WINDOW_DECIDED');
    expect(offered(log, announce, { retryOf: failed, window: 'another' })).toBe('WINDOW_DECIDED');
    expect(retry.nextRetryOf(log.transcript, log.record(announce))).toBe(failed);
    expect(offered(log, announce, { retryOf: failed })).toBe('counted');
  });

  it('of a round that an operator ended is refused; control: it is taken when the rule is gone', () => {
    const { log, failed, announce } = failedLog('OPERATOR');
    expect(offered(log, announce, { retryOf: failed })).toBe('WINDOW_DECIDED');
    expect(retry.nextRetryOf(log.transcript, log.record(announce))).toBeUndefined();
    vi.spyOn(retry, 'mayRetry').mockReturnValue(true);
    expect(offered(log, announce, { retryOf: failed })).toBe('counted');
  });
});

describe('the parts of a failed set', () => {
  const upload = (node: string, payloadHash: string): Upload => ({ node, body: { payloadHash } }) as Upload;
  const uploads = ['d', 'a', 'c', 'b', 'e'].map((hash) => upload(`node ${hash}`, hash));
  const own = (node: string): string => node;
  const names = (parts: readonly (readonly Upload[])[]) =>
    parts.map((part) => part.map(({ node }) => node.at(-1)).join(''));

  it('are every second upload by payload hash and the others, then their halves', () => {
    expect(names(retry.partsOf(uploads, { cohort: 2, organisations: 2 }, own))).toEqual(['ace', 'bd']);
    const eight = [...'hgfedcba'].map((hash) => upload(hash, hash));
    expect(names(retry.partsOf(eight, { cohort: 2, organisations: 1 }, own))).toEqual([
      'aceg',
      'bdfh',
      'ae',
      'cg',
      'bf',
      'dh',
    ]);
  });

  it('are one in the other or apart, and what is left of one without another is no smaller than the minimum', () => {
    const many = Array.from({ length: 37 }, (_, i) => upload(`${i}`, `${(i * 7919) % 104_729}`.padStart(6, '0')));
    const parts = [many, ...retry.partsOf(many, { cohort: 3, organisations: 1 }, own)];
    expect(parts.length).toBeGreaterThan(12);
    for (const a of parts) {
      for (const b of parts) {
        const common = a.filter((x) => b.includes(x)).length;
        const isNested = common === Math.min(a.length, b.length);
        expect(common === 0 || isNested).toBe(true);
        if (isNested && a.length !== b.length) expect(Math.abs(a.length - b.length)).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('keep the share of every organisation, whatever hashes its nodes grind', () => {
    const ground = Array.from({ length: 12 }, (_, i) => upload(`${i % 3} ${i}`, `${i % 3 === 0 ? '0' : 'f'}${i}`));
    const organisation = (node: string): string => node[0]!;
    const [half] = retry.partsOf(ground, { cohort: 3, organisations: 2 }, organisation);
    const shares = Map.groupBy(half!, ({ node }) => organisation(node));
    expect([...shares.values()].map((nodes) => nodes.length)).toEqual([2, 2, 2]);
    // Control: the smallest hashes alone would be the first organisation's.
    const smallest = [...ground].sort((a, b) => (a.body.payloadHash < b.body.payloadHash ? -1 : 1)).slice(0, 6);
    expect(smallest.filter(({ node }) => organisation(node) === '0')).toHaveLength(4);
  });

  it('are the set itself where halves would be too small, or of too few organisations', () => {
    expect(names(retry.partsOf(uploads, { cohort: 3, organisations: 1 }, own))).toEqual(['dacbe']);
    expect(names(retry.partsOf(uploads, { cohort: 2, organisations: 2 }, () => 'one'))).toEqual(['dacbe']);
  });
});

describe('the set of a retry', () => {
  /** A failed round of all six nodes, then a retry to which these upload. */
  function retried(nodes: (log: PaperLog) => readonly string[]): PaperLog {
    const log = PaperLog.founded({ nodes: 6 }).until('answers');
    const failed = log.round.id;
    log.post('recipient-1', 'abort', { round: failed, reason: 'KEY_DOES_NOT_FIT' });
    log.open(log.announced(2), { retryOf: failed });
    for (const node of nodes(log)) log.post(node, 'upload', log.upload(node));
    return log;
  }
  const sets = (log: PaperLog): readonly (readonly string[])[] => {
    const [first] = log.transcript.rounds.values();
    const decision = first!.phase === 'aborted' ? first!.decision! : null;
    const minimums = { cohort: 2, organisations: 1 };
    return retry
      .partsOf(decision!.attempt.cohort, minimums, (node) => log.transcript.parties.get(node)?.organisation)
      .map((part) => part.map(({ node }) => node).sort());
  };
  const chosen = (log: PaperLog): string[] =>
    nextCohort(log.transcript, log.round)
      .map(({ node }) => node)
      .sort();

  it('is the first half; the other one where a node of the first stays away; none where both are incomplete', () => {
    const all = retried((log) => log.nodes);
    expect(chosen(all)).toEqual(sets(all)[0]);
    const [away] = sets(all)[0]!;
    const without = retried((log) => log.nodes.filter((node) => node !== away));
    expect(chosen(without)).toEqual(sets(without)[1]);
    const both = [away, sets(all)[1]![0]];
    expect(chosen(retried((log) => log.nodes.filter((node) => !both.includes(node))))).toEqual([]);
  });

  it('may not be another one, nor go on without a node that does not confirm', () => {
    const log = retried((l) => l.nodes);
    const honest = log.close();
    const wider = [...log.round.uploads.values()];
    const forged = { ...honest, uploads: wider.map(({ index }) => index), cohortHash: cohortHashOf(p, wider) };
    expect(log.offer(log.leaf('coordinator', 'close', forged))).toBe('BAD_COHORT');
    expect(log.offer(log.leaf('coordinator', 'close', honest))).toBe('counted');
    for (const { node } of log.attempt.cohort.slice(1)) log.post(node, 'confirm', log.confirm(node));
    expect(chosen(log)).toEqual([]);
  });

  it('control: with halves of whoever is there, two sums over one model differ by one node', () => {
    const all = retried((log) => log.nodes);
    vi.spyOn(retry, 'retrySet').mockImplementation((_t, _record, present) => present);
    const without = retried((log) => log.nodes.slice(1));
    expect(chosen(without)).toEqual(all.nodes.slice(1)); // and the failed set was all of them
  });
});
